"""Upscales image files and folders one by one, with atomic results and without repeating finished work."""

import errno
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from nitido.base.atomic import check_writable, remove_drafts
from nitido.base.device import device_label
from nitido.base.errors import NitidoError
from nitido.base.file_hash import sha256_of_file
from nitido.base.interrupts import postponed_interrupts
from nitido.base.locks import exclusive
from nitido.base.registry import plugin_code
from nitido.imaging import FORMATS, ImageFileError, walk
from nitido.models import read_descriptor
from nitido.models.find import WEIGHTS, model_path
from nitido.models.onnx import SUFFIX as ONNX_SUFFIX
from nitido.models.self_ensemble import SelfEnsemble
from nitido.models.zoo.shipped import zoo_names
from nitido.upscaling.images import (
    ImageWithMetadata,
    check_size,
    format_of,
    losses,
    read_header,
    read_image,
    write_image,
)
from nitido.upscaling.images.target_size import TargetSize, UpscaleError
from nitido.upscaling.images.transparency import Color, flattened, without_opaque_alpha
from nitido.upscaling.manifest import MANIFEST, Manifest
from nitido.upscaling.pipeline import overlapped
from nitido.upscaling.tiled_inference import Advance
from nitido.upscaling.upscaler import ImageUpscaler, Rectangle
from nitido.upscaling.workspace import Workspace

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

EXISTING = ("error", "skip", "overwrite")
"""How to treat existing files that are not results of nitido; the first one is the default."""

_NAMED = 5  # maximum number of files in an error
_OTHER_IMAGE = re.compile(
    r"\.(jxl|hei[cf]|gif|jp2|j2k|jpf|jfif|jpe|exr|hdr|psd|tga|ico|icns|pcx|p[bgnpf]m|svg|pdf|eps|dds|qoi|dib|mpo|"
    r"apng|avifs|fits|raw|dng|cr2|cr3|nef|arw|orf|rw2)"
)
"""Suffixes of unsupported image formats, which are not folder names."""


@dataclass(frozen=True)
class Job:
    """An image and the file of its result."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """The jobs of a batch.

    Attributes:
        jobs: The jobs.
        folder: The output folder, which records finished results; None for a single file.
        others: Files in the input folders without the suffix of an image, which are ignored.
    """

    jobs: Sequence[Job]
    folder: Path | None
    others: Sequence[Path] = ()


@dataclass(frozen=True)
class Settings:
    """How images are upscaled.

    `model` identifies the weights in the record of finished results. `background` is the sRGB color under transparent
    images if the result's format does not support transparency; without it, these images are refused.
    """

    upscaler: ImageUpscaler
    model: str
    target: TargetSize = field(default_factory=TargetSize)
    preview: Rectangle | None = None
    background: Color | None = None

    def __post_init__(self) -> None:
        if self.upscaler.own_scale is None and self.target == TargetSize():
            raise UpscaleError("bicubic has no scale of its own: specify the size, e.g. --scale 2")

    def fingerprint(self) -> str:
        """Return a hash that changes whenever results could differ by more than the rounding of a backend."""
        ensemble, precision = isinstance(self.upscaler.network, SelfEnsemble), self.upscaler.precision
        made_by = (version("nitido"), self.model, ensemble, precision, self.target, self.preview, self.background)
        return hashlib.sha256(repr(made_by).encode()).hexdigest()


def model_identity(name_or_path: str | Path) -> str:
    """Return a text that identifies the network of a run directory or a file: hashes of weights and plugin code."""
    path = model_path(name_or_path)
    weights = sha256_of_file(path)
    if path.suffix.lower() == ONNX_SUFFIX:  # contains the whole network
        return weights
    descriptor = read_descriptor(path)
    plugins = {word: found.code for word, found in plugin_code([descriptor.architecture, descriptor.config]).items()}
    return f"{weights} {plugins}" if plugins else weights


class Listener(Protocol):
    """Receives the progress of a batch."""

    def planned(self, pixels: int) -> None:
        """Receive the number of pixels to upscale in all images."""

    def started(self, job: Job, pixels: int) -> Advance:
        """Receive the start of an image and return the callback for its progress."""

    def ended(self, job: Job, outcome: str, notes: Sequence[str]) -> None:
        """Receive the result's size in words, and `notes` about what its format did not preserve."""

    def skipped(self, job: Job, pixels: int) -> None:
        """Receive that the result already exists."""

    def failed(self, job: Job, error: NitidoError) -> None:
        """Receive that an image cannot be upscaled; others continue."""

    def left(self, job: Job) -> None:
        """Receive that a foreign file has the name of the result and is kept."""

    def warned(self, text: str) -> None:
        """Receive a message that does not concern a single image."""


