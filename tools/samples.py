"""`python -m tools.samples KODAK_DIR`: the crops of the Kodak images in the image set `samples`, and their README."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from nitido.base.atomic import write_text
from nitido.base.errors import NitidoError
from nitido.data import SAMPLES, Sample
from nitido.data.catalog import SAMPLES_FOLDER
from nitido.imaging import load_image, save_image

README = "README.md"
"""The file beside the crops that states their source and licence."""

_TEXT = """\
# Crops of the Kodak images

Source: the 24 photographs of the Kodak Lossless True Color Image Suite, <https://r0k.us/graphics/kodak/>.
Licence: released by the Eastman Kodak Company for unrestricted use.

These crops are a part of nitido's image set `samples`. The other images of the set are read from the installed
scikit-image; `src/nitido/data/catalog.py` states their licences. The crops are lossless WebP.
`python -m tools.samples KODAK_DIR` makes them and this file.

| file | Kodak image | left, top, width, height | split | scene |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        """The four numbers, for the table."""
        return f"{self.left}, {self.top}, {self.width}, {self.height}"


BOXES = {
    1: Box(128, 96, 512, 384),
    2: Box(128, 64, 512, 384),
    3: Box(96, 112, 192, 192),
    4: Box(192, 306, 192, 192),
    5: Box(144, 176, 192, 192),
    6: Box(80, 32, 512, 384),
    7: Box(320, 144, 192, 192),
    8: Box(544, 184, 192, 192),
    9: Box(128, 452, 192, 192),
    10: Box(136, 16, 192, 192),
    11: Box(224, 32, 512, 384),
    12: Box(208, 44, 192, 192),
    13: Box(128, 96, 512, 384),
    14: Box(112, 80, 512, 384),
    15: Box(368, 48, 192, 192),
    16: Box(336, 96, 192, 192),
    17: Box(168, 80, 192, 192),
    18: Box(192, 144, 192, 192),
    19: Box(64, 400, 192, 192),
    20: Box(168, 184, 192, 192),
    21: Box(40, 168, 192, 192),
    22: Box(128, 128, 256, 256),
    23: Box(392, 112, 192, 192),
    24: Box(128, 144, 256, 256),
}
"""Number of a Kodak image -> the part of it that is taken: faces, text, edges, texture or foliage."""


def crops() -> list[tuple[Sample, int, Box]]:
    """Return every crop in `samples` with the number of its Kodak image and its box."""
    return [(sample, sample.kodak, BOXES[sample.kodak]) for sample in SAMPLES if sample.kodak is not None]


def kodak_crop(kodak: Path, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the crop of Kodak image `number`, `(H, W, 3)` uint8; `kodak` holds kodim01.png to kodim24.png.

    Raises `ImageFileError` if the image is missing or damaged.
    """
    box = BOXES[number]
    pixels = load_image(kodak / f"kodim{number:02}.png").rgb8()
    return pixels[box.top : box.top + box.height, box.left : box.left + box.width]


def readme() -> str:
    """Return the text of the README beside the crops."""
    lines = [f"| {s.file} | kodim{number:02} | {box} | {s.split} | {s.scene} |\n" for s, number, box in crops()]
    return _TEXT + "".join(lines)


def main(
    kodak: Annotated[Path, typer.Argument(metavar="KODAK_DIR", help="A folder with kodim01.png to kodim24.png.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = SAMPLES_FOLDER,
) -> None:
    """Write the crops of the Kodak images and the README beside them.

    Example: python -m tools.samples ./kodak
    """
    out.mkdir(parents=True, exist_ok=True)
    for sample, number, _ in crops():
        save_image(out / sample.file, kodak_crop(kodak, number))
    write_text(out / README, readme())


if __name__ == "__main__":
    try:
        typer.run(main)
    except NitidoError as error:
        sys.exit(f"nitido: {error}")
