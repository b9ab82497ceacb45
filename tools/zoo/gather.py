"""`python -m tools.zoo.gather`: collect training images of the zoo with their credits."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from nitido.base.errors import NitidoError
from nitido.imaging import DecodedImage, find_images, load_image, save_image
from nitido.models.zoo.shipped import ZooError
from tools.zoo.credits import Credit, read_credits, write_credits
from tools.zoo.shrinking import Image, flat_share, half, shrunk, smaller
from tools.zoo.wallpapers import find_wallpapers

LICENCES = ("CC0-1.0", "CC-BY-*", "CC-BY-SA-*", "GPL-2+")
"""Accepted licenses of wallpapers; `*` matches a version, so CC-BY-* does not match CC-BY-NC-4.0."""

MOST_FLAT = 0.6
"""The share of flat blocks (`shrinking.flat_share`) from which an image is left out.

Of the 73 motifs in the packages all drawings and gradients without transparency lie above it, at 0.64 or more, and so
do the photographs that are mostly blurred.
"""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Gathered:
    """Number of written images and of their pixels."""

    images: int
    pixels: int

    def __str__(self) -> str:
        """Return a text for display."""
        return f"{self.images} image{'s' if self.images != 1 else ''}, {self.pixels / 1e6:.1f} megapixels"


def gather_wallpapers(root: Path, out: Path, licences: Sequence[str], halves: bool, report: Report) -> Gathered:
    """Write every wallpaper below `root` that may be taken and is worth it to `out`: `NNN.png` and `SOURCES.tsv`.

    They are shrunk (`shrinking.shrunk`); with `halves`, `NNN-half.png` is the same image shrunk by 2 again. `report` is
    called with each motif that is left out and the reason: its licence, transparency, or too little detail.

    Raises `ZooError` when packages or all images are missing or `out` is not empty, `ImageFileError` for a damaged one.
    """
    wallpapers = find_wallpapers(root)
    _prepare(out)
    credits: list[Credit] = []
    pixels = taken = 0
    for wallpaper in wallpapers:
        credit = wallpaper.credit
        if not is_accepted(credit.licence, licences):
            report(f"left out {credit.file}: licence {credit.licence or 'not stated'}")
            continue
        original = load_image(wallpaper.path)
        if _transparent(original):
            report(f"left out {credit.file}: transparent in part")
            continue
        image = shrunk(original.rgb8())
        share = flat_share(image)
        if share >= MOST_FLAT:
            report(f"left out {credit.file}: {share:.0%} of it is flat")
            continue
        taken += 1
        sizes = [(f"{taken:03d}.png", image)]
        if halves:
            sizes.append((f"{taken:03d}-half.png", half(image)))
        for name, size in sizes:
            pixels += _write(out / name, size)
            credits.append(replace(credit, file=name))
    if not credits:
        raise ZooError(f"{root}: every wallpaper is left out under the licences {', '.join(licences)}")
    write_credits(out, credits)
    return Gathered(len(credits), pixels)


def gather_smaller(folder: Path, out: Path, factors: Sequence[float]) -> Gathered:
    """Write every image of `folder`, shrunk by each of `factors`, to `out` with its line of `SOURCES.tsv`.

    `photo.jpg` shrunk by 1.5 is `photo-by-1.5.png`. Raises `ImageFileError` when there are no images or a damaged one,
    `DataError` for a bad `SOURCES.tsv`, and `ZooError` when `out` is not empty, two images differ in their suffix
    alone, or a factor does not shrink or is there twice.
    """
    for factor in factors:
        if not 1 < factor < math.inf:
            raise ZooError(f"shrunk by {factor:g}: it must be more than 1")
    if len({f"{factor:g}" for factor in factors}) < len(factors):
        raise ZooError(f"shrunk by {', '.join(f'{factor:g}' for factor in factors)}: each factor once")
    paths = find_images(folder)
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ZooError(f"{folder}: several images are called {twice[0]}: their smaller ones would have one name")
    credits = {credit.file: credit for credit in read_credits(paths)}
    _prepare(out)
    written: list[Credit] = []
    pixels = 0
    for path in paths:
        image = load_image(path).rgb8()
        for factor in factors:
            name = f"{path.stem}-by-{factor:g}.png"
            pixels += _write(out / name, smaller(image, factor))
            if path.name in credits:
                written.append(replace(credits[path.name], file=name))
    if written:
        write_credits(out, written)
    return Gathered(len(paths) * len(factors), pixels)


def is_accepted(licence: str, accepted: Sequence[str]) -> bool:
    """Return whether a license is one of `accepted`, in which `*` matches a version.

    >>> [is_accepted(word, ["CC-BY-*"]) for word in ("CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-4.0 and GPL-2")]
    [True, False, False]
    """
    patterns = (re.escape(word).replace(r"\*", r"\d+(\.\d+)*") for word in accepted)
    return any(re.fullmatch(pattern, licence) for pattern in patterns)


def _transparent(image: DecodedImage) -> bool:
    return image.alpha is not None and bool((image.alpha < np.iinfo(image.alpha.dtype).max).any())


def _prepare(out: Path) -> None:
    """Make the folder; images of an earlier time in it would be without a line in the new `SOURCES.tsv`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        occupied = any(out.iterdir())
    except OSError as error:
        raise ZooError(f"cannot write {out}: {error.strerror}") from error
    if occupied:
        raise ZooError(f"{out}: not empty: remove it, or name another folder")


def _write(path: Path, image: Image) -> int:
    """Write `(H, W, 3)` and return its number of pixels."""
    save_image(path, image)
    return image.size // 3


app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command("wallpapers")
def _wallpapers(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    root: Annotated[Path, typer.Option(help="Where the packages are installed, or unpacked by dpkg -x.")] = Path("/"),
    licences: Annotated[
        str, typer.Option(help="The licences to take, separated by commas; * stands for a version.")
    ] = ",".join(LICENCES),
    halves: Annotated[bool, typer.Option("--halves", help="Add every image shrunk by 2 once more.")] = False,
) -> None:
    """Collect the images of Debian's wallpaper packages, shrunk until JPEG artifacts are gone.

    Example: python -m tools.zoo.gather wallpapers ./wallpapers --halves
    """
    words = [word.strip() for word in licences.split(",") if word.strip()]
    print(f"{out}: {gather_wallpapers(root, out, words, halves, print)}")


@app.command("smaller")
def _smaller(
    folder: Annotated[Path, typer.Argument(help="A folder of images.")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    by: Annotated[list[float], typer.Option(help="How many times smaller each side is; may be repeated.")],
) -> None:
    """Write smaller copies of the images of a folder, one per factor, with their credits.

    A network sees edges of every sharpness in them, and small images are what the test sets are made of.

    Example: python -m tools.zoo.gather smaller ./photos49 ./photos49-smaller --by 1.5 --by 2 --by 3
    """
    print(f"{out}: {gather_smaller(folder, out, by)}")


def main() -> None:
    """Run the command; user errors are one line on standard error."""
    try:
        app()
    except NitidoError as error:
        print(f"nitido: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
