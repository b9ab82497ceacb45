"""Plugins: files, modules and installed packages are loaded once, before any command and never for help."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Done
from tests.forked import ForkServer

Nitido = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


@pytest.fixture
def surroundings(home: Path) -> Callable[..., dict[str, str]]:
    """Return a function that gives the environment of a process, with NITIDO_PLUGINS and PYTHONPATH."""

    def make(plugins: tuple[object, ...], path: Path | None) -> dict[str, str]:
        own = {"HOME": str(home), "NITIDO_DATA": str(home / "data"), "NITIDO_CACHE": str(home / "cache")}
        own["NITIDO_PLUGINS"] = os.pathsep.join(map(str, plugins))
        return own | ({"PYTHONPATH": str(path)} if path is not None else {})

    return make


@pytest.fixture
def nitido(fork_server: ForkServer, home: Path, surroundings: Callable[..., dict[str, str]]) -> Nitido:
    """`nitido data list` with these plugins."""

    def run(*plugins: object, path: Path | None = None) -> Done:
        ended = fork_server.nitido("data", "list", cwd=home, environment=surroundings(plugins, path))
        return Done(ended.code, ended.out, ended.err)

    return run


@pytest.fixture
def load(fork_server: ForkServer, home: Path, surroundings: Callable[..., dict[str, str]]) -> Nitido:
    """What every command does first, twice."""
    code = "from nitido.base.plugins import load_plugins; load_plugins(); load_plugins()"

    def run(*plugins: object, path: Path | None = None) -> Done:
        ended = fork_server.python(code, cwd=home, environment=surroundings(plugins, path))
        return Done(ended.code, ended.out, ended.err)

    return run


def words(path: Path, text: str = "") -> Path:
    """Write a plugin that prints a line when it is loaded and then runs `text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"print('loaded', {path.name!r})\n{text}")
    return path


def install(site: Path, value: str) -> None:
    """What pip leaves of a package with an entry point."""
    information = site / "their_words-2.1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-words\nVersion: 2.1\n")
    (information / "entry_points.txt").write_text(f"[nitido.plugins]\nthem = {value}\n")


def loaded(done: Done) -> list[str]:
    assert done.code == 0, done.err
    return [line.removeprefix("loaded ") for line in done.out.splitlines() if line.startswith("loaded ")]


def test_files_are_loaded_in_their_order_and_once(load: Nitido, home: Path) -> None:
    words(home / "mine.py")
    theirs = words(home / "elsewhere" / "theirs.py")
    (home / "link.py").symlink_to(theirs)
    assert loaded(load("mine.py", "~/elsewhere/theirs.py", theirs, "", "link.py", "./mine.py")) == [
        "mine.py",
        "theirs.py",
    ]


def test_files_of_one_name_are_two_plugins_and_no_module_of_that_name(load: Nitido, home: Path) -> None:
    for folder in ("one", "two"):
        words(home / folder / "json.py", "import json\nassert json.loads('1') == 1\n")
    assert loaded(load("one/json.py", "two/json.py")) == ["json.py", "json.py"]


def test_a_module_is_loaded_by_its_name(load: Nitido, home: Path) -> None:
    words(home / "elsewhere" / "pack" / "__init__.py")
    words(home / "elsewhere" / "pack" / "blocks.py")
    assert loaded(load("pack.blocks", "pack", path=home / "elsewhere")) == ["__init__.py", "blocks.py"]


@pytest.mark.parametrize("plugins", [("mine", "elsewhere/mine.py"), ("elsewhere/mine.py", "mine")])
def test_a_module_and_its_file_are_one_plugin(load: Nitido, home: Path, plugins: tuple[str, str]) -> None:
    words(home / "elsewhere" / "mine.py")
    assert loaded(load(*plugins, path=home / "elsewhere")) == ["mine.py"]


def test_installed_packages_are_plugins_without_being_listed(load: Nitido, home: Path) -> None:
    site = home / "site"
    install(site, "their_words")
    words(site / "their_words.py")
    assert loaded(load(path=site)) == ["their_words.py"]
    assert loaded(load("their_words", path=site)) == ["their_words.py"]
    assert loaded(load()) == []


def test_a_command_loads_both_kinds_before_it_runs(nitido: Nitido, home: Path) -> None:
    install(home / "site", "their_words")
    words(home / "site" / "their_words.py")
    words(home / "mine.py")
    done = nitido("mine.py", path=home / "site")
    assert loaded(done) == ["their_words.py", "mine.py"]
    assert done.out.index("loaded mine.py") < done.out.index("samples")


@pytest.mark.parametrize(
    ("plugin", "text", "message"),
    [
        ("nowhere.py", None, "plugin nowhere.py: no such file"),
        ("~/nowhere.py", None, "plugin ~/nowhere.py: no such file"),
        ("./words.txt", "", "plugin ./words.txt: not a Python file"),
        ("nowhere", None, "plugin nowhere: no such module (for a file, add the suffix: nowhere.py)"),
        ("no.where", None, "plugin no.where: ModuleNotFoundError: No module named 'no'"),
        ("bad.py", "import nowhere", "plugin bad.py, line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("bad.py", "def f():\n    raise ValueError('a\\nb')\nf()", "plugin bad.py, line 3: ValueError: a b"),
        ("bad.py", "if:", "plugin bad.py: SyntaxError: invalid syntax (bad.py, line 2)"),
        ("bad.py", "raise SystemExit(0)", "plugin bad.py, line 2: SystemExit: 0"),
        (
            "bad.py",
            "from nitido.training.losses import register_loss\nregister_loss('l1', max)",
            "plugin bad.py, line 3: loss 'l1' is already registered",
        ),
    ],
)
def test_a_broken_plugin_gives_one_line(
    nitido: Nitido, home: Path, plugin: str, text: str | None, message: str
) -> None:
    if text is not None:
        words(home / plugin, text)
    done = nitido(plugin)
    assert done.code == 1
    assert message in done.error_line
    assert "samples" not in done.out, "the command must not run"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("their_words", "plugin their_words of the installed package their-words, line 2: ZeroDivisionError: "),
        ("their_words:register", "must name a module, without"),
        ("not_there", "plugin not_there of the installed package their-words: no such module"),
    ],
)
def test_a_broken_package_is_named(nitido: Nitido, home: Path, value: str, message: str) -> None:
    install(home / "site", value)
    words(home / "site" / "their_words.py", "1 / 0")
    done = nitido(path=home / "site")
    assert done.code == 1
    assert message in done.error_line


@pytest.mark.parametrize("arguments", [["--help"], ["study", "run", "--help"], ["train", "-h"]])
def test_help_loads_neither_plugins_nor_torch(home: Path, arguments: list[str]) -> None:
    broken = words(home / "bad.py", "1 / 0")
    code = (
        "import sys\nfrom nitido.cli import main\n"
        f"sys.argv = ['nitido', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NITIDO_PLUGINS": str(broken)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: nitido" in done.stdout
    assert "loaded" not in done.stdout
    assert done.stderr == "False\n"
