"""What the machine can do at best: the rate of its large matrix products, measured and not looked up."""

from statistics import median

import torch

from nitido.benchmarking.clock import Action, calls_for, seconds_per_call
from nitido.training.precision import Format

FORMATS: tuple[Format, ...] = ("float32", "bfloat16")
"""What every machine is measured in."""

SIDES = (256, 512, 1024, 2048, 3072, 4096)
"""Sides of the square matrices that are tried, the smallest first."""
LONGEST = 0.5
"""Seconds that one product may take; larger matrices are not tried, so that a slow machine is measured too."""
KEPT = 2
"""How many sides are measured in every round: those that were fastest at the first try."""
TURN = 0.05
"""Seconds that each side is measured for in a round."""


class MatrixPeak:
    """The matrix peak of `device` in one number format, measured a bit at a time between other measurements."""

    def __init__(self, number_format: Format, device: torch.device) -> None:
        """Try all sides once and keep the fastest ones."""
        self.device = device
        self.products: dict[int, Action] = {}
        self.calls: dict[int, int] = {}
        first: dict[int, float] = {}
        fastest = 0.0
        for side in SIDES:
            if fastest and flops(side) / fastest > LONGEST:
                break
            self.products[side] = _product(side, number_format, device)
            self.calls[side] = calls_for(self.products[side], TURN, device)
            first[side] = flops(side) / seconds_per_call(self.products[side], 1, device)
            fastest = max(first.values())
        kept = sorted(first, key=first.__getitem__)[-KEPT:]
        self.products = {side: self.products[side] for side in kept}
        self.rates: dict[int, list[float]] = {side: [] for side in kept}

    def measure(self) -> None:
        """One more round."""
        for side, product in self.products.items():
            self.rates[side].append(flops(side) / seconds_per_call(product, self.calls[side], self.device))

    @property
    def gflops(self) -> float:
        """10⁹ operations a second: the median over the rounds, of the side with the largest one."""
        return max(median(rates) for rates in self.rates.values()) / 1e9


def flops(side: int) -> int:
    """Operations of a product of two square matrices: a multiplication and an addition for each of side³ places.

    >>> flops(2)
    16
    """
    return 2 * side**3


def _product(side: int, number_format: Format, device: torch.device) -> Action:
    generator = torch.Generator().manual_seed(0)
    kind: torch.dtype = getattr(torch, number_format)
    one, other = (torch.rand(side, side, generator=generator).to(device, kind) for _ in range(2))
    result = torch.empty_like(one)
    return lambda: torch.mm(one, other, out=result)
