"""Convert the configuration of a run to a `nitido train` command."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nitido.architectures import get_architecture, resolve_config
from nitido.base.errors import NitidoError
from nitido.models.zoo.shipped import ZooError
from nitido.study.plan import RunConfig, single_run
from nitido.study.spec import DataSplit, Transfer
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.unused_hyperparameters import effective, without_effect
from tools.zoo.credits import public_name

Setting = tuple[str, str]
"""A key and a value of `--set`."""


def training_command(run: RunConfig, out: str) -> str:
    """Return the command that trains `run` in `out`, without folders of this machine.

    It says only what differs from the defaults. Raises `ZooError` for a run that no single command can make: one that
    starts from another variant of its study, for instance.
    """
    family = get_architecture(run.architecture)
    variant = run.variant if run.variant in family.variants else family.base
    settings = list(_settings(run, variant))
    try:
        made = single_run(family.name, variant, [f"{key}={value}" for key, value in settings])
        same = _essence(made) == _essence(run)
    except NitidoError:
        same = False
    if not same:
        raise ZooError(f"{out}: its config.yaml cannot be written as one `nitido train` command: give --command")
    words = [f"--set {shlex.quote(f'{key}={_public(key, value)}')}" for key, value in settings]
    return " \\\n  ".join([f"nitido train {family.name} --variant {variant}", *words, f"--out {shlex.quote(out)}"])


def _essence(run: RunConfig) -> tuple[Any, ...]:
    """Return everything that determines the weights: the run without its labels and metrics."""
    family = get_architecture(run.architecture)
    transfer = [getattr(run, key) for key in Transfer.model_fields]
    return family.config_class.parse(run.config, "config"), run.every_scale, _effective(run), run.data, transfer


def _effective(run: RunConfig) -> dict[str, Any]:
    return effective(run.hyperparameters.model_dump(mode="json"))


def _settings(run: RunConfig, variant: str) -> Iterator[Setting]:
    base = resolve_config(run.architecture, variant, {}).model_dump(mode="json")
    yield from _differences(base, run.config)
    if run.scales is not None:
        yield "scales", _text(run.scales)
    values = run.hyperparameters.model_dump(mode="json")
    usual = Hyperparameters.parse({"steps": 2000}, "hyperparameters").model_dump(mode="json")
    # Which layers are usual depends on these two.
    features = {key: values["perceptual"][key] for key in ("backbone", "normalised")}
    of_those = Hyperparameters.parse({"steps": 2000, "perceptual": features}, "hyperparameters")
    usual["perceptual"]["layers"] = of_those.model_dump(mode="json")["perceptual"]["layers"]
    useless = without_effect(values)
    yield from ((key, text) for key, text in _differences(usual, values) if key not in useless)
    yield from _differences(DataSplit().model_dump(mode="json"), run.data.model_dump(mode="json"), "data.")
    yield from _differences(
        Transfer().model_dump(mode="json"), run.model_dump(mode="json", include=set(Transfer.model_fields))
    )


def _differences(usual: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "") -> Iterator[Setting]:
    """Return the values that differ from the defaults, with dotted keys; a loss is written as a whole."""
    for key, value in values.items():
        if value is None or (key in usual and usual[key] == value):
            continue
        if key == "loss":
            yield from (("loss." + term, _text(weight)) for term, weight in value.items())
        elif isinstance(value, Mapping):
            yield from _differences(usual.get(key) or {}, value, f"{prefix}{key}.")
        else:
            yield prefix + key, _text(value)


def _text(value: Any) -> str:
    """Return a value as `--set` reads it.

    >>> _text([64, 32]), _text(True), _text(0.5), _text("gelu")
    ('64,32', 'true', '0.5', 'gelu')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _public(key: str, value: str) -> str:
    if key.startswith("data."):
        return ",".join(map(public_name, value.split(",")))
    return public_path(value) if key == "pretrained" else value


def public_path(path: str) -> str:
    """Return the name or path of a model without the folders of this machine.

    >>> public_path("srresnet-x4"), public_path("runs/mine"), public_path("/home/me/runs/mine")
    ('srresnet-x4', 'runs/mine', './mine')
    """
    return f"./{Path(path).name}" if Path(path).is_absolute() else path
