"""Damage to single files, as bad disks, full disks and other programs leave it."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _zero_a_range(path: Path) -> None:
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third + 1] = bytes(len(content[third : 2 * third + 1]))
    path.write_bytes(content)


def _flip_three_bits(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in (len(content) // 5, len(content) // 2, len(content) * 4 // 5):
        if content:
            content[place] ^= 1 << place % 8
    path.write_bytes(content)


def _replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "emptied": _empty,
    "halved": _halve,
    "zeroed in part": _zero_a_range,
    "three bits flipped": _flip_three_bits,
    "a folder in its place": _replace_by_a_folder,
    "deleted": Path.unlink,
}


def restore(folder: Path, original: Path) -> None:
    """Make `folder` a copy of `original` again."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder, symlinks=True)
