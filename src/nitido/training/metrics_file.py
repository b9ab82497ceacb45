"""`metrics.jsonl`: the scalars of a run, one JSON object per line, appended during training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nitido.base.atomic import write_bytes
from nitido.base.json_files import DamagedFileError, without_non_finite

VALIDATION = "validation/"
"""Prefix of the names of a validation's scalars, followed by the metric's name in the rows."""


def append_scalars(path: Path, step: int | None, scalars: Mapping[str, float]) -> None:
    """Append the scalars after `step` steps as one line. NaN and infinite numbers become null."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(without_non_finite({"step": step, **scalars}), allow_nan=False) + "\n")


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """Return the lines of `metrics.jsonl`, each with its `step`; none if there is no such file.

    An incomplete last line, from a process that was killed, is skipped. NaN and infinite numbers, which earlier
    versions wrote, become None.

    Raises:
        DamagedFileError: A line is not a JSON object of numbers with a step.
        OSError: The file cannot be read.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1)]


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        values = None
    if not isinstance(values, dict) or not _is_count(values.get("step")) or not all(map(_is_scalar, values.values())):
        raise DamagedFileError(
            f"{path} is damaged (line {number} is not a JSON object of numbers with a step): remove the "
            "run's directory and run it again"
        )
    return {name: without_non_finite(value) for name, value in values.items()}


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_scalar(value: object) -> bool:
    return value is None or type(value) is int or type(value) is float


def read_curve(path: Path, metric: str) -> list[tuple[int, float]]:
    """Return (step, value) of every validation by `metric`, without values that are not finite.

    Raises `DamagedFileError` and `OSError` as `read_scalars` does.
    """
    name = VALIDATION + metric
    return [(line["step"], float(line[name])) for line in read_scalars(path) if line.get(name) is not None]


def last_validated_step(path: Path) -> int | None:
    """Return the number of steps at the last validation; None if there was none.

    Raises `DamagedFileError` and `OSError` as `read_scalars` does.
    """
    validated = (line["step"] for line in read_scalars(path) if any(name.startswith(VALIDATION) for name in line))
    return max(validated, default=None)


def read_validation(path: Path, step: int) -> dict[str, float]:
    """Return the metrics of the validation after `step` steps, by their names in the rows.

    Raises `DamagedFileError` if the file does not contain them, or as `read_scalars` does.
    """
    for line in read_scalars(path):
        found = {name.removeprefix(VALIDATION): value for name, value in line.items() if name.startswith(VALIDATION)}
        if line["step"] == step and found:
            return found
    raise DamagedFileError(
        f"{path} is damaged (the validation after step {step} is missing): remove the run's directory and run it again"
    )


def rewind(path: Path, step: int) -> None:
    """Keep scalars before the step with index `step`: losses of earlier steps, and validations up to it.

    Raises `DamagedFileError` and `OSError` as `read_scalars` does.
    """
    if not path.exists():
        return
    *lines, _ = path.read_bytes().split(b"\n")
    kept = [
        line + b"\n"
        for line, found in zip(lines, read_scalars(path), strict=True)
        if found["step"] < step + any(name.startswith(VALIDATION) for name in found)
    ]
    write_bytes(path, b"".join(kept))
