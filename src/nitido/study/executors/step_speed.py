"""Measure how many steps several processes compute side by side on this machine."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from nitido.base.device import CPU
from nitido.base.json_files import read_json, write_json
from nitido.study.execute import build_network
from nitido.study.executors.base import ExecutorError
from nitido.study.executors.processes import ForkServer
from nitido.study.plan import RunConfig
from nitido.training.fast_path import compute_step, noise
from nitido.training.precision import resolve_precision

if sys.platform != "win32":
    import resource

WARM_UP, WINDOW = 2, 1.5
"""Steps before the measurement, and its seconds."""


@dataclass(frozen=True)
class StepSpeed:
    """The speed of `jobs` processes with `threads` threads each.

    Attributes:
        jobs: The number of processes.
        threads: The threads of each.
        steps_per_second: The steps per second of all processes together.
        memory: The resident memory of the largest process in bytes.
    """

    jobs: int
    threads: int
    steps_per_second: float
    memory: int


def measure_speed(server: ForkServer, run: RunConfig, candidates: Sequence[tuple[int, int]]) -> list[StepSpeed]:
    """Measure the steps of `run` for each (processes, threads), in processes of `server`.

    Raises:
        ExecutorError: A process could not compute the steps.
    """
    found = []
    for jobs, threads in candidates:
        with TemporaryDirectory(prefix="nitido-") as folder:
            files = [Path(folder, f"{number}.json") for number in range(jobs)]
            for file in files:
                asked = {"run": run.model_dump(mode="json", exclude_none=True), "threads": threads, "seconds": WINDOW}
                write_json(file, asked)
                server.measure(file)
            failed = 0
            waiting = len(files)
            while waiting:
                ended = server.ended()
                waiting -= len(ended)
                failed += sum(code != 0 for _, code in ended)
                time.sleep(0.02)
            if failed:
                raise ExecutorError(f"{failed} of {jobs} processes could not compute a step of {run.variant}")
            results = [read_json(file.with_suffix(".result"), "") for file in files]
        speed = sum(result["steps_per_second"] for result in results)
        found.append(StepSpeed(jobs, threads, speed, max(result["memory"] for result in results)))
    return found


def measure_steps(file: Path) -> None:
    """Compute steps as `file` says, and write their speed beside it."""
    asked = read_json(file, "")
    run = RunConfig.parse(asked["run"], str(file))
    torch.set_num_threads(asked["threads"])
    options = run.hyperparameters
    network = build_network(run).train().to(memory_format=torch.channels_last)
    precision = resolve_precision(options, CPU)
    lr = noise(options.batch, network.channels, options.patch, CPU)
    for _ in range(WARM_UP):
        compute_step(network, lr, precision)
    began, steps = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < asked["seconds"]:
        compute_step(network, lr, precision)
        steps += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_json(file.with_suffix(".result"), {"steps_per_second": steps / seconds, "memory": memory})
