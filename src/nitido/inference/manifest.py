"""What lies finished in an output folder, by content: neither times nor sizes are trusted."""

import hashlib
import json
from pathlib import Path

MANIFEST = ".nitido-upscale.jsonl"
"""The file's name: a line of JSON for each picture."""


class Manifest:
    """The finished pictures of an output folder; of no folder, nothing is remembered.

    A line is added when a picture has been written; a line that was cut short by a crash counts as not there.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: dict[str, dict[str, str]] = {}
        if folder is None or not (folder / MANIFEST).exists():
            return
        for line in (folder / MANIFEST).read_bytes().split(b"\n"):
            try:
                entry = json.loads(line)
                self._entries[entry["result"]] = entry
            except (ValueError, KeyError, TypeError):
                continue

    def holds(self, target: Path, source: str, settings: str) -> bool:
        """Whether the result `target` was made of `source` with `settings` and is still as it was written."""
        entry = self._entries.get(self._name(target))
        return (
            entry is not None
            and (entry.get("source"), entry.get("settings")) == (source, settings)
            and target.is_file()
            and entry.get("sha256") == sha256_of(target)
        )

    def add(self, target: Path, source: str, settings: str) -> None:
        """Remember the result that has been written to `target`."""
        if self.folder is None:
            return
        entry = {"result": self._name(target), "source": source, "settings": settings, "sha256": sha256_of(target)}
        with (self.folder / MANIFEST).open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(json.dumps(entry).encode() + b"\n")

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix() if self.folder is not None else str(target)


def sha256(content: bytes) -> str:
    """The SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of the content of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
