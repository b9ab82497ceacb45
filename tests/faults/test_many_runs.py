"""Runs side by side and on clusters: killed, stopped, cancelled and moved, a study ends with the same results."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from nitido.base.leases import is_leased
from tests.cli.conftest import write_tiny_study
from tests.faults.slurm_cluster import slurm_cluster

MOMENTS = int(os.environ.get("NITIDO_KILL_MOMENTS", "2"))
"""At how many random moments the process of a study is killed."""

SEED = int(os.environ.get("NITIDO_FUZZ_SEED", "0"))
RUNS = ("plain/lr=0.002/seed=0", "residual/lr=0.002/seed=0")


class StudyFolder:
    """A study of two runs in a folder of its own, and the processes that run it."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder = folder
        path = write_tiny_study(folder)
        study = yaml.safe_load(path.read_text())
        study["profiles"]["demo"]["hyperparameters"] |= {"steps": steps, "validate_every": 25, "compile": False}
        path.write_text(yaml.safe_dump(study))
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "NITIDO_CACHE": str(folder / "cache")}

    def start(self, *options: str, out: str = "out") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nitido", "study", "run", "tiny.yaml", "--out", out, *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str, out: str = "out") -> tuple[int, str]:
        with self.start(*options, out=out) as process:
            _, errors = process.communicate(timeout=300)
        return process.returncode, errors

    def nitido(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nitido", *words]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def directories(self, out: str = "out") -> list[Path]:
        return [self.folder / out / "runs" / run for run in RUNS]

    def states(self) -> list[str]:
        return [json.loads((run / "status.json").read_text())["state"] for run in self.directories()]

    def results(self, out: str = "out") -> dict[str, bytes]:
        """The bits of the models and the leaderboard, without what names the directory."""
        found = {str(run.parent.parent.name): (run / "model.safetensors").read_bytes() for run in self.directories(out)}
        return found | {"leaderboard": (self.folder / out / "leaderboard.json").read_bytes()}

    def wait_for(self, condition: Callable[[], bool], seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "the moment has not come"
            time.sleep(0.02)

    def both_train(self) -> bool:
        return all((run / "checkpoints" / "last.ckpt").exists() for run in self.directories())

    def nobody_trains(self) -> bool:
        return not any(is_leased(run) for run in self.directories())


def process_of(run: Path) -> int:
    (lease,) = run.glob(".lease-*.json")
    return int(json.loads(lease.read_text())["process"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    study = StudyFolder(tmp_path_factory.mktemp("undisturbed"), steps=400)
    code, errors = study.run()
    assert code == 0, errors
    return study.results()


@pytest.fixture
def study(tmp_path: Path, undisturbed: dict[str, bytes]) -> StudyFolder:
    return StudyFolder(tmp_path, steps=400)


class TestLocal:
    def test_a_killed_study_leaves_no_process_and_is_resumed_to_the_same_bits(
        self, study: StudyFolder, undisturbed: dict[str, bytes]
    ) -> None:
        chance = random.Random(SEED)
        with study.start("--jobs", "2") as process:
            study.wait_for(study.both_train)
            process.kill()
        study.wait_for(study.nobody_trains, seconds=30)
        assert study.states() == ["interrupted", "interrupted"]
        for _ in range(MOMENTS - 1):
            with study.start("--jobs", "2") as process:
                time.sleep(chance.uniform(1, 15))
                os.killpg(process.pid, signal.SIGKILL)
            study.wait_for(study.nobody_trains, seconds=30)
        code, errors = study.run("--jobs", "2")
        assert code == 0, errors
        assert study.results() == undisturbed

    def test_a_killed_run_is_reported_and_resumed(self, study: StudyFolder, undisturbed: dict[str, bytes]) -> None:
        with study.start("--jobs", "2") as process:
            study.wait_for(study.both_train)
            os.kill(process_of(study.directories()[0]), signal.SIGKILL)
            _, errors = process.communicate(timeout=300)
        assert process.returncode == 1
        told = (
            "plain/lr=0.002/seed=0: failed: its process was ended by SIGKILL, as the system does when memory runs out"
        )
        assert told in errors
        assert study.states() == ["failed", "finished"]
        code, errors = study.run("--jobs", "2")
        assert code == 0, errors
        assert "study: 1 run kept, 1 to be resumed" in errors
        assert study.results() == undisturbed

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_stopped_study_has_checkpoints(
        self, study: StudyFolder, undisturbed: dict[str, bytes], number: int
    ) -> None:
        with study.start("--jobs", "2") as process:
            study.wait_for(study.both_train)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "nitido: interrupted; run the same command to resume" in errors
        assert study.states() == ["interrupted", "interrupted"]
        assert study.nobody_trains()
        code, errors = study.run("--jobs", "1")
        assert code == 0, errors
        assert study.results() == undisturbed

    def test_another_process_is_followed_and_watched(self, study: StudyFolder, undisturbed: dict[str, bytes]) -> None:
        with study.start("--jobs", "2") as process:
            study.wait_for(study.both_train)
            process.kill()
        study.wait_for(study.nobody_trains, seconds=30)
        run = study.directories()[0]
        command = [sys.executable, "-m", "nitido", "train", "--resume", str(run)]
        with subprocess.Popen(command, cwd=study.folder, env=study.environment, stderr=subprocess.PIPE) as other:
            study.wait_for(lambda: is_leased(run))
            token = next(run.glob(".lease-*")).read_text()
            code, errors = study.run("--jobs", "1")
            assert code == 0, errors
            other.communicate()
        assert other.returncode == 0
        last = json.loads(next(run.glob(".lease-*")).read_text())
        assert last["token"] == json.loads(token)["token"], "the run was started again"
        assert study.results() == undisturbed

        watched = study.nitido("study", "watch", "out")
        assert watched.returncode == 0, watched.stderr
        assert "study: 2 runs: 2 finished" in watched.stderr


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), cpus=2) as environment:
        yield environment


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="the daemons of SLURM run as root")
class TestSlurm:
    @pytest.fixture
    def study(self, study: StudyFolder, slurm: dict[str, str]) -> StudyFolder:
        study.environment |= slurm | {"OMP_NUM_THREADS": "1", "NITIDO_CACHE": str(study.folder / "cache")}
        return study

    def jobs(self, study: StudyFolder) -> list[str]:
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        return subprocess.run(command, env=study.environment, capture_output=True, text=True).stdout.split()

    def test_a_job_that_is_queued_again_and_one_that_is_cancelled(
        self, study: StudyFolder, undisturbed: dict[str, bytes]
    ) -> None:
        with study.start("--executor", "slurm") as process:
            study.wait_for(study.both_train)
            first, second = ((run / "slurm.txt").read_text().strip() for run in study.directories())
            subprocess.run(
                ["scancel", "--signal=USR2", first], env=study.environment, check=True
            )  # as before a time-out
            subprocess.run(["scancel", second], env=study.environment, check=True)
            _, errors = process.communicate(timeout=400)
        assert process.returncode == 1, errors
        assert re.search(r"residual/lr=0.002/seed=0: (interrupted|failed): ", errors), errors
        assert study.states()[0] == "finished", errors
        code, errors = study.run("--executor", "slurm")
        assert code == 0, errors
        assert study.results() == undisturbed

    def test_jobs_continue_without_the_command_that_submitted_them(
        self, study: StudyFolder, undisturbed: dict[str, bytes]
    ) -> None:
        with study.start("--executor", "slurm") as process:
            study.wait_for(lambda: all((run / "slurm.txt").exists() for run in study.directories()))
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "the jobs continue: nitido study watch out follows them again" in errors
        submitted = self.jobs(study)
        assert len(submitted) == 2
        code, errors = study.run("--executor", "slurm")
        assert code == 0, errors
        assert [(run / "slurm.txt").read_text().strip() for run in study.directories()] == submitted
        assert study.results() == undisturbed


class TestRay:
    def test_a_run_whose_node_is_lost_continues_on_another(
        self, study: StudyFolder, undisturbed: dict[str, bytes]
    ) -> None:
        ray_cluster = pytest.importorskip("ray.cluster_utils")
        cluster = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            lost = cluster.add_node(num_cpus=1)
            with study.start("--executor", "ray", "--address", cluster.address) as process:
                study.wait_for(lambda: any((run / "checkpoints/last.ckpt").exists() for run in study.directories()))
                cluster.remove_node(lost, allow_graceful=False)
                cluster.add_node(num_cpus=1)
                _, errors = process.communicate(timeout=400)
        finally:
            cluster.shutdown()
        assert process.returncode == 0, errors
        assert study.results() == undisturbed
