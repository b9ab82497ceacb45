"""Time, machine and steps are those of the whole run, not of the last command that worked on it."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nitido.base.json_files import write_json
from nitido.study.run_directory import RunDirectory
from tests.cli.conftest import Done
from tests.forked import ForkServer

Nitido = Callable[..., Done]
RUN = Path("out/runs/residual/lr=0.002/seed=0")
LONGER = ["--set", "variants=residual", "--set", "steps=300", "--set", "validate_every=25"]


def stop(fork_server: ForkServer, number: int, tiny_study: Path, environment: dict[str, str]) -> RunDirectory:
    """Begin a study and end it by the signal `number` once its first checkpoint is recorded."""
    folder = tiny_study.parent
    directory = RunDirectory(folder / RUN)
    ended = fork_server.nitido(
        *("study", "run", tiny_study, "--out", "out", *LONGER),
        cwd=folder,
        environment=environment,
        signalled=(number, lambda: bool(directory.read_sessions().steps)),
    )
    assert ended.code == (130 if number == signal.SIGTERM else -number), ended
    return directory


def cells(folder: Path) -> dict[str, str]:
    """The row of the only run in the report, by its columns."""
    page = (folder / "out" / "report.html").read_text()
    lines = [line for line in page.splitlines() if line.startswith("<td data-name=")]
    return {line.split('"')[1]: line.split(">", 1)[1].removesuffix("</td>") for line in lines}


def environment_of(directory: RunDirectory) -> dict[str, Any]:
    found = directory.read_environment()
    assert found is not None
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_of_two_sessions_reports_both(
    fork_server: ForkServer, call: Nitido, tiny_study: Path, tmp_path: Path, environment: dict[str, str], number: int
) -> None:
    directory = stop(fork_server, number, tiny_study, environment)
    (first,) = directory.read_sessions().sessions
    assert first.first == 0
    assert first.last
    assert call("study", "report", "out").code == 0
    shown = cells(tmp_path)
    assert shown["status"].startswith("interrupted")
    assert shown["steps"] == f"{first.last:,}"
    assert shown["time"] not in ("–", "0.0 s")
    if number == signal.SIGTERM:
        status = directory.read_status()
        assert status is not None
        assert (status.steps, status.seconds) == (first.last, first.seconds)

    (tmp_path / "moved.py").write_text("import os\n\nos.cpu_count = lambda: 99\n")  # as if on another machine
    plugin = environment | {"NITIDO_PLUGINS": str(tmp_path / "moved.py")}
    done = fork_server.nitido("study", "run", "out", cwd=tmp_path, environment=plugin, timeout=240)
    assert done.code == 0, done.err
    sessions = directory.read_sessions()
    assert [session.environment["cores"] == 99 for session in sessions.sessions] == [False, True]
    assert [(session.first, session.last) for session in sessions.sessions] == [(0, first.last), (first.last, 300)]
    status = directory.read_status()
    assert status is not None
    assert status.seconds == sessions.seconds > max(session.seconds or 0 for session in sessions.sessions)
    assert f"after 300 steps, {status.seconds:.0f} s" in done.err
    assert f"(2 sessions: steps 1–{first.last:,}, {first.last + 1:,}–300)" in cells(tmp_path)["time"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert f" of {os.cpu_count()} cores" in page
    assert " of 99 cores" in page


def test_recreating_a_file_is_not_a_session(call: Nitido, tmp_path: Path, tiny_study: Path) -> None:
    assert call("study", "run", tiny_study, "--out", "out", "--set", "variants=residual").code == 0
    directory = RunDirectory(tmp_path / RUN)
    before, status = directory.environment.read_bytes(), directory.read_status()
    directory.model.unlink()
    assert call("study", "run", "out").code == 0
    assert directory.model.exists()
    assert directory.environment.read_bytes() == before
    assert directory.read_status() == status

    directory.environment.unlink()  # not recorded, and a command that trains nothing adds nothing
    directory.model.unlink()
    assert call("study", "run", "out").code == 0
    assert not directory.environment.exists()
    assert cells(tmp_path)["time"] == "–"


def test_a_run_of_version_0_1_reports_only_what_was_recorded(call: Nitido, tmp_path: Path, tiny_study: Path) -> None:
    assert call("study", "run", tiny_study, "--out", "out", "--set", "variants=residual").code == 0
    directory = RunDirectory(tmp_path / RUN)
    environment = environment_of(directory)
    for key in ("steps", "seconds", "earlier"):
        del environment[key]
    write_json(directory.environment, environment)
    status = json.loads(directory.status.read_text())
    for key in ("all_seconds", "checksum"):
        del status[key]
    write_json(directory.status, status | {"seconds": 101.0})
    for step in ("unchanged", "with a recreated model"):
        assert call("study", "run", "out").code == 0, step
        assert cells(tmp_path)["time"] == "at least 1 min 41 s", step
        assert "only the last session is recorded for 1 run" in (tmp_path / "out" / "report.html").read_text()
        directory.model.unlink()


def test_a_diverged_run_reports_its_steps(call: Nitido, tmp_path: Path, tiny_study: Path) -> None:
    wild = ["learning_rates=10", "optimizer=sgd", "loss=l2", "momentum=0.99", "steps=200", "validate_every=1"]
    words = [word for setting in wild for word in ("--set", setting)]
    assert call("study", "run", tiny_study, "--out", "out", "--set", "variants=residual", *words).code == 1
    directory = RunDirectory(tmp_path / "out/runs/residual/lr=10/seed=0")
    status = directory.read_status()
    assert status is not None
    assert status.state == "diverged"
    assert cells(tmp_path)["steps"] == str(status.steps) != "0"
