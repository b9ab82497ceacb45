"""Describe in words how a study was made: training, protocol, machines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nitido.base.number_text import number_text
from nitido.evaluation.protocol import PROTOCOL, PSNR_CAP
from nitido.study.identity import PlannedImages
from nitido.study.overlaps import describe_choice
from nitido.study.plan import PlannedRun
from nitido.study.report.formatting import listed
from nitido.study.run_directory import RunDirectory
from nitido.study.spec import Study
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.unused_hyperparameters import effective

Facts = list[tuple[str, str]]
"""Pairs of a heading and one or two sentences."""


def protocol_words(protocol: str) -> str:
    """Describe the protocol; one of another version is only named."""
    if protocol != PROTOCOL:
        return f"Measured under the protocol {protocol}."
    return (
        "The low-resolution image is MATLAB's bicubic of the 8-bit original, cropped to a multiple of the scale. The "
        "output is rounded to 8 bits. PSNR and SSIM are computed on the Y channel of BT.601 (studio range, as MATLAB's "
        "rgb2ycbcr, not rounded), without a border of `scale` pixels, per image; then the mean over images is taken. "
        f"The PSNR of an image is limited to {PSNR_CAP:g} dB. "
        "A gray image is used as Y. A network for Y only is scored on its Y output; its color channels are bicubic."
    )


def describe_setting(study: Study, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> Facts:
    """Return the facts about training, data and machines."""
    return [
        ("Compared", _compared(study, runs, out, images)),
        ("Training", _training(study, runs)),
        ("Images", _images(study)),
        *_machines(runs, out),
    ]


def _compared(study: Study, runs: Sequence[PlannedRun], out: Path, images: PlannedImages) -> str:
    tried: dict[str, set[float]] = {}
    for run in runs:
        tried.setdefault(run.config.variant, set()).add(run.config.hyperparameters.learning_rate)
    rates = sorted(set().union(*tried.values()))
    alike = all(own == set(rates) for own in tried.values())
    words = f"× {_count(len(rates), 'learning rate')}" if alike else "with individual learning rates"
    several = any(len(own) > 1 for own in tried.values())
    steps = any(_chose_its_step(run, out) for run in runs)
    models = [c.pretrained for c in (run.config for run in runs) if c.pretrained and c.source_variant is None]
    return (
        f"{_count(len(study.variants), 'variant')} {words} "
        f"({listed([number_text(rate) for rate in rates])}) × {_count(len(study.seeds), 'seed')} "
        f"({listed([str(seed) for seed in study.seeds])}) = {_count(len(runs), 'run')}, scale ×{study.scale}. "
        f"{describe_choice(out, images, rates=several, steps=steps, pretrained=models)}"
    )


def _chose_its_step(run: PlannedRun, out: Path) -> bool:
    """Return whether a run is validated before its end, so that its best step is chosen."""
    h = run.config.hyperparameters
    if h.steps is not None:
        return h.steps > h.validate_every
    return len(RunDirectory(out / run.directory).validation_curve()) > 1


def _training(study: Study, runs: Sequence[PlannedRun]) -> str:
    """Describe the hyperparameters of the baseline; those of each run are in its config.yaml."""
    run = next((r for r in runs if r.config.variant == study.baseline), runs[0])
    h = run.config.hyperparameters
    length = f"{h.steps:,} steps" if h.steps is not None else f"{h.epochs:g} epochs"
    loss = " + ".join(f"{_loss_title(name)} loss (weight {weight:g})" for name, weight in h.loss.items())
    crop = f" on the middle {h.validation_crop} px of each validation image" if h.validation_crop else ""
    return (
        f"{study.baseline}: {length} of {h.batch} patches of {h.patch}×{h.patch} low-resolution pixels, "
        f"{loss}, {h.optimizer}, {h.schedule} schedule, validated every {h.validate_every:,} steps{crop}."
        f"{_unusual(h)}"
    )


def _loss_title(name: str) -> str:
    """Return the usual spelling of a loss: acronyms and norms in capitals.

    >>> _loss_title("l1"), _loss_title("charbonnier")
    ('L1', 'charbonnier')
    """
    return name.upper() if name in ("l1", "l2", "ssim") else name


_DESCRIBED = (
    *("loss", "optimizer", "learning_rate", "schedule", "steps", "epochs", "batch", "patch", "seed"),
    *("validate_every", "validation_crop", "log_every"),
)
"""Hyperparameters that are described elsewhere or do not change the weights."""


def _unusual(h: Hyperparameters) -> str:
    """List every other hyperparameter that has an effect and differs from its default."""
    said = effective(h.model_dump(mode="json", exclude_defaults=True, exclude_none=True))
    others = {key: value for key, value in said.items() if key not in _DESCRIBED}
    words = [f"{key} {_value(value)}" for key, value in others.items()]
    return f" Non-default settings: {', '.join(words)}." if words else ""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return number_text(value) if isinstance(value, float) else str(value)


def _images(study: Study) -> str:
    data = study.data.model_dump()
    return "; ".join(f"{split} {listed(list(names))}" for split, names in data.items()) + "."


def _machines(runs: Sequence[PlannedRun], out: Path) -> Facts:
    """Return the processors, versions and commits of all recorded sessions; several if they differ."""
    begun = [directory for run in runs if (directory := RunDirectory(out / run.directory)).identity.exists()]
    recorded = [sessions for directory in begun if (sessions := directory.read_sessions()).sessions]
    found = [session.environment for sessions in recorded for session in sessions.sessions]
    if not found:
        return []
    machines = dict.fromkeys(
        f"{_device(e)}, {e.get('threads')} of {e.get('cores')} cores, {e.get('precision')}" for e in found
    )
    versions = dict.fromkeys(
        ", ".join(
            [f"Python {e.get('python')}", *(f"{name} {version}" for name, version in e.get("packages", {}).items())]
        )
        for e in found
    )
    commits = dict.fromkeys(str(e.get("git_commit") or "unknown in some sessions") for e in found)
    lost = f"; not recorded for {_count(len(begun) - len(recorded), 'run')}" if len(recorded) < len(begun) else ""
    if partly := sum(not sessions.complete for sessions in recorded):
        lost += f"; only the last session is recorded for {_count(partly, 'run')}"
    facts = [
        ("Machine", "; ".join(machines) + f"{lost}.{different_devices(found)}"),
        ("Software", "; ".join(versions) + f"{lost}."),
    ]
    return facts + ([("Commit", "; ".join(commits))] if any(e.get("git_commit") for e in found) else [])


def _device(environment: Mapping[str, Any]) -> str:
    """Return the graphics card that computed the steps, or the processor."""
    name = str(environment.get("gpu") or environment.get("processor"))
    return f"{name} (mps)" if environment.get("device") == "mps" else name


def different_devices(environments: Sequence[Mapping[str, Any]]) -> str:
    """Say that runs were trained on several kinds of devices; empty if they were not.

    Version 0.1 recorded the graphics card alone.

    >>> different_devices([{"device": "cpu"}, {"gpu": "Card"}, {"gpu": None}])
    ' Trained on cpu and cuda, which round differently.'
    >>> different_devices([{"device": "cuda:0 (Card)"}, {"device": "cuda:1 (Card)"}])
    ''
    """
    devices = [str(e.get("device") or ("cuda" if e.get("gpu") else "cpu")) for e in environments]
    kinds = list(dict.fromkeys(device.partition(":")[0] for device in devices))
    return f" Trained on {listed(kinds)}, which round differently." if len(kinds) > 1 else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
