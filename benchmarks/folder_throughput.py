"""Measure the overhead of upscaling a folder of images over running the model on their pixels.

The folder holds photographs as JPEG and PNG by turns; the whole way is reading, enlarging, writing and the manifest,
as `nitido upscale` goes it, and the model's is the same enlarging of pixels that are in memory. They take turns.

Example: python benchmarks/folder_throughput.py --model edsr-x2 --rounds 5 --json -
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image

from nitido.base.errors import NitidoError
from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output
from nitido.data import prepare, resolve_all
from nitido.imaging.files import Pixels
from nitido.upscaling import batch
from nitido.upscaling.images import read_image
from nitido.upscaling.tiled_inference import Advance
from nitido.upscaling.upscaler import load_upscaler

LIMIT = 0.15
"""The share that the project allows itself."""


class Strict:
    """A listener that accepts every image."""

    def planned(self, pixels: int) -> None:
        """Ignore progress."""

    def started(self, job: batch.Job, pixels: int) -> Advance:
        """Ignore progress."""
        return lambda share: None

    def ended(self, job: batch.Job, outcome: str, notes: Sequence[str]) -> None:
        """As wanted."""

    def skipped(self, job: batch.Job, pixels: int) -> None:
        """Raise an error, because skipped images cannot be timed."""
        raise NitidoError(f"{job.target} was there already")

    def failed(self, job: batch.Job, error: NitidoError) -> None:
        """Refuse."""
        raise error


def write_images(folder: Path, specs: Sequence[str], copies: int) -> list[Pixels]:
    """Write the images of the sets `specs`, `copies` times each, and return them as they are read back."""
    store = prepare(resolve_all(specs, "test"), [2])
    pixels = []
    for number in range(copies * len(store)):
        path = folder / f"{number:04}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray(store.hr(number % len(store))).save(path, quality=92)
        pixels.append(read_image(path).pixels)
    return pixels


def main(
    model: Annotated[str, typer.Option(help="A zoo name, a run directory or a file.")],
    data: Annotated[list[str] | None, typer.Option(help="Image sets; repeatable. Default: samples/train.")] = None,
    copies: Annotated[int, typer.Option(min=1, help="How often each image is in the folder.")] = 4,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE.")] = None,
) -> None:
    """Time a folder and the model alone in interleaved rounds; return medians and overhead."""
    upscaler = load_upscaler(model)
    settings = batch.Settings(upscaler, batch.model_identity(model))
    seconds: dict[str, list[float]] = {"folder": [], "model": []}
    with TemporaryDirectory() as temporary:
        source = Path(temporary, "in")
        source.mkdir()
        images = write_images(source, data or ["samples/train"], copies)
        for number in range(rounds + 1):  # the first round sets things up
            started = time.perf_counter()
            for pixels in images:
                height, width = settings.target.of(*pixels.shape[:2], upscaler.own_scale)
                upscaler.upscale(pixels, None, height, width)
            halfway = time.perf_counter()
            batch.run(batch.plan([source], Path(temporary, f"out{number}")), settings, Strict())
            if number:
                seconds["model"].append(halfway - started)
                seconds["folder"].append(time.perf_counter() - halfway)
    folder, alone = median(seconds["folder"]), median(seconds["model"])
    overhead = folder / alone - 1
    if json:
        figures = {"model": model, "pictures": len(images), "seconds": seconds, "overhead": overhead, "limit": LIMIT}
        write_json_output(figures, json)
    if json != JSON_TO_STDOUT:
        share = f"{overhead:+.1%}" + (" too much" if overhead > LIMIT else "")
        line = [str(len(images)), f"{folder:.2f}", f"{alone:.2f}", share]
        print_table("A folder compared with the model alone", ["images", "folder, s", "model, s", "overhead"], [line])


if __name__ == "__main__":
    try:
        typer.run(main)
    except NitidoError as error:
        sys.exit(f"nitido: {error}")
