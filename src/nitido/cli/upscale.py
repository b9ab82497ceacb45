"""`nitido upscale`: images and folders."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nitido.base.errors import INTERRUPTED, NitidoError, unknown_name
from nitido.base.printable import printable
from nitido.cli import completion
from nitido.cli.backend import device_of_backend, network_backend
from nitido.cli.console import Device, note, say
from nitido.cli.display import current_display, loading

if TYPE_CHECKING:
    from nitido.upscaling.batch import Job
    from nitido.upscaling.images.target_size import TargetSize

SMALLEST_MEMORY = 64 << 20
"""Minimum memory limit in bytes; smaller tiles would consist mostly of overlap."""

_NAMED = 5  # ignored files that are named


class InterruptedBatchError(NitidoError):
    """Ctrl-C or SIGTERM interrupted a batch."""

    exit_code = INTERRUPTED


def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT…", help="Images, and folders of images.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="The output image for one input, otherwise a folder.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="bicubic, a name of nitido model list, a run directory, a .safetensors or .onnx file. "
            "Default: the best of that list.",
            autocompletion=completion.model_names,
        ),
    ] = None,
    scale: Annotated[float | None, typer.Option(help="The scale factor, up to 16. Default: the model's own.")] = None,
    width: Annotated[int | None, typer.Option(help="Width of the output, instead of --scale.")] = None,
    height: Annotated[int | None, typer.Option(help="Height of the output, instead of --scale.")] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="png, jpg, webp, tif, avif or bmp. Default: that of each input."),
    ] = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Self-ensemble over eight flips and rotations (8× slower).")
    ] = False,
    preview: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="Upscale only this region, in pixels of the input.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory limit for inference, e.g. 512MB. Python and PyTorch need another 400MB. Default: 2GB.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="auto, float32, or bfloat16: several times as fast on some processors. "
            "auto uses it for models whose measured loss is negligible. Default: auto."
        ),
    ] = None,
    existing: Annotated[
        str,
        typer.Option(
            metavar="error|skip|overwrite",
            help="If an output file exists that this command did not write: stop before any work, keep the file, or "
            "overwrite it.",
        ),
    ] = "error",
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOR",
            help="Background of transparent images in JPEG or BMP output: white, #d0e0ff, … Default: an error.",
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="torch, onnx, or auto (the faster one on this machine). Default: torch; onnx for an .onnx file."
        ),
    ] = None,
    device: Device = None,
) -> None:
    """Upscale images, preserving bit depth, color profile, transparency, metadata and folders.

    Anything a format cannot store is reported, for instance EXIF data in TIFF, which libvips does not support.

    Run the same command to resume an interrupted folder; finished images are skipped.

    Example: nitido upscale photos/ scan.tif -o large/ --model edsr-x2 --scale 3
    """
    with loading():
        from nitido.models.bfloat16 import precision_called
        from nitido.upscaling import batch
        from nitido.upscaling.images.target_size import TargetSize
        from nitido.upscaling.images.transparency import parsed_color
        from nitido.upscaling.upscaler import BICUBIC, load_upscaler

    target = TargetSize(scale, width, height)
    part = None if preview is None else _rectangle(preview)
    if existing not in batch.EXISTING:
        raise unknown_name("choice for --existing", existing, batch.EXISTING)
    below = None if background is None else parsed_color(background)
    planned = batch.plan(inputs, output, None if format_ is None else _suffix(format_))
    if background is not None:
        _check_background(background, planned.jobs)
    sources = [job.source for job in planned.jobs]
    if planned.others:
        note(f"note: {_left_alone(planned.others)}")
    model = model or _default_model(target, sources)
    allowed, wanted = memory_size(memory or "2GB"), precision_called(precision or "auto")
    if model == BICUBIC:
        _refuse({"--self-ensemble": self_ensemble, "--memory": memory, "--precision": precision, "--device": device})
    where = device_of_backend(device, backend, model)
    runs_on = network_backend(backend, model, sources, allowed, wanted, where)
    upscaler = load_upscaler(
        model,
        self_ensemble=self_ensemble,
        memory=allowed,
        precision=wanted,
        backend=runs_on,
        device=None if model == BICUBIC else where,
    )
    identity = model if model == BICUBIC else batch.model_identity(model)
    settings = batch.Settings(upscaler, identity, target, part, below)
    try:
        with UpscaleProgress() as progress:
            failures = batch.run(planned, settings, progress, existing)
    except KeyboardInterrupt:
        remedy = "nothing was written" if planned.folder is None else "run the same command to resume"
        raise InterruptedBatchError(f"interrupted: {remedy}") from None
    if len(planned.jobs) > 1:
        say(f"{output}: {len(planned.jobs) - failures} of {len(planned.jobs)} images")
    if failures:
        raise typer.Exit(1)


def _refuse(options: Mapping[str, object]) -> None:
    """Raise `NitidoError` if one of `options`, which apply to networks only, was given with bicubic."""
    for option, given in options.items():
        if given:
            raise NitidoError(f"{option}: bicubic is not a network: leave the option out")


def _check_background(color: str, jobs: "Sequence[Job]") -> None:
    """Raise `NitidoError` unless a job has an input that may be transparent and an output that cannot."""
    from nitido.imaging import FORMATS
    from nitido.upscaling.images import format_of

    opaque = [job for job in jobs if not format_of(job.target).alpha]
    if not opaque:
        raise NitidoError(f"--background {color}: no result is JPEG or BMP, the others keep transparency: leave it out")
    if all(FORMATS.get(job.source.suffix.lower()) == "jpeg" for job in opaque):
        raise NitidoError(f"--background {color}: no image is transparent, as JPEG cannot be: leave it out")


def _left_alone(others: Sequence[Path]) -> str:
    """Name the first few ignored files, and count the rest.

    >>> _left_alone([Path("a.gif"), Path("b.txt")])
    'ignored, not readable images: a.gif, b.txt'
    >>> _left_alone([Path(f"{n}.txt") for n in range(7)]).partition("images: ")[2]
    '0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more'
    """
    named = ", ".join(map(str, others[:_NAMED]))
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f"ignored, not readable images: {named}{more}"


def _default_model(target: "TargetSize", sources: Sequence[Path]) -> str:
    """Choose the model of the zoo for the largest requested scale, and print it on standard error."""
    from nitido.models import read_descriptor
    from nitido.models.zoo.listing import choose_default
    from nitido.models.zoo.shipped import zoo_path

    name = choose_default(_largest_factor(target, sources))
    scale = read_descriptor(zoo_path(name)).scale
    note(f"model: {name}, the shipped ×{scale} model with the best PSNR (--model selects another)")
    return name


def _largest_factor(target: "TargetSize", sources: Sequence[Path]) -> float | None:
    """Return the largest scale factor that `target` implies for `sources`; None if the model decides.

    Images that cannot be read, or do not fit the target, are ignored here; they fail when they are upscaled.
    """
    from nitido.upscaling.images.read import read_header
    from nitido.upscaling.images.target_size import TargetSize

    if target == TargetSize() or target.scale is not None:
        return target.scale
    factors = [1.0]
    for source in sources:
        with suppress(NitidoError, OSError):
            header = read_header(source)
            height, width = target.of(header.height, header.width, None)
            factors.append(max(height / header.height, width / header.width))
    return max(factors)


def memory_size(text: str) -> int:
    """Return the bytes of a size such as `512MB` or `1.5GB` (powers of 1024), at least 64MB; raise `NitidoError`.

    >>> memory_size("1GB"), memory_size("512 mb")
    (1073741824, 536870912)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB)", text.strip(), re.IGNORECASE)
    if found is None:
        raise NitidoError(f"--memory {text}: expected a size such as 512MB or 2GB")
    size = int(float(found[1]) * (1 << 30 if found[2].upper() == "GB" else 1 << 20))
    if size < SMALLEST_MEMORY:
        raise NitidoError(f"--memory {text}: at least {SMALLEST_MEMORY >> 20}MB are needed")
    return size


