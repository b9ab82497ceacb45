"""What the machine can do at best: the rate of its large matrix products, measured and not looked up."""

import warnings
from statistics import median

import torch
from torch import nn

from nitido.base.clock import Action, calls_for, seconds_per_call
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.training.precision import Format

FORMATS: tuple[Format, ...] = ("float32", "bfloat16")
"""What every machine is measured in."""

SIDES = (256, 512, 1024, 2048, 3072, 4096)
"""Sides of the square matrices that are tried, the smallest first."""
LONGEST = 0.5
"""Seconds that one product may take; larger matrices are not tried, so that a slow machine is measured too."""
KEPT = 2
"""How many products are measured in every round: those that were fastest at the first try."""
TURN = 0.05
"""Seconds that each product is measured for in a round."""


class MatrixPeak:
    """The matrix peak of `device` in one number format, measured a bit at a time between other measurements.

    On a processor PyTorch has two libraries for matrix products, of which now one and now the other is faster.

    Attributes:
        rates: operations a second in each round, by the product's library and side.
    """

    def __init__(self, number_format: Format, device: torch.device) -> None:
        """Try all products once and keep the fastest ones."""
        self.device = device
        self.products: dict[tuple[str, int], Action] = {}
        self.calls: dict[tuple[str, int], int] = {}
        first: dict[tuple[str, int], float] = {}
        for side in SIDES:
            if first and flops(side) / max(first.values()) > LONGEST:
                break
            for library, product in _products(side, number_format, device).items():
                key = library, side
                self.products[key] = product
                self.calls[key] = calls_for(product, TURN, device)
                first[key] = flops(side) / seconds_per_call(product, 1, device)
        kept = sorted(first, key=first.__getitem__)[-KEPT:]
        self.products = {key: self.products[key] for key in kept}
        self.rates: dict[tuple[str, int], list[float]] = {key: [] for key in kept}

    def measure(self) -> None:
        """One more round."""
        for key, product in self.products.items():
            self.rates[key].append(flops(key[1]) / seconds_per_call(product, self.calls[key], self.device))

    @property
    def gflops(self) -> float:
        """10⁹ operations a second: the median over the rounds, of the product with the largest one."""
        return max(median(rates) for rates in self.rates.values()) / 1e9


def flops(side: int) -> int:
    """Operations of a product of two square matrices: a multiplication and an addition for each of side³ places.

    >>> flops(2)
    16
    """
    return 2 * side**3


def _products(side: int, number_format: Format, device: torch.device) -> dict[str, Action]:
    """A product of two square matrices, by each library."""
    generator = torch.Generator().manual_seed(0)
    kind: torch.dtype = getattr(torch, number_format)
    one, other = (torch.rand(side, side, generator=generator).to(device, kind) for _ in range(2))
    result = torch.empty_like(one)
    ways: dict[str, Action] = {"mm": lambda: torch.mm(one, other, out=result)}
    available = device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if available and (number_format == "float32" or has_fast_bfloat16(device)):
        layer = nn.Linear(side, side, bias=False, dtype=kind).requires_grad_(requires_grad=False).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what PyTorch uses itself there
            from torch.utils import mkldnn

            prepared = mkldnn.to_mkldnn(layer, kind)  # type: ignore[no-untyped-call]
        features = one.to_mkldnn()
        ways["oneDNN"] = lambda: prepared(features)
    return ways
