"""`nitido train`: a single run, executed like those of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nitido.base.errors import NitidoError
from nitido.cli import completion
from nitido.cli.console import Device, say
from nitido.cli.display import loading
from nitido.cli.study_progress import StudyProgress

if TYPE_CHECKING:
    from nitido.study.run_directory import Status


class MisuseError(NitidoError):
    """The arguments of the command do not fit together."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} (nitido train --help)")


def _print_keys(wanted: bool) -> None:
    """Print every key of `--set` and end the command."""
    if wanted:
        from nitido.study.plan import setting_keys

        for group, keys in setting_keys().items():
            say(f"{group}: {', '.join(keys)}")
        raise typer.Exit


def train(
    architecture: Annotated[
        str | None, typer.Argument(help="The network family, e.g. srcnn.", autocompletion=completion.architecture_names)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory.")] = None,
    variant: Annotated[str | None, typer.Option(help="A named variant. Default: the architecture's base.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A hyperparameter, a key of the network, or data.train=…"),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", is_eager=True, callback=_print_keys, help="Print every key of --set, and exit.")
    ] = False,
    device: Device = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Resume the run in this directory, also one of a study.")
    ] = None,
) -> None:
    """Train one network; run the same command, or --resume RUN_DIR, to resume an interrupted run.

    With --set scales=2,3,4 one network learns several scales, if its layers see the upscaled image (upsampler=bicubic);
    --set scales=2,2,3,4 gives ×2 half of the steps.

    Example: nitido train srcnn --variant pixel_shuffle --set steps=2000 --set activation=gelu --out runs/mine
    """
    if resume is not None:
        if architecture or out or variant or set_:
            raise MisuseError("--resume takes everything from the run directory; only --device can be given besides")
        _resume(resume, device)
        return
    if architecture is None:
        raise MisuseError("Missing argument 'architecture': The network family, e.g. srcnn; or use --resume RUN_DIR")
    if out is None:
        raise MisuseError("Missing option '--out': The run directory")
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
    _conclude(out, status)


def _resume(path: Path, device: str | None) -> None:
    with loading():
        from nitido.base.device import AUTO, choose_device
        from nitido.study.plan import PlannedRun
        from nitido.study.run_directory import RunDirectory, RunDirectoryError
        from nitido.study.task import resume_run

    config = RunDirectory(path).read_config()
    if config is None:
        raise RunDirectoryError(f"{path} holds no run (there is no config.yaml)")
    planned = PlannedRun(config, path)
    with StudyProgress(choose_device(device or AUTO)) as progress:
        status = resume_run(path, lambda steps: progress.started(planned, 1, 1, steps), device)
        progress.ended(planned, status)
    _conclude(path, status)


def _conclude(directory: Path, status: "Status") -> None:
    """Say where the model is; raise an error if the run did not finish."""
    if status.state != "finished":
        raise NitidoError(f"{directory}: {status.state}: {status.reason}")
    say(f"model: {directory / 'model.safetensors'}")
