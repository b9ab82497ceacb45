"""A picture set decoded once into a memory-mapped store, with the MATLAB LR of every picture beside it."""

import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from nitido.atomic import replacing, write_text
from nitido.data.catalog import DataError, PictureSet
from nitido.folders import cache_root

Bytes = npt.NDArray[np.uint8]

_FORMAT = 1  # raise it when the meaning of the files changes, so that old packs are made again
_INDEX = "index.json"
_FULL = 1  # the "scale" of the pictures themselves
_SHOWN = 5  # an error names so many pictures
_DRAFT_LIFE = 24 * 3600  # seconds


@dataclass(frozen=True)
class Entry:
    """One picture of a pack; the pictures lie one after the other in `hr.bin`, `height * width * 3` bytes each.

    `sha256` is of the decoded pixels and their shape; `grey` says that the file has one channel, which the pack
    repeats three times.
    """

    name: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    height: int
    width: int
    grey: bool


@dataclass(frozen=True)
class Store:
    """Decoded pictures in memory-mapped files: uint8 `(H, W, 3)`, read only. Cheap to pickle and to open again."""

    name: str
    folder: Path
    entries: tuple[Entry, ...]
    scales: tuple[int, ...]
    _views: dict[int, list[Bytes]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.entries)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the description only; whoever unpickles it maps the files anew."""
        return (Store, (self.name, self.folder, self.entries, self.scales))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each picture, unique in the store: the file's stem, longer where that is taken."""
        return tuple(entry.name for entry in self.entries)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The SHA-256 of each picture's decoded pixels and shape."""
        return tuple(entry.sha256 for entry in self.entries)

    @property
    def grey(self) -> tuple[bool, ...]:
        """Whether each picture has a single channel in its file."""
        return tuple(entry.grey for entry in self.entries)

    def hr(self, i: int) -> Bytes:
        """Picture `i` as decoded, `(H, W, 3)`."""
        return self._pictures(_FULL)[i]

    def hr_cropped(self, i: int, scale: int) -> Bytes:
        """Picture `i` cut at the bottom and right to multiples of `scale`: what `lr(i, scale)` was made from."""
        height, width = _lr_size(self.entries[i], scale)
        return self.hr(i)[: height * scale, : width * scale]

    def lr(self, i: int, scale: int) -> Bytes:
        """The MATLAB bicubic LR of `hr_cropped(i, scale)`, `(H // scale, W // scale, 3)`.

        Raises `DataError` when the store was not prepared for `scale`.
        """
        return self._pictures(scale)[i]

    def lr_sizes(self, scale: int) -> list[tuple[int, int]]:
        """The (height, width) of every LR picture."""
        return [_lr_size(entry, scale) for entry in self.entries]

    def _pictures(self, scale: int) -> list[Bytes]:
        """Views of all pictures in the file of `scale`, which is mapped at the first use."""
        if scale not in self._views:
            if scale != _FULL and scale not in self.scales:
                raise DataError(f"{self.name} is not prepared for scale {scale}, only for {list(self.scales)}")
            sizes = [_lr_size(entry, scale) for entry in self.entries]
            ends = np.cumsum([height * width * 3 for height, width in sizes]).tolist()
            # A plain array on the map: slices of np.memmap itself cost several times as much.
            flat = np.asarray(np.memmap(self.folder / _file(scale), np.uint8, mode="r", shape=(ends[-1],)))
            self._views[scale] = [
                flat[end - height * width * 3 : end].reshape(height, width, 3)
                for end, (height, width) in zip(ends, sizes, strict=True)
            ]
        return self._views[scale]


def prepare(pictures: PictureSet, scales: Sequence[int], cache: Path | None = None) -> Store:
    """Decode `pictures` once, make their LR for `scales`, and return the store; what exists already is used again.

    The pack lies in `<cache>/packs/`, where `cache` is `$NITIDO_CACHE` or the user's cache directory by default. It is
    found by the absolute paths, sizes and modification times of the files: when one of these changes, a new pack is
    made and the old one removed. Several processes may prepare the same pictures at once.

    Raises `DataError` when a file is missing, a picture is smaller than a scale or the disk is full, and
    `nitido.imaging.PictureError` when a picture cannot be read; nothing half-written is left in either case.
    """
    files = [_File.of(path) for path in pictures.paths]
    folder = _pack_folder(pictures.name, files, cache or cache_root())
    with _writing(folder):
        if not folder.is_dir():
            _build(files, folder)
            _remove_outdated(folder)
        entries = _read_index(folder)
        for scale in scales:
            _make_lr(Store(pictures.name, folder, entries, ()), scale)
    return Store(pictures.name, folder, entries, tuple(scales))


