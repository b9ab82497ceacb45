"""What commands print: tables, JSON, and the progress of trainings."""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TextIO

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nitido.base.atomic import check_writable, write_text
from nitido.base.errors import NitidoError
from nitido.base.json_files import without_non_finite
from nitido.base.number_text import number_text
from nitido.base.printable import printable
from nitido.cli.streams import is_closed

if TYPE_CHECKING:
    from nitido.study.plan import PlannedRun
    from nitido.study.review import Review
    from nitido.study.run_directory import Status
    from nitido.training.callbacks import ProgressListener
    from nitido.training.hyperparameters import Hyperparameters

JSON_TO_STDOUT = "-"

SHOWN = 5
"""So many runs of a kind are named before a study begins; the rest are counted."""

_stdout_of_json: ContextVar[TextIO | None] = ContextVar("stdout_of_json", default=None)
_PROSE = 24  # columns of text with spaces are not made narrower than this, if they are that wide
_INDENT = "  "


def say(line: object) -> None:
    """Print one line on standard output; what is not visible in it is shown as an escape."""
    print(printable(line))


def note(line: object) -> None:
    """Print one line on standard error; what is not visible in it is shown as an escape."""
    print(printable(line), file=sys.stderr)


def print_above(console: Console, line: object) -> None:
    """Print one line on `console`, above the bar that may be on it; nothing in it is markup."""
    console.print(Text(printable(line)), soft_wrap=True)


def print_table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table on standard output; cells that look like numbers are right-aligned.

    It is as wide as it needs to be in a pipe or a file. On a terminal, and wherever the environment says COLUMNS, prose
    wraps between words, and where even that does not fit every row becomes a block of lines.
    """
    header = [printable(name) for name in header]
    lines = [[printable(cell) for cell in line] for line in lines]
    wanted = [max(map(cell_len, column)) for column in zip(header, *lines, strict=True)]
    least = [max(map(_least_width, column)) for column in zip(header, *lines, strict=True)]
    width = _output_width()
    widths = _fitted(wanted, least, width - 3 * len(header) - 1) if width else wanted
    if title:
        say(title)
    if widths is None:
        _print_blocks(header, lines, width or 0)
        return
    table = Table(header_style="bold")
    for number, name in enumerate(header):
        numeric = bool(lines) and all(line[number][:1] in "+-–0123456789" for line in lines)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold", width=widths[number])
    for line in lines:
        table.add_row(*map(Text, line))
    Console(width=sum(widths) + 3 * len(header) + 1).print(table)


def _output_width() -> int | None:
    """Columns that may be used: what the environment says, or the terminal has; None in a pipe or a file."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _least_width(cell: str) -> int:
    """The width below which a cell would lose a word's end, or be a column of single words."""
    return max(min(cell_len(cell), _PROSE), *(cell_len(word) for word in cell.split() or [""]))


