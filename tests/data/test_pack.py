"""Tests that packs preserve pixels, are reused, and are written atomically."""

import hashlib
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from nitido.data import DataError, ImageSet, Store, pack, prepare, refuse_overlap, resolve, resolve_all
from nitido.data.pack import unique_names
from nitido.imaging import DecodedImage, ImageFileError, bicubic_downscale


def _noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(path: Path, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    Image.fromarray(pixels).save(path)
    return pixels


def _files(folder: Path) -> dict[str, int]:
    """Every file below `folder` and when it was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_images_come_out_as_they_went_in(folder: Path) -> None:
    color = _save(folder / "color.png", _noise(31, 42))
    grey = _save(folder / "grey.png", _noise(20, 33)[..., 0])
    store = prepare(resolve(str(folder)), [2, 3])
    assert (store.names, store.grey, len(store)) == (("color", "grey"), (False, True), 2)
    np.testing.assert_array_equal(store.hr(0), color)
    np.testing.assert_array_equal(store.hr(1), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(store.hr_cropped(0, 2), color[:30, :42])
    np.testing.assert_array_equal(store.hr_cropped(1, 3), store.hr(1)[:18])
    assert [store.lr(i, 3).shape for i in range(2)] == [(10, 14, 3), (6, 11, 3)]
    assert store.lr_sizes(2) == [(15, 21), (10, 16)]
    for view in (store.hr(0), store.lr(0, 2)):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0, 0] = 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_is_what_matlab_makes(shared: Path, monkeypatch: pytest.MonkeyPatch, scale: int) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    store = prepare(resolve("set5"), [scale])
    golden = {path.stem: path for path in (shared / "golden" / "matlab_bicubic_down" / f"x{scale}").iterdir()}
    compared = 0
    for i, name in enumerate(store.names):
        (match,) = [path for stem, path in golden.items() if stem.startswith(name)]
        np.testing.assert_array_equal(store.lr(i, scale), np.asarray(Image.open(match)))
        compared += 1
    assert compared == 5


def test_a_pack_is_used_again(folder: Path, tmp_path: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    prepare(resolve(str(folder)), [2])
    before = _files(tmp_path / "cache")
    assert {Path(name).name for name in before} == {"hr.bin", "index.json", "lr_x2.bin"}
    assert prepare(resolve(str(folder)), [2]).hr(0).shape == (20, 20, 3)
    assert _files(tmp_path / "cache") == before
    prepare(resolve(str(folder)), [2, 4])
    after = _files(tmp_path / "cache")
    assert {name: after.get(name) for name in before} == before
    assert {Path(name).name for name in after.keys() - before.keys()} == {"lr_x4.bin"}


def test_a_changed_image_makes_a_new_pack(folder: Path, tmp_path: Path) -> None:
    _save(folder / "a.png", _noise(20, 20, 1))
    _save(folder / "b.png", _noise(24, 20, 2))
    before = prepare(resolve(str(folder)), [2])
    changed = _save(folder / "b.png", _noise(24, 20, 3))
    after = prepare(resolve(str(folder)), [2])
    np.testing.assert_array_equal(after.hr(1), changed)
    assert after.hashes[0] == before.hashes[0]
    assert after.hashes[1] != before.hashes[1]
    packs = tmp_path / "cache" / "packs"
    assert {pack.name for pack in packs.iterdir()} == {before.folder.name, after.folder.name}


def test_packs_unused_for_two_weeks_are_removed(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20, 1))
    old = prepare(resolve(str(folder)), [2])
    _save(folder / "a.png", _noise(20, 20, 2))
    recent = prepare(resolve(str(folder)), [2])
    now = time.time()
    os.utime(old.folder, (now - 15 * 86400,) * 2)
    os.utime(recent.folder, (now - 13 * 86400,) * 2)
    _save(folder / "a.png", _noise(20, 20, 3))
    prepare(resolve(str(folder)), [2])
    assert not old.folder.exists()
    assert recent.folder.exists()
    np.testing.assert_array_equal(old.hr(0), _noise(20, 20, 1))  # what is open stays readable
    np.testing.assert_array_equal(old.lr(0, 2), bicubic_downscale(_noise(20, 20, 1), 2))


def test_use_keeps_a_pack(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20, 1))
    images = resolve(str(folder))
    store = prepare(images, [2])
    os.utime(store.folder, (1, 1))
    prepare(images, [2])
    assert store.folder.stat().st_mtime > time.time() - 60


def test_paths_and_times_do_not_matter(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    before = prepare(resolve(str(folder)), [2])
    os.utime(folder / "a.png", ns=(1, 1))
    after = prepare(resolve(str(folder)), [2])
    folder.rename(folder.with_name("moved"))
    moved = prepare(resolve(str(folder.with_name("moved"))), [2])
    assert before.folder == after.folder == moved.folder
    assert moved.entries[0].path == str(folder.with_name("moved") / "a.png")
    assert before.folder.exists()


def test_an_image_overwritten_with_its_old_size_and_time_is_read_again(folder: Path) -> None:
    _save(folder / "a.bmp", _noise(20, 20, 1))
    status = (folder / "a.bmp").stat()
    before = prepare(resolve(str(folder)), [2])
    changed = _save(folder / "a.bmp", _noise(20, 20, 2))
    os.utime(folder / "a.bmp", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (folder / "a.bmp").stat().st_size == status.st_size
    after = prepare(resolve(str(folder)), [2])
    np.testing.assert_array_equal(after.hr(0), changed)
    np.testing.assert_array_equal(after.lr(0, 2), bicubic_downscale(changed, 2))
    assert after.hashes != before.hashes


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _flip_last(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "one bit": _flip,
    "last bit": _flip_last,
    "cut short": lambda content: content[: len(content) // 2],
    "too long": lambda content: content + bytes(32),
    "other bytes": lambda content: b"[]",
    "an object": lambda content: b"{}",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["hr.bin", "lr_x2.bin", "lr_x3.bin", "index.json"])
def test_a_damaged_pack_is_recreated_with_a_note(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, damage: str
) -> None:
    for n in range(3):
        _save(folder / f"{n}.png", _noise(30, 24, n))
    images = resolve(str(folder))
    hashes = prepare(images, [2, 3]).hashes
    (packed,) = (folder.parent / "cache").rglob(file)
    packed.write_bytes(DAMAGES[damage](packed.read_bytes()))
    for _ in range(2):  # the second time there is nothing to mend
        again = prepare(images, [2, 3])
        assert again.hashes == hashes
        for i in range(3):
            np.testing.assert_array_equal(again.hr(i), _noise(30, 24, i))
            for scale in (2, 3):
                np.testing.assert_array_equal(again.lr(i, scale), bicubic_downscale(_noise(30, 24, i), scale))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {packed} is damaged")
    assert line.endswith("generated again from the images")


@pytest.mark.parametrize("file", ["hr.bin", "lr_x2.bin", "index.json"])
def test_a_removed_file_of_a_pack_is_recreated(folder: Path, file: str) -> None:
    _save(folder / "a.png", _noise(20, 20))
    images = resolve(str(folder))
    (prepare(images, [2]).folder / file).unlink()
    again = prepare(images, [2])
    np.testing.assert_array_equal(again.hr(0), _noise(20, 20))
    np.testing.assert_array_equal(again.lr(0, 2), bicubic_downscale(_noise(20, 20), 2))


@pytest.mark.parametrize("file", ["hr.bin", "lr_x2.bin", "index.json"])
def test_the_file_of_another_pack_is_rejected(folder: Path, file: str) -> None:
    _save(folder / "a.png", _noise(20, 20, 1))
    first = prepare(resolve(str(folder)), [2])
    _save(folder / "a.png", _noise(20, 20, 2))
    images = resolve(str(folder))
    second = prepare(images, [2])
    shutil.copy(first.folder / file, second.folder / file)
    again = prepare(images, [2])
    assert again.hashes == second.hashes
    np.testing.assert_array_equal(again.hr(0), _noise(20, 20, 2))
    np.testing.assert_array_equal(again.lr(0, 2), bicubic_downscale(_noise(20, 20, 2), 2))


def test_a_store_that_is_opened_later_verifies_its_files(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    store = prepare(resolve(str(folder)), [2])
    message = pickle.dumps(store)
    for file in ("hr.bin", "lr_x2.bin"):
        path = store.folder / file
        path.write_bytes(_flip(path.read_bytes()))
        with pytest.raises(DataError, match=rf"{file} was damaged or removed .*: run the same command again"):
            pickle.loads(message).hr(0) if file == "hr.bin" else pickle.loads(message).lr(0, 2)


def test_a_store_stays_readable_when_its_pack_is_removed(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    store = prepare(resolve(str(folder)), [2])
    shutil.rmtree(store.folder)
    np.testing.assert_array_equal(store.hr(0), _noise(20, 20))
    np.testing.assert_array_equal(store.lr(0, 2), bicubic_downscale(_noise(20, 20), 2))


def test_drafts_of_a_killed_process_are_removed_later(folder: Path) -> None:
    for n in range(40):
        _save(folder / f"{n:02}.png", _noise(200, 200, n))
    program = "import sys\nfrom nitido.data import prepare, resolve\nprepare(resolve(sys.argv[1]), [2])\n"
    packs = folder.parent / "cache" / "packs"
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)])
    while process.poll() is None and not list(packs.glob("*/.nitido-draft-*")):
        time.sleep(0.001)
    process.kill()
    process.wait()
    drafts = list(packs.glob("*/.nitido-draft-*"))
    assert drafts, "the process was too fast to be killed"
    for draft in drafts:
        os.utime(draft, (time.time() - 7200,) * 2)
    store = prepare(resolve(str(folder)), [2])
    assert sorted(file.name for file in store.folder.iterdir()) == ["hr.bin", "index.json", "lr_x2.bin"]
    np.testing.assert_array_equal(store.hr(39), _noise(200, 200, 39))


def test_images_with_the_same_pixels_count_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n, name in enumerate(["a.png", "b.png", "c.png"]):
        _save(folder / name, _noise(20, 20, n))
    _save(folder / "d.bmp", _noise(20, 20, 1))
    shutil.copy(folder / "a.png", folder / "e.png")
    store = prepare(resolve(str(folder)), [2])
    assert store.names == ("a", "b", "c")
    np.testing.assert_array_equal(store.hr(2), _noise(20, 20, 2))
    assert capsys.readouterr().err == (
        f"note: {folder}: 2 of 5 images skipped, because their pixels equal those of another: d = b, e = a\n"
    )


def test_sets_that_repeat_images_count_them_once(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        for n in range(2):
            _save(folder / name / f"{n}.png", _noise(20, 20, n))
    store = prepare(resolve_all([f"{folder}/one", f"{folder}/two", f"{folder}/two/../one"]), [2])
    assert store.names == ("one/0.png", "one/1.png")


def test_a_published_set_counts_as_it_was_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """T91 holds one image twice; a copy of the set in a folder adds nothing."""
    monkeypatch.setenv("NITIDO_DATA", str(folder))
    (folder / "t91").mkdir()
    for place in range(91):
        _save(folder / "t91" / f"t{place:02}.png", _noise(16, 16, min(place, 89)))
    store = prepare(resolve("t91"), [2])
    assert len(store) == 91
    np.testing.assert_array_equal(store.hr(90), store.hr(89))
    assert capsys.readouterr().err == ""
    shutil.copytree(folder / "t91", folder / "copy")
    both = prepare(resolve_all(["t91", f"{folder}/copy"]), [2])
    assert [entry.sha256 for entry in both.entries] == [entry.sha256 for entry in store.entries]
    assert "91 of 182 images skipped" in capsys.readouterr().err


def test_an_image_that_changes_while_it_is_decoded_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(folder / "a.png", _noise(20, 20, 1))
    images = resolve(str(folder))
    decode = pack.decode

    def overwrite_and_decode(path: Path) -> DecodedImage:
        _save(path, _noise(20, 20, 2))
        return decode(path)

    monkeypatch.setattr(pack, "decode", overwrite_and_decode)
    with pytest.raises(DataError, match=r"a\.png changed while it was read"):
        prepare(images, [2])


def test_what_is_no_regular_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "a.png")
    with pytest.raises(DataError, match=r"a\.png: not a regular file"):
        prepare(ImageSet("mine", (folder / "a.png",)), [2])


def test_sets_and_slices_do_not_share_a_pack(folder: Path) -> None:
    for n in range(3):
        _save(folder / f"{n}.png", _noise(20, 20, n))
    whole, part = prepare(resolve(str(folder)), [2]), prepare(resolve(f"{folder}[1:]"), [2])
    assert whole.folder != part.folder
    assert whole.names[1:] == part.names
    np.testing.assert_array_equal(whole.lr(2, 2), part.lr(1, 2))


def test_the_index_says_what_is_packed(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 30))
    store = prepare(resolve(str(folder)), [2])
    index = json.loads((store.folder / "index.json").read_text())
    assert index["files"] == [hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()]
    (entry,) = index["entries"]
    assert (entry["height"], entry["width"], entry["grey"]) == (20, 30, False)
    assert store.hashes == (entry["sha256"],)


def test_a_store_is_cheap_to_pickle(folder: Path) -> None:
    _save(folder / "a.png", _noise(200, 300))
    store = prepare(resolve(str(folder)), [2])
    store.hr(0)
    message = pickle.dumps(store)
    assert len(message) < 2000
    copy = pickle.loads(message)
    assert copy == store
    np.testing.assert_array_equal(copy.hr(0), store.hr(0))


def test_a_scale_that_was_not_prepared_is_refused(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    with pytest.raises(DataError, match=r"not prepared for scale 3, only for \[2\]"):
        prepare(resolve(str(folder)), [2]).lr(0, 3)


def test_an_image_smaller_than_the_scale_is_refused(folder: Path) -> None:
    _save(folder / "a.png", _noise(20, 3))
    with pytest.raises(DataError, match="3×20 pixels are too small for scale 4"):
        prepare(resolve(str(folder)), [4])


def test_an_unreadable_image_leaves_no_pack(folder: Path, tmp_path: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    (folder / "b.png").write_bytes(b"not an image")
    with pytest.raises(ImageFileError, match=r"b\.png"):
        prepare(resolve(str(folder)), [2])
    assert _files(tmp_path / "cache") == {}


def test_a_missing_image_gets_a_line(folder: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*gone\.png: No such file"):
        prepare(ImageSet("mine", (folder / "gone.png",)), [2])


@contextmanager
def _full_disk(room: int) -> Iterator[None]:
    """Limit files to `room` bytes, so that writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_half_written(folder: Path, tmp_path: Path) -> None:
    _save(folder / "a.png", _noise(20, 20))
    images = resolve(str(folder))
    with _full_disk(1000), pytest.raises(DataError, match=r"cannot write .*cache.*: File too large"):
        prepare(images, [2])
    assert _files(tmp_path / "cache") == {}
    prepare(images, [])
    with _full_disk(200), pytest.raises(DataError, match=r"cannot write .*cache.*: File too large"):
        prepare(images, [2])
    assert {Path(name).name for name in _files(tmp_path / "cache")} == {"hr.bin", "index.json"}
    assert prepare(images, [2]).lr(0, 2).shape == (10, 10, 3)


def test_many_may_prepare_the_same_images_at_once(folder: Path, tmp_path: Path) -> None:
    for n in range(4):
        _save(folder / f"{n}.png", _noise(64, 64, n))
    images = resolve(str(folder))
    start = Barrier(4)

    def prepare_together(_: int) -> Store:
        start.wait(30)
        return prepare(images, [2])

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(prepare_together, range(4)))
    assert len({store.folder for store in stores}) == 1
    for store in stores:
        for i in range(4):
            np.testing.assert_array_equal(store.hr(i), _noise(64, 64, i))
            np.testing.assert_array_equal(store.lr(i, 2), bicubic_downscale(_noise(64, 64, i), 2))
    assert {Path(name).name for name in _files(tmp_path / "cache")} == {"hr.bin", "index.json", "lr_x2.bin"}
    assert len(_files(tmp_path / "cache")) == 3


