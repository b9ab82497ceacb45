"""The VDSR authors' own weights, imported by the command, against the figures of their paper."""

import sys
from pathlib import Path
from statistics import fmean

import pytest
import torch

from nitido.cli import main
from nitido.data import PictureSet, Store, prepare
from nitido.evaluation.benchmark import NetworkEnlarger, evaluate
from nitido.imaging import find_pictures
from nitido.inference import load_model_file

PUBLISHED = {2: 37.53, 3: 33.66, 4: 31.34}
"""PSNR of Y in dB on Set5. The authors shrank Y without rounding: the protocol's uint8 input costs 0.01 dB at ×2."""


@pytest.fixture(scope="module")
def set5(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    pictures = PictureSet("set5", tuple(find_pictures(shared / "data" / "set5")))
    return prepare(pictures, list(PUBLISHED), tmp_path_factory.mktemp("packs"))


@pytest.mark.parametrize("scale", PUBLISHED)
def test_set5_reads_as_published(
    set5: Store, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    weights, model = shared / "weights" / "vdsr_official" / "VDSR_Official_oihw.npz", tmp_path / "vdsr.safetensors"
    command = ["nitido", "model", "import", str(weights), "--scale", str(scale), "-o", str(model)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code

    network = load_model_file(model).network.to(memory_format=torch.channels_last)  # a fifth faster
    scores = [score.metrics["psnr_y"] for score in evaluate(NetworkEnlarger(network), set5, scale)]
    assert len(scores) == 5
    assert fmean(scores) == pytest.approx(PUBLISHED[scale], abs=0.02)
