"""What is in the zoo, by the descriptors of its files: for tables, for JSON, and for who chooses among them."""

from collections.abc import Sequence
from typing import Any

from nitido.models.model_file import ModelDescriptor, read_descriptor
from nitido.models.publication import Publication
from nitido.models.zoo.default_model import SMALL, Offer, default_model
from nitido.models.zoo.shipped import ZooError, zoo_names, zoo_path

DATASETS = ("set5", "set14", "bsd100")
"""What every model of the zoo is measured on."""

JUDGE = "bsd100"
"""The largest of them chooses where a model has to be chosen."""

HEADER = ("name", "architecture", "objective", "scale", "parameters", *(f"{name} dB" for name in DATASETS), "licence")


def zoo_descriptors() -> list[ModelDescriptor]:
    """The descriptors of all models that ship, by name; `ModelFileError` for a damaged file."""
    return [read_descriptor(zoo_path(name)) for name in zoo_names()]


def published(descriptor: ModelDescriptor) -> Publication:
    """What was measured of a model of the zoo; `ZooError` for one that nobody published."""
    if descriptor.publication is None:
        raise ZooError(
            f"{descriptor.name}: lies in the zoo without having been published (python -m tools.zoo.publish)"
        )
    return descriptor.publication


def choose_default(target: float | None) -> str:
    """The zoo's name for the model that enlarges by `target` when nobody names one; None: by 2.

    Raises `ZooError` when the zoo has none.
    """
    return default_model(SMALL if target is None else target, [_offer(found) for found in zoo_descriptors()])


def _offer(descriptor: ModelDescriptor) -> Offer:
    facts = published(descriptor)
    return Offer(descriptor.name, facts.objective, {k: means[JUDGE]["psnr_y"] for k, means in facts.metrics.items()})


def as_json(descriptors: Sequence[ModelDescriptor]) -> list[dict[str, Any]]:
    """Name, architecture, scales, parameters and metrics (scale -> dataset -> metric -> value) of each model."""
    return [
        {
            "name": found.name,
            "architecture": found.architecture,
            "scales": list(found.scales),
            "parameters": found.parameters,
            "metrics": facts.model_dump(mode="json")["metrics"],
            "objective": facts.objective,
            "licence": facts.licence,
        }
        for found in descriptors
        for facts in [published(found)]
    ]


def as_lines(descriptors: Sequence[ModelDescriptor]) -> list[list[str]]:
    """The cells of `HEADER`, a line for each model and scale; dB are PSNR-Y."""
    return [
        [
            found.name,
            found.architecture,
            facts.objective,
            f"×{scale}",
            f"{found.parameters:,}",
            *(f"{means[name]['psnr_y']:.2f}" for name in DATASETS),
            facts.licence,
        ]
        for found in descriptors
        for facts in [published(found)]
        for scale, means in facts.metrics.items()
    ]
