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
from nitido.training.kernels.chain import Chain, Chains, fits, run_chains
from nitido.training.kernels.library import LONGEST

CHAINED = 3
"""Convolutions of a chain at most: the gradients of their weights should fit into a core's cache."""


class Twin:
    """How a network is called in a training step under bfloat16 autocast; elsewhere the network itself is called.

    The twin has the network's own parameters and buffers, and follows it into eval mode module by module.

    Attributes:
        chains: how many calls of chains there are; with none the twin gains nothing.
    """

    def __init__(self, network: SuperResolutionNetwork, library: ctypes.CDLL) -> None:
        """Make the twin of `network`, whose layers may change their values from here on, but not their places."""
        self.network = network
        self.library = library
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        self.twin = copy.deepcopy(network, shared)
        self.modes = list(zip(network.modules(), list(self.twin.modules()), strict=True))
        _put_chains(self.twin, library)
        self.chains = sum(isinstance(module, Chains | _Shuffled) for module in self.twin.modules())

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


class _Shuffled(nn.Module):
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
        out = run_chains(self.library, features, [weight], [bias], (((False,), False),)).permute(0, 2, 3, 1)
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
        if isinstance(child, Chains | _Shuffled):
            continue
        chain = _as_block(child) or (Chain((child,), (False,)) if fits(child) else None)
        if chain is None:
            _put_chains(child, library)
        else:
            setattr(module, name, Chains(library, [chain]))


def _join_children(sequence: nn.Sequential, library: ctypes.CDLL) -> None:
    """Replace children in a row that are chains by the first of them, which does what all of them did."""
    run: list[str] = []
    chains: list[Chain] = []
    links: list[_Link] = []

    def close(shuffle: int | None = None) -> None:
        """End the row; the last convolution may have a pixel shuffle behind it, by the factor `shuffle`."""
        last = [_Shuffled(library, links.pop().convolution, shuffle)] if shuffle else []
        chains.extend(_split(links))
        if run:
            alike = groupby(chains, lambda chain: chain.convolutions[0].kernel_size)
            setattr(sequence, run[0], nn.Sequential(*(Chains(library, list(same)) for _, same in alike), *last))
            for name in run[1:]:
                setattr(sequence, name, nn.Identity())
        run.clear()
        chains.clear()
        links.clear()

    for name, child in list(sequence.named_children()):
        if more := _links(child):
            links.extend(more)
        elif block := _as_block(child):
            chains.extend((*_split(links), block))
            links.clear()
        elif type(child) is nn.ReLU and links and not links[-1].relu:
            links[-1].relu = True
        elif type(child) is nn.PixelShuffle and links and not links[-1].relu:
            run.append(name)
            close(child.upscale_factor)
            continue
        else:
            close()
            continue
        run.append(name)
    close()


def _as_block(module: nn.Module) -> Chain | None:
    """The chain with a skip that a residual block is, if its branch has nothing else."""
    if type(module) is not ResidualBlock or module.residual_scale != 1:
        return None
    links = _links(module.branch)
    if not links or links[-1].relu or len(links) > LONGEST or len({link.convolution.kernel_size for link in links}) > 1:
        return None
    return _chain(links, skip=True)


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


def _split(links: Sequence[_Link]) -> Iterator[Chain]:
    """Chains of at most `CHAINED` convolutions of one kernel size."""
    for _, same in groupby(links, lambda link: link.convolution.kernel_size):
        alike = list(same)
        for start in range(0, len(alike), CHAINED):
            yield _chain(alike[start : start + CHAINED])


def _chain(links: Sequence[_Link], skip: bool = False) -> Chain:
    return Chain(tuple(link.convolution for link in links), tuple(link.relu for link in links), skip)
