"""Measure several models on several picture sets: what `nitido evaluate` prints and writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from nitido.data import Store
from nitido.evaluation.benchmark import Upscaler, evaluate
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.protocol import PROTOCOL

Row = dict[str, Any]


def evaluate_models(
    models: Mapping[str, Upscaler],
    stores: Mapping[str, Store],
    scale: int,
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> list[Row]:
    """One row per model, picture and metric that was had: model, dataset, scale, image, metric, value, protocol."""
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
        for scored in evaluate(upscale, store, scale, metrics)
        for metric, value in scored.metrics.items()
    ]


def means(rows: Sequence[Row]) -> list[Row]:
    """The mean over images: model, dataset, scale, metric, value, in the order of the rows.

    >>> common = {"model": "m", "dataset": "d", "scale": 2, "metric": "psnr_y"}
    >>> means([common | {"image": "a", "value": 30.0}, common | {"image": "b", "value": 32.0}])
    [{'model': 'm', 'dataset': 'd', 'scale': 2, 'metric': 'psnr_y', 'value': 31.0}]
    """
    groups: dict[tuple[Any, ...], list[float]] = {}
    keys = ("model", "dataset", "scale", "metric")
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row["value"])
    return [dict(zip(keys, group, strict=True)) | {"value": sum(v) / len(v)} for group, v in groups.items()]
