"""A network a second time, with the same weights, where chains stand in for the convolutions they fit."""

import copy
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import torch
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.architectures.blocks import ResidualBlock
from nitido.training.kernels.chain import Chain, fits, run_chain
from nitido.training.kernels.library import LONGEST

CHAINED = 3
"""Convolutions of a chain at most: the gradients of their weights should fit into a core's cache."""


class Twin:
    """How a network is called in a training step under bfloat16 autocast; elsewhere the network itself is called.

    The twin has the network's own parameters and buffers, and follows it into eval mode module by module.

    Attributes:
        chains: how many chains there are; with none the twin gains nothing.
    """

    def __init__(self, network: SuperResolutionNetwork, library: ctypes.CDLL) -> None:
        """Make the twin of `network`, whose layers may change their values from here on, but not their places."""
        self.network = network
        self.library = library
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        self.twin = copy.deepcopy(network, shared)
        self.modes = list(zip(network.modules(), list(self.twin.modules()), strict=True))
        _put_chains(self.twin, library)
        self.chains = sum(isinstance(module, Chain | _ShuffledChain) for module in self.twin.modules())

    def __call__(self, lr: Tensor) -> Tensor:
        """Enlarge `lr` as the network does."""
        if not (torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return self.network(lr)
        for module, other in self.modes:
            other.training = module.training
        return self.twin(lr)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """The twin of a copy of the network, as averaging weights makes one."""
        return type(self)(copy.deepcopy(self.network, memo), self.library)


class _ShuffledChain(nn.Module):
    """A convolution with a pixel shuffle behind it, whose outputs come in such an order that whole rows are moved.

    `nn.PixelShuffle` takes outputs c·r² + i·r + j to the pixel (i, j); with channels last these are single numbers far
    apart. In the order (i, j, c) all of a pixel's channels lie side by side.
    """

    def __init__(self, library: ctypes.CDLL, convolution: nn.Conv2d, factor: int) -> None:
        super().__init__()
        self.library = library
        self.convolution = convolution
        self.factor = factor

    def forward(self, features: Tensor) -> Tensor:
        r, layer = self.factor, self.convolution
        weight = layer.weight.view(-1, r * r, *layer.weight.shape[1:]).transpose(0, 1).flatten(0, 1)
        bias = None if layer.bias is None else layer.bias.view(-1, r * r).t().flatten()
        out = run_chain(self.library, features, [weight], [bias], [False], skip=False).permute(0, 2, 3, 1)
        n, height, width, channels = out.shape
        rows = out.view(n, height, width, r, channels // r).transpose(2, 3)
        return rows.reshape(n, height * r, width * r, channels // r**2).permute(0, 3, 1, 2)


@dataclass
class _Link:
    """A convolution of a chain to be, and whether a ReLU stands behind it."""

    convolution: nn.Conv2d
    relu: bool = False


def _put_chains(module: nn.Module, library: ctypes.CDLL) -> None:
    """Replace in all of `module` what chains can do."""
    if isinstance(module, nn.Sequential):
        _join_children(module, library)
    for name, child in list(module.named_children()):
        if isinstance(child, Chain | _ShuffledChain):
            continue
        if (block := _as_block(child, library)) is not None:
            setattr(module, name, block)
        elif fits(child):
            setattr(module, name, Chain(library, [child], [False]))
        else:
            _put_chains(child, library)


def _as_block(module: nn.Module, library: ctypes.CDLL) -> Chain | None:
    """The chain with a skip that a residual block is, if its branch has nothing else."""
    if type(module) is not ResidualBlock or module.residual_scale != 1:
        return None
    links = _links(module.branch)
    if not links or links[-1].relu or len(links) > LONGEST or len(_kernel_sizes(links)) > 1:
        return None
    return _chain(library, links, skip=True)


def _join_children(sequence: nn.Sequential, library: ctypes.CDLL) -> None:
    """Replace children in a row that are chains by the first of them, which does what all of them did."""
    run: list[str] = []
    links: list[_Link] = []

    def close(factor: int | None = None) -> None:
        if links:
            last = [_ShuffledChain(library, links.pop().convolution, factor)] if factor else []
            setattr(sequence, run[0], nn.Sequential(*_split(library, links), *last))
            for name in run[1:]:
                setattr(sequence, name, nn.Identity())
        run.clear()
        links.clear()

    for name, child in list(sequence.named_children()):
        more = _links(child)
        if more:
            run.append(name)
            links.extend(more)
        elif type(child) is nn.ReLU and links and not links[-1].relu:
            run.append(name)
            links[-1].relu = True
        elif type(child) is nn.PixelShuffle and links and not links[-1].relu:
            run.append(name)
            close(child.upscale_factor)
        else:
            close()
    close()


def _links(module: nn.Module) -> list[_Link] | None:
    """What `module` is made of, if that is nothing but convolutions that fit, each with a ReLU behind it or not."""
    if fits(module):
        return [_Link(module)]
    if not isinstance(module, nn.Sequential):
        return None
    links: list[_Link] = []
    for child in module:
        if type(child) is nn.ReLU and links and not links[-1].relu:
            links[-1].relu = True
        elif more := _links(child):
            links.extend(more)
        else:
            return None
    return links


def _split(library: ctypes.CDLL, links: Sequence[_Link]) -> Iterator[Chain]:
    """Chains of at most `CHAINED` convolutions of one kernel size."""
    for _, same in groupby(links, lambda link: link.convolution.kernel_size):
        alike = list(same)
        for start in range(0, len(alike), CHAINED):
            yield _chain(library, alike[start : start + CHAINED])


def _chain(library: ctypes.CDLL, links: Sequence[_Link], skip: bool = False) -> Chain:
    return Chain(library, [link.convolution for link in links], [link.relu for link in links], skip)


def _kernel_sizes(links: Sequence[_Link]) -> set[tuple[int, ...]]:
    return {link.convolution.kernel_size for link in links}
