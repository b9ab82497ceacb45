"""Look through a folder of pictures for what would spoil a training or a benchmark."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nitido.base.notes import note
from nitido.data.decode import decode
from nitido.data.overlap import similar_pictures
from nitido.data.thumbnails import thumbnail_of_strips

if TYPE_CHECKING:
    from nitido.imaging import Picture

MINIMUM_SIDE = 48
"""Pixels: a picture with a shorter side has no room for a training patch worth having (24 pixels in LR at scale 2)."""

_STRIP = 512  # rows that are hashed at a time

MOST_COMPARED = 2000
"""Pictures of which every two are compared for being nearly the same."""

Problem = Literal["unreadable", "too small", "grey", "alpha", "16-bit", "CMYK", "duplicate", "near duplicate"]


@dataclass(frozen=True)
class Finding:
    """One problem with one picture; a picture may have several. `message` is a line that names the file."""

    path: Path
    problem: Problem
    message: str


def check_folder(folder: Path) -> list[Finding]:
    """Read every picture in and below `folder` and list its problems, in the order of the file names.

    Pictures are duplicates when their 8-bit RGB pixels are equal, whatever the file format, and near duplicates when
    one looks like the other compressed again, resized, turned, slightly cropped or a little brighter; the first one by
    name is not reported. Near duplicates are looked for among the first `MOST_COMPARED` pictures. Raises
    `nitido.imaging.PictureError` when there is no such folder or no picture in it.
    """
    from nitido.imaging import FORMATS, PictureError, find_pictures, walk

    findings: list[Finding] = []
    first: dict[str, Path] = {}
    different: dict[Path, npt.NDArray[np.uint8]] = {}
    paths = find_pictures(folder)
    for path, reason in walk(folder).left_out.items():
        if path.suffix.lower() in FORMATS:
            findings.append(Finding(path, "unreadable", f"{path}: {reason.replace('(s)', '')}"))
    for path in paths:
        try:
            picture = decode(path)
        except PictureError as error:
            findings.append(Finding(path, "unreadable", str(error)))
            continue
        findings += [Finding(path, problem, f"{path}: {text}") for problem, text in _problems(picture)]
        twin = first.setdefault(_content_hash(picture), path)
        if twin != path:
            findings.append(Finding(path, "duplicate", f"{path}: the same pixels as {twin.relative_to(folder)}"))
        elif len(different) < MOST_COMPARED:
            different[path] = thumbnail_of_strips(picture.height, picture.width, _strips(picture))
    if len(first) > len(different):
        note(f"near duplicates were looked for among the first {MOST_COMPARED:,} pictures of {folder} alone")
    findings += _near_duplicates(folder, different)
    return sorted(findings, key=lambda finding: finding.path)


def _near_duplicates(folder: Path, thumbnails: Mapping[Path, npt.NDArray[np.uint8]]) -> Iterator[Finding]:
    """Find the pictures that look nearly like one before them; each is named once."""
    if len(thumbnails) < 2:
        return
    paths, stack = list(thumbnails), np.stack(list(thumbnails.values()))
    twins: dict[int, int] = {}
    for i, j in similar_pictures(stack, stack):
        if i < j:
            twins[j] = min(i, twins.get(j, i))
    for j, i in sorted(twins.items()):
        text = f"{paths[j]}: nearly the same picture as {paths[i].relative_to(folder)}"
        yield Finding(paths[j], "near duplicate", text)


def _problems(picture: "Picture") -> Iterator[tuple[Problem, str]]:
    if min(picture.height, picture.width) < MINIMUM_SIDE:
        size = f"{picture.width}×{picture.height}"
        yield "too small", f"{size} pixels, both sides should have at least {MINIMUM_SIDE}"
    if picture.pixels.shape[2] == 1:
        yield "grey", "one grey channel instead of RGB: it is repeated for training and scored as its own luma"
    if picture.alpha is not None:
        yield "alpha", "has an alpha channel, which is left out"
    if picture.pixels.dtype != "uint8":
        yield "16-bit", "more than 8 bits per channel, which are rounded to 8"
    if _is_cmyk(picture):
        yield "CMYK", "CMYK instead of RGB: it is converted by its colour profile"


def _content_hash(picture: "Picture") -> str:
    """What `content_hash` gives for the whole picture in RGB, without making that."""
    digest = hashlib.sha256(repr((picture.height, picture.width, 3)).encode())
    for strip in _strips(picture):
        digest.update(np.ascontiguousarray(strip).data)  # a turned picture is a view
    return digest.hexdigest()


def _strips(picture: "Picture") -> "Iterator[npt.NDArray[np.uint8]]":
    """The rows of a picture in 8-bit RGB, some at a time."""
    for top in range(0, picture.height, _STRIP):
        yield replace(picture, pixels=picture.pixels[top : top + _STRIP]).rgb8()


def _is_cmyk(picture: "Picture") -> bool:
    """Whether the file holds CMYK, which the decoded picture no longer tells."""
    import pyvips

    if picture.format not in ("jpeg", "tiff"):
        return False
    with picture.path.open("rb") as file:
        header = pyvips.Image.new_from_source(pyvips.Source.new_from_descriptor(file.fileno()), "")
        return bool(header.interpretation == "cmyk")
