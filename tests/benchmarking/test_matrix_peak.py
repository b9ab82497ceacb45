"""The matrix peak: what is counted, and that a slow machine is not kept waiting."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nitido.benchmarking import matrix_peak
from nitido.benchmarking.matrix_peak import FORMATS, MatrixPeak, flops

CPU = torch.device("cpu")


@pytest.mark.parametrize("side", [3, 64])
def test_operations_are_those_that_torch_counts(side: int) -> None:
    with FlopCounterMode(display=False) as counter:
        torch.mm(torch.ones(side, side), torch.ones(side, side))
    assert flops(side) == counter.get_total_flops()


@pytest.mark.parametrize("number_format", FORMATS)
def test_the_peak_is_the_median_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch, number_format) -> None:
    monkeypatch.setattr(matrix_peak, "SIDES", (16, 64, 128))
    peak = MatrixPeak(number_format, CPU)
    assert len(peak.rates) == matrix_peak.KEPT
    for _ in range(3):
        peak.measure()
    assert all(len(rates) == 3 for rates in peak.rates.values())
    assert peak.gflops * 1e9 == pytest.approx(max(sorted(rates)[1] for rates in peak.rates.values()), rel=1e-12)


def test_matrices_that_would_take_too_long_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_peak, "LONGEST", 0.0)
    assert {side for _, side in MatrixPeak("float32", CPU).rates} == {matrix_peak.SIDES[0]}
