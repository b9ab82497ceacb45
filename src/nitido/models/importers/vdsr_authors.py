"""The weights that VDSR's authors published, as an .npz of 20 convolutions in OIHW order.

One set of weights supports every scale, because the network takes the bicubically upscaled image.
"""

import re
from pathlib import Path

from torch import nn

from nitido.models.importers.layer_matching import LayerNames, configure, match_layers
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors

DEPTH = 20
"""Number of convolutions of the published network."""

SCALES = (2, 3, 4)
"""Scales for which the network was trained, mixed."""

_NAME = re.compile(r"conv[1-9]\d*\.(weight|bias)")


def _recognizes(tensors: Tensors) -> bool:
    return bool(tensors) and all(_NAME.fullmatch(name) for name in tensors)


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    first, *others = SCALES if choices.scale is None else (choices.scale,)
    config = configure(source, "vdsr", "vdsr", {"scale": first, "depth": DEPTH})
    layers: LayerNames = {nn.Conv2d: [f"conv{number}" for number in range(1, DEPTH + 1)]}
    converted = match_layers(source, tensors, "vdsr", config, layers, "the VDSR authors' layout")
    return converted._replace(other_scales=others)


LAYOUT = Layout("VDSR authors' .npz: conv1.weight … conv20.bias", _recognizes, _convert)
