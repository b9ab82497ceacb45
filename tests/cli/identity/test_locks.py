"""One process works in a directory; what it leaves when it is stopped or killed does not stop the next one."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.identity.conftest import Nitido, Start
from tests.cli.identity.study import PLAIN, RESIDUAL, board, state


@contextmanager
def another_process_in(directory: Path) -> Iterator[None]:
    """A process of its own that holds the directory's lock."""
    code = "import sys; from pathlib import Path; from nitido.base.locks import exclusive\n"
    code += "with exclusive(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.stdin.close()


def test_nothing_is_written_where_another_process_works(
    run: Nitido, call: Nitido, study: dict[str, Any], images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    study["variants"][1]["config"]["widths"] = [6, 5]
    with another_process_in(out):
        refused = run("--set", "seeds=0,1,2")
    assert refused.code == 1
    assert "another process is using it" in refused.error_line
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with another_process_in(tmp_path / "single"):
        refused = call("train", "srcnn", "--variant", "debug", "--set", "steps=2", "--out", "single")
    assert refused.code == 1
    assert [path.name for path in (tmp_path / "single").iterdir()] == [".lock"]


@pytest.mark.parametrize("left", [".lock", ".nitido-draft-0123456789ab.yaml"])
def test_what_a_killed_process_left_does_not_refuse_the_directory(run: Nitido, tmp_path: Path, left: str) -> None:
    out = tmp_path / "out"
    shutil.rmtree(out / RESIDUAL)
    for folder in (out, out / PLAIN, out / RESIDUAL, tmp_path / "new"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / left).write_text("")
    assert run().code == 0
    assert run("--set", "variants=plain", out="new").code == 0
    assert not list(tmp_path.rglob(".nitido-draft-*"))


def test_two_runs_that_share_a_directory_are_refused(run: Nitido, images: Path) -> None:
    """Each of them would set the other's results aside, and the study would never be whole."""
    link, kept = (images / "out" / own.parent for own in (RESIDUAL, PLAIN))
    before = (kept / "seed=0" / "model.safetensors").read_bytes()
    shutil.rmtree(link)
    link.symlink_to(kept)
    done = run()
    assert done.code == 1
    assert "runs/residual/lr=0.002/seed=0 is a link to runs/plain/lr=0.002/seed=0" in done.error_line
    assert (kept / "seed=0" / "model.safetensors").read_bytes() == before
    link.unlink()
    assert run().code == 0
    assert all(entry["rank"] for entry in board(images / "out").values())


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_recorded_however_often(begun: Path, tmp_path: Path, stop: Start, times: int) -> None:
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    ended = stop(tmp_path, number=signal.SIGINT, step=2, times=times)
    assert ended.code == 130, ended
    assert "Traceback" not in ended.err
    assert state(tmp_path / "out" / PLAIN) == "interrupted"


def test_an_ignored_ctrl_c_stays_ignored(begun: Path, tmp_path: Path, stop: Start) -> None:
    """As a shell's background job has it: SIGINT is ignored, and the study comes to its end."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    ended = stop(tmp_path, number=signal.SIGINT, step=2, ignored=True)
    assert ended.code == 0, ended
    assert board(tmp_path / "out")["residual"]["status"] == "ok"


def test_a_killed_run_is_reported_as_interrupted(call: Nitido, interrupted: Path, tmp_path: Path) -> None:
    assert interrupted.is_dir()
    assert call("study", "report", tmp_path / "out").code == 0
    assert board(tmp_path / "out")["residual"]["status"] == "interrupted"
