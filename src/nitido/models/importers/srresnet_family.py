"""SRResNet (Ledig et al., CVPR 2017) as in SRGAN implementations: batch normalization, PReLU, a tanh output."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from nitido.models.importers.layer_matching import LayerNames, configure, match_layers, scale_of, widen_slopes, width_of
from nitido.models.importers.weight_layout import Choices, Converted, Tensors


@dataclass(frozen=True)
class SRResNetLayers:
    """The names of a file's layers, each kind in data flow order.

    Attributes:
        convolutions: The first, two per block, the one after the blocks, one per stage, the last.
        norms: Two per block, and optionally the one after the blocks.
        slopes: The first PReLU, one per block, optionally the one after the blocks, one per stage.
        stages: The convolutions before the pixel shuffles.
    """

    convolutions: Sequence[str]
    norms: Sequence[str]
    slopes: Sequence[str]
    stages: Sequence[str]


def convert_srresnet(
    source: Path, tensors: Tensors, choices: Choices, layers: SRResNetLayers, epsilon: float, required_by: str
) -> Converted:
    """Return an SRResNet with a tanh output and the weights `tensors`; `epsilon` is that of its batch normalization."""
    width = width_of(source, tensors, f"{layers.convolutions[0]}.weight")
    scale = scale_of(source, tensors, [f"{name}.weight" for name in layers.stages], width, choices.scale)
    blocks = len(layers.norms) // 2
    body_end = "normalization" if len(layers.norms) % 2 else "activation"
    config = configure(
        source,
        "srresnet",
        "keras",
        {"scale": scale, "blocks": blocks, "width": width, "batch_norm_epsilon": epsilon, "body_end": body_end},
    )
    kinds: LayerNames = {nn.Conv2d: layers.convolutions, nn.BatchNorm2d: layers.norms, nn.PReLU: layers.slopes}
    return match_layers(source, widen_slopes(tensors, layers.slopes, width), "srresnet", config, kinds, required_by)
