"""Measure running times in interleaved rounds, so that variations of the machine affect all networks alike."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.base.activity import activity
from nitido.base.clock import RoundSeconds, interleaved, medians

WARM_UPS = 1
"""Untimed runs of each network."""

AGREEING_ROUNDS = 5
"""Minimum number of rounds for a comparison."""

AGREEMENT = 0.1
"""Maximum relative deviation of the ratio of a round from the median ratio."""


def latency(
    networks: Mapping[str, SuperResolutionNetwork], lr_size: tuple[int, int], rounds: int = 9
) -> dict[str, float]:
    """Return the median of `time_rounds` for each network."""
    return medians(time_rounds(networks, lr_size, rounds))


@torch.inference_mode()
def time_rounds(
    networks: Mapping[str, SuperResolutionNetwork], lr_size: tuple[int, int], rounds: int = 9
) -> RoundSeconds:
    """Return the seconds of one LR image of `lr_size` (height, width), float32, untiled, in each round.

    Every network runs once per round, so that a slow moment of the machine affects all of them.
    """
    images = {
        name: torch.rand(1, network.channels, *lr_size, generator=torch.Generator().manual_seed(0)).to(
            next(network.parameters()).device
        )
        for name, network in networks.items()
    }
    device = next((image.device for image in images.values()), torch.device("cpu"))
    calls = {name: partial(network.eval(), images[name]) for name, network in networks.items()}
    with activity("measuring time per image"):
        return interleaved(calls, rounds, device, at_least=0)


def agreed_ratio(seconds: Sequence[float], others: Sequence[float]) -> float | None:
    """Return how many times longer one network takes than another; None if the rounds do not agree on it.

    Both were timed in the same rounds. Rounds agree if there are at least `AGREEING_ROUNDS` of them and the ratio of
    each is within `AGREEMENT` of their median: on a machine with other work to do, they are not.

    >>> agreed_ratio([2.0, 2.1, 4.0, 1.9, 2.0], [1.0, 1.05, 2.0, 1.0, 1.0])
    2.0
    >>> agreed_ratio([2.0, 2.1, 4.0, 1.9, 2.0], [1.0] * 5) is None
    True
    """
    ratios = [mine / other for mine, other in zip(seconds, others, strict=False)]
    if len(seconds) != len(others) or len(ratios) < AGREEING_ROUNDS:
        return None
    middle = median(ratios)
    return middle if all(abs(ratio / middle - 1) <= AGREEMENT for ratio in ratios) else None
