"""Measure several models on several picture sets: what `nitido evaluate` prints and writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nitido.base.activity import announced
from nitido.data import Store
from nitido.evaluation.benchmark import Image, Upscaler, evaluate, measure, unmeasurable
from nitido.evaluation.metrics import FIDELITY_METRICS

Row = dict[str, Any]


def evaluate_models(
    models: Mapping[str, Upscaler],
    stores: Mapping[str, Store],
    scale: int,
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> list[Row]:
    """One row per model, picture and metric: model, dataset, scale, image, metric, value, protocol.

    A metric that a picture of a set is too small or too large for is measured on no picture of this set.
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
    """The mean over images: model, dataset, scale, metric, value, images, in the order of the rows.

    `images` is how many each data set has. A metric that lacks the value of one of them has no mean there.

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
    """A model's result on one picture: `image` `(H, W, 3)` uint8, PSNR in dB and SSIM on Y."""

    model: str
    image: Image
    psnr_y: float
    ssim_y: float


def compare_on(store: Store, index: int, models: Mapping[str, Upscaler], scale: int) -> list[Candidate]:
    """Enlarge picture `index` of `store` with every model; the best PSNR-Y comes first."""
    candidates = []
    for name, upscale in announced(models.items(), f"upscaling {store.names[index]}"):
        upscaled, metrics = measure(upscale, store, index, scale)
        candidates.append(Candidate(name, upscaled.rgb, metrics["psnr_y"], metrics["ssim_y"]))
    return sorted(candidates, key=lambda c: -c.psnr_y)
