"""Tests that the fastest kernels for the processor are compiled once, and that failures give one clear line."""

from pathlib import Path

import pytest
import torch

from nitido.kernels import KernelsUnavailableError, fastest, load
from nitido.kernels.compiler import compiler_name
from nitido.kernels.library import TILES, WINOGRAD, Source, load_source
from tests.kernels.conftest import EMULATED


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """Return a function that sets which instructions the processor appears to have."""

    def pretend(*, vectors: bool, tiles: bool) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)

    return pretend


@pytest.mark.parametrize("tiles", [False, True])
def test_a_processor_without_bfloat16_is_refused(processor, tiles: bool) -> None:
    processor(vectors=False, tiles=tiles)
    message = r"^the processor has neither matrix tiles \(AMX\) nor bfloat16 vectors \(AVX512-BF16\)$"
    with pytest.raises(KernelsUnavailableError, match=message):
        load()


@pytest.mark.parametrize(("tiles", "source"), [(False, WINOGRAD), (True, TILES)])
def test_tiles_are_preferred_if_the_processor_has_them(
    processor, tiles: bool, source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor(vectors=True, tiles=tiles)
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    assert fastest() is source
    monkeypatch.setenv("CXX", f"false {source.name}")
    with pytest.raises(KernelsUnavailableError, match="false cannot compile the kernels: exit code 1"):
        load()
    asked = []
    monkeypatch.setattr("nitido.kernels.library.load_source", lambda *given: asked.append(given))
    load()
    assert asked == [(source, f"false {source.name}")]


def test_errors_of_the_compiler_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    with pytest.raises(KernelsUnavailableError) as refused:
        load_source(WINOGRAD, "g++ --no-such-option")
    line = str(refused.value)
    assert line.startswith("g++ cannot compile the kernels: ")
    assert "no-such-option" in line
    assert "\n" not in line
    assert not list((tmp_path / "kernels").iterdir()), "no partial files remain"


def test_an_unwritable_cache_gives_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "file"))
    with pytest.raises(KernelsUnavailableError, match=r"winograd-\w+\.so: (Not a directory|File exists)"):
        load_source(WINOGRAD, "g++ -DUNUSED")


@pytest.mark.parametrize("source", [WINOGRAD, EMULATED], ids=lambda source: source.name)
def test_a_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    compiler = compiler_name() + " -DONCE"
    assert load_source(source, compiler) is load_source(source, compiler)
    (made,) = (tmp_path / "kernels").iterdir()
    assert made.name.startswith(source.name)
    assert made.suffix == ".so"


def test_tiles_that_the_system_does_not_allow_give_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may refuse the request on a processor with tiles, and always does on one without."""
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path))
    with pytest.raises(KernelsUnavailableError, match=r"does not let this process use the processor's matrix tiles"):
        load_source(TILES, f"{compiler_name()} -Dsyscall(...)=-1 -D_UNISTD_H")
