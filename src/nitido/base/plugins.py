"""Words from outside: modules that register activations, blocks, losses or architectures when they are imported."""

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
"""The group of entry points by which installed packages name their modules."""

VARIABLE = "NITIDO_PLUGINS"
"""The environment variable that lists modules and `.py` files, separated as in `PATH`."""


_loaded: dict[str, str] = {}
"""The sha256 of the files of the plugins that were loaded, by what the user calls them."""


class PluginError(NitidoError):
    """A plugin cannot be loaded."""


def describe_plugins() -> dict[str, str]:
    """Return the loaded plugins by what the user calls them, each with the sha256 of its file when it was imported."""
    return dict(_loaded)


def load_plugins() -> None:
    """Import the plugins of installed packages, then those that `NITIDO_PLUGINS` lists; each once in a process.

    Raises `PluginError` that names the plugin and the reason: it is missing, or its own code raises.
    """
    for point in entry_points(group=ENTRY_POINTS):
        title = f"{point.value} of the installed package {point.dist.name}" if point.dist else point.value
        if ":" in point.value:
            raise PluginError(f"plugin {title}: an entry point of {ENTRY_POINTS} names a module, nothing in it")
        _load(point.value, title)
    for word in os.environ.get(VARIABLE, "").split(os.pathsep):
        if word:
            _load(word, word)


def _load(word: str, title: str) -> None:
    """Import the module or file `word`, which errors call `title`; nothing happens where it was imported before."""
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
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything, and its user must hear of it
        reason = str(error) if isinstance(error, NitidoError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"plugin {title}{_line(error, origin)}: {' '.join(reason.split())}") from error


def _file(word: str) -> ModuleSpec:
    path = Path(os.path.realpath(expanded(word)))
    if not path.is_file():
        raise PluginError("no such file")
    # Not by its bare name: a file called torch.py must not pass for torch.
    name = f"nitido_plugin_{path.stem}_{crc32(os.fsencode(path)):08x}"
    spec = spec_from_file_location(name, path)
    if spec is None:
        raise PluginError("not a Python file, whose name ends in .py")
    return spec


def _module(name: str) -> ModuleSpec:
    spec = find_spec(name)
    if spec is None:
        raise PluginError(f"no such module (a file is named with its ending: {name}.py)")
    return spec


def _is_imported(file: Path) -> bool:
    file = Path(os.path.realpath(file))
    known = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(other and Path(other).name == file.name and Path(os.path.realpath(other)) == file for other in known)


def _run(spec: ModuleSpec) -> None:
    """Import a file that lies outside of Python's path."""
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise


def _line(error: BaseException, origin: str | None) -> str:
    """Where in the plugin's own file the error came up, if it did there."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == origin]
    return f", line {lines[-1]}" if lines else ""
