"""Measure several models on several image sets for `nitido evaluate` and `nitido compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nitido.base.activity import announced
from nitido.data import Store
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.scoring import Image, Upscaler, evaluate, measure, unmeasurable

Row = dict[str, Any]


def evaluate_models(
    models: Mapping[str, Upscaler],
    stores: Mapping[str, Store],
    scale: int,
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> list[Row]:
    """Return one row per model, image and metric: model, dataset, scale, image, metric, value, protocol.

    If an image is too small or too large for a metric, the metric is left out for the whole set.
    """
    measured = {
        dataset: [name for name in metrics if unmeasurable(store, scale, name) is None]
        for dataset, store in stores.items()
    }
    return [
        {"model": model, "dataset": dataset, **row}
        for model, upscale in announced(models.items(), "evaluating models")
        for dataset, store in stores.items()
        for scored in evaluate(upscale, store, scale, measured[dataset])
        for row in scored.rows(scale)
    ]


def means(rows: Sequence[Row], images: Mapping[str, int]) -> list[Row]:
    """Return the means over images: model, dataset, scale, metric, value, images, in the order of the rows.

    `images` is the number of images of each data set. A metric without a value for one of them has no mean.

    >>> common = {"model": "m", "dataset": "d", "scale": 2, "metric": "psnr_y"}
    >>> rows = [common | {"image": "a", "value": 30.0}, common | {"image": "b", "value": 32.0}]
    >>> means(rows, {"d": 2})
    [{'model': 'm', 'dataset': 'd', 'scale': 2, 'metric': 'psnr_y', 'value': 31.0, 'images': 2}]
    >>> means(rows, {"d": 3})
    []
    """
    groups: dict[tuple[Any, ...], list[float]] = {}
    keys = ("model", "dataset", "scale", "metric")
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row["value"])
    return [
        dict(zip(keys, group, strict=True)) | {"value": sum(values) / len(values), "images": len(values)}
        for group, values in groups.items()
        if len(values) == images[group[1]]
    ]


@dataclass(frozen=True)
class Candidate:
    """The result of a model on one image: `image` `(H, W, 3)` uint8, PSNR in dB and SSIM on Y."""

    model: str
    image: Image
    psnr_y: float
    ssim_y: float


def compare_on(store: Store, index: int, models: Mapping[str, Upscaler], scale: int) -> list[Candidate]:
    """Upscale image `index` of `store` with every model; return the results sorted by PSNR-Y, best first."""
    candidates = []
    for name, upscale in announced(models.items(), f"upscaling {store.names[index]}"):
        upscaled, metrics = measure(upscale, store, index, scale)
        candidates.append(Candidate(name, upscaled.rgb, metrics["psnr_y"], metrics["ssim_y"]))
    return sorted(candidates, key=lambda c: -c.psnr_y)
