"""Activations by name, each with the gain that preserves the variance of features."""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from pydantic import AfterValidator
from torch import nn

from nitido.base.registry import Registry
from nitido.base.validation import ConfigError

LEAKY_SLOPE = 0.2
"""Negative slope of `leaky_relu`, as in SRGAN's discriminator (Ledig et al., CVPR 2017)."""

ActivationFactory = Callable[[int], nn.Module]
"""Returns an activation for a feature map with the given number of channels."""


class _Activation(NamedTuple):
    factory: ActivationFactory
    gain: float


_ACTIVATIONS = Registry[_Activation]("activation")


def register_activation(name: str, factory: ActivationFactory) -> None:
    """Register `name` as a valid activation in every configuration.

    Args:
        name: The name.
        factory: Returns the module; it is called with one channel to measure its gain.

    Raises:
        ConfigError: The name is taken, or the activation maps standard normal features to zero or to infinite values,
            so that no network could be initialized with it.
    """
    _ACTIVATIONS.register(name, _Activation(factory, _measured_gain(name, factory)))


def activation_names() -> list[str]:
    """Return the valid activations, sorted.

    >>> {"elu", "gelu", "leaky_relu", "mish", "prelu", "relu", "silu"} <= set(activation_names())
    True
    """
    return _ACTIVATIONS.names()


def make_activation(name: str, channels: int) -> nn.Module:
    """Return a new activation for feature maps `(N, channels, H, W)`; raise `ConfigError` for an unknown name.

    >>> make_activation("prelu", 64)
    PReLU(num_parameters=64)
    """
    return _ACTIVATIONS[name].factory(channels)


def activation_gain(name: str) -> float:
    """Return the gain of a layer after activation f: 1 / sqrt(E[f(x)²]) for standard normal x.

    For ReLU it is the square root of 2 of He et al. (ICCV 2015).

    >>> round(activation_gain("relu"), 3)
    1.414
    """
    return _ACTIVATIONS[name].gain


def _measured_gain(name: str, factory: ActivationFactory) -> float:
    """Compute the gain with the trapezoidal rule, which is exact to float32 because the density is smooth."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
        x = torch.linspace(-8, 8, 16001).reshape(1, 1, 1, -1)
        y = factory(1).eval()(x)
        density = torch.exp(-x.double().square() / 2) / math.sqrt(2 * math.pi)
        mean_square = float(torch.trapezoid(y.double().square() * density, x.double()))
    if not 0 < mean_square < math.inf:
        raise ConfigError(
            f"activation {name!r} maps standard normal features to features of mean square {mean_square:g}, "
            "which must be positive and finite"
        )
    return 1 / math.sqrt(mean_square)


ActivationName = Annotated[str, AfterValidator(_ACTIVATIONS.check)]
"""A configuration field that contains the name of a registered activation."""

register_activation("relu", lambda channels: nn.ReLU())
register_activation("leaky_relu", lambda channels: nn.LeakyReLU(LEAKY_SLOPE))
register_activation("prelu", lambda channels: nn.PReLU(channels))  # one learned slope per channel
register_activation("elu", lambda channels: nn.ELU())
register_activation("gelu", lambda channels: nn.GELU())
register_activation("silu", lambda channels: nn.SiLU())
register_activation("mish", lambda channels: nn.Mish())
