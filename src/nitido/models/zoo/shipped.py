"""The models of the zoo: every `NAME.safetensors` next to this file, with its card `NAME.md`."""

from pathlib import Path

from nitido.base.errors import NitidoError, unknown_name

FOLDER = Path(__file__).parent
"""Folder of the weights and cards."""


class ZooError(NitidoError):
    """The zoo does not have a requested model, or refuses a new one."""


def zoo_names() -> list[str]:
    """Return the names of all models that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def zoo_path(name: str) -> Path:
    """Return the weights called `name`; raise `ZooError` with the nearest name if it is unknown."""
    names = zoo_names()
    if name not in names:
        raise unknown_name("zoo model", name, names, ZooError)
    return FOLDER / f"{name}.safetensors"