def _store(folder: Path, name: str, images: dict[str, npt.NDArray[np.uint8]]) -> Store:
    (folder / name).mkdir()
    for file, pixels in images.items():
        _save(folder / name / file, pixels)
    return prepare(ImageSet(name, resolve(str(folder / name)).paths), [2])


def test_training_on_held_out_images_is_refused(folder: Path) -> None:
    train = _store(folder, "train", {"x.png": _noise(20, 20, 1), "y.png": _noise(20, 20, 2)})
    test = _store(folder, "test", {"z.bmp": _noise(20, 20, 2)})
    other = _store(folder, "other", {"x.png": _noise(20, 20, 3), "y.png": _noise(10, 40, 1)})
    refuse_overlap(train, other)
    with pytest.raises(DataError) as refused:
        refuse_overlap(train, other, test)
    assert str(refused.value) == ("train: y is also in test: z; training on validation or test images is refused")


def test_a_long_overlap_is_one_short_line(folder: Path) -> None:
    images = {f"{n}.png": _noise(8, 8, n) for n in range(8)}
    train, test = _store(folder, "train", images), _store(folder, "test", images)
    with pytest.raises(DataError, match=r"4 is also in test: 4 and 3 more; training") as refused:
        refuse_overlap(train, test)
    assert "\n" not in str(refused.value)


def test_equal_bytes_in_another_shape_are_another_image(folder: Path) -> None:
    pixels = _noise(8, 32)
    store = _store(folder, "mine", {"a.png": pixels, "b.png": pixels.reshape(16, 16, 3)})
    assert store.hashes[0] != store.hashes[1]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["d/a.png", "d/b.jpg"], ["a", "b"]),
        (["d/a.png", "d/a.jpg", "d/b.jpg"], ["a.png", "a.jpg", "b"]),
        (["d/one/a.png", "d/two/a.png"], ["one/a.png", "two/a.png"]),
        (["d/a.jpg", "d/a.png", "d/a.jpg.png"], ["a.jpg", "a.png", "a.jpg.png"]),
    ],
)
def test_names_are_unique(paths: list[str], names: list[str]) -> None:
    assert unique_names([Path(path) for path in paths]) == names
