"""A picture set decoded once into a memory-mapped store, with the MATLAB LR of every picture beside it.

A pack is a folder that is named by the content of the picture files: equal files share a pack, whatever their paths and
time stamps, and a changed file has another pack. What is read back from a pack is verified by checksums; whatever does
not match is made again from the pictures.
"""

import hashlib
import json
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nitido.base.activity import announced
from nitido.base.atomic import is_draft
from nitido.base.file_hash import sha256_of_file
from nitido.base.folders import cache_root
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.notes import note
from nitido.data.catalog import DataError, PictureSet
from nitido.data.decode import decode
from nitido.data.pack_file import DamagedPackError, Write, map_or_make, map_verified, write_verified
from nitido.data.published_images import replaced_images

Bytes = npt.NDArray[np.uint8]

_FORMAT = 2  # raise it when the meaning of the files changes, so that old packs are made again
_INDEX = "index.json"
_FULL = 1  # the "scale" of the pictures themselves
_SHOWN = 5  # a message names so many pictures
_DRAFT_LIFE = 3600  # seconds without a write, after which the writer of a draft must be dead
_PACK_LIFE = 14 * 24 * 3600  # seconds without a use, after which a pack is removed


@dataclass(frozen=True)
class Entry:
    """One picture of a store; the pictures lie one after the other in `hr.bin`, `height * width * 3` bytes each.

    `sha256` is of the decoded pixels and their shape; `grey` says that the file has one channel, which the pack
    repeats three times.
    """

    name: str
    path: str
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
        """Views of all pictures in the file of `scale`."""
        if scale not in self._views:
            if scale != _FULL and scale not in self.scales:
                raise DataError(f"{self.name} is not prepared for scale {scale}, only for {list(self.scales)}")
            path = self.folder / _file(scale)
            try:
                content = map_verified(path, _size(self.entries, scale))
            except (DamagedPackError, FileNotFoundError):
                raise DataError(
                    f"{path} was damaged or removed since the pictures were prepared: run the same command again"
                ) from None
            self._views[scale] = _split(content, self.entries, scale)
        return self._views[scale]


def prepare(pictures: PictureSet, scales: Sequence[int], cache: Path | None = None) -> Store:
    """Decode `pictures` once, make their LR for `scales`, and return the store; what exists already is used again.

    The pack lies in `<cache>/packs/`, where `cache` is `$NITIDO_CACHE` or the user's cache directory by default. It is
    found by the SHA-256 of the picture files, and every file of it is verified and mapped here, so that the store
    stays readable when the pack is removed later. Pictures with the same pixels count once, which a note
    says; published sets count as they were published. Several processes may prepare the same pictures at once. Packs
    that nobody has prepared for two weeks are removed.

    Raises `DataError` when a file is missing, a picture is smaller than a scale or the disk is full, and
    `nitido.imaging.PictureError` when a picture cannot be read; nothing half-written is left in either case.
    """
    paths = [path.absolute() for path in pictures.paths]
    hashes = _hash_files(paths)
    published = [path in pictures.published for path in pictures.paths]
    folder = (cache or cache_root()) / "packs" / _key(hashes, published)
    with _writing(folder):
        _mark_as_used(folder)
        index = _open_index(pictures.name, folder, paths, hashes, published)
        names = unique_names(paths)
        entries = tuple(
            Entry(name=names[place], path=str(paths[place]), **described)
            for place, described in zip(index.first_files(), index.entries, strict=True)
        )
        _tell_duplicates(pictures.name, names, index)
        _tell_conversions(pictures.name, entries)
        _tell_replaced(entries, pictures.published)
        store = Store(pictures.name, folder, entries, tuple(scales))
        hr = map_or_make(
            folder / _file(_FULL),
            _size(entries, _FULL),
            lambda: _build(pictures.name, folder, paths, hashes, published),
        )
        store._views[_FULL] = _split(hr, entries, _FULL)
        for scale in scales:
            store._views[scale] = _split(_open_lr(store, scale), entries, scale)
    return store


def refuse_overlap(train: Store, *held_out: Store) -> None:
    """Raise `DataError` when a picture of `train` is also in `held_out`, by the content of its pixels."""
    if shared := _shared(train, held_out):
        raise DataError(f"{train.name}: {shared}; training on pictures that are held out is refused")


