"""The names of the zoo: every `NAME.safetensors` beside this file, with its card `NAME.md`."""

from pathlib import Path

from nitido.base.errors import NitidoError, unknown_name

FOLDER = Path(__file__).parent
"""Where weights and cards lie."""


class ZooError(NitidoError):
    """The zoo has not what is wanted, or does not take what is offered."""


def zoo_names() -> list[str]:
    """The names of all models that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def zoo_path(name: str) -> Path:
    """The weights called `name`; raises `ZooError` with the nearest name."""
    names = zoo_names()
    if name not in names:
        raise unknown_name("zoo model", name, names, ZooError)
    return FOLDER / f"{name}.safetensors"
