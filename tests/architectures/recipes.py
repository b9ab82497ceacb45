"""Small networks of every architecture, to which `test_contract.py` applies its tests."""

from dataclasses import dataclass, field
from typing import Any, get_args

import torch

from nitido.architectures import (
    SuperResolutionNetwork,
    activation_names,
    block_names,
    build,
    get_architecture,
    resolve_config,
)
from nitido.architectures.convolutions import NormalizationName, OrderName
from nitido.architectures.upsamplers import UpsamplerName

COMPACT = ("compact", "debug")
"""What the names of the small variants begin with."""


@dataclass(frozen=True)
class Recipe:
    """A network by its architecture, variant and changed configuration."""

    architecture: str
    variant: str
    overrides: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        changes = ",".join(f"{key}={value}" for key, value in self.overrides.items())
        return f"{self.architecture}.{self.variant}({changes})"

    def build(self, **more: object) -> SuperResolutionNetwork:
        """The network with the weights of seed 0."""
        torch.manual_seed(0)
        return build(self.architecture, resolve_config(self.architecture, self.variant, {**self.overrides, **more}))


def small_variants(architecture: str, starts: tuple[str, ...] = COMPACT) -> list[Recipe]:
    return [Recipe(architecture, name) for name in get_architecture(architecture).variants if name.startswith(starts)]


def debug(architecture: str, **overrides: object) -> Recipe:
    return Recipe(architecture, "debug", overrides)


NORMALIZATIONS, ORDERS = get_args(NormalizationName), get_args(OrderName)

LARGE_BLOCKS = ("dense", "rrdb")
"""Blocks that reach far; one of them is enough."""


def combinations(architecture: str, blocks: list[str], scales: tuple[int, ...]) -> list[Recipe]:
    """Every block with every upsampler, and every pair of the other choices at least once."""
    return [
        debug(
            architecture,
            block=block,
            upsampler=upsampler,
            order=ORDERS[(row + column) % 2],
            normalization=NORMALIZATIONS[(row + column // 2) % 2],
            scale=scales[(row + column) % len(scales)],
            blocks=1 if block in LARGE_BLOCKS else 2,
            activation="silu" if block == "channel_attention" else "leaky_relu",  # no unit of a small gate is off
        )
        for row, block in enumerate(blocks)
        for column, upsampler in enumerate(get_args(UpsamplerName))
    ]


TRANSPOSED_SRCNN = {"upsampler": "transposed", "widths": (8, 6), "kernel_sizes": (3, 1, 3)}

RECIPES: list[Recipe] = [
    *small_variants("srcnn", ("",)),
    debug("srcnn", scale=3),
    debug("srcnn", scale=4),
    Recipe("srcnn", "pixel_shuffle_residual", {"scale": 3, "widths": (4, 9)}),
    Recipe("srcnn", "pixel_shuffle", {"scale": 4, "widths": (4, 16), "channels": 1}),
    *(
        Recipe("srcnn", "vanilla", {**TRANSPOSED_SRCNN, "scale": scale, "residual": residual})
        for scale in (2, 3, 4)
        for residual in (False, True)
    ),
    *small_variants("vdsr", ("",)),
    debug("vdsr", scale=3, channels=3),
    debug("vdsr", scale=4, bias=False),
    debug("vdsr", depth=2, residual=False),
    debug("vdsr", width=9, scale=3, upsampler="pixel_shuffle"),
    debug("vdsr", width=16, scale=4, upsampler="pixel_shuffle", residual=False, channels=3),
    debug("vdsr", depth=2, upsampler="transposed", bias=False),
    *(debug("vdsr", depth=2, upsampler="transposed", scale=scale, residual=scale == 4) for scale in (3, 4)),
    *small_variants("edsr"),
    Recipe("edsr", "baseline", {"width": 8, "activation": "leaky_relu"}),
    debug("edsr", block="batch", activation="prelu", residual_scale=0.2),
    *small_variants("rdn"),
    debug("rdn", blocks=1, layers=1, residual_scale=0.2),
    *small_variants("srresnet"),
    Recipe("srresnet", "keras", {"blocks": 2, "width": 4}),
    debug("srresnet", activation="relu", residual_scale=0.2, scale=2),
    *(
        debug(architecture, scale=scale, upsampler=upsampler, residual=upsampler == "transposed", channels=channels)
        for architecture, scales in (("edsr", (2, 3, 4)), ("rdn", (2, 3, 4)), ("srresnet", (2, 4)))
        for scale in scales
        for upsampler, channels in (("pixel_shuffle", 1), ("transposed", 3), ("bicubic", 1), ("nearest", 3))
    ),
    *combinations("edsr", block_names(), (2, 3, 4)),
    *combinations("srresnet", ["channel_attention", "rrdb"], (2, 4)),
    *(debug("edsr", activation=name, width=9, order="pre_activation") for name in activation_names()),
    debug("edsr", rgb_mean=(0.45, 0.44, 0.4), upsampler="bicubic"),
    debug("srresnet", second_half_block="separable", blocks=3),
    *(
        debug("rdn", upsampler=upsampler, normalization=normalization, order=order)
        for upsampler in get_args(UpsamplerName)
        for normalization, order in (("batch", "conv_norm_act"), ("none", "pre_activation"))
    ),
    debug("rdn", normalization="batch", order="pre_activation"),
    *(
        Recipe(architecture, "debug", {**width, "upsampler": upsampler, "normalization": "batch"})
        for architecture, width in (("srcnn", {"widths": (4, 8)}), ("vdsr", {"width": 8}))
        for upsampler in get_args(UpsamplerName)
    ),
    *(debug(architecture, upsampler="nearest", scale=4) for architecture in ("srcnn", "vdsr")),
    debug("vdsr", upsampler="nearest", scale=3, bias=False, depth=2),
]
