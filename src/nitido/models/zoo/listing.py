"""What is in the zoo, by the descriptors of its files: for tables, for JSON, and for who chooses among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nitido.models.model_file import ModelDescriptor, read_descriptor
from nitido.models.publication import Objective, Publication
from nitido.models.zoo.shipped import ZooError, zoo_names, zoo_path

DATASETS = ("set5", "set14", "bsd100")
"""What every model of the zoo is measured on."""

JUDGE = "bsd100"
"""The largest of them chooses where a model has to be chosen."""

HEADER = ("name", "architecture", "objective", "scale", "parameters", *(f"{name} dB" for name in DATASETS), "licence")

LARGE = 4
"""From this enlargement on, a network that makes it in one step is wanted, where there is one."""

SMALL = 2
"""The enlargement of the networks that serve everything smaller; what is too large is shrunk again."""


@dataclass(frozen=True)
class Offer:
    """A model of the zoo: what it is after, and by scale its PSNR-Y in dB on the same pictures as all others."""

    name: str
    objective: Objective
    psnr_y: Mapping[int, float]


def default_model(target: float, offers: Sequence[Offer]) -> str:
    """The name of the best fidelity model for an enlargement by `target`: of ×4 from there on, else of ×2.

    Where there is none of that scale it is the best of the other: run twice, or shrunk again, it reaches every size.
    Raises `ZooError` when there is none of either.

    >>> offers = [Offer("small", "fidelity", {2: 31.0}), Offer("large", "fidelity", {2: 31.9, 3: 28.8}),
    ...           Offer("four", "fidelity", {4: 27.5}), Offer("pretty", "perception", {2: 30.0, 4: 26.0})]
    >>> [default_model(target, offers) for target in (1.5, 2, 3, 4, 16)]
    ['large', 'large', 'large', 'four', 'four']
    >>> default_model(4, offers[:2]), default_model(2, offers[2:])
    ('large', 'four')
    """
    for scale in (LARGE, SMALL) if target >= LARGE else (SMALL, LARGE):
        fitting = {o.name: o.psnr_y[scale] for o in offers if o.objective == "fidelity" and scale in o.psnr_y}
        if fitting:
            return min(fitting, key=lambda name: (-fitting[name], name))
    raise ZooError("the zoo has no fidelity model to choose by itself: name a model")


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
