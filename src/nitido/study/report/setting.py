"""How a study was made, in words: the training, the protocol, the machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nitido.base.number_text import number_text
from nitido.evaluation.protocol import PROTOCOL
from nitido.study.identity import PlannedPictures
from nitido.study.overlaps import describe_choice
from nitido.study.plan import PlannedRun
from nitido.study.report.words import listed
from nitido.study.run_directory import RunDirectory
from nitido.study.spec import Study
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.unused_hyperparameters import effective

Facts = list[tuple[str, str]]
"""A heading and a sentence or two, for each."""


def protocol_words(protocol: str) -> str:
    """What is measured and how; a protocol of another version is only named."""
    if protocol != PROTOCOL:
        return f"Measured under the protocol {protocol}."
    return (
        "The low-resolution picture is MATLAB's bicubic of the 8-bit original, cropped to a multiple of the scale. The "
        "result is rounded to 8 bits; PSNR and SSIM are taken on Y of BT.601 (studio range, as MATLAB's rgb2ycbcr, not "
        "rounded) without a border of as many pixels as the scale. PSNR is per picture, then the mean over pictures. A "
        "grey picture is its own Y; a network that works on Y alone is scored on its own Y, and its colour is bicubic."
    )


def describe_setting(study: Study, runs: Sequence[PlannedRun], out: Path, pictures: PlannedPictures) -> Facts:
    """The study's training, data and machines."""
    return [
        ("Compared", _compared(study, runs, out, pictures)),
        ("Training", _training(study, runs)),
        ("Pictures", _pictures(study)),
        *_machines(runs, out),
    ]


def _compared(study: Study, runs: Sequence[PlannedRun], out: Path, pictures: PlannedPictures) -> str:
    tried: dict[str, set[float]] = {}
    for run in runs:
        tried.setdefault(run.config.variant, set()).add(run.config.hyperparameters.learning_rate)
    rates = sorted(set().union(*tried.values()))
    alike = all(own == set(rates) for own in tried.values())
    words = f"× {_count(len(rates), 'learning rate')}" if alike else "with learning rates of their own"
    several = any(len(own) > 1 for own in tried.values())
    steps = any(_chose_its_step(run, out) for run in runs)
    models = [c.pretrained for c in (run.config for run in runs) if c.pretrained and c.source_variant is None]
    return (
        f"{_count(len(study.variants), 'variant')} {words} "
        f"({listed([number_text(rate) for rate in rates])}) × {_count(len(study.seeds), 'seed')} "
        f"({listed([str(seed) for seed in study.seeds])}) = {_count(len(runs), 'run')}, scale ×{study.scale}. "
        f"{describe_choice(out, pictures, rates=several, steps=steps, pretrained=models)}"
    )


def _chose_its_step(run: PlannedRun, out: Path) -> bool:
    """Whether a run is validated more than once, at its end."""
    h = run.config.hyperparameters
    if h.steps is not None:
        return h.steps > h.validate_every
    return len(RunDirectory(out / run.directory).validation_curve()) > 1


def _training(study: Study, runs: Sequence[PlannedRun]) -> str:
    """The hyperparameters of the baseline; a run's own stand in its config.yaml."""
    run = next((r for r in runs if r.config.variant == study.baseline), runs[0])
    h = run.config.hyperparameters
    length = f"{h.steps:,} steps" if h.steps is not None else f"{h.epochs:g} epochs"
    loss = " + ".join(f"{weight:g} {name}" for name, weight in h.loss.items())
    crop = f" on the middle {h.validation_crop} px of each validation picture" if h.validation_crop else ""
    return (
        f"{study.baseline}: {length} of {h.batch} patches of {h.patch}×{h.patch} low-resolution pixels, "
        f"loss {loss}, {h.optimizer}, schedule {h.schedule}, validated every {h.validate_every:,} steps{crop}."
        f"{_unusual(h)}"
    )


_IN_WORDS = (
    *("loss", "optimizer", "learning_rate", "schedule", "steps", "epochs", "batch", "patch", "seed"),
    *("validate_every", "validation_crop", "log_every"),
)
"""Hyperparameters that other words tell, or that change no weights."""


def _unusual(h: Hyperparameters) -> str:
    """Every other hyperparameter that has an effect and is not the default, as its name and value."""
    said = effective(h.model_dump(mode="json", exclude_defaults=True, exclude_none=True))
    others = {key: value for key, value in said.items() if key not in _IN_WORDS}
    words = [f"{key} {_value(value)}" for key, value in others.items()]
    return f" Other than by default: {', '.join(words)}." if words else ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return number_text(value) if isinstance(value, float) else str(value)


def _pictures(study: Study) -> str:
    data = study.data.model_dump()
    return "; ".join(f"{split} {listed(list(names))}" for split, names in data.items()) + "."


def _machines(runs: Sequence[PlannedRun], out: Path) -> Facts:
    """Processors, versions and commits of all sessions of all runs that left them; several where they differ."""
    begun = [directory for run in runs if (directory := RunDirectory(out / run.directory)).identity.exists()]
    recorded = [sessions for directory in begun if (sessions := directory.read_sessions()).sessions]
    found = [session.environment for sessions in recorded for session in sessions.sessions]
    if not found:
        return []
    machines = dict.fromkeys(
        f"{e.get('gpu') or e.get('processor')}, {e.get('threads')} of {e.get('cores')} cores, {e.get('precision')}"
        for e in found
    )
    versions = dict.fromkeys(
        ", ".join(
            [f"Python {e.get('python')}", *(f"{name} {version}" for name, version in e.get("packages", {}).items())]
        )
        for e in found
    )
    commits = dict.fromkeys(str(e.get("git_commit") or "none in some sessions") for e in found)
    lost = f"; not recorded of {_count(len(begun) - len(recorded), 'run')}" if len(recorded) < len(begun) else ""
    if partly := sum(not sessions.complete for sessions in recorded):
        lost += f"; only the last session is recorded of {_count(partly, 'run')}"
    facts = [("Machine", "; ".join(machines) + f"{lost}."), ("Software", "; ".join(versions) + f"{lost}.")]
    return facts + ([("Commit", "; ".join(commits))] if any(e.get("git_commit") for e in found) else [])


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
