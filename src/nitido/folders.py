"""Where nitido's own files lie on this machine."""

import os
from pathlib import Path

import platformdirs


def data_root() -> Path:
    """The folder that holds the datasets: `$NITIDO_DATA`, else the user's data directory."""
    return _root("NITIDO_DATA", platformdirs.user_data_path("nitido"))


def cache_root() -> Path:
    """The folder for what can be made again: `$NITIDO_CACHE`, else the user's cache directory."""
    return _root("NITIDO_CACHE", platformdirs.user_cache_path("nitido"))


def _root(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else default
