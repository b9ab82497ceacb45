"""Decodes an image set once into a memory-mapped store, with the MATLAB LR of every image.

A pack is a folder named by the content of the image files: equal files share a pack, whatever their paths and time
stamps, and a changed file has another pack. Checksums verify everything that is read from a pack; damaged files are
generated again from the images.
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
from dataclasses import dataclass, field
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
from nitido.data.catalog import DataError, ImageSet
from nitido.data.decode import decode
from nitido.data.pack_file import DamagedPackError, Write, map_or_make, map_verified, write_verified
from nitido.data.published_images import replaced_images

Bytes = npt.NDArray[np.uint8]

_FORMAT = 2  # increase it when the meaning of the files changes, so that old packs are not reused
_INDEX = "index.json"
_FULL = 1  # the "scale" of the images themselves
_SHOWN = 5  # maximum number of image names in a message
_DRAFT_LIFETIME = 3600  # seconds without a write after which the writer of a draft cannot be running
_PACK_LIFETIME = 14 * 24 * 3600  # seconds without use after which a pack is removed


@dataclass(frozen=True)
class Entry:
    """One image of a store. The images are concatenated in `hr.bin`, `height * width * 3` bytes each.

    `sha256` is the hash of the decoded pixels and their shape. `grey` means that the file has one channel, which the
    pack repeats three times.
    """

    name: str
    path: str
    sha256: str
    height: int
    width: int
    grey: bool


@dataclass(frozen=True)
class Store:
    """Decoded images in memory-mapped files: uint8 `(H, W, 3)`, read-only. It is cheap to pickle and to open again."""

    name: str
    folder: Path
    entries: tuple[Entry, ...]
    scales: tuple[int, ...]
    _views: dict[int, list[Bytes]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.entries)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the description only; unpickling maps the files again."""
        return (Store, (self.name, self.folder, self.entries, self.scales))

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image, unique in the store: the file's stem, or more of its path if necessary."""
        return tuple(entry.name for entry in self.entries)

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each image's decoded pixels and shape."""
        return tuple(entry.sha256 for entry in self.entries)

    @property
    def grey(self) -> tuple[bool, ...]:
        """Whether each image has a single channel in its file."""
        return tuple(entry.grey for entry in self.entries)

    def hr(self, i: int) -> Bytes:
        """Return image `i` as decoded, `(H, W, 3)`."""
        return self._images(_FULL)[i]

    def hr_cropped(self, i: int, scale: int) -> Bytes:
        """Return image `i` cropped at the bottom and right to multiples of `scale`: the source of `lr(i, scale)`."""
        height, width = _lr_size(self.entries[i], scale)
        return self.hr(i)[: height * scale, : width * scale]

    def lr(self, i: int, scale: int) -> Bytes:
        """Return the MATLAB bicubic LR of `hr_cropped(i, scale)`, `(H // scale, W // scale, 3)`.

        Raises:
            DataError: The store was not prepared for `scale`.
        """
        return self._images(scale)[i]

    def lr_sizes(self, scale: int) -> list[tuple[int, int]]:
        """Return the (height, width) of every LR image."""
        return [_lr_size(entry, scale) for entry in self.entries]

    def _images(self, scale: int) -> list[Bytes]:
        """Return views of all images in the file of `scale`."""
        if scale not in self._views:
            if scale != _FULL and scale not in self.scales:
                raise DataError(f"{self.name} was not prepared for scale {scale}, only for {list(self.scales)}")
            path = self.folder / _file(scale)
            try:
                content = map_verified(path, _size(self.entries, scale))
            except (DamagedPackError, FileNotFoundError):
                raise DataError(
                    f"{path} was damaged or removed since the images were prepared: run the same command again"
                ) from None
            self._views[scale] = _split(content, self.entries, scale)
        return self._views[scale]


