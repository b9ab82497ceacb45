"""Plugins: user modules that register activations, blocks, losses or architectures when they are imported."""

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from zlib import crc32

from nitido.base.errors import NitidoError
from nitido.base.folders import expanded
from nitido.base.registry import belongs_to, registering_files
from nitido.base.source_code import hash_code, hash_file

ENTRY_POINTS = "nitido.plugins"
"""The entry point group in which installed packages name their plugin modules."""

VARIABLE = "NITIDO_PLUGINS"
"""The environment variable that lists modules and `.py` files, separated as in `PATH`."""


_loaded: dict[str, str] = {}
"""SHA-256 of the file of each loaded plugin, by its name for the user."""


class PluginError(NitidoError):
    """A plugin cannot be loaded."""


def describe_plugins() -> dict[str, str]:
    """Return the names of the loaded plugins, with the SHA-256 of their files at import."""
    return dict(_loaded)


def load_plugins() -> None:
    """Import the plugins of installed packages, then those listed in `NITIDO_PLUGINS`, each once per process.

    Raises:
        PluginError: A plugin is missing or its code raises. The message names the plugin and the reason.
    """
    for point in entry_points(group=ENTRY_POINTS):
        title = f"{point.value} of the installed package {point.dist.name}" if point.dist else point.value
        if ":" in point.value:
            raise PluginError(f"plugin {title}: an entry point of {ENTRY_POINTS} must name a module, without ':'")
        _load(point.value, title)
    for word in os.environ.get(VARIABLE, "").split(os.pathsep):
        if word:
            _load(word, word)


def _load(word: str, title: str) -> None:
    """Import the module or file `word`, unless it is imported already. Errors call it `title`."""
    if word in sys.modules:
        return
    is_file = word.endswith(".py") or os.sep in word
    origin = None
    try:
        spec = _file(word) if is_file else _module(word)
        origin = spec.origin
        if origin is not None and _is_imported(Path(origin)):
            return
        known, before = registering_files(), set(sys.modules)
        if is_file:
            _run(spec)
        else:
            importlib.import_module(word)
        if origin is not None:
            _loaded[title] = hash_file(Path(origin))
            package = spec.name if spec.submodule_search_locations is not None else spec.parent or ""
            code = hash_code(spec.name, package, Path(origin), sys.modules.keys() - before)
            for file in registering_files() - known:
                belongs_to(file, code)
    except PluginError as error:
        raise PluginError(f"plugin {title}: {error}") from None
    except (Exception, SystemExit) as error:  # a plugin's code may raise anything
        reason = str(error) if isinstance(error, NitidoError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"plugin {title}{_line(error, origin)}: {' '.join(reason.split())}") from error


def _file(word: str) -> ModuleSpec:
    path = Path(os.path.realpath(expanded(word)))
    if not path.is_file():
        raise PluginError("no such file")
    # A unique module name, because a file called torch.py must not replace torch.
    name = f"nitido_plugin_{path.stem}_{crc32(os.fsencode(path)):08x}"
    spec = spec_from_file_location(name, path)
    if spec is None:
        raise PluginError("not a Python file (.py)")
    return spec


def _module(name: str) -> ModuleSpec:
    spec = find_spec(name)
    if spec is None:
        raise PluginError(f"no such module (for a file, add the suffix: {name}.py)")
    return spec


def _is_imported(file: Path) -> bool:
    file = Path(os.path.realpath(file))
    known = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(other and Path(other).name == file.name and Path(os.path.realpath(other)) == file for other in known)


def _run(spec: ModuleSpec) -> None:
    """Import a file that is not on Python's path."""
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise


def _line(error: BaseException, origin: str | None) -> str:
    """Return the line of the plugin's own file in which the error occurred, or ""."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == origin]
    return f", line {lines[-1]}" if lines else ""