def plan(inputs: Sequence[Path], out: Path, suffix: str | None = None) -> Plan:
    """Return the jobs for `inputs`, images and folders of them, with results in `out`.

    The result of a single image is the file `out` if this has the suffix of an image; otherwise results are in the
    folder `out`. Folders are searched recursively, and their structure is preserved. `suffix` (".png") changes the
    format; if two images would then have one name, both keep their old suffix before the new one (`a.jpg.png` and
    `a.png.png`). Names that differ only in case are different if the file system distinguishes them. An image that is
    given twice is upscaled once. Hidden files and files in `out` are ignored.

    Raises:
        ImageFileError: An input is missing, a folder contains no image, `out` is an input or has the suffix of an
            unsupported image format, or a result would overwrite a source or another result.
    """
    for path in inputs:
        if not path.exists():
            model = f"; it is a model of the zoo: --model {path}" if str(path) in zoo_names() else ""
            raise ImageFileError(f"{path}: no such file or folder{model}")
        if path.is_dir() and os.path.realpath(path) == os.path.realpath(out):
            raise ImageFileError(f"{out}: input and output are the same folder: choose another output")
    if out.is_symlink() and not out.exists():
        raise ImageFileError(f"{out}: a broken link: remove it, or choose another output")
    _check_ending(inputs, out)
    if len(inputs) == 1 and inputs[0].is_file() and out.suffix.lower() in FORMATS and not out.is_dir():
        if suffix is not None and FORMATS[out.suffix.lower()] != FORMATS[suffix]:
            raise ImageFileError(f"{out}: its suffix is of another format than {suffix.removeprefix('.')}")
        jobs, folder, others = [Job(inputs[0], out)], None, []
    else:
        if out.exists() and not out.is_dir():
            raise ImageFileError(f"{out}: the output is a file; a folder is required")
        if out.suffix.lower() in FORMATS and not out.is_dir():
            raise ImageFileError(f"{out}: the name of an image, but a folder is required for several images")
        searched = [_searched(path, out, several=len(inputs) > 1) for path in inputs]
        jobs, folder = _named([place for places, _ in searched for place in places], out, suffix), out
        others = [other for _, unread in searched for other in unread]
    sources = {os.path.realpath(job.source) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.target) in sources:
            raise ImageFileError(f"{job.target}: would overwrite an input image: choose another output")
    return Plan(jobs, folder, others)


def run(batch: Plan, settings: Settings, listener: Listener, existing: str = EXISTING[0]) -> int:
    """Upscale the images of `batch` and return the number of failures.

    While one image is upscaled, the next is read and the previous one is written, in two threads; the listener is
    called only in this thread. An image is skipped if source, model and options are those of the last time and its
    result was not modified. Results are written atomically, so a batch may be stopped at any time and started again.

    Args:
        batch: The plan.
        settings: How to upscale.
        listener: Receives progress.
        existing: One of `EXISTING`: whether existing files that nitido did not write end the batch with `UpscaleError`
            before any work, are kept, or are replaced.

    Raises:
        OSError: The disk is full or read-only.
        BusyError: Another batch uses the same folder.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, between two tiles.
    """
    lock: AbstractContextManager[None] = nullcontext()
    if batch.folder is not None:
        batch.folder.mkdir(parents=True, exist_ok=True)
        lock = exclusive(batch.folder)
    with lock, postponed_interrupts() as check:
        if batch.folder is not None:
            _remove_drafts(batch.folder, batch.jobs)
        manifest = Manifest(batch.folder)
        fingerprint = settings.fingerprint()
        failures = 0
        ready = []
        if manifest.damaged:
            listener.warned(f"{manifest.damaged} damaged lines of {manifest.path} are ignored")
        for job in batch.jobs:
            try:
                check_writable(job.target)
                ready.append((job, _measured(job, settings)))
            except (NitidoError, OSError) as error:
                listener.failed(job, _as_error(job, error))
                failures += 1
        foreign = _foreign([job for job, _ in ready], manifest, existing)
        if existing == "skip":
            for job in foreign:
                listener.left(job)
            ready = [(job, pixels) for job, pixels in ready if job not in foreign]
        listener.planned(sum(pixels for _, pixels in ready))
        steps = _Steps(settings, manifest, fingerprint, batch.folder, listener, check)
        with closing(overlapped(ready, steps.read, steps.upscale, steps.write, check)) as outcomes:
            for (job, pixels), outcome in outcomes:
                check()
                if isinstance(outcome, NitidoError | OSError):
                    listener.failed(job, _as_error(job, outcome))
                    failures += 1
                elif outcome is None:
                    listener.skipped(job, pixels)
                else:
                    listener.ended(job, outcome.size, outcome.notes)
        return failures


