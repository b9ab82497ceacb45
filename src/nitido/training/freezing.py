"""Freeze parts of a network, including the statistics of their batch normalization."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import nearest
from nitido.base.validation import ConfigError

Freeze = Literal["first_half"] | tuple[str, ...]
"""What to freeze: the first half of the network, or modules and parameters whose names match a pattern."""


def freeze(network: SuperResolutionNetwork, what: Freeze) -> tuple[str, ...]:
    """Freeze `what` in `network` and return the names of the frozen parameters, in the network's order.

    A pattern is a shell pattern (`body.[0-3]`, `head*`) for the names of modules and parameters; a module is frozen
    as a whole. Raises `ConfigError` if a pattern matches nothing, or if nothing would be left to train.
    """
    if what == "first_half":
        inside = {id(p) for module in network.first_half() for p in module.parameters()}
        names = {name for name, p in network.named_parameters() if id(p) in inside}
    else:
        names = {name for pattern in what for name in _matching(network, pattern)}
    parameters = dict(network.named_parameters())
    if names == set(parameters):
        raise ConfigError(f"freezing {what!r} leaves nothing to train: name fewer modules")
    for name in names:
        parameters[name].requires_grad_(False)
    freeze_batchnorm_statistics(network)
    return tuple(name for name in parameters if name in names)


def freeze_batchnorm_statistics(network: nn.Module) -> None:
    """Put batch normalization whose weights are frozen into eval mode, so that its running statistics stay fixed.

    Call it again after every `train()`, which puts all modules into training mode.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.requires_grad:
            module.eval()


def matches(name: str, pattern: str) -> bool:
    """Return whether `pattern` names the parameter `name` or a module that contains it.

    >>> matches("body.3.branch.first.weight", "body.[0-3]"), matches("body.13.bias", "body.1")
    (True, False)
    """
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def _matching(network: nn.Module, pattern: str) -> Sequence[str]:
    names = [name for name, _ in network.named_parameters()]
    found = [name for name in names if matches(name, pattern)]
    if not found:
        modules = [name for name, _ in network.named_modules() if name]
        guess = nearest(pattern, [*modules, *names])
        hint = (
            f": did you mean {guess!r}?"
            if guess
            else f" (its parts: {', '.join(n for n, _ in network.named_children())})"
        )
        raise ConfigError(f"freeze pattern {pattern!r} matches nothing in the network{hint}")
    return found
