"""The three games against their formulas with explicit sigmoids and logarithms."""

import numpy as np
import pytest
import torch

from nitido.training.adversarial_losses import ADVERSARIAL_LOSSES

REAL = np.array([[1.5], [-0.3], [0.2]])
FAKE = np.array([[-2.0], [0.4], [0.1]])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def relativistic(real: np.ndarray, fake: np.ndarray) -> float:
    above = -np.log(sigmoid(real - fake.mean())).mean()
    below = -np.log(1 - sigmoid(fake - real.mean())).mean()
    return (above + below) / 2


FORMULAS = {
    "vanilla": (
        lambda real, fake: -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean(),
        lambda real, fake: -np.log(sigmoid(fake)).mean(),
    ),
    "hinge": (
        lambda real, fake: np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
        lambda real, fake: -fake.mean(),
    ),
    "relativistic": (relativistic, lambda real, fake: relativistic(fake, real)),
}


def test_every_adversarial_loss_is_tested() -> None:
    assert set(FORMULAS) == set(ADVERSARIAL_LOSSES)


@pytest.mark.parametrize("kind", FORMULAS)
def test_losses_of_both_networks_match_their_formulas(kind: str) -> None:
    game = ADVERSARIAL_LOSSES[kind]
    real, fake = torch.from_numpy(REAL), torch.from_numpy(FAKE)
    discriminator, generator = FORMULAS[kind]
    assert game.discriminator(real, fake).item() == pytest.approx(discriminator(REAL, FAKE))
    assert game.generator(real, fake).item() == pytest.approx(generator(REAL, FAKE))


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_sides_pull_in_opposite_directions(kind: str) -> None:
    game = ADVERSARIAL_LOSSES[kind]
    fake = torch.zeros(4, 1, requires_grad=True)
    pulls = [
        torch.autograd.grad(side(torch.zeros(4, 1), fake), fake)[0] for side in (game.discriminator, game.generator)
    ]
    assert (pulls[0] > 0).all(), "the discriminator lowers the logits of enlarged images"
    assert (pulls[1] < 0).all(), "the generator raises them"


@pytest.mark.parametrize("kind", FORMULAS)
def test_large_logits_stay_finite(kind: str) -> None:
    game = ADVERSARIAL_LOSSES[kind]
    far = torch.full((2, 1), 1e4)
    assert all(
        torch.isfinite(side(sign * far, -sign * far))
        for side in (game.discriminator, game.generator)
        for sign in (1, -1)
    )


@pytest.mark.parametrize("kind", FORMULAS)
def test_only_a_relative_generator_looks_at_real_images(kind: str) -> None:
    game = ADVERSARIAL_LOSSES[kind]
    fake = torch.from_numpy(FAKE)
    values = {game.generator(torch.full((3, 1), level, dtype=torch.float64), fake).item() for level in (-1.0, 2.0)}
    assert (len(values) > 1) == game.relative
