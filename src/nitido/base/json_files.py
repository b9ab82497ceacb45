"""Reads and writes small JSON files with a checksum of their content."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nitido.base.atomic import write_text
from nitido.base.errors import NitidoError

CHECKSUM = "checksum"
"""The key of the checksum, which must not be a key of the values."""


class DamagedFileError(NitidoError):
    """A file that nitido wrote cannot be read, or its content has changed."""


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` with their checksum as indented JSON, atomically; infinite numbers and NaN raise `ValueError`."""
    write_text(path, signed_json(values))


def signed_json(values: Mapping[str, Any]) -> str:
    """Return the text that `write_json` writes."""
    signed = {**values, CHECKSUM: checksum(values)}
    return json.dumps(signed, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, remedy: str, *, unsigned: bool = False) -> dict[str, Any]:
    """Return the values that `write_json` wrote, without the checksum.

    Args:
        path: The file.
        remedy: What the user can do if the file is damaged, as the end of the message.
        unsigned: Accept a file without a checksum, as earlier versions wrote it.

    Raises:
        DamagedFileError: The file is not a JSON object, or its checksum is wrong or missing.
        OSError: The file cannot be opened.
    """
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise DamagedFileError(f"{path} is damaged (not valid JSON): {remedy}") from None
    if not isinstance(values, dict):
        raise DamagedFileError(f"{path} is damaged (expected a JSON object): {remedy}")
    stored = values.pop(CHECKSUM, None)
    if stored is None and not unsigned:
        raise DamagedFileError(f"{path} is damaged (its checksum is missing): {remedy}")
    if stored is not None and stored != checksum(values):
        raise DamagedFileError(f"{path} is damaged (its content does not match its checksum): {remedy}")
    return values


def without_non_finite(value: Any) -> Any:
    """Return nested plain data with null in place of NaN and infinite numbers, which JSON does not support.

    >>> without_non_finite({"loss": [1.0, float("inf")]})
    {'loss': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: without_non_finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_non_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def checksum(values: Mapping[str, Any]) -> str:
    """Return the checksum of a JSON object, which does not depend on its formatting."""
    canonical = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
