"""What commands print: tables, JSON, and the progress of trainings."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from nitido.atomic import write_text
from nitido.number_text import number_text

if TYPE_CHECKING:
    from nitido.study.plan import PlannedRun
    from nitido.study.run_directory import Status
    from nitido.training.callbacks import ProgressListener

JSON_TO_STDOUT = "-"


def print_table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table on standard output; cells that look like numbers are right-aligned. Piped output is not cut."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for number, name in enumerate(header):
        numeric = bool(lines) and all(line[number][:1] in "+-–0123456789" for line in lines)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def write_json_output(value: Any, target: str) -> None:
    """Write JSON to the file `target`, or to standard output for "-"."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if target == JSON_TO_STDOUT:
        sys.stdout.write(text)
        return
    write_text(Path(target), text)


class TrainingProgress:
    """A bar with ETA for the run at hand on a terminal; a line per run anywhere else. Everything on standard error.

    Before the first run it says once what the machine has, and what it must do without.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
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

    def started(self, run: "PlannedRun", number: int, runs: int, steps: int) -> "ProgressListener":
        """Open a bar for the run; returns who moves it."""
        options = run.config.hyperparameters
        label = f"[{number}/{runs}] {run.config.variant} lr={number_text(options.learning_rate)} seed={options.seed}"
        if not self.console.is_terminal:
            self._say(label)
        task = self.bar.add_task(label.replace("[", r"\["), total=steps, validation="")

        def listen(done: int, validation_psnr: float | None) -> None:
            self.bar.update(task, completed=done)
            if validation_psnr is not None:
                self.bar.update(task, validation=f"validation {validation_psnr:.2f} dB")

        return listen

    def ended(self, run: "PlannedRun", status: "Status") -> None:
        """Leave one line for the run."""
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        options = run.config.hyperparameters
        label = f"{run.config.variant} lr={number_text(options.learning_rate)} seed={options.seed}"
        if status.state == "finished":
            length = f"{status.steps} steps, {status.seconds:.0f} s"
            text = f"{label}: validation {status.validation_psnr:.2f} dB after {length}"
            text += f" ({status.start})" if status.start else ""
        else:
            text = f"{label}: {status.state}: {status.reason}"
        self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
