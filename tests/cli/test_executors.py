"""`study run --jobs` and `--executor`: wrong options are one line, and nothing is begun."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nitido.study.executors.jobs import usable_cores
from tests.cli.conftest import Done
from tests.forked import ForkServer

Nitido = Callable[..., Done]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--executor", "slum"], "unknown executor 'slum': did you mean 'slurm'? (valid: local, ray, slurm)"),
        (["--jobs", "many"], "--jobs many: neither a number nor auto"),
        (["--jobs", "0"], "--jobs 0: this machine has"),
        (["--jobs", "100000"], f"this machine has {usable_cores()} cores; choose 1 to {usable_cores()}, or auto"),
        (["--executor", "ray", "--jobs", "2"], "--jobs 2 is for --executor local, not for ray"),
        (["--resource", "cpus=2"], "--resource is for --executor slurm and ray, not for local"),
        (["--executor", "slurm", "--address", "auto"], "--address is for --executor ray, not for slurm"),
        (["--executor", "ray", "--resource", "cpu=2"], "unknown resource 'cpu': did you mean 'cpus'?"),
        (["--executor", "ray", "--resource", "memory=16"], "'16' is no memory: write it like 16GB or 800MB"),
        (["--executor", "ray", "--resource", "cpus"], "--resource cpus: expected KEY=VALUE, e.g. time=120"),
        (["--executor", "ray", "--address", "127.0.0.1:1"], "127.0.0.1:1: no cluster answers (Connection refused)"),
        (["--executor", "ray", "--address", "cluster"], "--address cluster: neither HOST:PORT nor auto"),
    ],
)
def test_a_wrong_option_is_one_line(call: Nitido, tiny_study: Path, options: list[str], message: str) -> None:
    done = call("study", "run", tiny_study, "--out", "out", *options)
    assert done.code == 1
    assert message in done.error_line
    assert not (tiny_study.parent / "out").exists()


def test_no_slurm_is_one_line(
    fork_server: ForkServer, tiny_study: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    done = fork_server.nitido(
        *("study", "run", tiny_study, "--out", "out", "--executor", "slurm"),
        cwd=tmp_path,
        environment=environment | {"PATH": str(tmp_path)},
    )
    assert done.code == 1
    assert done.error_lines == [
        "nitido: --executor slurm: no sbatch on PATH; run this where jobs of SLURM are submitted"
    ]
    assert not (tmp_path / "out").exists()


def test_resources_of_a_study_file_are_checked(call: Nitido, tiny_study: Path) -> None:
    tiny_study.write_text(tiny_study.read_text() + "resources: {cpus: 2, tme: 5}\n")
    done = call("study", "show", tiny_study)
    assert done.code == 1
    assert "unknown key 'tme' in resources: did you mean 'time'?" in done.error_line


def test_the_keys_of_a_profile_are_named(call: Nitido, tiny_study: Path) -> None:
    tiny_study.write_text(tiny_study.read_text().replace("    learning_rates:", "    seedz: [0]\n    learning_rates:"))
    done = call("study", "show", tiny_study)
    assert done.code == 1
    assert "unknown key 'seedz' in profiles.demo: did you mean 'seeds'?" in done.error_line


def test_train_resumes_a_run_directory_by_its_name_alone(
    fork_server: ForkServer, call: Nitido, tiny_study: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert call("study", "run", tiny_study, "--out", "out", "--set", "variants=residual").code == 0
    run = tmp_path / "out/runs/residual/lr=0.002/seed=0"
    before = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()
    done = call("train", "--resume", run)
    assert done.code == 0, done.err
    assert (run / "model.safetensors").read_bytes() == before
    for words, code, message in (
        (["train", "--resume", "."], 1, ". holds no run (there is no config.yaml)"),
        (
            ["train", "srcnn", "--resume", run],
            2,
            "only --device can be given besides",
        ),
        (["train", "srcnn"], 2, "Missing option '--out': The run directory"),
    ):
        done = call(*words)
        assert (done.code, message in done.error_line) == (code, True), done.err


def test_watching_a_finished_study_writes_its_leaderboard(call: Nitido, tiny_study: Path, tmp_path: Path) -> None:
    assert call("study", "run", tiny_study, "--out", "out").code == 0
    board = (tmp_path / "out" / "leaderboard.json").read_bytes()
    (tmp_path / "out" / "leaderboard.json").unlink()
    done = call("study", "watch", "out")
    assert done.code == 0, done.err
    assert "study: 2 runs: 2 finished" in done.err
    assert (tmp_path / "out" / "leaderboard.json").read_bytes() == board
    (tmp_path / "out/runs/plain/lr=0.002/seed=0/status.json").unlink()
    done = call("study", "watch", "out")
    assert done.code == 1
    assert "study: 2 runs: 1 finished, 1 planned" in done.err
    assert "no process trains the other runs: nitido study run out resumes them" in done.err
