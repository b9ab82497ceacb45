"""Fixtures for every kernel source.

Tests that need bfloat16 vectors are not collected on a processor without them. Matrix tiles are emulated if the
processor has none.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
import torch

from nitido.kernels import Kernels
from nitido.kernels.compiler import compiler_name
from nitido.kernels.library import TILES, WINOGRAD, load_source
from tests.programs import require_compiler

HEADER = Path(__file__).with_name("emulated_tiles.h")
EMULATED = replace(
    TILES,
    available=WINOGRAD.available,
    flags=f"{TILES.flags} -include {HEADER} -DHEADER={crc32(HEADER.read_bytes())}",  # part of the key
)
SOURCES = {"tiles": TILES if TILES.available() else EMULATED, "winograd": WINOGRAD}

collect_ignore = (
    []
    if WINOGRAD.available()
    else [
        "test_chain.py",
        "test_in_use.py",
        "test_library_files.py",
        "test_narrow.py",
        "test_operands.py",
        "test_accelerated_network.py",
    ]
)


@pytest.fixture(scope="session", params=SOURCES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return load_source(SOURCES[request.param], compiler_name())


@pytest.fixture(scope="session", autouse=True)
def _compiler() -> None:
    require_compiler()


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Restore the number of PyTorch's threads, which the kernels use too."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
