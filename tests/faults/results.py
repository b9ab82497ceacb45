"""The content of a directory in a form that can be compared."""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from nitido.base.atomic import is_draft

VOLATILE = {"seconds", "all_seconds", "latency", "peak_memory", "checksum", "times", "rounds"}
"""Keys whose values are measured times, or say whether one is known: a kill may lose the time of the last steps."""


def result_of(folder: Path) -> dict[str, Any]:
    """Every file below `folder` by name, with its content as far as it may not differ between two runs.

    Drafts in the cache, which has no lock, are left out: they are removed when they are an hour old. So are leases,
    which say which process was the last one.
    """
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith((".lock", ".lease-"))
        and ".tfevents." not in path.name
        and not (is_draft(path) and "cache" in path.relative_to(folder).parts)
    }


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is missing, what is too much, and what differs, a line each."""
    lines = [f"missing: {name}" for name in expected if name not in found]
    lines += [f"left over: {name}" for name in found if name not in expected]
    lines += [
        f"differs: {name}: {str(expected[name])[:2000]} → {str(found[name])[:2000]}"
        for name in expected
        if name in found and expected[name] != found[name]
    ]
    return lines


def _content(path: Path) -> Any:
    if path.name == "rows.parquet":
        frame = pl.read_parquet(path)
        return sorted(map(str, frame.rows(named=True)))
    if path.name in ("environment.json", "cost.json"):
        return "there"
    if path.suffix == ".json":
        return _stable(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return sorted(path.read_text().splitlines())
    if path.suffix in (".ckpt", ".html", ".svg") or path.name in ("leaderboard.png", "ranking.png", "curves.png"):
        return "there"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(inner) for key, inner in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [_stable(inner) for inner in value]
    return value
