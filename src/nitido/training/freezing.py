"""Parts of a network that do not learn: which they are, and batch normalisation that stands still in them."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import nearest
from nitido.base.validation import ConfigError

Freeze = Literal["first_half"] | tuple[str, ...]
"""What stands still: the first half of the network, or the modules and parameters whose names match a pattern."""


def freeze(network: SuperResolutionNetwork, what: Freeze) -> tuple[str, ...]:
    """Freeze `what` of `network`; returns the names of the frozen parameters, in the network's order.

    A pattern is a shell pattern (`body.[0-3]`, `head*`) for the names of modules and parameters; a module is frozen
    whole. Raises `ConfigError` for a pattern that matches nothing, and when nothing would be left to learn.
    """
    if what == "first_half":
        inside = {id(p) for module in network.first_half() for p in module.parameters()}
        names = {name for name, p in network.named_parameters() if id(p) in inside}
    else:
        names = {name for pattern in what for name in _matching(network, pattern)}
    parameters = dict(network.named_parameters())
    if names == set(parameters):
        raise ConfigError(f"freezing {what!r} leaves nothing to learn: name fewer modules")
    for name in names:
        parameters[name].requires_grad_(False)
    freeze_batchnorm_statistics(network)
    return tuple(name for name in parameters if name in names)


def freeze_batchnorm_statistics(network: nn.Module) -> None:
    """Put batch normalisations whose weights are all frozen in eval mode: their running statistics do not move.

    To be called again after every `train()`, which puts all modules in train mode.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.requires_grad:
            module.eval()


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern` names the parameter `name` or a module that it lies in.

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
