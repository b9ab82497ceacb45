"""Count parameters, multiply-accumulates and activations."""

from dataclasses import dataclass

from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork, count_parameters
from nitido.inspection import count_macs, hd_lr_size
from nitido.inspection.meta_tensors import meta_copy, meta_image

SMALL_SIDE = 256
"""Side of the small LR image that costs are stated for."""


@dataclass(frozen=True)
class Counts:
    """The machine-independent costs of a network.

    Attributes:
        parameters: weights.
        macs_hd: multiply-accumulates for an output of 1280×720, as papers state them.
        macs_small: multiply-accumulates for an LR image of 256×256.
        activations: elements that all convolutions put out for an LR image of 256×256; it follows the running time
            of small networks better than MACs do (Zhang et al., AIM 2020 Challenge on Efficient Super-Resolution).
    """

    parameters: int
    macs_hd: int
    macs_small: int
    activations: int


def count(network: SuperResolutionNetwork) -> Counts:
    """Count on shapes alone; nothing is computed."""
    return Counts(
        parameters=count_parameters(network),
        macs_hd=count_macs(network, *hd_lr_size(network.scale)),
        macs_small=count_macs(network, SMALL_SIDE, SMALL_SIDE),
        activations=count_activations(network, SMALL_SIDE, SMALL_SIDE),
    )


def count_activations(network: SuperResolutionNetwork, lr_height: int, lr_width: int) -> int:
    """Return the number of output elements of all convolutions of `network` for one LR image."""
    counted = 0

    def add(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal counted
        counted += output.numel()

    shapes = meta_copy(network)
    for layer in shapes.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    shapes(meta_image(network.channels, lr_height, lr_width))
    return counted
