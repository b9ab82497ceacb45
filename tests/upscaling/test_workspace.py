"""Arrays in memory and in files: the same arrays, and nothing is left of the files."""

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitido.upscaling.workspace import Workspace, bands


def test_a_large_array_is_in_the_folder_and_a_small_one_in_memory(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "made" / "when_needed", largest_in_memory=1000)
    small = workspace.empty((10, 10, 10), np.uint8)
    assert small.base is None
    assert not (tmp_path / "made").exists()
    large = workspace.empty((7, 11, 13), np.uint16)
    assert (tmp_path / "made" / "when_needed").is_dir()
    assert list((tmp_path / "made" / "when_needed").iterdir()) == []  # no name that a crash could leave behind
    values = np.random.default_rng(0).integers(0, 65536, large.shape, dtype=np.uint16)
    large[...] = values
    workspace.release()
    np.testing.assert_array_equal(large, values)
    large[3] = 5
    workspace.release()
    assert (large[3] == 5).all()
    np.testing.assert_array_equal(large[4:], values[4:])


def test_without_a_folder_everything_is_in_memory() -> None:
    assert Workspace(largest_in_memory=0).empty((3, 4), np.uint8).base is None


def test_like() -> None:
    pixels = np.zeros((3, 4, 2), np.uint16)
    made = Workspace().like(pixels, height=7)
    assert (made.shape, made.dtype) == ((7, 4, 2), np.uint16)
    assert Workspace().like(pixels, width=9).shape == (3, 9, 2)


def test_release_frees_memory(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    workspace = Workspace(tmp_path, largest_in_memory=0)
    array = workspace.empty((1 << 26,), np.uint8)
    before = resident()
    array[...] = 1
    assert resident() - before > 1 << 25
    workspace.release()
    assert resident() - before < 1 << 24
    assert int(array[::4096].sum()) == (1 << 26) // 4096


def test_a_full_disk_is_an_error_at_allocation(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            Workspace(tmp_path, largest_in_memory=0).empty((1001,), np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(rows=st.integers(1, 50), width=st.integers(1, 9), numbers=st.integers(1, 60))
def test_bands_cover_the_rows_once(rows: int, width: int, numbers: int) -> None:
    cut = list(bands((rows, width), numbers, Workspace()))
    assert [row for band in cut for row in range(rows)[band]] == list(range(rows))
    assert all((band.stop - band.start) * width <= max(numbers, width) for band in cut)
