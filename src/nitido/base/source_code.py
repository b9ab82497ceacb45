"""Hashes the source code of a plugin: its module and the modules that it imports."""

import ast
import hashlib
import json
import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from nitido.base.file_hash import sha256_of_file

_INSTALLED: tuple[str | Path, ...] = (
    Path(__file__).parents[1],
    *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
)
_NOT_THE_USERS = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in _INSTALLED)


def hash_code(module: str, package: str, file: Path, others: Iterable[str] = ()) -> str:
    """Return a hash of the names and contents of `file` and all modules that it imports.

    Import statements anywhere in a file count, and so do the parent packages of the imported names. Modules of Python,
    of nitido and of installed packages do not count, except for those of the package that contains `file`. Modules that
    are loaded without an import statement are not found.

    Args:
        module: Name of the module in `file`.
        package: Package for its relative imports; empty if it is in none.
        file: Its source.
        others: Names of further modules that belong to it although no import statement names them.
    """
    own = package.partition(".")[0]
    # The name of a module outside any package depends on how its file was imported.
    found = {(module if package else file.stem) if file.exists() else "": hash_file(file)}
    waiting = [*_parents(module if package else ""), *others, *_imported(file, package)]
    while waiting:
        name = waiting.pop()
        if name in found or name == module:
            continue
        path, inside = _locate(name)
        if path is None or not (name.partition(".")[0] == own or not _is_installed(path)):
            continue
        found[name] = hash_file(path)
        waiting += [*_parents(name), *_imported(path, inside)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of the source at `path`, which may be code from a notebook cell instead of a file."""
    try:
        return sha256_of_file(path)
    except OSError:
        typed = linecache.getlines(str(path)) or (linecache.getlines(path.name) if path.name.startswith("<") else [])
        return hashlib.sha256("".join(typed).encode()).hexdigest()


def _is_installed(path: Path) -> bool:
    """Return whether `path` belongs to Python, nitido or an installed package."""
    return os.path.realpath(path).startswith(_NOT_THE_USERS)


def _imported(file: Path, package: str) -> Iterator[str]:
    """Yield the module names that the import statements of `file` may mean.

    `from a import b` may mean the module `a.b`.
    """
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (*_parents(alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (*_parents(base), base, *(f"{base}.{alias.name}" for alias in node.names))


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _locate(name: str) -> tuple[Path | None, str]:
    """Return the file of the module `name` and the package for its relative imports, without importing it."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        file, places = getattr(loaded, "__file__", None), getattr(loaded, "__path__", None)
    else:
        parent = name.rpartition(".")[0]
        try:
            spec = PathFinder.find_spec(name, _places(parent)) if parent else find_spec(name)
        except (ImportError, ValueError):
            spec = None
        file = spec.origin if spec is not None and spec.has_location else None
        places = spec.submodule_search_locations if spec is not None else None
    inside = name if places is not None else name.rpartition(".")[0]
    # Some modules name a file that does not exist, for example torch._ops.
    return (Path(file) if file and Path(file).is_file() else None), inside


def _places(package: str) -> list[str]:
    """Return the folders of the modules of `package`; none if there is no such package."""
    loaded = sys.modules.get(package)
    if loaded is not None:
        return list(getattr(loaded, "__path__", []))
    parent = package.rpartition(".")[0]
    try:
        spec = PathFinder.find_spec(package, _places(parent)) if parent else find_spec(package)
    except (ImportError, ValueError):
        return []
    return list(spec.submodule_search_locations or []) if spec is not None else []
