"""A copy of a network that shares its weights and replaces supported convolutions by nitido's kernels."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import torch
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.architectures.blocks import ResidualBlock
from nitido.architectures.dense import DenseLayer
from nitido.kernels.chain import LINEAR, Chain, Chains, is_chainable, run_chains, slope_of
from nitido.kernels.library import MAX_CONVOLUTIONS, Kernels
from nitido.kernels.narrow import Narrow, is_narrow

CONVOLUTIONS_PER_CHAIN = 3
"""Maximum number of convolutions per chain, chosen so that their weight gradients fit into a core's cache."""


class AcceleratedNetwork:
    """Call a network through the kernels under bfloat16 autocast, in training and inference; otherwise as it is.

    The copy shares parameters and buffers, and follows the training mode module by module. Features of replaced layers
    are bfloat16 in both modes, also in layers that a network computes `precisely` in inference; images are float32.

    Attributes:
        replaced_layers: Number of modules that call kernels.
    """

    def __init__(self, network: SuperResolutionNetwork, kernels: Kernels) -> None:
        """Wrap `network`. Its weights may change or be replaced later, but not its layers."""
        self.network = network
        self.kernels = kernels
        shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        self.accelerated = copy.deepcopy(network, shared)
        self.modes = list(zip(network.modules(), list(self.accelerated.modules()), strict=True))
        for module, other in self.modes:  # shared dictionaries, so that replaced tensors are replaced in both
            other._parameters, other._buffers = module._parameters, module._buffers
        _replace_layers(self.accelerated, kernels)
        self.replaced_layers = sum(
            isinstance(module, Chains | _Shuffled | Narrow) for module in self.accelerated.modules()
        )

    def __call__(self, lr: Tensor) -> Tensor:
        """Return the network's output for `lr`."""
        if not (torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return self.network(lr)
        for module, other in self.modes:
            other.training = module.training
        return self.accelerated(lr)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Wrap a copy of the network, as weight averaging creates one."""
        return type(self)(copy.deepcopy(self.network, memo), self.kernels)


class _Shuffled(nn.Module):
    """A convolution, its activation and a pixel shuffle, with outputs permuted so that the shuffle copies whole rows.

    `nn.PixelShuffle` moves output c·r² + i·r + j to pixel (i, j). With channels last it therefore moves single numbers
    that are far apart in memory. With outputs in the order (i, j, c), all channels of a pixel are contiguous.
    """

    def __init__(self, kernels: Kernels, link: "_Link", factor: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolution = link.convolution
        self.slope = link.slope
        self.factor = factor

    def forward(self, features: Tensor) -> Tensor:
        r, layer = self.factor, self.convolution
        weight = layer.weight.view(-1, r * r, *layer.weight.shape[1:]).transpose(0, 1).flatten(0, 1)
        bias = None if layer.bias is None else layer.bias.view(-1, r * r).t().flatten()
        plan = (((self.slope,), False),)
        out = run_chains(self.kernels, features, [weight], [bias], plan).permute(0, 2, 3, 1)
        n, height, width, channels = out.shape
        rows = out.view(n, height, width, r, channels // r).transpose(2, 3)
        return rows.reshape(n, height * r, width * r, channels // r**2).permute(0, 3, 1, 2)


@dataclass
class _Link:
    """A convolution of a future chain, and the negative slope of its activation."""

    convolution: nn.Conv2d
    slope: float = LINEAR


@dataclass(frozen=True)
class _Slot:
    """A child module in its parent: `parent.name`."""

    parent: nn.Module
    name: str

    @property
    def module(self) -> nn.Module:
        module: nn.Module = getattr(self.parent, self.name)
        return module

    def put(self, module: nn.Module) -> None:
        setattr(self.parent, self.name, module)


def _replace_layers(module: nn.Module, kernels: Kernels) -> None:
    """Replace all layers within `module` that the kernels support."""
    for row in _sequences(module):
        _replace_chains(row, kernels)
    for name, child in list(module.named_children()):
        if isinstance(child, Chains | _Shuffled):
            continue
        chain = _residual_chain(child, kernels) or (
            Chain((child,), (LINEAR,)) if is_chainable(child, kernels) else None
        )
        if chain is not None:
            setattr(module, name, Chains(kernels, [chain]))
        elif is_narrow(child):
            setattr(module, name, Narrow(kernels, child))
        else:
            _replace_layers(child, kernels)


def _sequences(module: nn.Module) -> Iterator[list[_Slot]]:
    """Yield lists of modules within `module` whose output is the input of the next module and is used nowhere else."""
    if isinstance(module, SuperResolutionNetwork):
        for names in module.module_sequences():
            yield [place for name in names for place in _flatten(_Slot(module, name))]
    if type(module) is nn.Sequential or isinstance(module, DenseLayer):
        yield [place for name, _ in module.named_children() for place in _flatten(_Slot(module, name))]


def _flatten(place: _Slot) -> Iterator[_Slot]:
    """Yield `place`, or its children recursively if it is an `nn.Sequential`."""
    if type(place.module) is nn.Sequential:
        for name, _ in place.module.named_children():
            yield from _flatten(_Slot(place.module, name))
    else:
        yield place


def _replace_chains(row: Sequence[_Slot], kernels: Kernels) -> None:
    """Replace runs of consecutive modules that form chains; the first module of a run computes all of it."""
    run: list[_Slot] = []
    chains: list[Chain] = []
    links: list[_Link] = []

    def close(shuffle: int | None = None) -> None:
        """End the run; a pixel shuffle by the factor `shuffle` may follow the last convolution."""
        last = [_Shuffled(kernels, links.pop(), shuffle)] if shuffle else []
        chains.extend(_split_into_chains(links))
        if run:
            alike = groupby(chains, lambda chain: chain.convolutions[0].kernel_size)
            run[0].put(nn.Sequential(*(Chains(kernels, list(same)) for _, same in alike), *last))
            for place in run[1:]:
                place.put(nn.Identity())
        run.clear()
        chains.clear()
        links.clear()

    for place in row:
        module = place.module
        slope = slope_of(module)
        if is_chainable(module, kernels):
            links.append(_Link(module))
        elif block := _residual_chain(module, kernels):
            chains.extend((*_split_into_chains(links), block))
            links.clear()
        elif slope is not None and links and links[-1].slope == LINEAR:
            links[-1].slope = slope
        elif type(module) is nn.PixelShuffle and links:
            run.append(place)
            close(module.upscale_factor)
            continue
        else:
            close()
            continue
        run.append(place)
    close()


def _residual_chain(module: nn.Module, kernels: Kernels) -> Chain | None:
    """Return a residual block as a chain with a skip, or None if its branch contains unsupported layers."""
    if type(module) is not ResidualBlock or module.residual_scale != 1:
        return None
    links: list[_Link] = []
    for place in _flatten(_Slot(module, "branch")):
        slope = slope_of(place.module)
        if is_chainable(place.module, kernels):
            links.append(_Link(place.module))
        elif slope is not None and links and links[-1].slope == LINEAR:
            links[-1].slope = slope
        else:
            return None
    sizes = {link.convolution.kernel_size for link in links}
    if len(sizes) != 1 or len(links) > MAX_CONVOLUTIONS or links[-1].slope != LINEAR:
        return None
    return _chain(links, skip=True)


def _split_into_chains(links: Sequence[_Link]) -> Iterator[Chain]:
    """Yield chains of at most `CONVOLUTIONS_PER_CHAIN` convolutions of one kernel size."""
    for _, same in groupby(links, lambda link: link.convolution.kernel_size):
        alike = list(same)
        for start in range(0, len(alike), CONVOLUTIONS_PER_CHAIN):
            yield _chain(alike[start : start + CONVOLUTIONS_PER_CHAIN])


def _chain(links: Sequence[_Link], skip: bool = False) -> Chain:
    return Chain(tuple(link.convolution for link in links), tuple(link.slope for link in links), skip)
