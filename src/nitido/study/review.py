"""Compare a study's directory with the plan: which runs are kept, resumed, trained again, or orphaned."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nitido.base.errors import NitidoError
from nitido.study.identity import PlannedImages
from nitido.study.plan import PlannedRun
from nitido.study.run_directory import RunDirectory
from nitido.study.spec import StudyError
from nitido.study.start import best_source, source_weights

ORPHANED = "orphaned"
"""The folder of a study that keeps runs which were trained again with another identity."""

Standing = Literal["new", "kept", "resumed", "changed"]


@dataclass(frozen=True)
class Reviewed:
    """The state of a planned run in the directory.

    Attributes:
        run: The planned run.
        standing: `kept` is finished, `resumed` was interrupted, `changed` was another run, `new` has not begun.
        reason: Where the run in the directory differs from the planned one, for `changed`.
    """

    run: PlannedRun
    standing: Standing
    reason: str = ""


@dataclass(frozen=True)
class Review:
    """The whole plan against the directory.

    Attributes:
        runs: Every planned run, in order.
        orphans: Run directories, relative to the study's, that the plan does not contain. They stay on disk and are
            not in the table.
    """

    runs: tuple[Reviewed, ...]
    orphans: tuple[Path, ...]

    def of(self, standing: Standing) -> tuple[Reviewed, ...]:
        """Return the runs with this standing."""
        return tuple(reviewed for reviewed in self.runs if reviewed.standing == standing)


def review(runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> Review:
    """Compare the planned `runs`, which will see `images`, with what is in the study's directory `out`."""
    planned = {run.directory for run in runs}
    folder = out / "runs"
    found = sorted(path.parent.relative_to(out) for path in folder.rglob("config.yaml")) if folder.is_dir() else []
    reviewed: list[Reviewed] = []
    for run in runs:
        standing = _reviewed(run, runs, out, images)
        if standing.standing in ("kept", "resumed") and _starts_from_changed(run, reviewed):
            standing = Reviewed(run, "changed", f"{run.config.source_variant}, which it starts from, is trained again")
        reviewed.append(standing)
    return Review(tuple(reviewed), tuple(path for path in found if path not in planned))


def planned_source(run: PlannedRun, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> Path:
    """Return the model that `run` starts from: the best of the planned runs of its source variant.

    Raises `StudyError` if none of them has finished.
    """
    sources = [other for other in runs if other.config.variant == run.config.source_variant]
    return best_source(run, [other for other in sources if not difference(other, runs, out, images)], out)


def lacks_source(run: PlannedRun, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> bool:
    """Return whether `run` starts from a variant of which no planned run has finished."""
    if run.config.source_variant is None:
        return False
    try:
        planned_source(run, runs, out, images)
    except StudyError:
        return True
    return False


def _starts_from_changed(run: PlannedRun, earlier: Sequence[Reviewed]) -> bool:
    return any(
        other.standing == "changed"
        and other.run.config.variant == run.config.source_variant
        and other.run.config.hyperparameters.seed == run.config.hyperparameters.seed
        for other in earlier
    )


def difference(run: PlannedRun, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> str:
    """Say where the run in the directory differs from the planned one; empty if it does not, or nothing is there.

    A run that starts from another variant is compared with that variant's best run of now.
    """
    directory = RunDirectory(out / run.directory)
    if directory.config.exists() and not directory.identity.exists():
        return f"without {directory.identity.name}, which an earlier version of nitido did not write"
    try:
        if directory.read_identity() is None:
            return ""
    except NitidoError as error:
        return str(error)
    try:
        source = planned_source(run, runs, out, images) if run.config.source_variant is not None else None
        weights = source_weights(run.config, directory, source)
    except NitidoError:
        return ""  # the source does not exist (yet or any more), which the run itself reports when it starts
    return directory.difference(images.identity(run.config, weights))


def _reviewed(run: PlannedRun, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> Reviewed:
    directory = RunDirectory(out / run.directory)
    reason = difference(run, runs, out, images)
    if reason:
        return Reviewed(run, "changed", reason)
    if not directory.identity.exists():
        return Reviewed(run, "new")
    try:
        status = directory.read_status()
    except NitidoError:
        status = None
    done = status is not None and status.state in ("finished", "diverged")
    return Reviewed(run, "kept" if done else "resumed")


def set_aside(run: PlannedRun, out: Path) -> Path:
    """Move the directory of `run` to `orphaned/` and return its new path."""
    number = 1
    while (target := out / ORPHANED / run.directory / str(number)).exists():
        number += 1
    target.parent.mkdir(parents=True, exist_ok=True)
    (out / run.directory).rename(target)
    return target
