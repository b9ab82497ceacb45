"""`nitido study`: list, show, run, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nitido.base.number_text import number_text
from nitido.cli import completion
from nitido.cli.console import Device, Json, note, print_table, say
from nitido.cli.console import report as report_result
from nitido.cli.display import loading
from nitido.cli.study_progress import StudyProgress

if TYPE_CHECKING:
    from nitido.study.leaderboard import Leaderboard
    from nitido.study.spec import Study

app = typer.Typer(name="study", help="Compare variants: list, show, run and report studies.", no_args_is_help=True)

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. seeds=0,1. Repeatable.")
]
ProfileName = Annotated[
    str | None, typer.Option(help="The profile: demo, classic, paper, or another one of the study. Default: demo.")
]
StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A built-in study, a YAML file, or a study's directory.",
        autocompletion=completion.study_names,
    ),
]


@app.command("list")
def list_(json: Json = None) -> None:
    """List the built-in studies.

    Example: nitido study list
    """
    from nitido.study.spec import builtin_names, load_study_file

    studies = [load_study_file(name) for name in builtin_names()]
    entries = [
        {"study": s.study, "question": s.question, "profiles": list(s.profiles), "variants": len(s.variants)}
        for s in studies
    ]

    def show() -> None:
        lines = [[s.study, str(len(s.variants)), ", ".join(s.profiles), s.question] for s in studies]
        print_table("", ["study", "variants", "profiles", "question"], lines)

    report_result({"studies": entries}, json, show)


@app.command()
def show(study: StudyName, profile: ProfileName = None, set_: Settings = None, json: Json = None) -> None:
    """Show the runs of a study without running them.

    Example: nitido study show srcnn --profile classic
    """
    with loading():
        from nitido.study.plan import describe_runs, plan

    resolved = _resolve(study, profile, set_ or [])
    described = describe_runs(plan(resolved))

    def show() -> None:
        lines = [
            [
                str(run["variant"]),
                str(run["architecture"]),
                f"×{run['scale']}",
                number_text(run["lr"]),
                str(run["seed"]),
                f"{run['parameters']:,}",
                f"{run['macs'] / 1e9:,.1f} G",
            ]
            for run in described
        ]
        header = ["variant", "architecture", "scale", "lr", "seed", "parameters", "MACs at 1280×720"]
        print_table(f"{resolved.study}, profile {resolved.profile}: {len(lines)} runs", header, lines)

    report_result({"study": resolved.study, "profile": resolved.profile, "runs": described}, json, show)


@app.command()
def run(
    study: StudyName,
    profile: ProfileName = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's directory. Default: runs/STUDY, or runs/STUDY-PROFILE if taken.")
    ] = None,
    set_: Settings = None,
    device: Device = None,
    jobs: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Runs that train side by side; auto measures what is fastest here."),
    ] = "auto",
    executor: Annotated[
        str, typer.Option(metavar="local|slurm|ray", help="What trains: this machine, a SLURM or a Ray cluster.")
    ] = "local",
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What a run gets on a cluster, e.g. cpus=4. Repeatable."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The address of a Ray cluster. Default: one on this machine.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")] = False,
    json: Json = None,
) -> None:
    """Train, evaluate and rank every variant; run the same command to resume.

    Example: nitido study run srcnn --profile demo --set seeds=0,1
    """
    with loading():
        from nitido.base.device import AUTO, choose_device
        from nitido.study.executors.opening import choose_opener
        from nitido.study.run import run_study

    resolved = _resolve(study, profile, set_ or [])
    directory = out or (Path(study) if _is_study_directory(study) else _default_directory(resolved))
    where = choose_device(device or AUTO)
    opener = choose_opener(executor, jobs, resource or [], resolved.resources, address, where, device or AUTO)
    with StudyProgress(where) as progress:
        outcome = run_study(resolved, directory, progress, where, opener)
    _print_board(outcome.board, outcome.directory, json)
    if open_:
        typer.launch(str(outcome.directory / "report.html"))
    for failure in outcome.failures:
        note(f"nitido: {failure}")
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def watch(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")],
    json: Json = None,
) -> None:
    """Follow a study that other processes run, also on a cluster, until no run trains any more.

    Ctrl-C ends the watching alone. When all runs have ended, the leaderboard and the report are written.

    Example: nitido study watch runs/srcnn
    """
    with loading():
        from nitido.study.executors.slurm import any_queued
        from nitido.study.publish import publish
        from nitido.study.watch import watch as follow

    with StudyProgress(machine=False) as progress:
        found = follow(directory, progress, any_queued)
    note(f"study: {found.words}")
    if found.count("finished"):
        _print_board(publish(directory), directory, json)
    if found.count("finished") < len(found.runs):
        note(f"nitido: no process trains the other runs: nitido study run {directory} resumes them")
        raise typer.Exit(1)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A study's directory.")], json: Json = None
) -> None:
    """Write the leaderboard and the report of a study again, from its finished runs.

    Example: nitido study report runs/srcnn
    """
    with loading():
        from nitido.study.publish import publish

    _print_board(publish(directory), directory, json)


def _print_board(board: "Leaderboard", directory: Path, json: str | None) -> None:
    from nitido.study.leaderboard_tables import as_json, as_table
    from nitido.study.report.tables import absent_metrics
    from nitido.study.spec import load_resolved

    def show() -> None:
        titles = {"fidelity": "", "perception": ", by perceptual distance (lower is better)"}
        for objective in board.objectives():
            header, lines = as_table(board, objective)
            print_table(f"{board.study}, profile {board.profile}{titles[objective]}", header, lines)
        if absent := absent_metrics(board, load_resolved(directory).metrics):
            say(absent)
        say(f"report: {directory / 'report.html'}")

    report_result(as_json(board), json, show)


def _default_directory(study: "Study") -> Path:
    """Return `runs/STUDY`, or `runs/STUDY-PROFILE` if the first contains another profile of the study."""
    from nitido.study.names import check_name
    from nitido.study.spec import StudyError, load_resolved

    try:
        check_name(study.study)
        check_name(f"{study.study}-{study.profile}")
    except ValueError as problem:
        raise StudyError(f"the study's name {problem}; or choose its directory with --out") from None
    directory = Path("runs", study.study)
    if _is_study_directory(str(directory)) and load_resolved(directory).profile != study.profile:
        return directory.with_name(f"{study.study}-{study.profile}")
    return directory


def _is_study_directory(study: str) -> bool:
    """Return whether `study` is the directory of a study; the name of a built-in study never is (`./srcnn` is)."""
    from nitido.study.spec import builtin_names

    return study not in builtin_names() and (Path(study) / "study.yaml").is_file()


def _resolve(study: str, profile: str | None, settings: list[str]) -> "Study":
    from nitido.study.resolve import resolve_with_notes
    from nitido.study.spec import StudyError, builtin_names, load_resolved, load_study_file

    if _is_study_directory(study):
        if settings:
            raise StudyError(f"{study} is a study directory: --set applies to a study's name or file")
        begun = load_resolved(Path(study))
        if profile not in (None, begun.profile):
            raise StudyError(
                f"{study} was started with profile {begun.profile!r}: --profile applies to a study's name or file"
            )
        return begun
    if study in builtin_names() and (Path(study) / "study.yaml").is_file():
        note(f"note: {study} is the built-in study; for the one in this directory write ./{study}")
    resolved, notes = resolve_with_notes(load_study_file(study), profile or "demo", settings)
    for line in notes:
        note(f"note: {line}")
    return resolved
