"""`nitido train`: a single run, executed like those of a study."""

from pathlib import Path
from typing import Annotated

import typer

from nitido.base.errors import NitidoError
from nitido.cli import completion
from nitido.cli.console import Device, say
from nitido.cli.display import loading
from nitido.cli.study_progress import StudyProgress


def _print_keys(wanted: bool) -> None:
    """Print every key of `--set` and end the command."""
    if wanted:
        from nitido.study.plan import setting_keys

        for group, keys in setting_keys().items():
            say(f"{group}: {', '.join(keys)}")
        raise typer.Exit


def train(
    architecture: Annotated[
        str, typer.Argument(help="The network family, e.g. srcnn.", autocompletion=completion.architecture_names)
    ],
    out: Annotated[Path, typer.Option(help="The run directory.")],
    variant: Annotated[str | None, typer.Option(help="A named variant. Default: the architecture's base.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyperparameter, a key of the network, or data.train=…"),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", is_eager=True, callback=_print_keys, help="Print every key of --set, and exit.")
    ] = False,
    device: Device = None,
) -> None:
    """Train one network; run the same command to resume an interrupted run.

    With --set scales=2,3,4 one network learns several scales, if its layers see the upscaled image (upsampler=bicubic);
    --set scales=2,2,3,4 gives ×2 half of the steps.

    Example: nitido train srcnn --variant pixel_shuffle --set steps=2000 --set activation=gelu --out runs/mine
    """
    with loading():
        from nitido.architectures import architecture_names
        from nitido.base.device import AUTO, choose_device
        from nitido.study.execute import execute
        from nitido.study.plan import PlannedRun, single_run
        from nitido.study.spec import builtin_names

    if architecture not in architecture_names() and architecture in builtin_names():
        raise NitidoError(f"{architecture} is a study, not an architecture: nitido study run {architecture}")
    for setting in set_ or []:
        key, _, value = setting.partition("=")
        if key in ("variant", "variants"):
            raise NitidoError(f"--set {setting}: the variant is an option of its own: --variant {value}")
    run = single_run(architecture, variant, set_ or [])
    where = choose_device(device or AUTO)
    with StudyProgress(where) as progress:
        planned = PlannedRun(run, out)
        status = execute(run, out, lambda steps: progress.started(planned, 1, 1, steps), device=where)
        progress.ended(planned, status)
    if status.state != "finished":
        raise NitidoError(f"{out}: {status.state}: {status.reason}")
    say(f"model: {out / 'model.safetensors'}")
