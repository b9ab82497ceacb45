"""Gives every test its own cache and torch.hub folder; a replacement of the VGG19 file; images."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import nn


@dataclass(frozen=True)
class StandIn:
    """torchvision's VGG19 with random weights, its file, and the SHA-256 that the file's name begins."""

    features: nn.Sequential
    file: Path
    sha256: str


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="session")
def vgg19_file(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    vgg = pytest.importorskip("torchvision.models").vgg19
    with torch.device("meta"):
        features = vgg(init_weights=False).features
    features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in features.parameters():
        fan_in = parameter[0].numel()
        parameter.data.normal_(0, (2 / fan_in) ** 0.5 if parameter.ndim == 4 else 0.05, generator=generator)
    file = tmp_path_factory.mktemp("vgg19") / "draft.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return StandIn(features.eval(), file.rename(file.with_name(f"vgg19-{sha256[:8]}.pth")), sha256)


def _crop(image: np.ndarray, top: int, left: int) -> np.ndarray:
    return image[top : top + 128, left : left + 128] / 255


IMAGES = {
    "face": _crop(data.astronaut(), 60, 150),
    "suit": _crop(data.astronaut(), 250, 20),
    "chelsea": _crop(data.chelsea(), 60, 100),
    "cup": _crop(data.coffee(), 80, 200),
    "table": _crop(data.coffee(), 200, 50),
    "rocket": _crop(data.rocket(), 150, 250),
}


@pytest.fixture(params=list(IMAGES))
def image(request: pytest.FixtureRequest) -> np.ndarray:
    """RGB, `(128, 128, 3)` float64 in [0, 1]."""
    return IMAGES[request.param]
