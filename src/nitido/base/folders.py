"""Find the folders in which nitido stores its files on this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from nitido.base.errors import NitidoError


def data_root() -> Path:
    """Return the folder of the datasets: `$NITIDO_DATA`, or else the user's data directory."""
    return _root("NITIDO_DATA", platformdirs.user_data_path)


def cache_root() -> Path:
    """Return the folder for files that can be regenerated: `$NITIDO_CACHE`, or else the user's cache directory."""
    return _root("NITIDO_CACHE", platformdirs.user_cache_path)


def expanded(path: str | Path) -> Path:
    """Return `path` with `~` and `~user` replaced by the home directory.

    Raises:
        NitidoError: There is no such home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise NitidoError(f"{path}: no such home directory: write the path without ~") from None


def _root(variable: str, default: Callable[[str], Path]) -> Path:
    """Return the folder in `variable`, or else `default`; raise NitidoError if a home directory does not exist."""
    value = os.environ.get(variable)
    try:
        folder = Path(value).expanduser().absolute() if value else default("nitido").expanduser()
    except RuntimeError:
        folder = None
    if folder is None or not folder.is_absolute():
        given = f"{variable}={value}: no such home directory" if value else "this user has no home directory"
        raise NitidoError(f"{given}: set {variable} to a folder, as an absolute path")
    return folder
