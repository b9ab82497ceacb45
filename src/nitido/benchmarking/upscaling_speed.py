"""Measure the time per megapixel of the tiled upscaler, and of the same network on the whole image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base.clock import Action, Progress, ignore, interleaved, medians
from nitido.base.device import choose_device, device_of
from nitido.base.errors import NitidoError
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.benchmarking.machine_info import MachineInfo, machine_info
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.upscaling.images.channels import match_channels
from nitido.upscaling.upscaler import BICUBIC, ImageUpscaler, load_upscaler

COMPACT = ("edsr", "compact")
"""Default architecture and variant; the speed does not depend on the weights."""


@dataclass(frozen=True)
class UpscaleSpeed:
    """Seconds per megapixel of output; medians over `rounds`.

    `nitido` is the upscaler of `nitido upscale`, in bfloat16 if the loss of the model is negligible; `plain_float32` is
    the network on the whole image in eager float32; `nitido_bfloat16` is the upscaler in bfloat16 in any case, None
    without hardware support. `height` and `width` are those of the output in pixels.
    """

    model: str
    scale: int
    height: int
    width: int
    seconds_per_megapixel: Mapping[str, float | None]
    rounds: int
    where: MachineInfo

    @property
    def speedup(self) -> float:
        """Speed relative to the plain network."""
        seconds = self.seconds_per_megapixel
        return cast(float, seconds["plain_float32"]) / cast(float, seconds["nitido"])

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "model": self.model,
            "scale": self.scale,
            "height": self.height,
            "width": self.width,
            "megapixels": self.height * self.width / 1e6,
            "seconds_per_megapixel": dict(self.seconds_per_megapixel),
            "speedup": self.speedup,
            "rounds": self.rounds,
            **self.where.as_json(),
        }


def measure_upscale(
    model: str | None,
    megapixels: float,
    rounds: int,
    progress: Progress = ignore,
    device: torch.device | None = None,
) -> UpscaleSpeed:
    """Upscale a generated square image to about `megapixels` with each contestant in interleaved rounds.

    Raises `ModelFileError` if the model does not exist, and `NitidoError` if the whole image does not fit into memory.
    """
    device = device or choose_device()
    if model == BICUBIC:
        raise NitidoError(f"{model} is not a network: name a model")
    upscaler = load_upscaler(model or _untrained(), device=device)
    network = upscaler.network
    assert network is not None
    side = max(1, round(math.sqrt(megapixels * 1e6) / network.scale))
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    large = side * network.scale
    actions: dict[str, Action] = {
        "nitido": lambda: upscaler.upscale(pixels, None, large, large),
        "plain_float32": lambda: upscale_whole(network, pixels),
    }
    if has_fast_bfloat16(device):
        half = ImageUpscaler(network, precision="bfloat16")
        actions["nitido_bfloat16"] = lambda: half.upscale(pixels, None, large, large)
    seconds = unless_out_of_memory(lambda: interleaved(actions, rounds, device, progress=progress))
    if seconds is None:
        raise NitidoError(f"{megapixels:g} megapixels as a whole do not fit into memory: choose fewer")
    per_megapixel = {way: value * 1e6 / large**2 for way, value in medians(seconds).items()}
    return UpscaleSpeed(
        model=model or ".".join(COMPACT),
        scale=network.scale,
        height=large,
        width=large,
        seconds_per_megapixel={"nitido_bfloat16": None, **per_megapixel},
        rounds=rounds,
        where=machine_info(device, seconds),
    )


@torch.inference_mode()
def upscale_whole(network: SuperResolutionNetwork, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Upscale uint8 RGB `(h, w, 3)` to `(k·h, k·w, 3)` as a whole: float32, contiguous NCHW, no compiler."""
    device = device_of(network)
    lr = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float().contiguous() / 255
    upscaled = match_channels(network, 3).eval()(lr)
    samples = (upscaled[0] * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return samples.cpu().numpy()


def _untrained() -> SuperResolutionNetwork:
    architecture, variant = COMPACT
    return build(architecture, resolve_config(architecture, variant, {}))
