"""Measure several models on several picture sets: what `nitido evaluate` prints and writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from nitido.data import Store
from nitido.evaluation.benchmark import Upscaler, evaluate, unmeasurable
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.protocol import PROTOCOL

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
        {
            "model": model,
            "dataset": dataset,
            "scale": scale,
            "image": scored.picture,
            "metric": metric,
            "value": value,
            "protocol": PROTOCOL,
        }
        for model, upscale in models.items()
        for dataset, store in stores.items()
        for scored in evaluate(upscale, store, scale, measured[dataset])
        for metric, value in scored.metrics.items()
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
