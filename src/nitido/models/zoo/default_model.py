"""Which model enlarges pictures when nobody names one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nitido.models.publication import Objective
from nitido.models.zoo.shipped import ZooError

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
