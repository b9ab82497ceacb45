"""Files and folders of pictures, enlarged one after another: whole files only, and nothing done twice."""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Protocol

from nitido import __version__
from nitido.errors import NitidoError
from nitido.exclusive import exclusive
from nitido.imaging import PictureError
from nitido.inference.models import model_path
from nitido.inference.pictures import SUFFIXES, Photo, check_size, losses, read_header, read_photo, write_photo
from nitido.inference.pictures.target_size import TargetSize, UpscaleError
from nitido.inference.upscaler import Advance, Rectangle, Upscaler
from nitido.interrupts import postponed_interrupts

MANIFEST = ".nitido-upscale.jsonl"
"""What lies finished in an output folder: a line of JSON for each picture."""

_DISK_IS_GONE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Job:
    """A picture to enlarge and where the result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What shall be done: `folder` is the output folder that remembers what is finished; None for a single file."""

    jobs: Sequence[Job]
    folder: Path | None


@dataclass(frozen=True)
class Settings:
    """How pictures are enlarged. `model` identifies the weights, for remembering what they have done."""

    upscaler: Upscaler
    model: str
    target: TargetSize = field(default_factory=TargetSize)
    preview: Rectangle | None = None

    def __post_init__(self) -> None:
        if self.upscaler.own_scale is None and self.target == TargetSize():
            raise UpscaleError("bicubic has no scale of its own: say how large, e.g. --scale 2")

    def fingerprint(self) -> str:
        """A text that is another one whenever results could be others."""
        ensemble = type(self.upscaler.network).__name__
        return _sha256(repr((__version__, self.model, ensemble, self.target, self.preview)).encode())


def model_identity(name_or_path: str | Path) -> str:
    """What tells the weights of a run directory or a model file from all others."""
    return _sha256_of(model_path(name_or_path))


class Listener(Protocol):
    """Is told how a batch goes on."""

    def planned(self, pixels: int) -> None:
        """How many pixels there are to enlarge, in all pictures together."""

    def started(self, job: Job, pixels: int) -> Advance:
        """A picture begins; returns who hears of its progress."""

    def ended(self, job: Job, outcome: str, notes: Sequence[str]) -> None:
        """A picture has become `outcome`, in words; `notes` say what its new format could not keep."""

    def skipped(self, job: Job, pixels: int) -> None:
        """The result is there already."""

    def failed(self, job: Job, error: NitidoError) -> None:
        """A picture cannot be enlarged; the others go on."""


def plan(inputs: Sequence[Path], out: Path, suffix: str | None = None) -> Plan:
    """What becomes of `inputs`, pictures and folders of them, under `out`.

    One picture becomes the file `out` when that has a picture's suffix; everything else goes into the folder `out`.
    Folders are searched through; below `out` the pictures keep their places. `suffix` (".png") changes the format;
    where two pictures would then have one name, both keep their old suffix before the new one (`a.jpg.png` and
    `a.png.png`). Hidden files and what lies in `out` are left alone.

    Raises `PictureError` when an input is missing, a folder holds no picture, or a result would overwrite a source or
    another result.
    """
    for path in inputs:
        if not path.exists():
            raise PictureError(f"{path}: no such file or folder")
    if len(inputs) == 1 and inputs[0].is_file() and out.suffix.lower() in SUFFIXES and not out.is_dir():
        if suffix is not None and SUFFIXES[out.suffix.lower()] != SUFFIXES[suffix]:
            raise PictureError(f"{out}: the name says another format than {suffix.removeprefix('.')}")
        jobs, folder = [Job(inputs[0], out)], None
    else:
        if out.is_file():
            raise PictureError(f"{out}: a file is in the way of the output folder")
        if out.suffix.lower() in SUFFIXES and not out.is_dir():
            raise PictureError(f"{out}: several pictures need a folder, and this is the name of a picture")
        places = [place for path in inputs for place in _places(path, out, several=len(inputs) > 1)]
        jobs, folder = _named(places, out, suffix), out
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise PictureError(f"{job.target}: would overwrite a picture that is to be enlarged: choose another output")
    return Plan(jobs, folder)


def run(batch: Plan, settings: Settings, listener: Listener) -> int:
    """Enlarge the pictures of `batch` one at a time; returns how many could not be.

    A picture whose source, model and options are those of the last time, and whose result is untouched, is skipped.
    Results appear whole, so a batch may be stopped at any time and started again. Raises OSError when the disk takes
    nothing more, `BusyError` when another batch works in the same folder, KeyboardInterrupt between two pieces of a
    picture after Ctrl-C or SIGTERM.
    """
    lock: AbstractContextManager[None] = nullcontext()
    if batch.folder is not None:
        batch.folder.mkdir(parents=True, exist_ok=True)
        lock = exclusive(batch.folder)
    with lock, postponed_interrupts() as check:
        manifest = Manifest(batch.folder)
        fingerprint = settings.fingerprint()
        failures = 0
        ready = []
        for job in batch.jobs:
            try:
                ready.append((job, _measured(job, settings)))
            except (NitidoError, OSError) as error:
                listener.failed(job, _as_error(job, error))
                failures += 1
        listener.planned(sum(pixels for _, pixels in ready))
        for job, pixels in ready:
            check()
            try:
                source = _sha256_of(job.source)
                if manifest.holds(job, source, fingerprint):
                    listener.skipped(job, pixels)
                    continue
                outcome, notes = _enlarge(job, settings, _checking(check, listener.started(job, pixels)))
                manifest.add(job, source, fingerprint)
                listener.ended(job, outcome, notes)
            except (NitidoError, OSError) as error:
                listener.failed(job, _as_error(job, error))
                failures += 1
        return failures


