"""The wheel holds what the package reads from beside its code, and nothing that only a checkout needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nitido.data import SAMPLES

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name and content of every file in the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("nitido-*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_holds_the_sample_images_and_their_licence(wheel: dict[str, bytes]) -> None:
    for sample in SAMPLES:
        if sample.kodak is not None:
            assert wheel[f"nitido/data/samples/{sample.file}"] == sample.path.read_bytes()
    assert b"unrestricted use" in wheel["nitido/data/samples/README.md"]


@pytest.mark.parametrize("pattern", ["*.safetensors", "*.md", "*.yaml", "*.j2", "*.js", "*.css", "*.c", "py.typed"])
def test_it_holds_every_other_file_beside_the_code(wheel: dict[str, bytes], pattern: str) -> None:
    names = [path.relative_to(SOURCES).as_posix() for path in (SOURCES / "nitido").rglob(pattern)]
    assert names
    assert [name for name in names if name not in wheel] == []


def test_it_holds_the_package_alone(wheel: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {"nitido", "nitido-0.1.0.dist-info"}
