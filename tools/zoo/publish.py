"""`python -m tools.zoo.publish`: add the model of a finished run to the zoo, with its card."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nitido.base.atomic import write_text
from nitido.base.errors import NitidoError
from nitido.base.plugins import load_plugins
from nitido.data import prepare, refuse_overlap, resolve, resolve_all
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.evaluation.protocol import PROTOCOL
from nitido.models.model_file import ModelDescriptor, load_model_file, metric_name, save_model
from nitido.models.publication import Publication
from nitido.models.zoo import shipped
from nitido.models.zoo.listing import DATASETS
from nitido.study.plan import RunConfig
from nitido.study.run_directory import RunDirectory, Status
from tools.zoo.card import Provenance, write_card
from tools.zoo.command import public_path, training_command
from tools.zoo.credits import image_set_note, public_name
from tools.zoo.measurements import measure

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"
"""Pattern of zoo names, e.g. `edsr-x2`, which cannot be confused with paths."""

MACHINE = ("python", "packages", "processor", "threads", "gpu", "precision", "git_commit")
"""Keys of `environment.json` in the descriptor; others may contain folders of the machine."""


def publish(run_directory: Path, name: str, licence: str, commands: Sequence[str], folder: Path) -> Path:
    """Measure the model of a finished run and write `NAME.safetensors` and `NAME.md` to `folder`; returns the former.

    The weights are the run's, float32. `commands` are what trained it; none: the one that its configuration amounts
    to. Raises `ZooError` for a run that has not finished and an impossible name, and `DataError` when a test image
    was among those that trained or chose the model, or images are not there. Nothing is written then.
    """
    if not re.fullmatch(NAME, name) or name == "bicubic":
        raise shipped.ZooError(f"{name!r}: a name of the zoo is lower-case words joined by hyphens, e.g. edsr-x2")
    directory = RunDirectory(run_directory)
    config, status = _finished(directory)
    commands = list(commands) or [training_command(config, f"runs/{name}")]
    environment = directory.read_environment()
    if environment is None:
        raise shipped.ZooError(f"{directory.environment} is missing: the machine of the run is unknown")
    _refuse_tested_images(config)
    origin = Provenance(
        trained_on=[image_set_note(spec, "train") for spec in config.data.train],
        chosen_on=[image_set_note(spec, "validation") for spec in config.data.validation],
        hyperparameters=config.hyperparameters.model_dump(mode="json", exclude_none=True),
        status=status,
        environment=environment,
        commands=commands,
    )
    network, descriptor = load_model_file(directory.model)
    objective = config.hyperparameters.objective
    wanted = tuple(dict.fromkeys([*FIDELITY_METRICS, SELECTION_METRICS[objective].metric]))
    measured = {scale: measure(network.at_scale(scale), wanted) for scale in descriptor.scales}
    facts = Publication(
        licence=licence,
        objective=objective,
        protocol=PROTOCOL,
        metrics={scale: found.means for scale, found in measured.items()},
        bfloat16_cost_db={scale: found.bfloat16_cost_db for scale, found in measured.items()},
    )
    changes = {
        "name": name,
        "metrics": _by_dataset(facts, descriptor.scale),
        "training": _public_training(descriptor, origin),
        "publication": facts,
    }
    released = descriptor.model_copy(update=changes)
    card = write_card(released, origin)
    target = folder / f"{name}.safetensors"
    save_model(target, network, released)
    write_text(folder / f"{name}.md", card)
    return target


def _finished(directory: RunDirectory) -> tuple[RunConfig, Status]:
    config, status = directory.read_config(), directory.read_status()
    if config is None or status is None:
        raise shipped.ZooError(f"{directory.path}: holds no run")
    if status.state != "finished":
        raise shipped.ZooError(f"{directory.path}: the run has not finished: {status.state} {status.reason}".rstrip())
    return config, status


def _refuse_tested_images(config: RunConfig) -> None:
    tested = [prepare(resolve(name, "test"), []) for name in DATASETS]
    refuse_overlap(prepare(resolve_all(config.data.train, "train"), []), *tested)
    refuse_overlap(prepare(resolve_all(config.data.validation, "validation"), []), *tested)


def _by_dataset(facts: Publication, first: int) -> dict[str, dict[str, float]]:
    """Return the metrics at all scales in the format of descriptors."""
    found: dict[str, dict[str, float]] = {}
    for scale, means in facts.metrics.items():
        for dataset, values in means.items():
            named = {metric_name(name, scale, first): value for name, value in values.items()}
            found.setdefault(dataset, {}).update(named)
    return found


def _public_training(descriptor: ModelDescriptor, origin: Provenance) -> dict[str, Any]:
    """Return the provenance of the run without paths of its machine, with time, machine and commands."""
    training = dict(descriptor.training)
    training["data"] = {split: [public_name(spec) for spec in specs] for split, specs in training["data"].items()}
    if "pretrained" in training:
        training["pretrained"] = public_path(training["pretrained"])
    return training | {
        "seconds": origin.status.seconds,
        "machine": {key: origin.environment[key] for key in MACHINE},
        "commands": list(origin.commands),
    }


def _command(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A finished run.")],
    name: Annotated[str, typer.Argument(help="What the model is called, e.g. edsr-x2.")],
    licence: Annotated[str, typer.Option(help="The licence of the weights, e.g. CC-BY-SA-4.0.")],
    command: Annotated[
        list[str] | None,
        typer.Option(help="A command that trained it, for the card; repeatable. Default: made of config.yaml."),
    ] = None,
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where to write weights and card.")] = shipped.FOLDER,
) -> None:
    """Measure a run's model on set5, set14 and bsd100, and put its weights and its card into the zoo.

    Example: python -m tools.zoo.publish runs/edsr-x2 edsr-x2 --licence CC-BY-SA-4.0
    """
    load_plugins()
    weights = publish(run_directory, name, licence, command or [], into)
    print(f"{weights}: {weights.stat().st_size / 2**20:.1f} MB, card {weights.with_suffix('.md')}")


def main() -> None:
    """Run the command; user errors are one line on standard error."""
    try:
        typer.run(_command)
    except NitidoError as error:
        print(f"nitido: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