def refuse_overlap(train: Store, *held_out: Store) -> None:
    """Raise `DataError` when a picture of `train` is also in `held_out`, by the content of its pixels."""
    trained = dict(zip(train.hashes, train.names, strict=True))
    found = [
        f"{trained[sha256]} is also in {store.name}: {name}"
        for store in held_out
        for name, sha256 in zip(store.names, store.hashes, strict=True)
        if sha256 in trained
    ]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        listed = ", ".join(found[:_SHOWN])
        raise DataError(f"{train.name}: {listed}{more}; training on pictures that are held out is refused")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A short name for each path: its stem, or its file name or more of its path where that is taken.

    >>> unique_names([Path("a/x.jpg"), Path("a/x.png"), Path("a/y.png")])
    ['x.jpg', 'x.png', 'y']
    """
    above = os.path.commonpath([path.parent for path in paths])
    choices = [(path.stem, path.name, path.relative_to(above).as_posix()) for path in paths]
    levels = [0] * len(paths)
    while True:
        names = [choice[level] for choice, level in zip(choices, levels, strict=True)]
        counts = Counter(names)
        longer = [min(level + (counts[name] > 1), 2) for name, level in zip(names, levels, strict=True)]
        if longer == levels:
            return names
        levels = longer


@dataclass(frozen=True)
class _File:
    """A picture file as the file system describes it."""

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "_File":
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        return cls(path.absolute(), status.st_size, status.st_mtime_ns)


def _lr_size(entry: Entry, scale: int) -> tuple[int, int]:
    return entry.height // scale, entry.width // scale


def _file(scale: int) -> str:
    return "hr.bin" if scale == _FULL else f"lr_x{scale}.bin"


def _pack_folder(name: str, files: list[_File], cache: Path) -> Path:
    """The folder that belongs to exactly these files in exactly this state."""
    safe = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[-40:]
    which = _short_hash([str(file.path) for file in files])
    state = _short_hash([_FORMAT, *((file.size, file.mtime_ns) for file in files)])
    return cache / "packs" / f"{safe}-{which}" / state


def _short_hash(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error


def _build(files: list[_File], folder: Path) -> None:
    """Decode all `files` into a draft beside `folder`, then give it its name unless another process was faster."""
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    try:
        draft.mkdir(parents=True)
        with (draft / _file(_FULL)).open("wb") as packed:
            names = unique_names([file.path for file in files])
            entries = [_append(packed, name, file) for name, file in zip(names, files, strict=True)]
        write_text(draft / _INDEX, json.dumps([asdict(entry) for entry in entries], indent=1))
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _append(packed: BinaryIO, name: str, file: _File) -> Entry:
    from nitido.imaging import read_picture

    picture = read_picture(file.path)
    pixels = np.ascontiguousarray(picture.rgb8())
    height, width, _ = pixels.shape
    packed.write(pixels.data)
    grey = picture.pixels.shape[2] == 1
    return Entry(name, str(file.path), file.size, file.mtime_ns, content_hash(pixels), height, width, grey)


def content_hash(pixels: Bytes) -> str:
    """The SHA-256 of a picture's shape and pixels, `(H, W, 3)` uint8: equal for equal pictures in any file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _read_index(folder: Path) -> tuple[Entry, ...]:
    try:
        return tuple(Entry(**entry) for entry in json.loads((folder / _INDEX).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{folder} is damaged: remove this folder, it will be made again") from error


def _make_lr(store: Store, scale: int) -> None:
    """Write the LR file of `scale` unless it is there already; it is a pure function of the pack."""
    from nitido.imaging import bicubic_downscale

    for entry in store.entries:
        if min(entry.height, entry.width) < scale:
            raise DataError(f"{entry.path}: {entry.width}×{entry.height} pixels are too small for scale {scale}")
    target = store.folder / _file(scale)
    if target.exists():
        return
    with replacing(target) as draft, draft.open("wb") as packed:
        for i in range(len(store)):
            packed.write(np.ascontiguousarray(bicubic_downscale(store.hr_cropped(i, scale), scale)).data)


def _remove_outdated(folder: Path) -> None:
    """Remove packs of the same files in an earlier state, and drafts whose process died long ago."""
    for other in folder.parent.iterdir():
        with suppress(FileNotFoundError):  # another process may be tidying up as well
            abandoned = time.time() - other.stat().st_mtime > _DRAFT_LIFE
            if other != folder and (abandoned or not other.name.startswith(".")):
                shutil.rmtree(other, ignore_errors=True)
