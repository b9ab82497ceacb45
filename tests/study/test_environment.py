"""Describing the machine never delays a run and never records something false."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nitido.study import environment
from nitido.study.environment import describe_environment, git_commit, processor_name


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (folder / ".gitignore").write_text(".venv\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    return folder


def replace(program: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / program).write_text(f"#!/bin/sh\n{text}\n")
    (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "text",
    [
        "sleep 1000",
        "sleep 1000 & wait",
        "exit 3",
        "kill -9 $$",
        "echo 'not a commit'",
        "printf '\\377\\376\\000'",
        "printf '1234567\\nabcdef0'",
        "printf '\\033[31m0123456789abcdef\\n'",
        "head -c 100000 /dev/zero",
    ],
)
def test_a_git_that_does_not_work_means_no_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert git_commit(checkout)
    monkeypatch.setattr(environment, "GIT_SECONDS", 0.5)
    replace("git", text, tmp_path, monkeypatch)
    started = time.monotonic()
    assert git_commit(checkout) is None
    assert time.monotonic() - started < 5


def test_without_git_there_is_no_commit(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(checkout) is None


def test_a_folder_inside_a_checkout_that_is_not_part_of_it_has_no_commit(checkout: Path) -> None:
    """As nitido does that is installed into a project's virtual environment."""
    inside = checkout / ".venv" / "nitido"
    inside.mkdir(parents=True)
    (inside / "file.py").write_text("")
    assert git_commit(checkout)
    assert git_commit(inside) is None


def test_another_checkout_named_by_the_environment_is_not_taken(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git sets it where it calls a hook."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(checkout))
    assert git_commit(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("content", [None, b"", b"processor\t: 0\n", b"\xff\xfe model name", b"model name\t:\n"])
def test_a_processor_without_a_name_is_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_bytes(content)
    monkeypatch.setattr(environment, "CPUINFO", tmp_path / "cpuinfo")
    replace("uname", "sleep 1000", tmp_path, monkeypatch)
    assert processor_name() == os.uname().machine


def test_the_environment_needs_no_program_and_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process, as `platform` remembers answers; its arguments are bytes, which need not be UTF-8."""
    for program in ("uname", "git"):
        replace(program, "sleep 1000", tmp_path, monkeypatch)
    code = (
        "import json, sys, torch, nitido.study.environment as e; e.GIT_SECONDS = 0.5; found = "
        "e.describe_environment('float32', torch.device('cpu')); "
        "sys.stdout.buffer.write(json.dumps(found, ensure_ascii=False).encode())"
    )
    done = subprocess.run([sys.executable, "-c", code, b"caf\xe9"], capture_output=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["command"][-1] == "caf\\udce9"
    assert found["platform"].startswith(f"{os.uname().sysname}-{os.uname().release}-{os.uname().machine}")


def test_a_package_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    packages = describe_environment("float32", torch.device("cpu"))["packages"]
    assert isinstance(packages, dict)
    assert packages["no-such-package"] is None
    assert packages["torch"]
