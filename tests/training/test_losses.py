"""Loss terms against their formulas, and their weighted sum."""

import numpy as np
import pytest
import torch

from nitido.base.validation import ConfigError
from nitido.perception import PerceptualOptions
from nitido.training.losses import ADVERSARIAL, Criterion, loss_names, register_loss


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, 5, 7, generator=generator), torch.rand(2, 3, 5, 7, generator=generator)


FORMULAS = {
    "l1": lambda d: np.abs(d).mean(),
    "l2": lambda d: (d**2).mean(),
    "charbonnier": lambda d: np.sqrt(d**2 + 1e-6).mean(),
}

ELSEWHERE = {"ssim", "fourier", "perceptual", "adversarial"}
"""Tested in files of their own."""


def terms(weights: dict[str, float], sr: torch.Tensor, hr: torch.Tensor) -> dict[str, torch.Tensor]:
    return Criterion(weights, PerceptualOptions()).terms(sr, hr)


def test_every_loss_is_tested() -> None:
    assert {*FORMULAS, *ELSEWHERE} == set(loss_names())


@pytest.mark.parametrize("name", FORMULAS)
def test_a_loss_is_its_formula(name: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    sr, hr = pair
    difference = sr.double().numpy() - hr.double().numpy()
    assert terms({name: 1.0}, sr, hr)[name].item() == pytest.approx(FORMULAS[name](difference), rel=1e-5)


def test_terms_are_weighted_and_named(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    weighted, plain = (terms({"l1": a, "l2": b}, *pair) for a, b in ((2.0, 0.5), (1.0, 1.0)))
    assert list(weighted) == ["l1", "l2"]
    assert weighted["l1"].item() == pytest.approx(2 * plain["l1"].item())
    assert weighted["l2"].item() == pytest.approx(0.5 * plain["l2"].item())


def test_the_adversarial_term_is_computed_by_the_discriminator(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert list(terms({"l1": 1.0, ADVERSARIAL: 1e-3}, *pair)) == ["l1"]


def test_a_taken_name_is_refused() -> None:
    before = loss_names()
    for name in ("l1", "perceptual", ADVERSARIAL):
        with pytest.raises(ConfigError, match=f"'{name}' is already registered"):
            register_loss(name, torch.nn.functional.l1_loss)
    assert loss_names() == before
