"""The data flow of a network as a short list of labeled blocks, obtained by tracing the network."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from nitido.architectures import SuperResolutionNetwork, count_parameters
from nitido.architectures.blocks import ResidualBlock
from nitido.architectures.dense import DenseLayer
from nitido.architectures.layers import BicubicUpscale
from nitido.inspection.meta_tensors import meta_copy, meta_image

Kind = Literal["input", "output", "convolution", "upsampling", "bicubic", "sum", "block", "other"]

CONCATENATION = ("Concatenate",)
_DENSE_LAYER = "Dense layer"

_TRACE_HEIGHT, _TRACE_WIDTH = 24, 36  # unequal, so that h and w are distinguishable
_ADDITIONS: tuple[Callable[..., object], ...] = (operator.add, operator.iadd, torch.add)
_SUBTRACTIONS: tuple[Callable[..., object], ...] = (operator.sub, operator.isub, torch.sub)
_NAMES: dict[object, str] = {
    "mean": "Mean over the image",
    torch.mean: "Mean over the image",
    torch.sigmoid: "Sigmoid",
}
_MULTIPLICATIONS: tuple[Callable[..., object], ...] = (operator.mul, operator.imul, torch.mul)


@dataclass(frozen=True)
class Block:
    """One box of a diagram.

    Attributes:
        name: Unique name in its network.
        kind: Type of operation.
        lines: Label; the first line is the heading.
        parameters: Number of weights, of all repeats together.
        shape: Output as channels and size, e.g. `64 · 2h×2w` for LR images of `h×w`.
        inputs: Names of the blocks whose outputs it takes.
        repeats: Number of equal consecutive blocks that it represents.
    """

    name: str
    kind: Kind
    lines: tuple[str, ...]
    parameters: int
    shape: str
    inputs: tuple[str, ...]
    repeats: int = 1


Flow = dict[str, Block]
"""Blocks by name in topological order: the network's input comes first, its output last."""


@dataclass(frozen=True)
class OpenBlock:
    """The inside of a block that is a single box in the surrounding data flow.

    Attributes:
        lines: The box's label.
        flow: The data flow inside, from input to output; None if it cannot be traced.
    """

    lines: tuple[str, ...]
    flow: Flow | None


def data_flow(network: SuperResolutionNetwork) -> Flow:
    """Trace `network` into blocks.

    The normalization and activation after a convolution are merged into its block. Equal consecutive blocks become one
    with `repeats`. A module that is neither one of torch's own nor a container is one block.
    """
    return _flow(_traced_network(network))


def data_flow_and_open_blocks(network: SuperResolutionNetwork) -> tuple[Flow, list[OpenBlock]]:
    """Return `data_flow` and the insides of all kinds of blocks that have weights, one per kind; nested ones follow."""
    traced = _traced_network(network)
    return _flow(traced), _open_blocks(traced)


def _open_blocks(network: fx.GraphModule) -> list[OpenBlock]:
    opened: dict[tuple[object, ...], OpenBlock] = {}

    def look_into(traced: fx.GraphModule) -> None:
        for node in traced.graph.nodes:
            module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
            if module is None or _module_kind(module) != "block" or not count_parameters(module):
                continue
            size = node.all_input_nodes[0].meta["tensor_meta"].shape
            key = (_module_lines(module), count_parameters(module), size[1])
            if key in opened or isinstance(module, DenseLayer):
                continue
            try:
                inside = _traced(module, torch.empty(size, device="meta"), _InnerTracer())
                opened[key] = OpenBlock(_module_lines(module), _named_ends(_flow(inside)))
            except Exception:  # fx raises various errors for branches that depend on values
                opened[key] = OpenBlock(_module_lines(module), None)
                continue
            look_into(inside)

    look_into(network)
    return list(opened.values())


def _traced_network(network: SuperResolutionNetwork) -> fx.GraphModule:
    image = meta_image(network.channels, _TRACE_HEIGHT, _TRACE_WIDTH)
    return _traced(meta_copy(network), image, _BlockTracer())


