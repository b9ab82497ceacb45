"""Lists the zoo from the descriptors of its files, as table and JSON, and chooses the default model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nitido.models.model_file import ModelDescriptor, read_descriptor
from nitido.models.publication import Objective, Publication
from nitido.models.zoo.shipped import ZooError, zoo_names, zoo_path

DATASETS = ("set5", "set14", "bsd100")
"""Datasets on which every model of the zoo is measured."""

RANKING_DATASET = "bsd100"
"""The dataset that selects the default model, the largest of them."""

HEADER = ("name", "architecture", "objective", "scale", "parameters", *(f"{name} dB" for name in DATASETS), "license")

LARGE = 4
"""Minimum scale for which a network with a single step of ×4 is preferred."""

SMALL = 2
"""Scale of the networks for smaller factors; larger results are downscaled."""


@dataclass(frozen=True)
class Offer:
    """A model of the zoo: its objective, and its PSNR-Y in dB by scale on the same images as all others."""

    name: str
    objective: Objective
    psnr_y: Mapping[int, float]


def default_model(target: float, offers: Sequence[Offer]) -> str:
    """Return the name of the best fidelity model for a scale of `target`: a ×4 model from ×4 on, otherwise a ×2 model.

    If there is none of this scale, it is the best of the other: applied twice or downscaled, it reaches every size.

    Raises:
        ZooError: There is none of either scale.

    >>> offers = [Offer("small", "fidelity", {2: 31.0}), Offer("large", "fidelity", {2: 31.9, 3: 28.8}),
    ...           Offer("four", "fidelity", {4: 27.5}), Offer("pretty", "perception", {2: 30.0, 4: 26.0})]
    >>> [default_model(target, offers) for target in (1.5, 2, 3, 4, 16)]
    ['large', 'large', 'large', 'four', 'four']
    >>> default_model(4, offers[:2]), default_model(2, offers[2:])
    ('large', 'four')
    """
    for scale in (LARGE, SMALL) if target >= LARGE else (SMALL, LARGE):
        candidates = {o.name: o.psnr_y[scale] for o in offers if o.objective == "fidelity" and scale in o.psnr_y}
        if candidates:
            return min(candidates, key=lambda name: (-candidates[name], name))
    raise ZooError("the zoo has no fidelity model as a default: specify a model")


def zoo_descriptors() -> list[ModelDescriptor]:
    """Return the descriptors of all models that ship, by name; raise `ModelFileError` for a damaged file."""
    return [read_descriptor(zoo_path(name)) for name in zoo_names()]


def published(descriptor: ModelDescriptor) -> Publication:
    """Return the figures of a model of the zoo; raise `ZooError` if it was not published."""
    if descriptor.publication is None:
        raise ZooError(f"{descriptor.name}: is in the zoo but was not published (python -m tools.zoo.publish)")
    return descriptor.publication


def choose_default(target: float | None) -> str:
    """Return the name of the default model for a scale of `target`; None means 2.

    Raises:
        ZooError: The zoo has no suitable model.
    """
    return default_model(SMALL if target is None else target, [_offer(found) for found in zoo_descriptors()])


def _offer(descriptor: ModelDescriptor) -> Offer:
    facts = published(descriptor)
    return Offer(
        descriptor.name, facts.objective, {k: means[RANKING_DATASET]["psnr_y"] for k, means in facts.metrics.items()}
    )


def as_json(descriptors: Sequence[ModelDescriptor]) -> list[dict[str, Any]]:
    """Return name, architecture, scales, parameters and metrics (scale -> dataset -> metric -> value) of each model."""
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
    """Return the cells of a table with `HEADER`, one line per model and scale; dB are PSNR-Y."""
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
