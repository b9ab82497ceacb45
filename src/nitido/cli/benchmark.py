"""`nitido benchmark`: train, data and upscale."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nitido.cli import completion
from nitido.cli.backend import device_of_backend
from nitido.cli.console import Device, Json, print_table, report, say
from nitido.cli.display import current_display

if TYPE_CHECKING:
    from nitido.base.clock import Progress as Rounds
    from nitido.benchmarking.machine_info import MachineInfo

app = typer.Typer(name="benchmark", help="Measure the speed of nitido on this machine.", no_args_is_help=True)

RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, help="Number of rounds, in which all contestants run once.")
]
Batch = Annotated[int, typer.Option(min=1, help="Patches per step.")]
Patch = Annotated[int, typer.Option(min=4, help="Patch size in low-resolution pixels.")]
Scale = Annotated[int, typer.Option(min=2, max=4, help="The scale factor.")]


@app.command()
def train(
    architecture: Annotated[
        str, typer.Argument(help="The network family.", autocompletion=completion.architecture_names)
    ] = "edsr",
    variant: Annotated[str | None, typer.Option(help="A named variant. Default: the architecture's base.")] = None,
    scale: Scale = 2,
    batch: Batch = 16,
    patch: Patch = 48,
    rounds: RoundsOption = 7,
    device: Device = None,
    json: Json = None,
) -> None:
    """Compare the training step of `nitido train` with a plain float32 loop and with the peak of this machine.

    All contestants run in interleaved rounds, so that a slow moment of the machine affects all of them.

    Example: nitido benchmark train edsr --variant compact --batch 8 --patch 24
    """
    from nitido.architectures import get_architecture
    from nitido.base.device import AUTO, choose_device
    from nitido.benchmarking.training_speed import TrainingTask, measure_training

    family = get_architecture(architecture)
    task = TrainingTask(family.name, variant or family.base, scale, batch, patch)
    where = choose_device(device or AUTO)
    with _rounds() as progress:
        found = measure_training(task, rounds, progress, where)
    names = {"nitido": "nitido train", "bare": "its step without the trainer", "plain_float32": "plain float32 loop"}
    lines = []
    for key, name in names.items():
        seconds = found.step_seconds[key]
        lines.append([name, f"{seconds:.4g}", f"{found.gflop_per_step / seconds:.4g}"])
    for number_format, peak in found.peak_gflops.items():
        lines.append([f"matrix peak, {number_format}", "", f"{peak:.4g}"])
    title = f"{task.architecture} {task.variant} ×{task.scale}, batch {task.batch}×{task.patch}×{task.patch}"
    message = (
        f"{found.speedup:.2f} times as fast as the plain loop; {found.share_of_peak:.1%} of the {found.precision} "
        f"matrix peak; the trainer adds {found.trainer_overhead:+.1%}"
    )
    if found.share_of_peak > 1:
        message += "\noperations are counted as convolutions are defined; Winograd's algorithm needs fewer"
    report(
        found.as_json(), json, lambda: _show(title, ["", "seconds per step", "GFLOP/s"], lines, message, found.where)
    )


@app.command()
def data(
    data_: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME_OR_DIR", help="An image set; repeatable. Default: samples."),
    ] = None,
    scale: Scale = 2,
    batch: Batch = 16,
    patch: Patch = 48,
    rounds: RoundsOption = 7,
    device: Device = None,
    json: Json = None,
) -> None:
    """Compare the patches per second of the packed store with decoding a PNG for each patch.

    Also show the data share of a training step in the demo of every built-in study.

    Example: nitido benchmark data --data t91 --patch 24
    """
    from nitido.base.device import AUTO, choose_device
    from nitido.benchmarking.data_speed import measure_data

    where = choose_device(device or AUTO)
    with _rounds() as progress:
        found = measure_data(data_ or ["samples"], scale, batch, patch, rounds, progress, where)
    names = {"packed": "packed store", "pillow": "PNG by Pillow", "libvips": "PNG by libvips"}
    lines = [[name, f"{found.crops_per_second[key]:.4g}"] for key, name in names.items()]
    message = f"{found.speedup:.1f} times as many patches as by {names[found.opponent]}"
    title = f"{', '.join(found.data)} ×{scale}, {patch}×{patch}"
    shares = [
        [s.study, s.variant, f"{s.batch}×{s.patch}×{s.patch}", *_milliseconds(s), f"{s.share:.1%}"]
        for s in found.shares
    ]

    def show() -> None:
        _show(title, ["", "patches per second"], lines, message, found.where)
        print_table("The demos", ["study", "variant", "batch", "data, ms", "step, ms", "share"], shares)

    report(found.as_json(), json, show)


@app.command()
def upscale(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A run directory or a .safetensors file. Default: a compact EDSR."),
    ] = None,
    megapixels: Annotated[float, typer.Option(min=0.001, max=100, help="Size of the output image.")] = 1.0,
    rounds: RoundsOption = 5,
    device: Device = None,
    json: Json = None,
) -> None:
    """Compare `nitido upscale` with the same network applied to the whole image in float32.

    Example: nitido benchmark upscale runs/mine --megapixels 4
    """
    from nitido.benchmarking.upscaling_speed import measure_upscale

    where = device_of_backend(device, None, model or "")
    with _rounds() as progress:
        found = measure_upscale(model, megapixels, rounds, progress, where)
    names = {
        "nitido": "nitido upscale",
        "nitido_bfloat16": "the same in bfloat16",
        "plain_float32": "whole image, plain float32",
    }
    seconds = found.seconds_per_megapixel
    lines = [[name, "–" if (value := seconds[key]) is None else f"{value:.4g}"] for key, name in names.items()]
    message = f"{found.speedup:.2f} times as fast as the whole image"
    title = f"{found.model} ×{found.scale}, to {found.width}×{found.height}"
    report(found.as_json(), json, lambda: _show(title, ["", "seconds per megapixel"], lines, message, found.where))


def _milliseconds(share: Any) -> tuple[str, str]:
    return f"{1000 * share.batch_seconds:.3g}", f"{1000 * share.step_seconds:.3g}"


def _show(
    title: str, header: Sequence[str], lines: Sequence[Sequence[str]], message: str, where: "MachineInfo"
) -> None:
    """Print a table with the sentences that belong to it."""
    print_table(title, header, lines)
    for line in [*message.split("\n"), where.summary, *where.notes]:
        say(line)


@contextmanager
def _rounds() -> Iterator["Rounds"]:
    """Show a progress bar over the rounds on standard error if it is a terminal."""
    display = current_display()
    columns = (
        TextColumn("measuring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rounds"),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=display.console, auto_refresh=False)
    with display.panel(bar):
        task = bar.add_task("", total=None)
        yield lambda done, rounds: bar.update(task, completed=done, total=rounds)
