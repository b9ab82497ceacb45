"""Adversarial losses of discriminator and generator, by name.

All functions take logits `(N, 1)`, positive for images classified as real, before any sigmoid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

PairLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps the logits of (real, upscaled) images to a scalar."""


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of discriminator and generator; relativistic generator losses use the real images too."""

    discriminator: PairLoss
    generator: PairLoss
    relative: bool = False


def _vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Return -log D(real) - log(1 - D(fake)) (Goodfellow et al., NeurIPS 2014)."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def _vanilla_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Return -log D(fake), the non-saturating loss (Goodfellow et al. 2014; SRGAN, Ledig et al., CVPR 2017)."""
    return functional.softplus(-fake).mean()


def _hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Return max(0, 1 - real) + max(0, 1 + fake) (Lim and Ye, Geometric GAN, 2017)."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def _hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Return -fake (Lim and Ye 2017)."""
    return -fake.mean()


def _relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Return the loss that is low if real images look more real than the average generated one.

    This is the mean of both directions (Jolicoeur-Martineau, ICLR 2019), as in ESRGAN (Wang et al., ECCVW 2018).
    """
    above = functional.softplus(-(real - fake.mean())).mean()
    below = functional.softplus(fake - real.mean()).mean()
    return (above + below) / 2


def _relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's loss with exchanged roles."""
    return _relativistic_discriminator(fake, real)


ADVERSARIAL_LOSSES: Mapping[str, AdversarialLoss] = {
    "vanilla": AdversarialLoss(_vanilla_discriminator, _vanilla_generator),
    "hinge": AdversarialLoss(_hinge_discriminator, _hinge_generator),
    "relativistic": AdversarialLoss(_relativistic_discriminator, _relativistic_generator, relative=True),
}