def _check_ending(inputs: Sequence[Path], out: Path) -> None:
    """Refuse an output with the suffix of an unsupported image format, or with any other suffix for a single image."""
    ending = out.suffix.lower()
    if not ending or ending in FORMATS or out.exists():
        return
    one_image = len(inputs) == 1 and inputs[0].is_file()
    if _OTHER_IMAGE.fullmatch(ending) or one_image:
        known = ", ".join(FORMATS)
        raise ImageFileError(f"{out}: {ending} cannot be written, only {known} (if it is a folder, create it first)")


def _remove_drafts(out: Path, jobs: Sequence[Job]) -> None:
    """Remove drafts of killed processes in the folders of the results, except for other output folders within `out`."""
    for folder in {job.target.parent for job in jobs}:
        if folder.is_dir() and (folder == out or not (folder / MANIFEST).exists()):
            remove_drafts(folder)


def _foreign(jobs: Sequence[Job], manifest: Manifest, existing: str) -> list[Job]:
    """Return those of `jobs` that would replace files not written by nitido.

    Raises:
        UpscaleError: There are any, and `existing` is "error".
    """
    foreign = [job for job in jobs if job.target.is_file() and not manifest.owns(job.target)]
    if foreign and existing == "error":
        named = ", ".join(str(job.target) for job in foreign[:_NAMED])
        more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
        reason = "" if manifest.folder is None else " and was not written by this command, or modified since"
        raise UpscaleError(f"{named}{more}: already exists{reason}: use --existing skip or overwrite")
    return foreign


def _is_case_sensitive(folder: Path) -> bool:
    """Return whether names in `folder`, or in its first existing parent, are case-sensitive."""
    while not folder.is_dir():
        folder = folder.parent
    with NamedTemporaryFile(prefix="nitido-case-", dir=folder) as file:
        return not Path(file.name).with_name(Path(file.name).name.upper()).exists()


def _searched(path: Path, out: Path, several: bool) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """Return pairs of an image and its relative path in the output folder, and the files that are not images."""
    if path.is_file():
        return [(path, Path(path.name))], []
    root, results = os.path.realpath(path), os.path.realpath(out)
    inside_input = Path(results).is_relative_to(root)

    def a_result(file: Path) -> bool:
        return inside_input and Path(os.path.realpath(file)).is_relative_to(results)

    found = walk(path, skip=a_result)
    if not found.images and ((path / WEIGHTS).exists() or (path / "config.yaml").exists()):
        raise ImageFileError(f"{path}: a run directory without images: use it as --model {path}")
    if not found.images:
        raise ImageFileError(f"{path}: no images in this folder (looked for {', '.join(FORMATS)})")
    places = []
    for file in found.images:
        inside = file.relative_to(path)
        places.append((file, Path(Path(root).name) / inside if several else inside))
    return places, list(found.left_out)


def _named(places: Sequence[tuple[Path, Path]], out: Path, suffix: str | None) -> list[Job]:
    def wanted(place: Path) -> Path:
        keeps = suffix is None or FORMATS.get(place.suffix.lower()) == FORMATS[suffix]
        return place if keeps else place.with_suffix(suffix or "")

    places = list({(os.path.realpath(source), place): (source, place) for source, place in places}.values())
    names = [wanted(place) for _, place in places]
    counts = Counter(str(name).casefold() for name in names)
    case_matters = len(set(names)) > len(counts) and _is_case_sensitive(out)
    taken: dict[str, Path] = {}
    jobs = []
    for (source, place), name in zip(places, names, strict=True):
        if counts[str(name).casefold()] > 1 and suffix is not None:
            name = place.with_name(place.name + suffix)
        key = str(name) if case_matters else str(name).casefold()
        if key in taken:
            raise ImageFileError(
                f"{source} and {taken[key]} would both become {out / name}: rename one, or use separate outputs"
            )
        taken[key] = source
        jobs.append(Job(source, out / name))
    return jobs