def _fitted(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Widths of the columns that sum up to `room` at most: what the narrowest lack is given first."""
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    for number in sorted(range(len(widths)), key=lambda column: wanted[column] - least[column]):
        given = min(spare, wanted[number] - least[number])
        widths[number] += given
        spare -= given
    return widths


def _print_blocks(header: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> None:
    """The table's rows one below the other: the first cell, and a line for each other that has something in it."""
    for line in lines:
        print(line[0])
        for name, cell in zip(header[1:], line[1:], strict=True):
            if cell:
                text = f"{name}: {cell}" if name else cell
                room = max(width, len(_INDENT) + 1)
                wrapped = textwrap.wrap(
                    text,
                    room,
                    initial_indent=_INDENT,
                    subsequent_indent=2 * _INDENT,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                print("\n".join(wrapped))


@contextmanager
def _stdout_for_json_alone() -> Iterator[None]:
    """Inside, everything that is printed goes to standard error, libraries' words too; only JSON does not."""
    taken = _stdout_of_json.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout_of_json.reset(taken)


def _json_target(context: typer.Context, target: str | None) -> str | None:
    """Check before any work that JSON can be written to `target`; "-" takes standard output for itself alone."""
    if target == JSON_TO_STDOUT:
        if is_closed(sys.stdout):
            raise NitidoError("--json -: standard output is closed: name a file")
        context.with_resource(_stdout_for_json_alone())
    elif target is not None:
        check_writable(Path(target))
    return target


Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write JSON to FILE ('-': standard output).", callback=_json_target),
]
"""The option `--json`, the same for all commands."""


def output_file(target: Path | None) -> Path | None:
    """Check before any work that the file `target` can be written: a callback for options."""
    if target is not None:
        check_writable(target)
    return target


def report(value: Any, target: str | None, show: Callable[[], None]) -> None:
    """Write `value` as JSON where `target` says so, and show it to people unless that is standard output.

    It is shown even when the JSON cannot be written, which raises OSError: nothing that was measured is lost.
    """
    try:
        if target is not None:
            write_json_output(value, target)
    finally:
        if target != JSON_TO_STDOUT:
            show()


def write_json_output(value: Any, target: str) -> None:
    """Write JSON to the file `target`, or to standard output for "-".

    Bytes of file names that are not UTF-8 become escapes such as `\\udcff`, which Python's `json` and `os.fsencode`
    turn into the same bytes again.
    """
    text = json.dumps(without_non_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == JSON_TO_STDOUT:
        (_stdout_of_json.get() or sys.stdout).write(text)
        return
    write_text(Path(target), text)


def _validation(options: "Hyperparameters", value: float) -> str:
    """Return a validation in words: by the metric that chooses the step, and of which part of the pictures."""
    from nitido.evaluation.objectives import SELECTION_METRICS

    crop = f" (crop of {options.validation_crop} px)" if options.validation_crop else ""
    return f"validation{crop} {SELECTION_METRICS[options.objective].words(value)}"


class TrainingProgress:
    """A bar with ETA for the run at hand on a terminal; a line per run anywhere else. Everything on standard error.

    Before the first run it says once what the machine has, and what it must do without.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[validation]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        """Say what the machine has, and show the bar."""
        from nitido.training.fast_path import describe_machine
        from nitido.training.precision import training_device

        self._say(f"machine: {describe_machine(training_device())}")
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Take the bar away."""
        self.bar.stop()

    def reviewed(self, review: "Review") -> None:
        """Say what becomes of the runs that the study's directory holds already; nothing for a new directory."""
        kept, resumed, changed = (review.of(standing) for standing in ("kept", "resumed", "changed"))
        if kept or resumed or changed:
            counts = f"{len(kept)} runs kept, {len(resumed)} to be resumed, {len(review.of('new'))} new"
            self._say(f"study: {counts}, {len(changed)} to be trained again, {len(review.orphans)} orphaned")
        for reviewed in changed[:SHOWN]:
            self._say(
                f"  trained again: {reviewed.run.directory} ({reviewed.reason}); the old run is kept in orphaned/"
            )
        for path in review.orphans[:SHOWN]:
            self._say(f"  orphaned: {path} (not in the study any more; kept on disk, not in the table)")
        for what, number in (("to be trained again", len(changed)), ("orphaned", len(review.orphans))):
            if number > SHOWN:
                self._say(f"  and {number - SHOWN} more {what}")

    def started(self, run: "PlannedRun", number: int, runs: int, steps: int) -> "ProgressListener":
        """Open a bar for the run; returns who moves it."""
        options = run.config.hyperparameters
        rate = number_text(options.learning_rate)
        label = f"[{number}/{runs}] {printable(run.config.variant)} lr={rate} seed={options.seed}"
        if not self.console.is_terminal:
            self._say(label)
        task = self.bar.add_task(label, total=steps, validation="")

        def listen(done: int, validation: float | None) -> None:
            self.bar.update(task, completed=done)
            if validation is not None:
                self.bar.update(task, validation=_validation(options, validation))

        return listen

    def ended(self, run: "PlannedRun", status: "Status") -> None:
        """Leave one line for the run."""
        from nitido.evaluation.objectives import SELECTION_METRICS

        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        options = run.config.hyperparameters
        label = f"{run.config.variant} lr={number_text(options.learning_rate)} seed={options.seed}"
        if status.state == "finished":
            length = f"{status.steps} steps, {'' if status.all_seconds else 'at least '}{status.seconds:.0f} s"
            metric = SELECTION_METRICS[options.objective].metric
            text = f"{label}: {_validation(options, status.validation[metric])} after {length}"
            text += f" ({status.start})" if status.start else ""
        else:
            text = f"{label}: {status.state}: {status.reason}"
        self._say(text)

    def _say(self, text: str) -> None:
        print_above(self.console, text)
