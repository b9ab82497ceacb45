"""Running time on this machine, measured so that the machine's moods cancel between networks."""

import time
from collections.abc import Mapping
from statistics import median

import torch

from nitido.architectures import SuperResolutionNetwork

WARM_UPS = 2
"""Runs of each network that are not counted."""


@torch.inference_mode()
def latency(
    networks: Mapping[str, SuperResolutionNetwork], lr_size: tuple[int, int], rounds: int = 9
) -> dict[str, float]:
    """Median seconds of one LR picture of `lr_size` (height, width), float32, whole picture, for each network.

    In each round every network runs once, so that a slow moment of the machine is a slow moment for all of them.
    """
    pictures = {
        name: torch.rand(1, network.channels, *lr_size, generator=torch.Generator().manual_seed(0)).to(
            next(network.parameters()).device
        )
        for name, network in networks.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(WARM_UPS + rounds):
        for name, network in networks.items():
            network.eval()
            started = time.perf_counter()
            network(pictures[name])
            if pictures[name].is_cuda:
                torch.cuda.synchronize()
            if turn >= WARM_UPS:
                seconds[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in seconds.items()}
