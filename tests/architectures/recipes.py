"""Networks small enough to measure: what `test_contract.py` asks of every architecture is asked of each of these."""

from dataclasses import dataclass, field
from typing import Any

import torch

from nitido.architectures import SuperResolutionNetwork, build, get_architecture, resolve_config

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
        for upsampler, channels in (("pixel_shuffle", 1), ("transposed", 3))
    ),
]