def _measured(job: Job, settings: Settings) -> int:
    """Return the number of pixels to upscale, after all checks that need only the header."""
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


_Sized = tuple[Job, int]  # an image and its number of pixels to upscale


@dataclass(frozen=True)
class _Loaded:
    photo: ImageWithMetadata
    source: str
    notes: list[str]
    workspace: Workspace


@dataclass(frozen=True)
class _Upscaled:
    photo: ImageWithMetadata
    source: str
    size: str
    notes: list[str]
    workspace: Workspace


@dataclass(frozen=True)
class _Steps:
    """The steps of processing an image. None represents one that is already finished."""

    settings: Settings
    manifest: Manifest
    fingerprint: str
    folder: Path | None
    listener: Listener
    check: Callable[[], None]

    def read(self, sized: _Sized) -> _Loaded | None:
        job, _ = sized
        source = sha256_of_file(job.source)
        if self.manifest.holds(job.target, source, self.fingerprint):
            return None
        workspace = Workspace(self.folder or job.target.parent)
        try:
            photo = read_image(job.source, workspace)
        except MemoryError:
            raise UpscaleError(f"{job.source}: not enough memory to read it") from None
        if not format_of(job.target).alpha:
            photo = without_opaque_alpha(photo)
            if self.settings.background is not None:
                photo = flattened(photo, self.settings.background, workspace)
        return _Loaded(photo, source, losses(photo, job.target), workspace)

    def upscale(self, sized: _Sized, loaded: _Loaded | None) -> _Upscaled | None:
        self.check()
        if loaded is None:
            return None
        job, count = sized
        photo, upscaler, preview = loaded.photo, self.settings.upscaler, self.settings.preview
        height, width = photo.pixels.shape[:2]
        size = self.settings.target.of(height, width, upscaler.own_scale)
        notes = list(loaded.notes)
        given = (photo.pixels, photo.alpha, *size)
        advance = _checking(self.check, self.listener.started(job, count))
        try:
            if preview is None:
                pixels, alpha = upscaler.upscale(*given, advance, note=notes.append, workspace=loaded.workspace)
            else:
                pixels, alpha = upscaler.upscale_part(
                    *given, preview, advance, note=notes.append, workspace=loaded.workspace
                )
        except UpscaleError as error:
            raise UpscaleError(f"{job.source}: {error}") from None
        except MemoryError:
            raise UpscaleError(f"{job.source}: out of memory for the result of {size[1]}×{size[0]}") from None
        part = f"{width}×{height}" if preview is None else f"part {','.join(map(str, preview))} of {width}×{height}"
        outcome = f"{part} → {pixels.shape[1]}×{pixels.shape[0]}"
        upscaled = replace(photo, pixels=pixels, alpha=alpha, notes=())
        return _Upscaled(upscaled, loaded.source, outcome, list(dict.fromkeys(notes)), loaded.workspace)

    def write(self, sized: _Sized, upscaled: _Upscaled | None, pulse: Callable[[], None]) -> _Upscaled | None:
        job, _ = sized
        if upscaled is not None:

            def remember(draft: Path) -> None:
                device = device_label(self.settings.upscaler.device)
                self.manifest.add(job.target, draft, upscaled.source, self.fingerprint, device)

            not_taken = write_image(job.target, upscaled.photo, upscaled.workspace, pulse, remember)
            return replace(upscaled, notes=[*upscaled.notes, *not_taken])
        return upscaled


def _checking(check: Callable[[], None], advance: Advance) -> Advance:
    def checked(share: float) -> None:
        check()
        advance(share)

    return checked


def _as_error(job: Job, error: NitidoError | OSError) -> NitidoError:
    if isinstance(error, NitidoError):
        return error
    if error.errno in _DISK_ERRORS:
        raise error
    return ImageFileError(f"{error.filename or job.source}: {error.strerror or error}")
