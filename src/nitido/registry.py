"""Things that configurations call by name."""

from typing import Generic, TypeVar

from nitido.errors import unknown_name
from nitido.validation import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind by name: each name once, and a wrong name is told the nearest right one.

    >>> cups = Registry[int]("cup")
    >>> cups.register("espresso", 40)
    >>> cups["espresso"], cups.names()
    (40, ['espresso'])
    >>> cups["expresso"]
    Traceback (most recent call last):
    nitido.validation.ConfigError: unknown cup 'expresso': did you mean 'espresso'? (valid: espresso)
    """

    def __init__(self, kind: str) -> None:
        """Start empty; `kind` is what errors call an entry."""
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> None:
        """Make `entry` known as `name`; a name that is taken raises `ConfigError`."""
        if name in self._entries:
            raise ConfigError(f"{self.kind} {name!r} is already registered")
        self._entries[name] = entry

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
