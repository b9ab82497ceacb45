"""Both ways to enlarge make the same image, so that their times can be compared."""

import numpy as np
import pytest
import torch

from nitido.architectures import build, resolve_config
from nitido.benchmarking import machine_info, upscaling_speed
from nitido.benchmarking.upscaling_speed import measure_upscale, upscale_whole
from nitido.upscaling.upscaler import ImageUpscaler


@pytest.mark.parametrize(("architecture", "channels"), [("edsr", 3), ("vdsr", 1)])
def test_the_whole_image_is_what_the_upscaler_makes(architecture: str, channels: int) -> None:
    torch.manual_seed(0)
    network = build(architecture, resolve_config(architecture, "debug", {"channels": channels}))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    whole = upscale_whole(network, pixels)
    pieces, _ = ImageUpscaler(network, memory=1 << 20).upscale(pixels, None, 80, 104)
    difference = np.abs(whole.astype(int) - pieces.astype(int))
    assert difference.max() <= 1, "rounding alone"
    assert (difference > 0).mean() < 0.001


def test_without_bfloat16_in_hardware_it_is_left_out_and_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (upscaling_speed, machine_info):
        monkeypatch.setattr(module, "has_fast_bfloat16", lambda device: False)
    found = measure_upscale(None, 0.01, 1)
    assert found.seconds_per_megapixel["nitido_bfloat16"] is None
    assert sum("bfloat16" in note for note in found.where.notes) == 1
