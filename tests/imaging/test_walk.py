"""Tests that entries of folders are found, or counted and reported."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nitido.imaging import ImageFileError, find_images, walk


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_images_in_subfolders_are_found_in_a_fixed_order(tmp_path: Path) -> None:
    _touch(tmp_path, "b.png", "A.jpg", "sub/c.JFIF", "sub/deep/d.jpe", "a/z.webp", ".hidden/e.png", "sub/.f.png")
    names = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path).images]
    assert names == ["a/z.webp", "A.jpg", "b.png", "sub/c.JFIF", "sub/deep/d.jpe"]


def test_skipped_entries_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _touch(tmp_path, "a.png", "notes.txt", "b.xcf")
    (tmp_path / "dead.png").symlink_to("nowhere.png")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.png")
    assert find_images(tmp_path) == [tmp_path / "a.png"]
    assert capsys.readouterr().err == (
        f"note: {tmp_path}: skipped 1 already visited folder(s), 1 broken link(s), 2 file(s) of other types, "
        "1 special file(s) (b.xcf, dead.png, loop, notes.txt, pipe.png)\n"
    )


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    _touch(tmp_path, "elsewhere/a.png", "images/b.png")
    for name in ("one", "two"):
        (tmp_path / "images" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    found = walk(tmp_path / "images")
    assert [path.name for path in found.images].count("a.png") == 1
    assert set(found.left_out.values()) == {"already visited folder(s)"}
    assert len(found.left_out) == 2


def test_an_unreadable_folder_is_named() -> None:
    """Nothing is unreadable for root, who becomes another user meanwhile."""
    user = os.geteuid()
    with TemporaryDirectory() as name:
        folder = Path(name)
        _touch(folder, "a.png", "secret/b.png")
        folder.chmod(0o755)
        (folder / "secret").chmod(0)
        if user == 0:
            os.seteuid(65534)
        try:
            assert walk(folder).left_out == {folder / "secret": "unreadable folder(s)"}
        finally:
            os.seteuid(user)
            (folder / "secret").chmod(0o755)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "sub/notes.txt")
    with pytest.raises(ImageFileError, match="no images in this folder"):
        find_images(tmp_path)
    with pytest.raises(ImageFileError, match="a file, but a folder is required"):
        find_images(tmp_path / "sub" / "notes.txt")
    with pytest.raises(ImageFileError, match="no such folder"):
        find_images(tmp_path / "nowhere")


def test_an_entry_that_cannot_be_examined_does_not_end_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems, for example container mounts, do not permit to examine entries."""
    _touch(tmp_path, "a.png", "b.png")
    is_dir = Path.is_dir

    def refuse(path: Path, **options: bool) -> bool:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return is_dir(path, **options)

    monkeypatch.setattr(Path, "is_dir", refuse)
    found = walk(tmp_path)
    assert (found.images, found.left_out) == ([tmp_path / "a.png"], {tmp_path / "b.png": "unreadable entries"})
