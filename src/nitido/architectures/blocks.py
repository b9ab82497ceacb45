"""Residual blocks by name. The recipes themselves are in `block_recipes`."""

from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

from pydantic import AfterValidator
from torch import Tensor, nn

from nitido.architectures.attention import Gate
from nitido.architectures.convolutions import BlockSettings
from nitido.architectures.initialization import BRANCH_GAIN, damp
from nitido.base.registry import Registry


class ResidualBlock(nn.Module):
    """Features plus a scaled branch: `(N, C, H, W)` → `(N, C, H, W)`, x + residual_scale * branch(x).

    It is initialized close to the identity: the last layer of the branch is scaled down, so that the magnitude of
    features does not depend on the depth of the network.

    Attributes:
        branch: A module that preserves channels, height and width.
        residual_scale: Factor of the branch's output.
        recipe: Name of the recipe of the branch, for diagrams.
    """

    def __init__(self, branch: nn.Module, residual_scale: float, recipe: str = "") -> None:
        """Store the branch and scale down its last layer."""
        super().__init__()
        self.branch = branch
        self.residual_scale = residual_scale
        self.recipe = recipe
        end = _end(branch)
        if end is not None:
            damp(end, min(1.0, BRANCH_GAIN / residual_scale))

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` plus the scaled output of the branch."""
        added: Tensor = self.branch(features)
        return features + (added if self.residual_scale == 1 else self.residual_scale * added)

    def extra_repr(self) -> str:
        """Return the scale for the printed module."""
        return f"residual_scale={self.residual_scale:g}"


def _end(module: nn.Module) -> nn.Module | None:
    """Return the last convolution or normalization of a branch; None if there is none or it is already scaled down.

    Layers within gates do not count. A residual block within a branch has scaled down its own last layer.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        return module
    for child in reversed(list(module.children())):
        if isinstance(child, ResidualBlock):
            return None
        end = None if isinstance(child, Gate) else _end(child)
        if end is not None:
            return end
    return None


BranchFactory = Callable[[BlockSettings], nn.Module]
"""Returns the branch of a residual block: `(N, width, H, W)` → `(N, width, H, W)`."""


class _Recipe(NamedTuple):
    branch: BranchFactory
    reach: int | None


_BLOCKS = Registry[_Recipe]("block")


def register_block(name: str, branch: BranchFactory, reach: int | None) -> None:
    """Register `name` as a valid residual block in every configuration.

    Args:
        name: The name.
        branch: Returns the branch.
        reach: How many pixels to each side an output pixel of the branch depends on (2 for two 3×3 convolutions), or
            None for the whole image. Receptive fields are computed from it.

    Raises:
        ConfigError: The name is taken.
    """
    _BLOCKS.register(name, _Recipe(branch, reach))


def block_names() -> list[str]:
    """Return the valid residual blocks, sorted."""
    return _BLOCKS.names()


def make_block(name: str, settings: BlockSettings, residual_scale: float = 1.0) -> ResidualBlock:
    """Return a new residual block; raise `ConfigError` for an unknown name."""
    return ResidualBlock(_BLOCKS[name].branch(settings), residual_scale, recipe=name)


def block_reach(names: Iterable[str]) -> int | None:
    """Return how many pixels to each side an output pixel of consecutive blocks depends on; None for the whole image.

    >>> block_reach(["plain", "plain"]), block_reach(["plain", "channel_attention"])
    (4, None)
    """
    total = 0
    for name in names:
        reach = _BLOCKS[name].reach
        if reach is None:
            return None
        total += reach
    return total


BlockName = Annotated[str, AfterValidator(_BLOCKS.check)]
"""A configuration field that contains the name of a registered residual block."""
