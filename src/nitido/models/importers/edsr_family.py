"""EDSR (Lim et al., CVPRW 2017) out of state dicts that differ only in the names of its layers.

Its implementations subtract the mean colour of DIV2K first, add it last, and compute in 0 … 255. Convolutions with
ReLU, shuffles and sums of such are positively homogeneous, N(255·x; w, b) = 255·N(x; w, b/255), so dividing every bias
by the range gives the same picture in [0, 1]. The mean cannot go into the biases, as the zeros around the picture are
padded behind the subtraction: it stays an operation, the configuration's `rgb_mean`.
"""

from dataclasses import dataclass
from itertools import count as count_up
from itertools import takewhile
from pathlib import Path

from torch import nn

from nitido.models.importers.transplant import LayerNames, configure, count, scale_of, transplant, width_of
from nitido.models.importers.weight_layout import Choices, Converted, Tensors

EIGHT_BITS = 255.0
"""White, where pictures are bytes."""

LARGE, LARGE_RESIDUAL_SCALE = (32, 256), 0.1
"""Blocks and width of the published large EDSR, whose blocks add a tenth of their branch; the others add all of it."""


@dataclass(frozen=True)
class EDSRNames:
    """Where a layout keeps its layers; `{}` is a number from 0, in `body_end` that of the block behind the last.

    Attributes:
        judge: whose layout it is, as errors call it.
        head: the first convolution.
        block: the two convolutions of a residual block.
        body_end: the convolution behind the blocks.
        stage: a layer of the upsampler, in which convolutions and shuffles take turns.
        last: the convolution that makes the picture.
    """

    judge: str
    head: str
    block: tuple[str, str]
    body_end: str
    stage: str
    last: str


def convert_edsr(
    source: Path, tensors: Tensors, choices: Choices, names: EDSRNames, mean: tuple[float, ...], white: float
) -> Converted:
    """An EDSR with `tensors`, which compute in 0 … `white`; `mean` is the colour it subtracts, in [0, 1].

    The files do not say how much a residual block adds: what was not chosen is as published for the size.
    """
    blocks = count(tensors, f"{names.block[0]}.weight")
    width = width_of(source, tensors, f"{names.head}.weight")
    convolutions = (names.stage.format(2 * stage) for stage in count_up())
    stages = list(takewhile(lambda name: f"{name}.weight" in tensors, convolutions))
    scale = scale_of(source, tensors, [f"{name}.weight" for name in stages], width, choices.scale)
    residual_scale = choices.residual_scale
    if residual_scale is None:
        residual_scale = LARGE_RESIDUAL_SCALE if (blocks, width) == LARGE else 1.0
    config = configure(
        source,
        "edsr",
        "baseline",
        {"scale": scale, "blocks": blocks, "width": width, "residual_scale": residual_scale, "rgb_mean": mean},
    )
    body = [name.format(block) for block in range(blocks) for name in names.block]
    layers: LayerNames = {nn.Conv2d: [names.head, *body, names.body_end.format(blocks), *stages, names.last]}
    unit = {name: tensor / white if name.endswith(".bias") else tensor for name, tensor in tensors.items()}
    return transplant(source, unit, "edsr", config, layers, names.judge)