class UpscaleProgress:
    """Show progress on standard error: a line per image and, on a terminal, a bar over all pixels with its ETA."""

    def __init__(self) -> None:
        """Create a bar on the display of the running command."""
        self.display = current_display()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.display.console,
            auto_refresh=False,
        )
        self.task = self.bar.add_task("", total=None)
        self.total = 0
        self._panel = ExitStack()

    def __enter__(self) -> Self:
        """Show the bar."""
        self._panel.enter_context(self.display.panel(self.bar))
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the bar."""
        self._panel.close()

    def planned(self, pixels: int) -> None:
        """Set the length of the bar."""
        self.total = pixels
        self.bar.update(self.task, total=pixels)

    def started(self, job: "Job", pixels: int) -> Callable[[float], None]:
        """Show the name of the image; return a function that advances the bar by a share of the image."""
        self.bar.update(self.task, description=printable(job.source.name))
        return lambda share: self.bar.advance(self.task, share * pixels)

    def skipped(self, job: "Job", pixels: int) -> None:
        """Shorten the bar by an image that was finished in an earlier call."""
        self.total -= pixels
        self.bar.update(self.task, total=self.total)
        self._say(f"{job.target}: finished already")

    def ended(self, job: "Job", outcome: str, notes: Sequence[str]) -> None:
        """Print a line for the image, and one for each of `notes`."""
        self._say(f"{job.target}: {outcome}")
        for loss in notes:
            self._say(f"note: {job.target}: {loss}")

    def left(self, job: "Job") -> None:
        """Print that the existing file was kept."""
        self._say(f"{job.target}: kept unchanged")

    def warned(self, text: str) -> None:
        """Print a note."""
        self._say(f"note: {text}")

    def failed(self, job: "Job", error: NitidoError) -> None:
        """Print the error."""
        self._say(f"nitido: {error}")

    def _say(self, line: str) -> None:
        self.display.print(line)


def _rectangle(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise NitidoError(f"--preview {text}: it must be X,Y,W,H, four whole numbers, e.g. 100,50,64,64") from None
    return x, y, width, height


def _suffix(name: str) -> str:
    from nitido.imaging import FORMATS

    suffix = f".{name.lower().removeprefix('.')}"
    if suffix not in FORMATS:
        raise unknown_name("format", name, [known.removeprefix(".") for known in FORMATS])
    return suffix