def refuse_chosen_tests(validation: Store, *test: Store) -> None:
    """Raise `DataError` when a picture of `validation` is also in `test`: it would choose what it then confirms."""
    if shared := _shared(validation, test):
        raise DataError(
            f"validation {validation.name}: {shared}; pictures that choose cannot also test: take other pictures for "
            "validation, or leave these out of the test sets"
        )


def refuse_equal_tests(*tests: Store) -> None:
    """Raise `DataError` when two test sets are the same pictures: they would count twice."""
    known: dict[tuple[str, ...], Store] = {}
    for store in tests:
        other = known.setdefault(tuple(sorted(store.hashes)), store)
        if other is not store:
            raise DataError(f"test sets {other.name} and {store.name} are the same pictures: name one of them")


def _shared(store: Store, others: Sequence[Store]) -> str:
    """The pictures of `store` that are also in `others`, in words; empty if there are none."""
    names = dict(zip(store.hashes, store.names, strict=True))
    found = [
        f"{names[sha256]} is also in {other.name}: {name}"
        for other in others
        for name, sha256 in zip(other.names, other.hashes, strict=True)
        if sha256 in names
    ]
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


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
class _Index:
    """What `index.json` holds.

    Attributes:
        entries: the attributes of each picture's `Entry`, without its name and path.
        pictures: for each file, in the order of the set, the number of its picture in `entries`.
    """

    entries: list[dict[str, Any]]
    pictures: list[int]

    def first_files(self) -> list[int]:
        """For each picture, the number of the first file that holds it."""
        first: dict[int, int] = {}
        for place, number in enumerate(self.pictures):
            first.setdefault(number, place)
        return [*first.values()]


