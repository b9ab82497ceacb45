"""Finds the images in folders, in the same way for training, evaluation, checks and upscaling."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nitido.base.notes import note
from nitido.imaging.files import FORMATS, ImageFileError

_SHOWN = 5  # maximum number of file names in a note


@dataclass
class Walk:
    """The contents of a folder and all its subfolders.

    Attributes:
        folder: The root.
        images: Files with the suffix of an image format, sorted by path without regard to case.
        left_out: Why each other entry is skipped; hidden entries are not listed.
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)

    def report(self) -> None:
        """Print one line on standard error about the skipped entries, if there are any."""
        if self.left_out:
            counts = Counter(self.left_out.values())
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
            names = [os.path.relpath(path, self.folder) for path in self.left_out]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            note(f"{self.folder}: skipped {reasons} ({', '.join(names[:_SHOWN])}{more})")


def walk(
    folder: Path,
    *,
    recursive: bool = True,
    skip: Callable[[Path], bool] = lambda path: False,
) -> Walk:
    """Find the images in `folder` and, if `recursive`, in its subfolders. Links to folders are followed once each.

    Args:
        folder: The root.
        recursive: Whether to search subfolders.
        skip: Returns whether an entry is skipped without being reported.

    Raises:
        OSError: `folder` itself cannot be read.
    """
    found = Walk(folder)
    _visit(folder, found, skip, recursive, visited={_identity(folder)})
    found.images.sort(key=lambda path: _order(path.relative_to(folder)))
    found.left_out = {path: found.left_out[path] for path in sorted(found.left_out, key=_order)}
    return found


def _visit(
    folder: Path,
    found: Walk,
    skip: Callable[[Path], bool],
    recursive: bool,
    visited: set[tuple[int, int]],
) -> None:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            entries = sorted(current.iterdir())
        except OSError:
            if current == folder:
                raise
            found.left_out[current] = "unreadable folder(s)"
            continue
        for entry in entries:
            if entry.name.startswith(".") or skip(entry):
                continue
            try:
                kind = _kind(entry)
                identity = _identity(entry) if kind == "folder" else None
            except OSError:
                found.left_out[entry] = "unreadable entries"
                continue
            reason = None
            if identity is not None:
                if not recursive:
                    reason = "subfolder(s)"
                elif identity in visited:
                    reason = "already visited folder(s)"
                else:
                    visited.add(identity)
                    pending.append(entry)
            elif kind == "file":
                if entry.suffix.lower() in FORMATS:
                    found.images.append(entry)
                else:
                    reason = "file(s) of other types"
            else:
                reason = kind
            if reason is not None:
                found.left_out[entry] = reason


def _kind(entry: Path) -> str:
    if entry.is_dir():
        return "folder"
    if entry.is_file():
        return "file"
    return "broken link(s)" if entry.is_symlink() else "special file(s)"


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _order(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(part.lower() for part in path.parts), path.parts


def find_images(folder: Path, *, recursive: bool = True) -> list[Path]:
    """Return the image files that `walk` finds in `folder`, and report skipped entries on standard error.

    Raises:
        ImageFileError: There is no such folder, it cannot be read, or it contains no images.
    """
    if not folder.is_dir():
        is_file = folder.exists()
        raise ImageFileError(f"{folder}: a file, but a folder is required" if is_file else f"{folder}: no such folder")
    try:
        found = walk(folder, recursive=recursive)
    except OSError as error:
        raise ImageFileError(f"{folder}: {error.strerror or error}") from None
    found.report()
    if not found.images:
        raise ImageFileError(f"{folder}: no images in this folder (looked for {', '.join(FORMATS)})")
    return found.images
