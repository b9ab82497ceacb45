"""The record of finished results in an output folder, identified by content: times and sizes are not trusted."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nitido.base.file_hash import sha256_of_file
from nitido.base.json_files import CHECKSUM, checksum

MANIFEST = ".nitido-upscale.jsonl"
"""Name of the file, which has one line of JSON per result.

Bytes of file names that are not UTF-8 are escaped as `\\udcff`, as in Python's `json`.
"""


class Manifest:
    """The results of nitido in an output folder. Without a folder there are none.

    A line with the result's hash is written before the result gets its name, so that a crash in between does not make
    it a foreign file. Every line has a checksum; truncated or modified lines are ignored.

    Attributes:
        damaged: Number of such lines, except for a last line that a crash truncated.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.path = None if folder is None else folder / MANIFEST
        self.damaged = 0
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._written: dict[str, set[str]] = {}  # every hash that a result of this name has had
        if self.path is None or not self.path.exists():
            return
        *lines, rest = self.path.read_bytes().split(b"\n")
        for line in lines:
            entry = _parsed(line)
            if entry is not None:
                self._remember(entry)
            elif line:
                self.damaged += 1
        entry = _parsed(rest)
        if entry is not None:
            self._remember(entry)

    def _remember(self, entry: Mapping[str, Any]) -> None:
        self._entries[entry["result"]] = entry
        written = self._written.setdefault(entry["result"], set())
        if "sha256" in entry:
            written.add(str(entry["sha256"]))

    def owns(self, target: Path) -> bool:
        """Return whether the file `target` is a result of nitido and was not modified since.

        A line without a hash, as earlier versions wrote first, only says that a result may exist.
        """
        written = self._written.get(self._name(target))
        return written is not None and (not written or sha256_of_file(target) in written)

    def holds(self, target: Path, source: str, settings: str) -> bool:
        """Return whether the result `target` was computed from `source` with `settings` and was not modified since."""
        entry = self._entries.get(self._name(target))
        return (
            entry is not None
            and (entry.get("source"), entry.get("settings")) == (source, settings)
            and target.is_file()
            and entry.get("sha256") == sha256_of_file(target)
        )

    def add(self, target: Path, draft: Path, source: str, settings: str, device: str) -> None:
        """Record that `draft`, computed from `source` with `settings` on `device`, becomes the result `target`."""
        if self.path is None:
            return
        entry = {
            "result": self._name(target),
            "source": source,
            "settings": settings,
            "device": device,
            "sha256": sha256_of_file(draft),
        }
        if self._entries.get(entry["result"]) == entry:
            return
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(json.dumps({**entry, CHECKSUM: checksum(entry)}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._remember(entry)

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix() if self.folder is not None else str(target)


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    """Return the content of a manifest line; None if its checksum is wrong.

    Lines without a checksum are from an earlier version; they too count only for a result with their hash.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("result"), str):
        return None
    stored = entry.pop(CHECKSUM, None)
    return entry if stored in (None, checksum(entry)) else None
