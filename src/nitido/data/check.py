"""Checks a folder of images for problems that would affect training or benchmarks."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nitido.base.notes import note
from nitido.data.decode import decode
from nitido.data.overlap import similar_images
from nitido.data.thumbnails import thumbnail_of_strips

if TYPE_CHECKING:
    from nitido.imaging import DecodedImage

MINIMUM_SIDE = 48
"""Minimum side in pixels; a smaller image has no space for a useful training patch (24 LR pixels at scale 2)."""

_STRIP = 512  # rows per strip

MOST_COMPARED = 2000
"""Maximum number of images that are compared pairwise for near duplicates."""

Problem = Literal["unreadable", "too small", "grey", "alpha", "16-bit", "CMYK", "CIELAB", "duplicate", "near duplicate"]


@dataclass(frozen=True)
class Finding:
    """One problem of one image, which may have several. `message` is a line that names the file."""

    path: Path
    problem: Problem
    message: str


def check_folder(folder: Path) -> list[Finding]:
    """Read every image in `folder` and its subfolders and return its problems, sorted by file name.

    Duplicates have equal 8-bit RGB pixels, whatever the file format. Near duplicates differ by compression, resizing,
    rotation, slight cropping or brightness. The first one by name is not reported. Near duplicates are searched for
    among the first `MOST_COMPARED` images.

    Raises:
        nitido.imaging.ImageFileError: There is no such folder, or it contains no images.
    """
    from nitido.imaging import FORMATS, ImageFileError, find_images, walk

    findings: list[Finding] = []
    first: dict[str, Path] = {}
    different: dict[Path, npt.NDArray[np.uint8]] = {}
    paths = find_images(folder)
    for path, reason in walk(folder).left_out.items():
        if path.suffix.lower() in FORMATS:
            findings.append(Finding(path, "unreadable", f"{path}: {reason.replace('(s)', '')}"))
    for path in paths:
        try:
            image = decode(path)
        except ImageFileError as error:
            findings.append(Finding(path, "unreadable", str(error)))
            continue
        findings += [Finding(path, problem, f"{path}: {text}") for problem, text in _problems(image)]
        original = first.setdefault(_content_hash(image), path)
        if original != path:
            findings.append(Finding(path, "duplicate", f"{path}: the same pixels as {original.relative_to(folder)}"))
        elif len(different) < MOST_COMPARED:
            different[path] = thumbnail_of_strips(image.height, image.width, _strips(image))
    if len(first) > len(different):
        note(f"near duplicates were searched for only among the first {MOST_COMPARED:,} images of {folder}")
    findings += _near_duplicates(folder, different)
    return sorted(findings, key=lambda finding: finding.path)


def _near_duplicates(folder: Path, thumbnails: Mapping[Path, npt.NDArray[np.uint8]]) -> Iterator[Finding]:
    """Yield a finding for each image that is nearly the same as an earlier one."""
    if len(thumbnails) < 2:
        return
    paths, stack = list(thumbnails), np.stack(list(thumbnails.values()))
    originals: dict[int, int] = {}
    for i, j in similar_images(stack, stack):
        if i < j:
            originals[j] = min(i, originals.get(j, i))
    for j, i in sorted(originals.items()):
        text = f"{paths[j]}: nearly the same image as {paths[i].relative_to(folder)}"
        yield Finding(paths[j], "near duplicate", text)


def _problems(image: "DecodedImage") -> Iterator[tuple[Problem, str]]:
    if min(image.height, image.width) < MINIMUM_SIDE:
        size = f"{image.width}×{image.height}"
        yield "too small", f"{size} pixels, both sides should have at least {MINIMUM_SIDE}"
    if image.pixels.shape[2] == 1:
        yield "grey", "one gray channel instead of RGB: it is repeated for training and used as luma for scores"
    if image.alpha is not None:
        yield "alpha", "has an alpha channel, which is ignored"
    if image.pixels.dtype != "uint8":
        yield "16-bit", "more than 8 bits per channel, which are rounded to 8"
    interpretation = _interpretation(image)
    if interpretation == "cmyk":
        yield "CMYK", "CMYK instead of RGB: it is converted with its color profile"
    if interpretation in ("lab", "labs"):
        yield "CIELAB", "CIELAB instead of RGB: it is converted"


def _content_hash(image: "DecodedImage") -> str:
    """Return `content_hash` of the whole image in RGB without allocating it."""
    digest = hashlib.sha256(repr((image.height, image.width, 3)).encode())
    for strip in _strips(image):
        digest.update(np.ascontiguousarray(strip).data)  # an image rotated by EXIF is a view
    return digest.hexdigest()


def _strips(image: "DecodedImage") -> "Iterator[npt.NDArray[np.uint8]]":
    """Yield strips of rows of an image in 8-bit RGB."""
    for top in range(0, image.height, _STRIP):
        yield replace(image, pixels=image.pixels[top : top + _STRIP]).rgb8()


def _interpretation(image: "DecodedImage") -> str:
    """Return libvips' name of the color space of the file, which decoding converts."""
    import pyvips

    if image.format not in ("jpeg", "tiff"):
        return "srgb"
    with image.path.open("rb") as file:
        header = pyvips.Image.new_from_source(pyvips.Source.new_from_descriptor(file.fileno()), "")
        return str(header.interpretation)
