"""Tests that the hash of a plugin covers its imported code and all modules that this code imports."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nitido.base.source_code import hash_code
from tests.forked import ForkServer

Code = Callable[..., str]
REGISTER = "from torch import nn\nfrom nitido.architectures import register_activation\n"
WORD = "register_activation('mine', lambda channels: nn.LeakyReLU({}))\n"


@pytest.fixture
def code(fork_server: ForkServer, tmp_path: Path) -> Code:
    """The code behind the word `mine` in a new process: as a plugin, or after `statement`."""

    def run(plugins: str = "", statement: str = "", before: str = "") -> str:
        program = (
            f"import sys\nsys.dont_write_bytecode = True\n{before}\n"
            "from nitido.base.plugins import load_plugins\nload_plugins()\n" + statement + "\n"
            "from nitido.base.registry import plugin_code\nimport json\n"
            "print(json.dumps(plugin_code(['mine'])['activation mine']))"
        )
        environment = {"NITIDO_PLUGINS": plugins, "PYTHONPATH": str(tmp_path)}
        ended = fork_server.python(program, cwd=tmp_path, environment=environment)
        assert ended.code == 0, ended
        return str(json.loads(ended.out)[1])

    return run


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write a package whose module `words` registers names with code of the module `helper`."""
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("from pack import words\n")
    (folder / "words.py").write_text(f"{REGISTER}from . import helper\n{WORD.format('helper.SLOPE')}")
    (folder / "helper.py").write_text("SLOPE = 0.1\n")
    (folder / "unrelated.py").write_text("")
    return folder


def test_the_modules_that_a_plugin_imports_count(code: Code, package: Path) -> None:
    before = code("pack")
    assert code("pack.words") == code(statement="import pack") == before, "however it is imported"
    (package / "unrelated.py").write_text("1")
    assert code("pack") == before
    (package / "helper.py").write_text("SLOPE = -3.0\n")
    changed = code("pack")
    assert changed != before
    (package / "__init__.py").write_text("from pack import helper\nhelper.SLOPE = 2\nfrom pack import words\n")
    assert code("pack") not in (before, changed)
    (package / "__init__.py").write_text("from pack import words\n")
    assert code("pack") == changed


@pytest.mark.parametrize(
    "line",
    [
        "import helper",
        "def later():\n    from helper import SLOPE",
        "from importlib import import_module\nimport_module('helper')",
        "import between",
    ],
)
def test_modules_beside_a_plugins_file_count(code: Code, tmp_path: Path, line: str) -> None:
    (tmp_path / "words.py").write_text(f"{REGISTER}{line}\n{WORD.format(0.1)}")
    (tmp_path / "between.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("SLOPE = 0.1\n")
    before = code("words.py")
    assert code("words") == before
    (tmp_path / "helper.py").write_text("SLOPE = -3.0\n")
    assert code("words.py") != before


def test_a_module_that_another_plugin_imported_first_counts_too(code: Code, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(f"{REGISTER}import helper\n{WORD.format(0.1)}")
    (tmp_path / "helper.py").write_text("SLOPE = 0.1\n")
    (tmp_path / "first.py").write_text("import helper\n")
    assert code(os.pathsep.join(["first.py", "words.py"])) == code("words.py")


def test_the_hash_is_of_the_imported_code(code: Code, tmp_path: Path) -> None:
    words = tmp_path / "words.py"
    words.write_text(f"{REGISTER}{WORD.format(0.1)}")
    before = code("words.py")
    edited = code("words.py", statement=f"open({str(words)!r}, 'a').write('# edited')")
    assert edited == before
    assert code("words.py") != before


def test_code_of_a_notebook_cell_is_hashed(code: Code) -> None:
    typed = "import linecache\ntext = {!r}\nlinecache.cache['<cell>'] = (0, None, text.splitlines(True), '<cell>')\n"
    run = "exec(compile(text, '<cell>', 'exec'), {'__name__': '__main__'})"
    one, other = (code(statement=typed.format(f"{REGISTER}{WORD.format(slope)}") + run) for slope in (0.1, -3.0))
    assert one != other


def test_installed_and_missing_modules_do_not_count(tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "words.py", tmp_path / "other" / "words.py"
    for file in (one, other):
        file.parent.mkdir()
        file.write_text("import torch, json, nitido, nowhere.at_all\nfrom . import nobody\nfrom torch import *\n")
    assert hash_code("x", "", one) == hash_code("y", "", other)
    other.write_text("if:")
    assert hash_code("x", "", one) != hash_code("y", "", other)
