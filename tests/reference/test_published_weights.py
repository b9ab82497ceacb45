"""Weights that others published, imported by the command, against what they measure on Set5."""

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

SRCNN_KERAS = "srcnn_keras/3051crop_weight_200.h5"
LEFTTHOMAS = "leftthomas/netG_epoch_4_100.pth"
PSNR_Y = {(LEFTTHOMAS, 4): 30.65, (SRCNN_KERAS, 2): 34.45, (SRCNN_KERAS, 3): 31.22, (SRCNN_KERAS, 4): 28.78}
"""By the file and the scale: in dB, measured with the authors' networks and a replicated border."""


@pytest.fixture(scope="module")
def set5(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    images = ImageSet("set5", tuple(find_images(shared / "data" / "set5")))
    return prepare(images, [2, 3, 4], tmp_path_factory.mktemp("packs"))


def imported(weights: Path, model: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nitido", "model", "import", str(weights), "-o", str(model)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return model


@pytest.mark.parametrize(("file", "scale"), PSNR_Y)
def test_set5_reads_as_published(shared: Path, tmp_path: Path, set5: Store, file: str, scale: int) -> None:
    model = imported(shared / "weights" / file, tmp_path / "m.safetensors")
    network = load_model_file(model, scale).network.to(memory_format=torch.channels_last)
    scores = [score.metrics["psnr_y"] for score in evaluate(NetworkUpscaler(network), set5, scale)]
    assert len(scores) == 5
    assert fmean(scores) == pytest.approx(PSNR_Y[file, scale], abs=0.03)


def test_the_border_of_srcnn_keras(shared: Path, tmp_path: Path) -> None:
    """Inside, the values are those of the unpadded network that was trained; outside, a grey image stays grey."""
    network = load_model_file(imported(shared / "weights" / SRCNN_KERAS, tmp_path / "m.safetensors"), 2).network
    assert network.config.model_dump()["padding"] == "replicate"
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    lr = torch.rand(1, 1, 24, 25, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        features = network.upscale(lr)  # type: ignore[operator]
        for number, layer in enumerate(layers):
            features = torch.nn.functional.conv2d(features, layer.weight, layer.bias)
            features = features.relu() if number < 2 else features
        lost = sum(layer.kernel_size[0] // 2 for layer in layers)
        torch.testing.assert_close(network(lr)[..., lost:-lost, lost:-lost], features, rtol=0, atol=1e-5)
        grey = network(torch.full((1, 1, 9, 9), 0.5))
    assert float(grey.max() - grey.min()) < 1e-5
