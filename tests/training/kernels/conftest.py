"""The kernels' library; where the processor has no matrix tiles, what needs them is not collected."""

import ctypes

import pytest
import torch

from nitido.training.fast_path import compiler_name
from nitido.training.kernels import load

HAS_TILES = torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()

collect_ignore = [] if HAS_TILES else ["test_chain.py", "test_twin.py"]


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    return load(compiler_name())
