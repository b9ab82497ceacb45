"""Loss terms against their formulas, and their weighted sum."""

import numpy as np
import pytest
import torch

from nitido.training.losses import LOSSES, loss_terms


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, 5, 7, generator=generator), torch.rand(2, 3, 5, 7, generator=generator)


FORMULAS = {
    "l1": lambda d: np.abs(d).mean(),
    "l2": lambda d: (d**2).mean(),
    "charbonnier": lambda d: np.sqrt(d**2 + 1e-6).mean(),
}


def test_every_loss_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(LOSSES)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_its_formula(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    sr, hr = pair
    difference = sr.double().numpy() - hr.double().numpy()
    assert LOSSES[name](sr, hr).item() == pytest.approx(FORMULAS[name](difference), rel=1e-5)


def test_terms_are_weighted_and_named(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    terms = loss_terms({"l1": 2.0, "l2": 0.5}, *pair)
    assert list(terms) == ["l1", "l2"]
    assert terms["l1"].item() == pytest.approx(2 * LOSSES["l1"](*pair).item())
    assert terms["l2"].item() == pytest.approx(0.5 * LOSSES["l2"](*pair).item())
