"""A summary of a network's layers and costs as text."""

from torch.utils.flop_counter import FlopCounterMode
from torchinfo import summary

from nitido.architectures import SuperResolutionNetwork, count_parameters
from nitido.inspection.meta_tensors import meta_copy, meta_image

HD_HEIGHT, HD_WIDTH = 720, 1280
"""The output size for which papers state multiply-adds."""


def count_macs(network: SuperResolutionNetwork, lr_height: int, lr_width: int) -> int:
    """Return the multiply-accumulates of convolutions and matrix products for one LR image, without computing it.

    Bicubic upscaling, activations and sums are excluded, as in published figures.
    """
    with FlopCounterMode(display=False) as counter:
        meta_copy(network)(meta_image(network.channels, lr_height, lr_width))
    return int(counter.get_total_flops()) // 2


def hd_lr_size(scale: int) -> tuple[int, int]:
    """Return the LR height and width whose output is 1280x720, or the nearest if `scale` does not divide it.

    >>> hd_lr_size(2), hd_lr_size(3)
    ((360, 640), (240, 427))
    """
    return round(HD_HEIGHT / scale), round(HD_WIDTH / scale)


def summarize(network: SuperResolutionNetwork, lr_size: tuple[int, int] = (48, 48)) -> str:
    """Return a table of the layers with parameters, MACs and receptive field.

    Args:
        network: The network.
        lr_size: Height and width of the LR input.
    """
    height, width = lr_size
    hd_height, hd_width = hd_lr_size(network.scale)
    table = summary(
        meta_copy(network),
        input_data=meta_image(network.channels, height, width),
        device="meta",
        depth=4,
        col_names=("kernel_size", "input_size", "output_size", "num_params"),
        row_settings=("var_names",),
        verbose=0,
    )
    # torchinfo's totals are dropped, because it counts a transposed convolution once for every output pixel.
    layers, _, _ = str(table).partition("\nTotal params")
    radius = network.receptive_field_radius
    scale = network.scale
    facts = {
        "Parameters": f"{count_parameters(network):,}",
        f"MACs, {width}x{height} LR": f"{count_macs(network, height, width):,}",
        f"MACs, {hd_width * scale}x{hd_height * scale} output": f"{count_macs(network, hd_height, hd_width):,}",
        "Receptive field": "whole image"
        if radius is None
        else f"{2 * radius + 1}x{2 * radius + 1} LR pixels (radius {radius})",
    }
    lines = [f"{name + ':':<28}{value}" for name, value in facts.items()]
    return "\n".join([layers, *lines, ""])
