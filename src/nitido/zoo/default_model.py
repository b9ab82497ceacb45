"""Which model enlarges pictures when nobody names one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nitido.inference.publication import Aim
from nitido.zoo.catalog import ZooError

LARGE = 4
"""From this enlargement on, a network that makes it in one step is wanted."""

SMALL = 2
"""The enlargement of the networks that serve everything smaller; what is too large is shrunk again."""


@dataclass(frozen=True)
class Offer:
    """A model of the zoo: what it is after, and by scale its PSNR-Y in dB on the same pictures as all others."""

    name: str
    aim: Aim
    psnr_y: Mapping[int, float]


def default_model(target: float, offers: Sequence[Offer]) -> str:
    """The name of the best fidelity model for an enlargement by `target`: of ×4 from there on, else of ×2.

    Raises `ZooError` when none is offered.

    >>> offers = [Offer("small", "fidelity", {2: 31.0}), Offer("large", "fidelity", {2: 31.9, 3: 28.8}),
    ...           Offer("four", "fidelity", {4: 27.5}), Offer("pretty", "perception", {2: 30.0, 4: 26.0})]
    >>> [default_model(target, offers) for target in (1.5, 2, 3, 4, 16)]
    ['large', 'large', 'large', 'four', 'four']
    """
    scale = LARGE if target >= LARGE else SMALL
    fitting = {offer.name: offer.psnr_y[scale] for offer in offers if offer.aim == "fidelity" and scale in offer.psnr_y}
    if not fitting:
        raise ZooError(f"the zoo has no fidelity model of ×{scale} to choose by itself: name a model")
    return min(fitting, key=lambda name: (-fitting[name], name))