class Manifest:
    """The finished pictures of an output folder; of no folder, nothing is remembered.

    A line is added when a picture has been written; a line that was cut short by a crash counts as not there.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: dict[str, dict[str, str]] = {}
        if folder is None or not (folder / MANIFEST).exists():
            return
        for line in (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                self._entries[entry["result"]] = entry
            except (json.JSONDecodeError, KeyError, TypeError):
                continue

    def holds(self, job: Job, source: str, settings: str) -> bool:
        """Whether the result of `job` was made of `source` with `settings` and is still as it was written."""
        entry = self._entries.get(self._name(job))
        return (
            entry is not None
            and (entry.get("source"), entry.get("settings")) == (source, settings)
            and job.target.is_file()
            and entry.get("sha256") == _sha256_of(job.target)
        )

    def add(self, job: Job, source: str, settings: str) -> None:
        """Remember the result that has been written."""
        if self.folder is None:
            return
        entry = {"result": self._name(job), "source": source, "settings": settings, "sha256": _sha256_of(job.target)}
        with (self.folder / MANIFEST).open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def _name(self, job: Job) -> str:
        return job.target.relative_to(self.folder).as_posix() if self.folder is not None else str(job.target)


def _places(path: Path, out: Path, several: bool) -> Iterator[tuple[Path, Path]]:
    """Pairs of a picture and its place below the output folder."""
    if path.is_file():
        yield path, Path(path.name)
        return
    results = out.resolve()
    found = False
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(".") for part in inside.parts)
        if (
            hidden
            or file.suffix.lower() not in SUFFIXES
            or not file.is_file()
            or file.resolve().is_relative_to(results)
        ):
            continue
        found = True
        yield file, (Path(path.resolve().name) / inside if several else inside)
    if not found:
        raise PictureError(f"{path}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")


def _named(places: Sequence[tuple[Path, Path]], out: Path, suffix: str | None) -> list[Job]:
    def wanted(place: Path) -> Path:
        keeps = suffix is None or SUFFIXES.get(place.suffix.lower()) == SUFFIXES[suffix]
        return place if keeps else place.with_suffix(suffix or "")

    def key(place: Path) -> str:
        return str(place).lower()  # some file systems do not tell A.png from a.png

    counts: dict[str, int] = {}
    for _, place in places:
        counts[key(wanted(place))] = counts.get(key(wanted(place)), 0) + 1
    taken: dict[str, Path] = {}
    jobs = []
    for source, place in places:
        name = wanted(place)
        if counts[key(name)] > 1 and suffix is not None:
            name = place.with_name(place.name + suffix)
        if key(name) in taken:
            raise PictureError(f"{source} and {taken[key(name)]} would both become {out / name}")
        taken[key(name)] = source
        jobs.append(Job(source, out / name))
    return jobs


def _measured(job: Job, settings: Settings) -> int:
    """The number of pixels to enlarge, after every check that needs no more than the header."""
    header = read_header(job.source)
    try:
        height, width = settings.target.of(header.height, header.width, settings.upscaler.own_scale)
    except UpscaleError as error:
        raise UpscaleError(f"{job.source}: {error}") from None
    if settings.preview is not None:
        _, _, wide, high = settings.preview
        check_size(job.target, ceil(wide * width / header.width), ceil(high * height / header.height))
        return wide * high
    check_size(job.target, width, height)
    return header.width * header.height


def _enlarge(job: Job, settings: Settings, advance: Advance) -> tuple[str, list[str]]:
    photo = read_photo(job.source)
    notes = losses(photo, job.target)
    height, width = photo.pixels.shape[:2]
    size = settings.target.of(height, width, settings.upscaler.own_scale)
    try:
        if settings.preview is None:
            pixels, alpha = settings.upscaler.enlarge(photo.pixels, photo.alpha, *size, advance)
        else:
            pixels, alpha = settings.upscaler.enlarge_part(photo.pixels, photo.alpha, *size, settings.preview, advance)
    except UpscaleError as error:
        raise UpscaleError(f"{job.source}: {error}") from None
    except MemoryError:
        raise UpscaleError(f"{job.source}: not enough memory for the result of {size[1]}×{size[0]}") from None
    write_photo(job.target, Photo(pixels, alpha, photo.icc_profile, photo.metadata))
    return f"{width}×{height} → {pixels.shape[1]}×{pixels.shape[0]}", notes


def _checking(check: Callable[[], None], advance: Advance) -> Advance:
    def checked(share: float) -> None:
        check()
        advance(share)

    return checked


def _as_error(job: Job, error: NitidoError | OSError) -> NitidoError:
    if isinstance(error, NitidoError):
        return error
    if error.errno in _DISK_IS_GONE:
        raise error
    return PictureError(f"{error.filename or job.source}: {error.strerror or error}")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
