"""Tests that little memory and bfloat16 do not change the image, and that fallbacks are reported."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn
from torch.nn.functional import interpolate

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.models.bfloat16 import LARGEST_COST_DB, has_fast_bfloat16, precision_called
from nitido.models.working_memory import PROBE
from nitido.upscaling.images.target_size import UpscaleError
from nitido.upscaling.tiled_inference import CUT_SMALLER, REDONE
from nitido.upscaling.upscaler import ImageUpscaler
from tests.architectures.recipes import Recipe
from tests.forked import ForkServer

PHOTO = data.astronaut()[60:139, 190:301]
SIZE = (2 * PHOTO.shape[0], 2 * PHOTO.shape[1])
NETWORK = Recipe("edsr", "debug").build().eval()

SHORT_OF_MEMORY = """
import resource
from pathlib import Path
from pathlib import Path

import numpy as np
from nitido.architectures import build, get_architecture
from nitido.upscaling.upscaler import ImageUpscaler

family = get_architecture("vdsr")
network = build("vdsr", family.config_class.parse({"depth": 6}, "VDSR")).eval()
pixels = np.random.default_rng(0).integers(0, 256, (190, 190, 1), dtype=np.uint8)  # one piece, where memory is enough
roomy, _ = ImageUpscaler(network, memory=1 << 25).upscale(pixels, None, 380, 380)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
# A layer's input and output, 64 channels of 380×380 pixels each, are 74 MB; of a quarter with its margin they are 21.
resource.setrlimit(resource.RLIMIT_AS, (taken + (60 << 20), resource.RLIM_INFINITY))
notes, shares = [], []
cramped, _ = ImageUpscaler(network).upscale(pixels, None, 380, 380, shares.append, note=notes.append)
print(np.abs(cramped.astype(int) - roomy).max(), f"{sum(shares):.6f}", *set(notes), sep=";")
"""


def test_a_tile_that_does_not_fit_is_split(fork_server: ForkServer, tmp_path: Path) -> None:
    ended = fork_server.python(SHORT_OF_MEMORY, cwd=tmp_path)  # with one thread: each would want memory of its own
    assert ended.code == 0, ended
    difference, shares, *notes = ended.out.strip().split(";")
    assert int(difference) <= 1
    assert (shares, notes) == ("1.000000", [CUT_SMALLER])


class Doubling(SuperResolutionNetwork):
    """Nearest neighbor ×2 with a radius, which leaves the rest to its children."""

    def __init__(self, radius: int | None = 0) -> None:
        super().__init__(NETWORK.config, radius)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, lr: Tensor) -> Tensor:
        self.sizes.append((lr.shape[-2], lr.shape[-1]))
        return interpolate(lr, scale_factor=2, mode="nearest")


class Greedy(Doubling):
    """Asks for more than any machine has, once a side of its input is longer than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, lr: Tensor) -> Tensor:
        upscaled = super().forward(lr)
        if max(lr.shape[-2:]) > self.limit:
            torch.empty(10**15)
        return upscaled


def test_after_a_failed_tile_all_later_tiles_are_small() -> None:
    network, notes, shares = Greedy(60), [], []
    upscaled, _ = ImageUpscaler(network).upscale(PHOTO, None, *SIZE, shares.append, note=notes.append)
    np.testing.assert_array_equal(upscaled, PHOTO.repeat(2, axis=0).repeat(2, axis=1))
    assert sum(max(size) > 60 for size in network.sizes) == 1
    assert set(notes) == {CUT_SMALLER}
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("radius", [0, None])
def test_a_tile_that_cannot_be_split_gives_one_line(radius: int | None) -> None:
    class Never(Doubling):
        def forward(self, lr: Tensor) -> Tensor:
            if lr.shape[-2:] != (PROBE, PROBE):
                torch.empty(10**15)
            return super().forward(lr)

    with pytest.raises(UpscaleError, match="out of memory for a tile of the image"):
        ImageUpscaler(Never(radius)).upscale(PHOTO, None, *SIZE)


def test_other_errors_are_not_converted() -> None:
    class Broken(Doubling):
        def forward(self, lr: Tensor) -> Tensor:
            return super().forward(lr) @ lr if lr.shape[-1] != PROBE else super().forward(lr)

    with pytest.raises(RuntimeError, match=r"Expected size|must match"):
        ImageUpscaler(Broken()).upscale(PHOTO, None, *SIZE)


class Coarse(Doubling):
    """Adds 512 by a convolution and takes it off again: in bfloat16 nothing is left of the image."""

    def __init__(self, divides: bool) -> None:
        super().__init__()
        self.divides = divides
        self.raised = nn.Conv2d(3, 3, 1)
        nn.init.dirac_(self.raised.weight)
        nn.init.constant_(self.raised.bias, 512)

    def forward(self, lr: Tensor) -> Tensor:
        left = self.raised(lr) - 512
        return super().forward(lr * (left / left) if self.divides else left)


@pytest.mark.parametrize("divides", [False, True], ids=["black", "not finite"])
@torch.no_grad()
def test_tiles_that_fail_in_bfloat16_are_computed_again_in_float32(divides: bool) -> None:
    light = np.maximum(PHOTO, 40)
    network = Coarse(divides)
    with torch.autocast("cpu", torch.bfloat16):
        broken = network(torch.full((1, 3, 4, 4), 0.3))
    assert not (torch.isfinite(broken) & (broken > 0)).any()
    notes: list[str] = []
    upscaled, _ = ImageUpscaler(network, precision="bfloat16").upscale(light, None, *SIZE, note=notes.append)
    assert np.abs(upscaled.astype(int) - light.repeat(2, axis=0).repeat(2, axis=1)).max() <= 1
    assert set(notes) == {REDONE}


def test_a_black_image_may_stay_black_in_bfloat16() -> None:
    notes: list[str] = []
    black = np.zeros_like(PHOTO)
    upscaled, _ = ImageUpscaler(Coarse(divides=False), precision="bfloat16").upscale(
        black, None, *SIZE, note=notes.append
    )
    assert not upscaled.any()
    assert notes == []


def upscaled(**options: object) -> np.ndarray:
    return ImageUpscaler(NETWORK, **options).upscale(PHOTO, None, *SIZE)[0]


def test_auto_is_bfloat16_only_where_it_is_fast_and_costs_nothing() -> None:
    exact, short = upscaled(precision="float32"), upscaled(precision="bfloat16")
    assert (exact != short).any()
    np.testing.assert_array_equal(upscaled(), exact)  # not measured
    np.testing.assert_array_equal(upscaled(bfloat16_cost_db={2: LARGEST_COST_DB}), exact)
    np.testing.assert_array_equal(upscaled(bfloat16_cost_db={4: 0.0}), exact)  # measured at another scale
    np.testing.assert_array_equal(upscaled(bfloat16_cost_db={2: 0.0}, precision="float32"), exact)
    expected = short if has_fast_bfloat16(torch.device("cpu")) else exact
    np.testing.assert_array_equal(upscaled(bfloat16_cost_db={2: 0.0}), expected)


def test_impossible_precisions() -> None:
    with pytest.raises(UpscaleError, match="bfloat16 needs a network that PyTorch runs"):
        ImageUpscaler(None, precision="bfloat16")
    with pytest.raises(NitidoError, match="unknown precision 'bfloat': did you mean 'bfloat16'"):
        precision_called("bfloat")
