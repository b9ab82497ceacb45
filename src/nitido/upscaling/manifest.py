"""What lies finished in an output folder, by content: neither times nor sizes are trusted."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nitido.base.file_hash import sha256_of_file
from nitido.base.json_files import CHECKSUM, checksum

MANIFEST = ".nitido-upscale.jsonl"
"""The file's name: a line of JSON for each result that is ready to take its place.

Bytes of file names that are not UTF-8 are escaped as `\\udcff`, as Python's `json` reads and writes them.
"""


class Manifest:
    """The pictures of an output folder that are nitido's, and which of them are finished; of no folder, none are.

    A line with the result's hash is added before the result takes its place, so that after a crash between the two no
    result is taken for somebody else's file. Every line has a checksum: one that was cut short or changed counts as not
    there. `damaged` is how many such lines there are, without a last one that a crash has cut short.
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
        """Return whether the file `target` is a result that was written here, and nothing else since.

        Earlier versions began with a line without a hash, which says no more than that a result may be there.
        """
        written = self._written.get(self._name(target))
        return written is not None and (not written or sha256_of_file(target) in written)

    def holds(self, target: Path, source: str, settings: str) -> bool:
        """Return whether the result `target` was made of `source` with `settings` and is still as it was written."""
        entry = self._entries.get(self._name(target))
        return (
            entry is not None
            and (entry.get("source"), entry.get("settings")) == (source, settings)
            and target.is_file()
            and entry.get("sha256") == sha256_of_file(target)
        )

    def add(self, target: Path, draft: Path, source: str, settings: str) -> None:
        """Remember that `draft`, made of `source` with `settings`, becomes the result `target`."""
        if self.path is None:
            return
        entry = {"result": self._name(target), "source": source, "settings": settings, "sha256": sha256_of_file(draft)}
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
    """Return what a line of a manifest says; None if it does not say what was written.

    Lines without a checksum are of an earlier version; they too count only for a result that has their hash.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("result"), str):
        return None
    stored = entry.pop(CHECKSUM, None)
    return entry if stored in (None, checksum(entry)) else None