def prepare(images: ImageSet, scales: Sequence[int], cache: Path | None = None) -> Store:
    """Decode `images` once, generate their LR for `scales`, and return the store; existing files are reused.

    The pack is in `<cache>/packs/` and named by the SHA-256 of the image files. All its files are verified and mapped
    here, so that the store stays readable if the pack is removed later. Images with equal pixels count once, which a
    note reports; published datasets are used as published. Several processes may prepare the same images at the same
    time. Packs that have not been used for two weeks are removed.

    Args:
        images: The images.
        scales: The scales of the LR images.
        cache: Cache folder; by default `$NITIDO_CACHE` or the user's cache directory.

    Raises:
        DataError: A file is missing, an image is smaller than a scale, or the disk is full. No partial files remain.
        nitido.imaging.ImageFileError: An image cannot be read. No partial files remain.
    """
    paths = [path.absolute() for path in images.paths]
    hashes = _hash_files(paths)
    published = [path in images.published for path in images.paths]
    folder = (cache or cache_root()) / "packs" / _key(hashes, published)
    with _writing(folder):
        _mark_as_used(folder)
        index = _open_index(images.name, folder, paths, hashes, published)
        names = unique_names(paths)
        entries = tuple(
            Entry(name=names[place], path=str(paths[place]), **described)
            for place, described in zip(index.first_files(), index.entries, strict=True)
        )
        _report_duplicates(images.name, names, index)
        _report_conversions(images.name, entries)
        _report_replaced(entries, images.published)
        store = Store(images.name, folder, entries, tuple(scales))
        hr = map_or_make(
            folder / _file(_FULL),
            _size(entries, _FULL),
            lambda: _build(images.name, folder, paths, hashes, published),
        )
        store._views[_FULL] = _split(hr, entries, _FULL)
        for scale in scales:
            store._views[scale] = _split(_open_lr(store, scale), entries, scale)
    return store


def refuse_overlap(train: Store, *held_out: Store) -> None:
    """Raise `DataError` if an image of `train` is also in `held_out`, compared by pixels."""
    if shared := _shared(train, held_out):
        raise DataError(f"{train.name}: {shared}; training on validation or test images is refused")


def refuse_chosen_tests(validation: Store, *test: Store) -> None:
    """Raise `DataError` if an image of `validation` is also in `test`, because it would select what it then tests."""
    if shared := _shared(validation, test):
        raise DataError(
            f"validation {validation.name}: {shared}; validation and test sets must not share images: use other images "
            "for validation, or remove these from the test sets"
        )


def refuse_equal_tests(*tests: Store) -> None:
    """Raise `DataError` if two test sets contain the same images, because they would count twice."""
    known: dict[tuple[str, ...], Store] = {}
    for store in tests:
        other = known.setdefault(tuple(sorted(store.hashes)), store)
        if other is not store:
            raise DataError(f"test sets {other.name} and {store.name} contain the same images: specify only one")


def _shared(store: Store, others: Sequence[Store]) -> str:
    """Return in words which images of `store` are also in `others`; empty if there are none."""
    names = dict(zip(store.hashes, store.names, strict=True))
    found = [
        f"{names[sha256]} is also in {other.name}: {name}"
        for other in others
        for name, sha256 in zip(other.names, other.hashes, strict=True)
        if sha256 in names
    ]
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each path: its stem, or its file name or more of its path if that is taken.

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
    """The content of `index.json`.

    Attributes:
        entries: The attributes of each image's `Entry`, without its name and path.
        images: For each file, in the order of the set, the index of its image in `entries`.
    """

    entries: list[dict[str, Any]]
    images: list[int]

    def first_files(self) -> list[int]:
        """Return, for each image, the index of the first file that contains it."""
        first: dict[int, int] = {}
        for place, number in enumerate(self.images):
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
    """Return the name of the pack for files with these hashes and the installed decoders."""
    from nitido.imaging import decoder_versions

    return hashlib.sha256(json.dumps([_FORMAT, decoder_versions(), published, *hashes]).encode()).hexdigest()[:32]


def _lr_size(entry: Entry, scale: int) -> tuple[int, int]:
    return entry.height // scale, entry.width // scale


def _size(entries: Sequence[Entry], scale: int) -> int:
    """Return the number of bytes of all images at `scale`."""
    return sum(height * width * 3 for height, width in (_lr_size(entry, scale) for entry in entries))


