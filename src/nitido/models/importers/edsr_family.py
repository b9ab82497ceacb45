"""EDSR (Lim et al., CVPRW 2017) from state dicts that differ only in the names of layers.

The implementations subtract the mean color of DIV2K first, add it last, and compute in 0 … 255. Convolutions with ReLU,
shuffles and sums are positively homogeneous, N(255·x; w, b) = 255·N(x; w, b/255). Dividing every bias by the range
therefore gives the same image in [0, 1]. The mean cannot be merged into the biases, because zero padding follows the
subtraction: it stays an operation, the configuration's `rgb_mean`.
"""

from dataclasses import dataclass
from itertools import count as count_up
from itertools import takewhile
from pathlib import Path

from torch import nn

from nitido.base.notes import note
from nitido.models.importers.layer_matching import LayerNames, configure, count, match_layers, scale_of, width_of
from nitido.models.importers.weight_layout import Choices, Converted, Tensors

EIGHT_BITS = 255.0
"""The value of white in 8-bit images."""

RESIDUAL_SCALES = {(16, 64): 1.0, (32, 256): 0.1}
"""Blocks and width of the published EDSRs, each with its residual scale."""


@dataclass(frozen=True)
class EDSRNames:
    """The names of a layout's layers; `{}` is an index from 0, in `body_end` the index after the last block.

    Attributes:
        required_by: Name of the layout in errors.
        head: First convolution.
        block: The two convolutions of a residual block.
        body_end: The convolution after the blocks.
        stage: A layer of the upsampler, in which convolutions and shuffles alternate.
        last: The convolution to the image.
    """

    required_by: str
    head: str
    block: tuple[str, str]
    body_end: str
    stage: str
    last: str


def convert_edsr(
    source: Path, tensors: Tensors, choices: Choices, names: EDSRNames, mean: tuple[float, ...], white: float
) -> Converted:
    """Return an EDSR with `tensors`.

    Args:
        source: The file.
        tensors: Its weights.
        choices: The user's choices. A residual scale that was not chosen is as published for the size, otherwise 1,
            and a note says so.
        names: The layout.
        mean: The color that it subtracts, in [0, 1].
        white: The value of white.
    """
    blocks = count(tensors, f"{names.block[0]}.weight")
    width = width_of(source, tensors, f"{names.head}.weight")
    convolutions = (names.stage.format(2 * stage) for stage in count_up())
    stages = list(takewhile(lambda name: f"{name}.weight" in tensors, convolutions))
    scale = scale_of(source, tensors, [f"{name}.weight" for name in stages], width, choices.scale)
    residual_scale = choices.residual_scale
    if residual_scale is None:
        residual_scale = RESIDUAL_SCALES.get((blocks, width), 1.0)
        if (blocks, width) not in RESIDUAL_SCALES:
            note(
                f"{source}: {blocks} blocks of {width} channels are no published EDSR, and the file does not contain "
                f"its residual scale: {residual_scale:g} is assumed (--residual-scale takes another)"
            )
    config = configure(
        source,
        "edsr",
        "baseline",
        {"scale": scale, "blocks": blocks, "width": width, "residual_scale": residual_scale, "rgb_mean": mean},
    )
    body = [name.format(block) for block in range(blocks) for name in names.block]
    layers: LayerNames = {nn.Conv2d: [names.head, *body, names.body_end.format(blocks), *stages, names.last]}
    unit = {name: tensor / white if name.endswith(".bias") else tensor for name, tensor in tensors.items()}
    return match_layers(source, unit, "edsr", config, layers, names.required_by)
