"""Measure the peak rate of the machine for large matrix products."""

import warnings
from statistics import median

import torch
from torch import nn

from nitido.base.clock import Action, calls_for, seconds_per_call
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.training.precision import Format

FORMATS: tuple[Format, ...] = ("float32", "bfloat16")
"""Number formats that are measured on every machine."""

SIDES = (256, 512, 1024, 2048, 3072, 4096)
"""Sides of the tested square matrices, smallest first."""
LONGEST = 0.5
"""Maximum seconds of a product; larger matrices are skipped on slow machines."""
KEPT = 2
"""Number of products that are measured in every round: the fastest of a first test."""
TURN = 0.05
"""Seconds per product and round."""


class MatrixPeak:
    """The matrix peak of `device` in one number format, measured in rounds between other measurements.

    On a CPU, PyTorch has two libraries for matrix products, and either may be faster.

    Attributes:
        rates: (library, side) -> operations per second in each round.
    """

    def __init__(self, number_format: Format, device: torch.device) -> None:
        """Test all products once and keep the fastest ones."""
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
        """Measure another round."""
        for key, product in self.products.items():
            self.rates[key].append(flops(key[1]) / seconds_per_call(product, self.calls[key], self.device))

    @property
    def gflops(self) -> float:
        """10⁹ operations per second: the largest median over rounds."""
        return max(median(rates) for rates in self.rates.values()) / 1e9


def flops(side: int) -> int:
    """Return the operations of a product of two square matrices: side³ multiplications and additions.

    >>> flops(2)
    16
    """
    return 2 * side**3


def _products(side: int, number_format: Format, device: torch.device) -> dict[str, Action]:
    """Return a product of two square matrices for each library."""
    generator = torch.Generator().manual_seed(0)
    kind: torch.dtype = getattr(torch, number_format)
    one, other = (torch.rand(side, side, generator=generator).to(device, kind) for _ in range(2))
    result = torch.empty_like(one)
    ways: dict[str, Action] = {"mm": lambda: torch.mm(one, other, out=result)}
    available = device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if available and (number_format == "float32" or has_fast_bfloat16(device)):
        layer = nn.Linear(side, side, bias=False, dtype=kind).requires_grad_(requires_grad=False).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # raised inside PyTorch
            from torch.utils import mkldnn

            prepared = mkldnn.to_mkldnn(layer, kind)  # type: ignore[no-untyped-call]
        features = one.to_mkldnn()
        ways["oneDNN"] = lambda: prepared(features)
    return ways
