"""Collect the facts about each run of a study: configuration, network, status."""

import mimetypes
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nitido.study.report import ReportError


@dataclass(frozen=True)
class RunFacts:
    """The facts about one run.

    Attributes:
        status: How the run ended.
        steps: Steps of the last checkpoint; None if not recorded.
        time: Training time in words, with the number of sessions if there were several.
        directory: Path relative to the page.
        difference: Difference of its configuration to the baseline, as YAML.
        summary: Table of layers; may be empty.
        reason: Why a run ended early; may be empty.
        validation: Validation result of the kept weights during training, in words.
    """

    variant: str
    learning_rate: float
    seed: int
    status: str
    steps: int | None
    time: str
    parameters: int
    validation_psnr: float | None
    directory: str
    diagram: Path | None
    difference: str
    summary: str = ""
    reason: str = ""
    validation: str = ""


@dataclass(frozen=True)
class VariantRuns:
    """The runs of one variant, which share a network."""

    variant: str
    parameters: int
    difference: str
    diagram: str | None
    summary: str
    runs: tuple[RunFacts, ...]
    states: str


def by_variant(runs: Sequence[RunFacts]) -> list[VariantRuns]:
    """Group the runs by variant, with difference, diagram and summary once per variant."""
    grouped: dict[str, list[RunFacts]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    return [
        VariantRuns(
            variant=variant,
            parameters=members[0].parameters,
            difference="\n".join(dict.fromkeys(run.difference for run in members if run.difference)),
            diagram=next((data_uri(run.diagram) for run in members if run.diagram is not None), None),
            summary=next((run.summary for run in members if run.summary), ""),
            runs=tuple(members),
            states=_states(members),
        )
        for variant, members in grouped.items()
    ]


def _states(runs: Sequence[RunFacts]) -> str:
    """Count the runs by status, e.g. "5 finished, 1 diverged"."""
    names = dict.fromkeys(run.status for run in runs)
    return ", ".join(f"{sum(run.status == name for run in runs)} {name}" for name in names)


def data_uri(path: Path) -> str:
    """Return the image file as a `data:` URL. Raises `ReportError` if it cannot be read or is not an image."""
    kind = mimetypes.guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        raise ReportError(f"{path} cannot be embedded in the report: expected an image such as .png or .svg")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path} cannot be embedded in the report: {error.strerror}") from None
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
