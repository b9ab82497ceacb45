"""A published set is known by its images, not by the name of its folder."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from nitido.data import prepare, resolve
from nitido.data.published_images import published_images


def test_every_set_has_as_many_hashes_as_images() -> None:
    counts = {name: len(hashes) for name, hashes in published_images().items()}
    assert counts == {"set5": 5, "set14": 14, "bsd100": 100}
    text = files("nitido.data").joinpath("published_images.json").read_text(encoding="utf-8")
    assert {name: len(hashes) for name, hashes in json.loads(text).items()} == counts, "no two are equal"


@pytest.mark.parametrize("name", ["set5", "set14", "bsd100"])
def test_the_real_sets_are_recognized(
    shared: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    prepare(resolve(name, "test"), [], cache=tmp_path)
    assert "published" not in capsys.readouterr().err


def test_other_images_under_the_name_of_a_set_are_reported(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shared / "data" / "set5", tmp_path / "set5")
    Image.open(tmp_path / "set5" / "bird.bmp").save(tmp_path / "set5" / "bird.png")
    (tmp_path / "set5" / "bird.bmp").unlink()
    monkeypatch.setenv("NITIDO_DATA", str(tmp_path))
    prepare(resolve("set5", "test"), [], cache=tmp_path / "cache")
    assert "published" not in capsys.readouterr().err, "the same pixels in another format"
    Image.open(tmp_path / "set5" / "woman.bmp").rotate(180).save(tmp_path / "set5" / "woman.bmp")
    prepare(resolve("set5[:5]", "test"), [], cache=tmp_path / "cache")
    assert "set5: woman: not the published images of this set" in capsys.readouterr().err
