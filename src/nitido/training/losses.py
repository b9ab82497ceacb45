"""Loss terms by name, and their weighted sum that a run minimizes."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from nitido.base.registry import Registry
from nitido.base.validation import ConfigError
from nitido.perception import PerceptualDistance, PerceptualOptions
from nitido.training.structural_losses import fourier_loss, ssim_loss

Loss = Callable[[Tensor, Tensor], Tensor]
"""Maps (sr, hr), both `(N, C, H, W)` float in [0, 1], to a scalar: the mean over the images."""

PERCEPTUAL = "perceptual"
"""The term that compares features of a trained backbone, as set by `PerceptualOptions`."""

ADVERSARIAL = "adversarial"
"""The term computed by a discriminator, not a function of (sr, hr) alone; see `nitido.training.adversarial`."""

LossMaker = Callable[[PerceptualOptions], Loss]
"""Returns a loss term for a run with these options."""

_LOSSES = Registry[LossMaker]("loss")


def register_loss(name: str, loss: Loss) -> None:
    """Register `loss` as the loss term `name`; raise `ConfigError` if the name is taken.

    `loss` must be a mean over the images of a batch, because it is called with micro-batches if the batch does not fit
    into memory.
    """
    _LOSSES.register(name, lambda options: loss)


def loss_names() -> list[str]:
    """Return the valid loss terms, sorted.

    >>> {"adversarial", "l1", "perceptual", "ssim"} <= set(loss_names())
    True
    """
    return _LOSSES.names()


def check_loss_name(name: str) -> str:
    """Return `name`; raise `ValueError` with the nearest name if it is unknown."""
    return _LOSSES.check(name)


def charbonnier(sr: Tensor, hr: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt(difference² + ε²), a smooth L1 (Lai et al., LapSRN, CVPR 2017)."""
    return torch.sqrt((sr - hr).square() + epsilon**2).mean()


def _made_by_the_discriminator(options: PerceptualOptions) -> Loss:
    raise ConfigError(f"the {ADVERSARIAL!r} term needs a discriminator and cannot be computed from two images")


register_loss("l1", functional.l1_loss)
register_loss("l2", functional.mse_loss)
register_loss("charbonnier", charbonnier)
register_loss("ssim", ssim_loss)
register_loss("fourier", fourier_loss)
_LOSSES.register(PERCEPTUAL, PerceptualDistance)
_LOSSES.register(ADVERSARIAL, _made_by_the_discriminator)


class Criterion:
    """The weighted sum of the loss terms that compare an output with the ground truth.

    It is not an `nn.Module`, because the backbone of a perceptual term is not trained and must not be part of
    checkpoints.
    """

    def __init__(self, weights: Mapping[str, float], perceptual: PerceptualOptions) -> None:
        """Create every term of `weights` except for the adversarial one.

        Raises:
            PerceptionError: The weights of a backbone are missing.
        """
        self.weights = {name: weight for name, weight in weights.items() if name != ADVERSARIAL}
        self.losses = {name: _LOSSES[name](perceptual) for name in self.weights}

    def to(self, device: torch.device) -> None:
        """Move the backbones of the terms to `device`."""
        for loss in self.losses.values():
            if isinstance(loss, PerceptualDistance):
                loss.to(device)

    def terms(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms for `(N, C, H, W)` float in [0, 1] by name; their sum is minimized."""
        return {name: weight * self.losses[name](sr, hr) for name, weight in self.weights.items()}
