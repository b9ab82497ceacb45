"""SRCNN from Keras weights: three convolutions, as in the widely used SRCNN-keras (9-3-5 with 128 and 64 filters).

It takes the bicubically upscaled image (Y in [0, 1], or RGB) and has ReLU after all convolutions but the last, so one
file supports every scale. Kernels are HWIO. Such networks are trained without padding ("valid") and crop the border of
an image. Here the border is padded by repetition (`padding: replicate`), which gives the same values wherever the
original has any.
"""

from pathlib import Path

from torch import nn

from nitido.models.importers.layer_matching import LayerNames, configure, match_layers
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors
from nitido.models.model_file import ModelFileError

SCALES = (2, 3, 4)
"""Supported scales; the published file was measured at all of them."""

_CONVOLUTIONS = 3
_KINDS = {"kernel": "weight", "bias": "bias"}


def _recognizes(tensors: Tensors) -> bool:
    kinds = [name.rpartition("/")[2] for name in tensors]
    return set(kinds) == _KINDS.keys() and kinds.count("kernel") == _CONVOLUTIONS


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition("/")
        if kind == "kernel" and tensor.ndim != 4:
            raise ModelFileError(f"{source}: {name} is {tuple(tensor.shape)}, not the kernels of a convolution")
        renamed[f"{layer}.{_KINDS[kind]}"] = tensor.permute(3, 2, 0, 1) if kind == "kernel" else tensor
    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in tensors))
    kernels = [tensors[f"{layer}/kernel"] for layer in layers if f"{layer}/kernel" in tensors]
    first, *others = SCALES if choices.scale is None else (choices.scale,)
    config = configure(
        source,
        "srcnn",
        "vanilla",
        {
            "scale": first,
            "channels": kernels[0].shape[2],
            "kernel_sizes": tuple(kernel.shape[0] for kernel in kernels),
            "widths": tuple(kernel.shape[3] for kernel in kernels[:-1]),
            "padding": "replicate",
        },
    )
    names: LayerNames = {nn.Conv2d: layers}
    converted = match_layers(source, renamed, "srcnn", config, names, "the layout of Keras' SRCNN")
    return converted._replace(other_scales=others)


LAYOUT = Layout("Keras' SRCNN: three convolutions (3051crop_weight_200.h5)", _recognizes, _convert)
