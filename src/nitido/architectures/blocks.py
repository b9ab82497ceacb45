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
    """Features plus a scaled branch: `(N, C, H, W)` -> `(N, C, H, W)`, x + residual_scale * branch(x).

    It starts close to the identity: the layer that ends the branch is damped, so that features neither grow with the
    depth of a network nor depend on it.

    Attributes:
        branch: keeps channels, height and width.
        residual_scale: factor of what the branch makes.
        recipe: name of the recipe the branch was made by, for diagrams.
    """

    def __init__(self, branch: nn.Module, residual_scale: float, recipe: str = "") -> None:
        """Add `residual_scale` times the output of `branch`."""
        super().__init__()
        self.branch = branch
        self.residual_scale = residual_scale
        self.recipe = recipe
        end = _end(branch)
        if end is not None:
            damp(end, min(1.0, BRANCH_GAIN / residual_scale))

    def forward(self, features: Tensor) -> Tensor:
        """Add to `features` what the branch makes of them."""
        added: Tensor = self.branch(features)
        return features + (added if self.residual_scale == 1 else self.residual_scale * added)

    def extra_repr(self) -> str:
        """Show the scale when the module is printed."""
        return f"residual_scale={self.residual_scale:g}"


def _end(module: nn.Module) -> nn.Module | None:
    """The last convolution or normalisation of a branch, or None where there is none or it is damped already.

    Gates end no branch, whatever stands in them; a residual block within a branch has damped its own end.
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
"""Makes the branch of a residual block: `(N, width, H, W)` -> `(N, width, H, W)`."""


class _Recipe(NamedTuple):
    branch: BranchFactory
    reach: int | None


_BLOCKS = Registry[_Recipe]("block")


def register_block(name: str, branch: BranchFactory, reach: int | None) -> None:
    """Make `name` a valid residual block in every configuration; a name that is taken raises `ConfigError`.

    `reach` is how many pixels to each side an output pixel of the branch depends on (2 for two 3×3 convolutions), or
    None where it depends on the whole picture; receptive fields are computed from it.
    """
    _BLOCKS.register(name, _Recipe(branch, reach))


def block_names() -> list[str]:
    """The valid residual blocks, sorted."""
    return _BLOCKS.names()


def make_block(name: str, settings: BlockSettings, residual_scale: float = 1.0) -> ResidualBlock:
    """A new residual block; `ConfigError` names the nearest valid name."""
    return ResidualBlock(_BLOCKS[name].branch(settings), residual_scale, recipe=name)


def block_reach(names: Iterable[str]) -> int | None:
    """How many pixels to each side an output pixel of these blocks in a row depends on; None: on the whole picture.

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
"""A configuration field that holds the name of a registered residual block."""
