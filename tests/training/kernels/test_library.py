"""The kernels' library: made once, and one clear line where it cannot be made."""

from pathlib import Path

import pytest
import torch
from tests.training.kernels.conftest import HAS_TILES

from nitido.training.fast_path import compiler_name
from nitido.training.kernels import KernelsUnavailableError, load


@pytest.fixture
def with_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with tiles, as far as loading asks."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


@pytest.mark.parametrize("lacking", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_a_processor_without_tiles_is_refused(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    monkeypatch.setattr(torch.cpu, lacking, lambda: False)
    with pytest.raises(KernelsUnavailableError, match=r"^the processor has no bfloat16 matrix tiles \(AMX\)$"):
        load(compiler_name())


@pytest.mark.usefixtures("with_tiles")
def test_what_the_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    with pytest.raises(KernelsUnavailableError) as refused:
        load("g++ --no-such-option")
    line = str(refused.value)
    assert line.startswith("g++ cannot compile chain.c: ")
    assert "no-such-option" in line
    assert "\n" not in line
    assert not list((tmp_path / "kernels").iterdir()), "nothing half made is left"


@pytest.mark.usefixtures("with_tiles")
def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "file"))
    with pytest.raises(KernelsUnavailableError, match=r"chain-\w+\.so: (Not a directory|File exists)"):
        load("g++ -DUNUSED")


@pytest.mark.usefixtures("with_tiles")
def test_it_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    compiler = compiler_name() + " -DONCE"

    if HAS_TILES:
        assert load(compiler) is load(compiler)
    else:
        with pytest.raises(KernelsUnavailableError, match="the system does not let this process use"):
            load(compiler)
    (made,) = (tmp_path / "kernels").iterdir()
    assert made.suffix == ".so"
