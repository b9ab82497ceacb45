"""Where nitido's own files lie on this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from nitido.base.errors import NitidoError


def data_root() -> Path:
    """The folder that holds the datasets: `$NITIDO_DATA`, else the user's data directory."""
    return _root("NITIDO_DATA", platformdirs.user_data_path)


def cache_root() -> Path:
    """The folder for what can be made again: `$NITIDO_CACHE`, else the user's cache directory."""
    return _root("NITIDO_CACHE", platformdirs.user_cache_path)


def expanded(path: str | Path) -> Path:
    """Return `path` with `~` and `~user` replaced by the home directory; raises NitidoError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise NitidoError(f"{path}: no such home directory: write the path without ~") from None


def _root(variable: str, default: Callable[[str], Path]) -> Path:
    """The folder that `variable` names, else `default`; NitidoError where that needs a home and there is none."""
    value = os.environ.get(variable)
    try:
        folder = Path(value).expanduser().absolute() if value else default("nitido").expanduser()
    except RuntimeError:
        folder = None
    if folder is None or not folder.is_absolute():
        given = f"{variable}={value}: no such home directory" if value else "this user has no home directory"
        raise NitidoError(f"{given}: set {variable} to a folder, as an absolute path")
    return folder