def _traced(module: nn.Module, values: torch.Tensor, tracer: fx.Tracer) -> fx.GraphModule:
    """Trace `module` and record the shapes of all intermediate results for the input `values`."""
    traced = fx.GraphModule(module, tracer.trace(module))
    traced.graph.eliminate_dead_code()
    ShapeProp(traced).propagate(values)
    return traced


def _flow(traced: fx.GraphModule) -> Flow:
    flow = {node.name: _block(node, traced) for node in traced.graph.nodes if node.op != "get_attr"}
    return _collapse_chains(_merge_followers(flow, traced))


def _named_ends(flow: Flow) -> Flow:
    """Return the flow of a block with its input and output renamed, because they are features rather than images."""
    names = {"input": ("in",), "output": ("out",)}
    return {name: replace(block, lines=names.get(block.kind, block.lines)) for name, block in flow.items()}


def users(flow: Flow, name: str) -> list[str]:
    """Return the blocks that take the output of block `name`, in order."""
    return [block.name for block in flow.values() if name in block.inputs]


class _BlockTracer(fx.Tracer):
    """Traces into containers only."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, nn.Sequential) or isinstance(m, DenseLayer)


class _InnerTracer(fx.Tracer):
    """Traces into everything except torch's own layers, residual blocks and dense layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        of_torch = type(m).__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)
        return of_torch or isinstance(m, ResidualBlock | DenseLayer)


def _block(node: fx.Node, traced: fx.GraphModule) -> Block:
    kind, lines, parameters = _label(node, traced)
    inputs = tuple(source.name for source in node.all_input_nodes if source.op != "get_attr")
    return Block(node.name, kind, lines, parameters, _shape(node), inputs)


def _label(node: fx.Node, traced: fx.GraphModule) -> tuple[Kind, tuple[str, ...], int]:
    if node.op == "placeholder":
        return "input", ("LR image",), 0
    if node.op == "output":
        return "output", ("SR image",), 0
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        frozen = any(True for _ in module.parameters()) and not any(p.requires_grad for p in module.parameters())
        lines = (*_module_lines(module), *(["frozen"] if frozen else []))
        return _module_kind(module), lines, count_parameters(module)
    if node.target in _ADDITIONS and len(node.all_input_nodes) > 1:
        return "sum", ("+",), 0
    if node.target in _SUBTRACTIONS and len(node.all_input_nodes) > 1:
        return "other", ("Subtract",), 0
    if node.target is torch.cat:
        return "other", CONCATENATION, 0
    if node.target in _MULTIPLICATIONS:
        factors = [value for value in node.args if not isinstance(value, fx.Node)]
        return "other", (f"× {factors[0]:g}" if factors else "Multiply",), 0
    if node.target in _NAMES:
        return "other", (_NAMES[node.target],), 0
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return "other", (name,), 0


def _module_kind(module: nn.Module) -> Kind:
    if isinstance(module, BicubicUpscale):
        return "bicubic"
    if isinstance(module, nn.PixelShuffle | nn.Upsample | nn.ConvTranspose2d):
        return "upsampling"
    if isinstance(module, nn.Conv2d):
        return "convolution"
    return "other" if type(module).__module__.startswith("torch.nn") else "block"


