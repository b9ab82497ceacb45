"""The weights that VDSR's authors published, as an .npz of 20 convolutions in OIHW order.

One set of weights serves every scale, because the network sees the bicubically enlarged picture.
"""

import re
from pathlib import Path

from torch import nn

from nitido.inference.importers.layout import Choices, Converted, Layout, Tensors
from nitido.inference.importers.transplant import LayerNames, configure, transplant
from nitido.inference.model_file import ModelFileError

DEPTH = 20
"""Convolutions of the published network."""

_NAME = re.compile(r"conv[1-9]\d*\.(weight|bias)")


def _recognises(tensors: Tensors) -> bool:
    return bool(tensors) and all(_NAME.fullmatch(name) for name in tensors)


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    if choices.scale is None:
        raise ModelFileError(f"{source}: the VDSR authors' weights serve ×2, ×3 and ×4: say which with --scale")
    config = configure(source, "vdsr", "vdsr", {"scale": choices.scale, "depth": DEPTH})
    layers: LayerNames = {nn.Conv2d: [f"conv{number}" for number in range(1, DEPTH + 1)]}
    return transplant(source, tensors, "vdsr", config, layers, "the VDSR authors' layout")


LAYOUT = Layout("VDSR authors' .npz: conv1.weight … conv20.bias", _recognises, _convert)
