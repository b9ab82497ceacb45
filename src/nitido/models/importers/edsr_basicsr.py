"""EDSR in BasicSR's state dicts. Files contain neither the mean nor the range, which are DIV2K's and 0 … 255."""

from pathlib import Path

from nitido.models.importers.edsr_family import EIGHT_BITS, EDSRNames, convert_edsr
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""The mean color that BasicSR's EDSRs subtract, in [0, 1]."""

_NAMES = EDSRNames(
    required_by="BasicSR's layout of EDSR",
    head="conv_first",
    block=("body.{}.conv1", "body.{}.conv2"),
    body_end="conv_after_body",
    stage="upsample.{}",
    last="conv_last",
)


def _recognizes(tensors: Tensors) -> bool:
    return {"conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "conv_last.weight"} <= tensors.keys()


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    return convert_edsr(source, tensors, choices, _NAMES, DIV2K_MEAN, EIGHT_BITS)


LAYOUT = Layout("BasicSR's EDSR: conv_first.weight … conv_last.bias", _recognizes, _convert, open_residual_scale=True)