def _split(content: Bytes, entries: Sequence[Entry], scale: int) -> list[Bytes]:
    """Return views of the individual images in the content of the file of `scale`."""
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
    """Read the index of the pack, which is built first if it is missing or damaged."""
    try:
        return _read_index(folder / _INDEX, hashes)
    except FileNotFoundError:
        pass
    except DamagedFileError as error:
        note(str(error))
    _build(name, folder, paths, hashes, published)
    return _read_index(folder / _INDEX, hashes)


def _read_index(path: Path, hashes: list[str]) -> _Index:
    remedy = "the pack is generated again from the images"
    values = read_json(path, remedy)
    if values.get("files") != hashes:
        raise DamagedFileError(f"{path} is damaged (it describes other files): {remedy}")
    try:
        return _Index(values["entries"], values["pictures"])
    except KeyError:
        raise DamagedFileError(f"{path} is damaged (a key is missing): {remedy}") from None


def _build(name: str, folder: Path, paths: list[Path], hashes: list[str], published: list[bool]) -> None:
    """Decode all images into `hr.bin`, then write the index; replace valid files of other processes.

    An image with the pixels of an earlier one is skipped, unless both are in published datasets.
    """
    numbers: dict[str, int] = {}
    as_published: set[str] = set()
    entries: list[dict[str, Any]] = []
    images: list[int] = []

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
            images.append(numbers[sha256])

    _tidy(folder.parent)
    write_verified(folder / _file(_FULL), decode_all)
    write_json(folder / _INDEX, {"files": hashes, "entries": entries, "pictures": images})


def _decode(path: Path, file_hash: str) -> tuple[Bytes, bool]:
    """Return the pixels of an image as `(H, W, 3)`, and whether its file has one channel."""
    image = decode(path)
    if _hash_file(path) != file_hash:
        raise DataError(f"{path} changed while it was read: run the same command again")
    return np.ascontiguousarray(image.rgb8()), image.pixels.shape[2] == 1


def content_hash(pixels: Bytes) -> str:
    """Return the SHA-256 of an image's shape and pixels, `(H, W, 3)` uint8, independent of the file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _report_conversions(name: str, entries: Sequence[Entry]) -> None:
    """Report which images contain more than 8-bit RGB, such as transparency, which is lost."""
    from nitido.imaging import lost_in_rgb8

    found: dict[str, list[str]] = {}
    for entry in entries:
        for words in lost_in_rgb8(Path(entry.path)):
            found.setdefault(words, []).append(entry.name)
    for words, images in found.items():
        more = f" and {len(images) - _SHOWN} more" if len(images) > _SHOWN else ""
        shown = ", ".join(images[:_SHOWN])
        note(f"{name}: {words} in {len(images)} of {len(entries)} images: {shown}{more}")


def _report_replaced(entries: Sequence[Entry], published: frozenset[Path]) -> None:
    """Report which images in the folder of a published dataset do not belong to it."""
    absolute = frozenset(path.absolute() for path in published)
    for dataset, names in replaced_images(entries, absolute).items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        note(
            f"{dataset}: {', '.join(names[:_SHOWN])}{more}: not the published images of this set; "
            "published figures are not comparable"
        )


def _report_duplicates(name: str, names: Sequence[str], index: _Index) -> None:
    """Report which files of a set have the pixels of an earlier one and are skipped."""
    first = index.first_files()
    repeated = [
        f"{names[place]} = {names[first[number]]}"
        for place, number in enumerate(index.images)
        if first[number] != place
    ]
    if repeated:
        more = f" and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
        note(
            f"{name}: {len(repeated)} of {len(names)} images skipped, because their pixels equal those of another: "
            f"{', '.join(repeated[:_SHOWN])}{more}"
        )


def _open_lr(store: Store, scale: int) -> Bytes:
    """Map the LR file of `scale`, which is generated first if necessary."""
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
    """Remove packs that have not been used for long, and drafts of killed processes.

    Processes that have opened a pack keep it, because they have mapped its files; others generate it again.
    """
    if not packs.is_dir():
        return
    now = time.time()
    for pack in packs.iterdir():
        with suppress(OSError):  # another process may remove the same files
            if now - pack.stat().st_mtime > _PACK_LIFETIME:
                shutil.rmtree(pack, ignore_errors=True)
                continue
            for file in pack.iterdir():
                if is_draft(file) and now - file.stat().st_mtime > _DRAFT_LIFETIME:
                    file.unlink()