def _module_lines(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        height, width = module.kernel_size
        name = "Conv" if isinstance(module, nn.Conv2d) else "Transposed conv"
        if module.groups > 1:
            name = f"Depthwise {name.lower()}" if module.groups == module.in_channels else f"{module.groups} × {name}"
        return (f"{name} {height}×{width}{_stride(module)}", f"{module.in_channels} → {module.out_channels} channels")
    if isinstance(module, BicubicUpscale):
        return (f"Bicubic ×{module.scale}",)
    if isinstance(module, nn.PixelShuffle):
        return (f"Pixel shuffle ×{module.upscale_factor}",)
    if isinstance(module, nn.Upsample):
        return (f"{module.mode.capitalize()} ×{module.scale_factor:g}",)
    if isinstance(module, ResidualBlock):
        normalised = any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
        recipe = [module.recipe.replace("_", " "), *(["BatchNorm2d"] if normalised else [])] if module.recipe else []
        scale = [f"branch × {module.residual_scale:g}"] if module.residual_scale != 1 else []
        return (type(module).__name__, *recipe, *scale)
    if isinstance(module, DenseLayer):
        layers = [_module_lines(layer)[0] for layer in module]
        grown = sum(layer.out_channels for layer in module if isinstance(layer, nn.Conv2d))
        return (_DENSE_LAYER, *layers, f"adds {grown} channels")
    if isinstance(module, nn.LeakyReLU):
        return (f"LeakyReLU {module.negative_slope:g}",)
    return (type(module).__name__,)


def _stride(module: nn.Conv2d | nn.ConvTranspose2d) -> str:
    return "" if set(module.stride) == {1} else f", stride {module.stride[0]}"


def _shape(node: fx.Node) -> str:
    """Return `channels · height×width`, as multiples of the LR image's h and w where possible."""
    source = node.all_input_nodes[0] if node.op == "output" else node
    _, channels, height, width = source.meta["tensor_meta"].shape
    return f"{channels} · {_size(height, _TRACE_HEIGHT, 'h')}×{_size(width, _TRACE_WIDTH, 'w')}"


def _size(size: int, unit: int, symbol: str) -> str:
    factor = Fraction(size, unit)
    if factor.denominator != 1:
        return str(size)
    return symbol if factor == 1 else f"{factor}{symbol}"


def _merge_followers(flow: Flow, traced: fx.GraphModule) -> Flow:
    """Merge normalizations and activations into the preceding convolution if nothing else uses the value in between."""
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    modules = {node.name: traced.get_submodule(str(node.target)) for node in calls}
    merged: Flow = {}
    stands_for: dict[str, str] = {}
    for block in flow.values():
        inputs = tuple(stands_for.get(name, name) for name in block.inputs)
        host = merged.get(inputs[0]) if inputs else None
        if host and _takes(host, block, modules) and len(users(flow, block.inputs[0])) == 1:
            lines = (*host.lines[:-1], *block.lines, host.lines[-1])
            parameters = host.parameters + block.parameters
            merged[host.name] = replace(host, lines=lines, parameters=parameters, shape=block.shape)
            stands_for[block.name] = host.name
        else:
            merged[block.name] = replace(block, inputs=inputs)
    return merged


def _takes(host: Block, block: Block, modules: dict[str, nn.Module]) -> bool:
    home = type(modules[block.name]).__module__ if block.name in modules else ""
    follows = home in ("torch.nn.modules.activation", "torch.nn.modules.batchnorm")
    return follows and isinstance(modules.get(host.name), nn.Conv2d | nn.ConvTranspose2d)


def _collapse_chains(flow: Flow) -> Flow:
    """Merge equal consecutive blocks into one. Their outputs may also all be concatenated (dense features)."""
    collapsed: Flow = {}
    stands_for: dict[str, str] = {}
    for block in flow.values():
        inputs = tuple(dict.fromkeys(stands_for.get(name, name) for name in block.inputs))
        head = collapsed.get(inputs[0]) if len(inputs) == 1 else None
        if head and _continues(flow, head, block):
            parameters = head.parameters + block.parameters
            collapsed[head.name] = replace(head, repeats=head.repeats + 1, parameters=parameters, shape=block.shape)
            stands_for[block.name] = head.name
        else:
            collapsed[block.name] = replace(block, inputs=inputs)
    return collapsed


def _continues(flow: Flow, head: Block, block: Block) -> bool:
    first, previous = flow[head.name], flow[block.inputs[0]]
    same = ("kind", "lines") if first.lines[0] == _DENSE_LAYER else ("kind", "lines", "parameters", "shape")
    alike = all(getattr(first, field) == getattr(block, field) for field in same)
    if not alike or block.kind == "sum":
        return False
    onlookers = set(users(flow, previous.name)) - {block.name}
    gathered = all(flow[name].lines == CONCATENATION for name in onlookers)
    return gathered and onlookers <= set(users(flow, block.name))
