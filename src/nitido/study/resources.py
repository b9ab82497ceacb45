"""The resources of a run on a cluster: in a study file, or KEY=VALUE on the command line."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from nitido.base.errors import unknown_name
from nitido.base.validation import ConfigError, StrictModel

_UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def _memory(text: str) -> str:
    memory_bytes(text)
    return text


def memory_bytes(text: str) -> int:
    """Return the bytes of a text such as `16GB`; raise `ValueError` for another form.

    >>> memory_bytes("16GB") == 16 * 1024**3
    True
    """
    number, unit = text[:-2], text[-2:].upper()
    if unit not in _UNITS or not number.isdecimal() or int(number) == 0:
        raise ValueError(f"{text!r} is no memory: write it like 16GB or 800MB")
    return int(number) * _UNITS[unit]


class Resources(StrictModel):
    """What each run gets on a cluster.

    Attributes:
        cpus: The cores, and the threads, of a run.
        gpus: The graphics cards of a run.
        memory: The memory of a run, such as `16GB`; None is the default of the cluster.
        parallel: How many runs may train at the same time.
        time: The time limit of a job in minutes (SLURM); a run that needs longer is queued again from its checkpoint.
        partition: The partition of the jobs (SLURM).
        account: The account that is charged (SLURM).
        qos: The quality of service (SLURM).
        constraint: The features that a node must have (SLURM).
    """

    cpus: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0)
    memory: Annotated[str, AfterValidator(_memory)] | None = None
    parallel: int = Field(default=256, ge=1)
    time: int = Field(default=60, ge=1)
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None


def parse_resources(settings: Sequence[str], defaults: Resources | None = None) -> Resources:
    """Return the resources of `KEY=VALUE` settings, on top of those of the study.

    Raises `ConfigError` for unknown keys and impossible values.

    >>> parse_resources(["cpus=4", "memory=16GB"]).cpus
    4
    """
    values: dict[str, Any] = (defaults or Resources()).model_dump()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not value:
            raise ConfigError(f"--resource {setting}: expected KEY=VALUE, e.g. time=120")
        if key not in Resources.model_fields:
            raise unknown_name("resource", key, Resources.model_fields, ConfigError)
        values[key] = value
    return Resources.parse(values, "--resource")
