"""The catalog and the image-set grammar."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nitido.base.folders import data_root
from nitido.data import DATASETS, SAMPLES, DataError, Role, dataset, resolve, resolve_all


def _fill(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True)
    names = [f"{n:03}.png" for n in range(count)]
    for name in names:
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / name)
    return names


def _names(spec: str, role: Role | None = None) -> list[str]:
    return [path.name for path in resolve(spec, role).paths]


@pytest.mark.parametrize("entry", DATASETS.values(), ids=DATASETS)
def test_every_entry_is_consistent(entry: Any) -> None:
    assert entry.title
    assert entry.terms
    if entry.splits:
        assert sum(split.count for split in entry.splits) == entry.count
    if entry.downloads:
        assert sum(download.count for download in entry.downloads) == entry.count
        assert {download.split for download in entry.downloads} == {split.name for split in entry.splits} or {None}
    assert entry.name == "samples" or bool(entry.downloads) != bool(entry.by_hand)
    for download in entry.downloads:
        assert download.url.startswith("https://")
        assert download.sha256 is None or len(bytes.fromhex(download.sha256)) == 32


def test_a_bare_name_means_the_split_of_the_role() -> None:
    assert _names("samples", "test")[:2] == ["chelsea.png", "kodak03_caps.webp"]
    assert _names("samples", "validation") == _names("samples/validation")
    assert _names("samples/test", "train") == _names("samples/test")
    assert len(_names("samples")) == len(SAMPLES)
    with pytest.raises(DataError, match="'div2k' has no test split: write div2k/train or div2k/validation"):
        resolve("div2k", "test")


def test_the_name_of_a_set_is_its_specification() -> None:
    assert resolve("samples/train[:2]").name == "samples/train[:2]"


def test_datasets_are_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = _fill(tmp_path / "elsewhere" / "set5", 5)
    with pytest.raises(DataError) as missing:
        resolve("set5")
    assert str(missing.value) == (
        f"dataset 'set5' is not in {tmp_path / 'data' / 'set5'}: run 'nitido data fetch set5', "
        "or set $NITIDO_DATA to the folder that contains set5/"
    )
    monkeypatch.setenv("NITIDO_DATA", str(tmp_path / "elsewhere"))
    assert _names("set5", "test") == names
    assert dataset("set5").is_complete()
    monkeypatch.delenv("NITIDO_DATA")
    assert data_root().name == "nitido"


def test_splits_have_their_own_folders(tmp_path: Path) -> None:
    _fill(tmp_path / "data" / "div2k" / "validation", 100)
    assert len(resolve("div2k", "validation").paths) == 100
    assert not dataset("div2k").is_complete()
    with pytest.raises(DataError, match="div2k/train"):
        resolve("div2k", "train")


def test_a_dataset_with_the_wrong_number_of_images_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path / "data" / "set5", 4)
    with pytest.raises(DataError, match=r"'set5' has 5 images, but .*set5 contains 4"):
        resolve("set5")


def test_folders_are_sets_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = _fill(folder / "set5", 7)
    assert _names(f"{folder}/set5[1:3]") == names[1:3]
    monkeypatch.chdir(folder)
    assert _names("./set5") == names
    with pytest.raises(DataError, match="data fetch set5"):
        resolve("set5")
    _fill(folder / "holiday", 2)
    assert len(_names("holiday")) == 2
    _fill(folder / "odd[1:2]", 3)
    assert len(_names("odd[1:2]")) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    start=st.none() | st.integers(-40, 40),
    stop=st.none() | st.integers(-40, 40),
    step=st.none() | st.integers(-4, 4).filter(bool),
)
def test_slices_are_those_of_python(start: int | None, stop: int | None, step: int | None) -> None:
    everything = _names("samples")
    expected = everything[start:stop:step]
    numbers = ["" if number is None else str(number) for number in (start, stop)]
    spec = f"samples[{':'.join(numbers)}{'' if step is None else f':{step}'}]"
    if expected:
        assert _names(spec) == expected
    else:
        with pytest.raises(DataError, match="selects none of the 33 images"):
            resolve(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sett5", "unknown dataset 'sett5': did you mean 'set5'"),
        ("samples/tset", "unknown split of samples 'tset': did you mean 'test'"),
        ("set5/train", "'set5' has no splits"),
        ("sampels/train", "no folder 'sampels/train' .did you mean the dataset 'samples'"),
        ("samples[3]", "must be a Python slice"),
        ("samples[::0]", "must be a Python slice"),
        ("samples[a:b]", "must be a Python slice"),
        ("", "unknown dataset"),
    ],
)
def test_mistakes_get_a_line(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        resolve(spec)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="no images in"):
        resolve(str(folder))


def test_the_catalog_is_light() -> None:
    code = "import sys, nitido.data; print(sorted({'torch', 'pyvips', 'requests', 'skimage'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_several_sets_become_one_without_repeats(tmp_path: Path) -> None:
    _fill(tmp_path / "one", 3)
    _fill(tmp_path / "two", 2)
    specs = [f"{tmp_path}/one[:2]", f"{tmp_path}/one", f"{tmp_path}/two"]
    together = resolve_all(specs)
    assert together.name == " + ".join(specs)
    assert [path.parent.name for path in together.paths] == ["one"] * 3 + ["two"] * 2
    assert len(set(together.paths)) == 5


def test_a_folder_stands_for_all_images_below_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    for name in ("b.png", "sub/a.jpe", "notes.md"):
        (folder / name).write_bytes(b"x")
    assert [path.name for path in resolve(str(folder)).paths] == ["b.png", "a.jpe"]
    assert capsys.readouterr().err == f"note: {folder}: skipped 1 file(s) of other types (notes.md)\n"
