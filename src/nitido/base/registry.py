"""Things that configurations call by name."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from nitido.base.errors import unknown_name
from nitido.base.validation import ConfigError

T = TypeVar("T")

_REGISTRIES: "list[Registry[Any]]" = []
_PACKAGE = Path(__file__).resolve().parents[1]


class Registry(Generic[T]):
    """Entries of one kind by name: each name once, and a wrong name is told the nearest right one.

    >>> cups = Registry[int]("cup")
    >>> cups.register("espresso", 40)
    >>> cups["espresso"], cups.names()
    (40, ['espresso'])
    >>> cups["expresso"]
    Traceback (most recent call last):
    nitido.base.validation.ConfigError: unknown cup 'expresso': did you mean 'espresso'? (valid: espresso)
    """

    def __init__(self, kind: str) -> None:
        """Start empty; `kind` is what errors call an entry."""
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._sources: dict[str, Path] = {}
        _REGISTRIES.append(self)

    def register(self, name: str, entry: T) -> None:
        """Make `entry` known as `name`; a name that is taken raises `ConfigError`."""
        if name in self._entries:
            raise ConfigError(f"{self.kind} {name!r} is already registered")
        self._entries[name] = entry
        self._sources[name] = _registering_file()

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; raises `ConfigError` that names the nearest."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries, ConfigError)
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def check(self, name: str) -> str:
        """Return `name`; raise `ValueError`, as pydantic's validators do, where it is unknown."""
        if name not in self._entries:
            raise ValueError(str(unknown_name(self.kind, name, self._entries)))
        return name

    def source(self, name: str) -> Path:
        """Return the file whose code registered `name`."""
        return self._sources[name]

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is registered."""
        return name in self._entries


def plugin_sources(words: Iterable[str]) -> dict[str, Path]:
    """Return the file of each of `words` that a plugin registered, by kind and word.

    A configuration says which words it uses, not what they mean; what a plugin's word means depends on its file.
    """
    found: dict[str, Path] = {}
    for word in sorted(set(words)):
        for registry in _REGISTRIES:
            if word in registry and not registry.source(word).is_relative_to(_PACKAGE):
                found[f"{registry.kind} {word}"] = registry.source(word)
    return found


def _registering_file() -> Path:
    """Return the file of the module that is being executed and registers an entry."""
    frame = sys._getframe(2)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).resolve()
