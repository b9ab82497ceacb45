"""Interleaved benchmarks: all contestants run once per round, so that other load affects all of them."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

Action = Callable[[], object]

RoundSeconds = Mapping[str, Sequence[float]]
"""Contestant -> seconds per call in each round."""

Progress = Callable[[int, int], None]
"""Called with the number of finished rounds and of all rounds."""


def ignore(done: int, rounds: int) -> None:
    """Ignore progress."""


def synchronize(device: torch.device) -> None:
    """Wait until `device` has finished its work; a CPU always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds_per_call(action: Action, calls: int, device: torch.device) -> float:
    """Return the mean seconds of `calls` consecutive calls."""
    synchronize(device)
    started = time.perf_counter()
    for _ in range(calls):
        action()
    synchronize(device)
    return (time.perf_counter() - started) / calls


def calls_for(action: Action, at_least: float, device: torch.device) -> int:
    """Return how many calls last about `at_least` seconds, after one warm-up call and, unless it is 0, a timed one."""
    action()
    if at_least == 0:
        return 1
    return max(1, math.ceil(at_least / max(seconds_per_call(action, 1, device), 1e-9)))


def interleaved(
    contestants: Mapping[str, Action],
    rounds: int,
    device: torch.device,
    *,
    at_least: float = 0.1,
    budget: float = math.inf,
    progress: Progress = ignore,
) -> RoundSeconds:
    """Return the seconds per call of each contestant in each of `rounds` rounds.

    Args:
        contestants: Functions by name.
        rounds: Maximum number of rounds.
        device: Device on which they run.
        at_least: Approximate duration in seconds of one contestant's calls in a round; 0 means one call.
        budget: Seconds after which no further round starts; one round is always completed.
        progress: Called after each round.

    >>> found = interleaved({"a": list, "b": dict}, 3, torch.device("cpu"), at_least=0.001)
    >>> {name: len(seconds) for name, seconds in found.items()}
    {'a': 3, 'b': 3}
    """
    began = time.perf_counter()
    calls = {name: calls_for(action, at_least, device) for name, action in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, action in contestants.items():
            seconds[name].append(seconds_per_call(action, calls[name], device))
        progress(number + 1, rounds)
        if time.perf_counter() - began > budget:
            break
    return seconds


def medians(seconds: RoundSeconds) -> dict[str, float]:
    """Return the median round of each contestant."""
    return {name: median(values) for name, values in seconds.items()}


def spread(seconds: RoundSeconds) -> float:
    """Return the maximum over contestants of the relative difference between their slowest and fastest rounds.

    The work of a round is always the same, so a large value is due to the machine: other load, or heat.

    >>> spread({"a": [2.0, 3.0], "b": [1.0, 1.0]})
    0.5
    """
    return max(max(values) / min(values) - 1 for values in seconds.values())
