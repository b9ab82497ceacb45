"""For every damaged file, nitido gives the right result or names the file in one line.

Never other figures with exit code 0. `NITIDO_GARBLE=all` does every damage to every file, otherwise each file has some.
"""

import json
import operator
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tests.faults.damage import DAMAGES, restore
from tests.faults.jobs import UPSCALE, Job, Make, study, train
from tests.faults.results import result_of
from tests.forked import Ended

EVERY = os.environ.get("NITIDO_GARBLE") == "all"


@dataclass(frozen=True)
class Command:
    """A command and how its results are judged.

    Attributes:
        args: Its words.
        read: From the folder `work` and the standard output, what it says about the results.
        agrees: Whether what it says after a damage (second) may be said beside what is right (first).
    """

    args: Sequence[object]
    read: Callable[[Path, str], Any]
    agrees: Callable[[Any, Any], bool] = operator.eq


def damages(folder: Path, each: int) -> Iterator[tuple[Path, str]]:
    """Files below `folder`, by their relative paths, and a damage for them; `each` for every file, by turns."""
    turn = 0
    names = list(DAMAGES)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock" and ".tfevents." not in path.name:
            for number in range(len(names) if EVERY else each):
                yield path.relative_to(folder), names[(turn + number) % len(names)]
            turn += each


def holds(job: Job, commands: Sequence[Command], below: str, each: int) -> None:
    """Damage the files of the folder `below` of the job's `work`, as it is now, one at a time, and run the commands."""
    kept = job.copies / "kept"
    shutil.copytree(job.work, kept, symlinks=True)
    expected = [_outcome(job, command) for command in commands]
    wrong: list[str] = []
    for name, damage in damages(kept / below, each):
        for command, (ended, right) in zip(commands, expected, strict=True):
            assert ended.code == 0, ended
            restore(job.work, kept)
            DAMAGES[damage](job.work / below / name)
            problem = _problem(name, command, right, *_outcome(job, command))
            if problem:
                wrong.append(f"{below}/{name} {damage}, then {command.args[:3]}: {problem}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


def _outcome(job: Job, command: Command) -> tuple[Ended, Any]:
    ended = job.server.nitido(*command.args, cwd=job.work.parent, environment=job.environment)
    return ended, command.read(job.work, ended.out) if ended.code == 0 else None


def _problem(name: Path, command: Command, right: Any, ended: Ended, said: Any) -> str:
    if ended.code == 0:
        agrees = command.agrees(right, said)
        return "" if agrees else f"exit code 0, but {str(said)[:600]} in place of {str(right)[:600]}"
    if ended.code != 1 or "Traceback" in ended.err or not ended.error_lines:
        return f"exit code {ended.code}: {ended.err[-1500:]}"
    named = any(
        part in line for line in ended.error_lines for part in (name.name, *(p.as_posix() for p in name.parents))
    )
    return "" if named else f"the error does not name the file: {ended.error_lines}"


def figures(work: Path, out: str) -> Any:
    """The weights of all runs, and the figures that were measured of them."""
    return {
        name: path.read_bytes() if path.suffix == ".safetensors" else pl.read_parquet(path).rows()
        for pattern in ("**/model.safetensors", "**/rows.parquet")
        for path in sorted((work / "out").glob(pattern))
        if "orphaned" not in path.parts
        for name in [path.relative_to(work).as_posix()]
    }


def table(work: Path, out: str) -> Any:
    """What the leaderboard states."""
    board = json.loads((work / "out" / "leaderboard.json").read_text())
    return {entry["variant"]: (entry["status"], entry["lr"], entry["metrics"]) for entry in board["entries"]}


def right_or_named(right: dict[str, Any], said: dict[str, Any]) -> bool:
    """Whether every figure of a table is right, and every variant that has none has a word for the reason."""
    return right.keys() == said.keys() and all(
        said[name] == right[name] or (status not in ("", "ok") and not figures)
        for name, (status, _, figures) in said.items()
    )


def table_and_figures(work: Path, out: str) -> Any:
    """What the leaderboard states, and what it was made from."""
    return table(work, out), figures(work, out)


def measured(work: Path, out: str) -> Any:
    """The means that `evaluate --json -` says."""
    return json.loads(out)["means"]


EVALUATE: Sequence[object] = ["evaluate", "work/out", "--data", "images/test", "--scale", "2", "--json", "-"]


class TestRun:
    def test_finished(self, make: Make) -> None:
        job = make(*train())
        job.undisturbed()
        upscale = ["upscale", "images/test/test0.png", "-o", "work/result.png", "--model", "work/out"]
        commands = [
            Command(train(), figures),
            Command(EVALUATE, measured),
            Command(upscale, lambda work, out: (work / "result.png").read_bytes()),
        ]
        holds(job, commands, "out", each=2)

    def test_interrupted(self, make: Make) -> None:
        job = make(*train())
        states = job.states()
        two_steps_done = next(
            state for state in states if list(state.rglob("best.ckpt")) and list(state.rglob("last.ckpt"))
        )
        restore(job.work, two_steps_done / "0")
        holds(job, [Command(train(), figures)], "out", each=3)


class TestStudy:
    def test_finished(self, make: Make, tmp_path: Path) -> None:
        job = make(*study(tmp_path))
        job.undisturbed()
        commands = [
            Command(study(tmp_path), table_and_figures),
            Command(["study", "report", "work/out"], table, right_or_named),
        ]
        holds(job, commands, "out", each=1)


class TestCache:
    def test_packs(self, make: Make) -> None:
        job = make(*train())
        job.undisturbed()
        holds(job, [Command(EVALUATE, measured), Command(train(), figures)], "cache", each=3)


class TestFolder:
    def test_finished(self, make: Make) -> None:
        job = make(*UPSCALE)
        job.undisturbed()
        holds(job, [Command(UPSCALE, figures_of_images)], "out", each=6)


def figures_of_images(work: Path, out: str) -> Any:
    return {name: value for name, value in result_of(work / "out").items() if name.endswith(".png")}