def _hash_files(paths: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter
        return list(pool.map(_hash_file, paths))


def _hash_file(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"cannot read {path}: not a regular file")
        return sha256_of_file(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _key(hashes: list[str], published: list[bool]) -> str:
    """The name of the pack that today's decoders make of files with these hashes."""
    from nitido.imaging import decoder_versions

    return hashlib.sha256(json.dumps([_FORMAT, decoder_versions(), published, *hashes]).encode()).hexdigest()[:32]


def _lr_size(entry: Entry, scale: int) -> tuple[int, int]:
    return entry.height // scale, entry.width // scale


def _size(entries: Sequence[Entry], scale: int) -> int:
    """The bytes of all pictures at `scale`."""
    return sum(height * width * 3 for height, width in (_lr_size(entry, scale) for entry in entries))


def _split(content: Bytes, entries: Sequence[Entry], scale: int) -> list[Bytes]:
    """Views of the single pictures in the content of the file of `scale`."""
    views, start = [], 0
    for height, width in (_lr_size(entry, scale) for entry in entries):
        views.append(content[start : start + height * width * 3].reshape(height, width, 3))
        start += height * width * 3
    return views


def _file(scale: int) -> str:
    return "hr.bin" if scale == _FULL else f"lr_x{scale}.bin"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error


def _open_index(name: str, folder: Path, paths: list[Path], hashes: list[str], published: list[bool]) -> _Index:
    """Read the index of the pack, which is built first if there is none or a damaged one."""
    try:
        return _read_index(folder / _INDEX, hashes)
    except FileNotFoundError:
        pass
    except DamagedFileError as error:
        note(str(error))
    _build(name, folder, paths, hashes, published)
    return _read_index(folder / _INDEX, hashes)


def _read_index(path: Path, hashes: list[str]) -> _Index:
    way_out = "the pack is made again from the pictures"
    values = read_json(path, way_out)
    if values.get("files") != hashes:
        raise DamagedFileError(f"{path} is damaged (it is of other pictures): {way_out}")
    try:
        return _Index(values["entries"], values["pictures"])
    except KeyError:
        raise DamagedFileError(f"{path} is damaged (it lacks a key): {way_out}") from None


def _build(name: str, folder: Path, paths: list[Path], hashes: list[str], published: list[bool]) -> None:
    """Decode all pictures into `hr.bin`, then write the index; any valid files of another process are replaced.

    A picture with the pixels of an earlier one is left out, unless published sets hold both.
    """
    numbers: dict[str, int] = {}
    as_published: set[str] = set()
    entries: list[dict[str, Any]] = []
    pictures: list[int] = []

    def decode_all(write: Write) -> None:
        files = list(zip(paths, hashes, published, strict=True))
        for path, file_hash, of_published_set in announced(files, f"decoding {name}"):
            pixels, grey = _decode(path, file_hash)
            sha256 = content_hash(pixels)
            if sha256 not in numbers or (of_published_set and sha256 in as_published):
                numbers[sha256] = len(entries)
                if of_published_set:
                    as_published.add(sha256)
                height, width, _ = pixels.shape
                entries.append({"sha256": sha256, "height": height, "width": width, "grey": grey})
                write(pixels.data)
            pictures.append(numbers[sha256])

    _tidy(folder.parent)
    write_verified(folder / _file(_FULL), decode_all)
    write_json(folder / _INDEX, {"files": hashes, **asdict(_Index(entries, pictures))})


def _decode(path: Path, file_hash: str) -> tuple[Bytes, bool]:
    """The pixels of a picture as `(H, W, 3)`, and whether its file has one channel."""
    picture = decode(path)
    if _hash_file(path) != file_hash:
        raise DataError(f"{path} changed while it was read: run the same command again")
    return np.ascontiguousarray(picture.rgb8()), picture.pixels.shape[2] == 1


def content_hash(pixels: Bytes) -> str:
    """The SHA-256 of a picture's shape and pixels, `(H, W, 3)` uint8: equal for equal pictures in any file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _tell_conversions(name: str, entries: Sequence[Entry]) -> None:
    """Say which pictures hold something that 8-bit RGB does not, such as transparency: what is scored lacks it."""
    from nitido.imaging import lost_in_rgb8

    found: dict[str, list[str]] = {}
    for entry in entries:
        for words in lost_in_rgb8(Path(entry.path)):
            found.setdefault(words, []).append(entry.name)
    for words, pictures in found.items():
        more = f" and {len(pictures) - _SHOWN} more" if len(pictures) > _SHOWN else ""
        shown = ", ".join(pictures[:_SHOWN])
        note(f"{name}: {words} in {len(pictures)} of {len(entries)} pictures: {shown}{more}")


def _tell_replaced(entries: Sequence[Entry], published: frozenset[Path]) -> None:
    """Say which images stand in the folder of a published set and are not of it."""
    absolute = frozenset(path.absolute() for path in published)
    for dataset, names in replaced_images(entries, absolute).items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        note(
            f"{dataset}: {', '.join(names[:_SHOWN])}{more}: not the published images of this set; "
            "published figures are not comparable"
        )


def _tell_duplicates(name: str, names: Sequence[str], index: _Index) -> None:
    """Say which files of a set have the pixels of an earlier one and therefore do not count."""
    first = index.first_files()
    repeated = [
        f"{names[place]} = {names[first[number]]}"
        for place, number in enumerate(index.pictures)
        if first[number] != place
    ]
    if repeated:
        more = f" and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
        note(
            f"{name}: {len(repeated)} of {len(names)} pictures left out, because they repeat the pixels of another: "
            f"{', '.join(repeated[:_SHOWN])}{more}"
        )


def _open_lr(store: Store, scale: int) -> Bytes:
    """Map the LR file of `scale`, a pure function of the pack, which is made first if need be."""
    from nitido.imaging import bicubic_downscale

    for entry in store.entries:
        if min(entry.height, entry.width) < scale:
            raise DataError(f"{entry.path}: {entry.width}×{entry.height} pixels are too small for scale {scale}")
    path = store.folder / _file(scale)

    def shrink_all(write: Write) -> None:
        for i in announced(range(len(store)), f"downscaling {store.name} by {scale}"):
            write(np.ascontiguousarray(bicubic_downscale(store.hr_cropped(i, scale), scale)).data)

    return map_or_make(path, _size(store.entries, scale), lambda: write_verified(path, shrink_all))


def _mark_as_used(folder: Path) -> None:
    with suppress(OSError):  # the pack does not exist yet, or belongs to another user
        os.utime(folder)


def _tidy(packs: Path) -> None:
    """Remove packs that nobody has used for long, and drafts of processes that were killed.

    Processes that have opened a pack keep it, because they have mapped its files; others make it again.
    """
    if not packs.is_dir():
        return
    now = time.time()
    for pack in packs.iterdir():
        with suppress(OSError):  # another process may be tidying up as well
            if now - pack.stat().st_mtime > _PACK_LIFE:
                shutil.rmtree(pack, ignore_errors=True)
                continue
            for file in pack.iterdir():
                if is_draft(file) and now - file.stat().st_mtime > _DRAFT_LIFE:
                    file.unlink()
