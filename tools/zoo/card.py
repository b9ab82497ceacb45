"""Write the card of a zoo model: one page of Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nitido.architectures import get_architecture
from nitido.evaluation.metrics import metric
from nitido.models.model_file import ModelDescriptor
from nitido.models.zoo.listing import published
from nitido.study.run_directory import Status
from nitido.training.losses import ADVERSARIAL, PERCEPTUAL
from tools.zoo.credits import Credit, ImageSetNote
from tools.zoo.measurements import COST_DATASET


@dataclass(frozen=True)
class Provenance:
    """The origin of a model: images, training, machine, and the commands that repeat it.

    `hyperparameters` are those with a value; `environment` is the content of `environment.json` of the run.
    """

    trained_on: Sequence[ImageSetNote]
    chosen_on: Sequence[ImageSetNote]
    hyperparameters: Mapping[str, Any]
    status: Status
    environment: Mapping[str, Any]
    commands: Sequence[str]


def write_card(descriptor: ModelDescriptor, origin: Provenance) -> str:
    """Return the card of a published model as Markdown; raise `ZooError` if it is not published."""
    sections = [
        ("", _what_it_is(descriptor)),
        ("Figures", _figures(descriptor)),
        ("Images", _images(origin)),
        ("Training", _training(origin)),
        ("Commands", ["```", *origin.commands, "```"]),
        ("Licence of the weights", [f"{published(descriptor).licence}."]),
    ]
    credits = list(_credits([*origin.trained_on, *origin.chosen_on]))
    if credits:
        sections.append(("Credits", credits))
    pages = ["\n".join([f"## {title}", "", *lines] if title else lines) for title, lines in sections]
    return "\n\n".join([f"# {descriptor.name}", *pages]).rstrip() + "\n"


def _what_it_is(descriptor: ModelDescriptor) -> list[str]:
    family = get_architecture(descriptor.architecture)
    colors = "RGB" if descriptor.channels == 3 else "Y only (color is upscaled by bicubic)"
    objectives = {
        "fidelity": "Trained for a small error per pixel.",
        "perception": "Trained to look like a photograph: it invents detail, which lowers its PSNR.",
    }
    scales = ", ".join(f"×{scale}" for scale in published(descriptor).metrics)
    config = ", ".join(f"{key} {_plain(value)}" for key, value in descriptor.config.items() if value is not None)
    return [
        f"{family.title} for {scales}, {descriptor.parameters:,} parameters, works on {colors}. "
        f"{objectives[published(descriptor).objective]}",
        "",
        f"- Network: {config}",
        f"- Idea: {family.reference}",
    ]


def _figures(descriptor: ModelDescriptor) -> list[str]:
    facts = published(descriptor)
    names = list(dict.fromkeys(name for sets in facts.metrics.values() for found in sets.values() for name in found))
    shown = [metric(name) for name in names]
    lines = [
        "| scale | images | " + " | ".join(measure.label for measure in shown) + " |",
        "|---|---|" + "---|" * len(shown),
    ]
    for scale, sets in facts.metrics.items():
        for dataset, found in sets.items():
            cells = [f"{found[m.name]:.{m.decimals}f}" if m.name in found else "–" for m in shown]
            lines.append(f"| ×{scale} | {dataset} | " + " | ".join(cells) + " |")
    costs = ", ".join(f"{_lower(cost)} at ×{scale}" for scale, cost in facts.bfloat16_cost_db.items())
    return [
        *lines,
        "",
        f"In float32, under the protocol `{facts.protocol}`: mean over the images of each set.",
        f"With bfloat16 autocast, PSNR-Y on {COST_DATASET} is {costs}.",
    ]


def _lower(cost: float) -> str:
    """Return in words how much lower a PSNR is, or higher.

    >>> _lower(0.0123), _lower(-0.0001), _lower(-0.00001)
    ('0.0123 dB lower', '0.0001 dB higher', 'the same (to 0.0001 dB)')
    """
    if round(cost, 4) == 0:
        return "the same (to 0.0001 dB)"
    return f"{abs(cost):.4f} dB {'lower' if cost > 0 else 'higher'}"


def _images(origin: Provenance) -> list[str]:
    uses = [("Trained on", origin.trained_on), ("Validated on", origin.chosen_on)]
    return [
        f"- {use}: {note.name}{f' ({note.title})' if note.title else ''}, {_count(note.count, 'image')}. "
        f"Terms: {note.terms}"
        for use, notes in uses
        for note in notes
    ]


def _training(origin: Provenance) -> list[str]:
    environment, status = origin.environment, origin.status
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    machine = environment["gpu"] or environment["processor"]
    commit = environment["git_commit"]
    without = {PERCEPTUAL, ADVERSARIAL} - origin.hyperparameters["loss"].keys()
    options = ", ".join(f"{key} {_plain(value)}" for key, value in origin.hyperparameters.items() if key not in without)
    return [
        f"- {status.steps:,} steps, of which validation selected step {status.best_step:,}; "
        f"seed {origin.hyperparameters['seed']}",
        f"- {status.seconds:,.0f} s{'' if status.all_seconds else ' in the last session'}, on {machine}, "
        f"{_count(environment['threads'], 'thread')}, "
        f"steps in {environment['precision']}",
        f"- Recipe: {options}",
        *([f"- Start: {status.start}"] if status.start else []),
        f"- Software: Python {environment['python']}, {packages}{f', commit {commit}' if commit else ''}",
    ]


def _credits(notes: Sequence[ImageSetNote]) -> Iterator[str]:
    """Yield a line for each image with a known source, without duplicates."""
    found = dict.fromkeys((note.name.partition("[")[0], credit) for note in notes for credit in note.credits)
    for folder in dict.fromkeys(name for name, _ in found):
        credits = [credit for name, credit in found if name == folder]
        yield f"### {folder}"
        yield ""
        if not all(credit.author and credit.licence for credit in credits if credit.page):
            yield from ("The page of each image names its author and license.", "")
        yield from (_credit_line(credit) for credit in credits)
        yield ""


def _credit_line(credit: Credit) -> str:
    title = (credit.title or credit.file).replace("[", r"\[").replace("]", r"\]")
    linked = f"[{title}](<{credit.page}>)" if credit.page else title
    parts = [f"{credit.file}: {linked}" if credit.page else linked, credit.author, credit.licence]
    return "- " + ", ".join(part for part in parts if part)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def _plain(value: Any) -> str:
    """Return a configuration value as text.

    >>> _plain({"l1": 1.0, "adversarial": 0.001}), _plain([9, 1, 5]), _plain(True)
    ('{l1 1, adversarial 0.001}', '9/1/5', 'true')
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner is not None) + "}"
    if isinstance(value, list | tuple):
        return "/".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
