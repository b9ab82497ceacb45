"""The VDSR authors' own weights, imported by the command, against the figures of their paper."""

import sys
from pathlib import Path
from statistics import fmean

import pytest
import torch

from nitido.cli import main
from nitido.data import ImageSet, Store, prepare
from nitido.evaluation.scoring import NetworkUpscaler, evaluate
from nitido.imaging import find_images
from nitido.models import load_model_file

PUBLISHED = {2: 37.53, 3: 33.66, 4: 31.34}
"""PSNR of Y in dB on Set5. The authors shrank Y without rounding: the protocol's uint8 input costs 0.01 dB at ×2."""


@pytest.fixture(scope="module")
def set5(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    images = ImageSet("set5", tuple(find_images(shared / "data" / "set5")))
    return prepare(images, list(PUBLISHED), tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def model(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one model file for all scales."""
    weights = shared / "weights" / "vdsr_official" / "VDSR_Official_oihw.npz"
    model = tmp_path_factory.mktemp("models") / "vdsr.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nitido", "model", "import", str(weights), "-o", str(model)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return model


@pytest.mark.parametrize("scale", PUBLISHED)
def test_set5_reads_as_published(set5: Store, model: Path, scale: int) -> None:
    network = load_model_file(model, scale).network.to(memory_format=torch.channels_last)  # a fifth faster
    scores = [score.metrics["psnr_y"] for score in evaluate(NetworkUpscaler(network), set5, scale)]
    assert len(scores) == 5
    assert fmean(scores) == pytest.approx(PUBLISHED[scale], abs=0.02)
