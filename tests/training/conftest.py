"""A small store of real pixels and a tiny network."""

import numpy as np
import pytest
import torch
from PIL import Image

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.data import ImageSet, Store, prepare
from nitido.kernels.library import WINOGRAD

collect_ignore = [] if WINOGRAD.available() else ["test_kernels.py"]


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from skimage import data

    folder = tmp_path_factory.mktemp("small")
    crops = {"a": data.chelsea()[60:140, 90:190], "b": data.coffee()[100:180, 200:280]}
    for name, pixels in crops.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    paths = tuple(folder / f"{name}.png" for name in crops)
    return prepare(ImageSet("small", paths), [2], tmp_path_factory.mktemp("packs"))


@pytest.fixture
def tiny_network() -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build("srcnn", resolve_config("srcnn", "debug", {}))
