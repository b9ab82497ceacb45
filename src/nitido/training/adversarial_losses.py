"""Adversarial losses of discriminator and generator, by name.

Everything works on logits `(N, 1)`, positive for pictures taken as real, before any sigmoid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

PairLoss = Callable[[Tensor, Tensor], Tensor]
"""From the logits of (real, enlarged) pictures to a scalar."""


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of discriminator and generator; relativistic generator losses use the real images too."""

    discriminator: PairLoss
    generator: PairLoss
    relative: bool = False


def _vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(real) - log(1 - D(fake)) (Goodfellow et al., NeurIPS 2014)."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def _vanilla_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(fake), the form that does not saturate (Goodfellow et al. 2014; SRGAN, Ledig et al., CVPR 2017)."""
    return functional.softplus(-fake).mean()


def _hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake) (Lim and Ye, Geometric GAN, 2017)."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def _hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-fake (Lim and Ye 2017)."""
    return -fake.mean()


def _relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Real images are to look more real than the average generated one (Jolicoeur-Martineau, ICLR 2019; ESRGAN).

    The mean of both directions, as in ESRGAN (Wang et al., ECCVW 2018).
    """
    above = functional.softplus(-(real - fake.mean())).mean()
    below = functional.softplus(fake - real.mean()).mean()
    return (above + below) / 2


def _relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged."""
    return _relativistic_discriminator(fake, real)


ADVERSARIAL_LOSSES: Mapping[str, AdversarialLoss] = {
    "vanilla": AdversarialLoss(_vanilla_discriminator, _vanilla_generator),
    "hinge": AdversarialLoss(_hinge_discriminator, _hinge_generator),
    "relativistic": AdversarialLoss(_relativistic_discriminator, _relativistic_generator, relative=True),
}
