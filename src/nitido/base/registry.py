"""Registries of objects that configurations refer to by name."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from nitido.base.errors import unknown_name
from nitido.base.source_code import hash_code, hash_file
from nitido.base.validation import ConfigError

T = TypeVar("T")

_REGISTRIES: "list[Registry[Any]]" = []
_PACKAGE = Path(__file__).resolve().parents[1]


class PluginCode(NamedTuple):
    """Hashes of the code behind a name that a plugin registered, as imported, not as its files are now.

    Attributes:
        file: SHA-256 of the file that registered the name.
        code: Hash of that file and of all the plugin's code that it depends on.
    """

    file: str
    code: str


_IMPORTED: dict[Path, PluginCode] = {}
"""The imported code of each plugin file that registered names; nitido's own files are not included."""


class Registry(Generic[T]):
    """Entries of one kind by unique name. An error about an unknown name suggests the nearest one.

    >>> activations = Registry[int]("activation")
    >>> activations.register("relu", 1)
    >>> activations["relu"], activations.names()
    (1, ['relu'])
    >>> activations["rely"]
    Traceback (most recent call last):
    nitido.base.validation.ConfigError: unknown activation 'rely': did you mean 'relu'? (valid: relu)
    """

    def __init__(self, kind: str) -> None:
        """Create an empty registry; error messages call an entry `kind`."""
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._sources: dict[str, Path] = {}
        _REGISTRIES.append(self)

    def register(self, name: str, entry: T) -> None:
        """Register `entry` as `name`; raise `ConfigError` if the name is taken."""
        if name in self._entries:
            raise ConfigError(f"{self.kind} {name!r} is already registered")
        self._entries[name] = entry
        self._sources[name] = _registering_file()

    def __getitem__(self, name: str) -> T:
        """Return the entry called `name`; raise `ConfigError` with the nearest name if it is unknown."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries, ConfigError)
        return self._entries[name]

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._entries)

    def check(self, name: str) -> str:
        """Return `name`; raise `ValueError`, as pydantic validators do, if it is unknown."""
        if name not in self._entries:
            raise ValueError(str(unknown_name(self.kind, name, self._entries)))
        return name

    def source(self, name: str) -> Path:
        """Return the file whose code registered `name`."""
        return self._sources[name]

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is registered."""
        return name in self._entries


def plugin_code(value: Any) -> dict[str, PluginCode]:
    """Return the code behind each name in `value` that a plugin registered, by kind and name.

    A configuration contains names, but not their meaning. `value` may be nested; keys of mappings count too.
    """
    found: dict[str, PluginCode] = {}
    for word in sorted(set(_strings(value))):
        for registry in _REGISTRIES:
            if word in registry and registry.source(word) in _IMPORTED:
                found[f"{registry.kind} {word}"] = _IMPORTED[registry.source(word)]
    return found


def registering_files() -> set[Path]:
    """Return the files outside nitido that have registered names."""
    return set(_IMPORTED)


def belongs_to(file: Path, code: str) -> None:
    """Record that the names of `file` belong to a plugin whose whole code has the hash `code`."""
    _IMPORTED[file] = _IMPORTED[file]._replace(code=code)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in a nested value, including keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_strings(key), *_strings(inner))
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)


def _registering_file() -> Path:
    """Return the file of the module that is being executed and registers an entry; record a plugin's code."""
    frame = sys._getframe(2)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    file = Path(frame.f_code.co_filename).resolve()
    if file not in _IMPORTED and not file.is_relative_to(_PACKAGE):
        module, package = (str(frame.f_globals.get(name) or "") for name in ("__name__", "__package__"))
        _IMPORTED[file] = PluginCode(hash_file(file), hash_code(module, package, file))
    return file
