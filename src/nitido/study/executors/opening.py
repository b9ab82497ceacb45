"""Open the executor of a study once its remaining runs are known."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from nitido.base.device import AUTO, available_devices
from nitido.base.errors import unknown_name
from nitido.base.validation import ConfigError
from nitido.study.executors.base import Executor, ExecutorError
from nitido.study.executors.jobs import FILE, Remaining, check_jobs, choose_jobs, keep_threads
from nitido.study.executors.local import LocalExecutor
from nitido.study.executors.ray_cluster import RayExecutor
from nitido.study.executors.ray_cluster import connect as connect_ray
from nitido.study.executors.slurm import SlurmExecutor, check_slurm
from nitido.study.resources import Resources, parse_resources
from nitido.study.run import Opened, Opener
from nitido.study.task import Task

EXECUTORS = ("local", "slurm", "ray")


def choose_opener(
    name: str,
    jobs: str,
    settings: Sequence[str],
    defaults: Resources | None,
    address: str | None,
    device: torch.device,
    device_name: str,
) -> Opener:
    """Return what opens the executor `name`, after checking everything that can be checked before.

    Args:
        name: One of `EXECUTORS`.
        jobs: The number of local processes, or `auto`.
        settings: `KEY=VALUE` resources of a run on a cluster.
        defaults: The resources in the study file.
        address: The address of a Ray cluster; None starts one on this machine.
        device: The device of local runs.
        device_name: Its name as the user gave it, for runs on other machines.

    Raises:
        ExecutorError: The executor is not available, or an option does not belong to it.
        ConfigError: A resource is unknown or impossible.
    """
    if name not in EXECUTORS:
        raise unknown_name("executor", name, EXECUTORS, ExecutorError)
    for option, given, owners in (
        (f"--jobs {jobs}", jobs != "auto", ("local",)),
        ("--resource", bool(settings), ("slurm", "ray")),
        ("--address", address is not None, ("ray",)),
    ):
        if given and name not in owners:
            raise ExecutorError(f"{option} is for --executor {' and '.join(owners)}, not for {name}")
    if name == "local":
        cards = [card for card in available_devices() if card.startswith("cuda")]
        devices = cards if device.type == "cuda" and device_name == AUTO else [str(device)]
        return partial(_open_local, _number(jobs), devices)
    resources = parse_resources(settings)
    if name == "slurm":
        check_slurm()
        return partial(_open_cluster, partial(SlurmExecutor, resources), resources, device_name)
    connect_ray(address)
    return partial(_open_cluster, lambda threads, out: RayExecutor(resources, threads), resources, device_name)


def _number(jobs: str) -> int | None:
    if jobs == "auto":
        return None
    if not jobs.isdecimal() or len(jobs) > 6:
        raise ConfigError(f"--jobs {jobs}: neither a number nor auto")
    check_jobs(int(jobs))
    return int(jobs)


def _open_local(jobs: int | None, devices: Sequence[str], out: Path, remaining: Remaining) -> Opened:
    """Open an executor for `jobs` processes of this machine, or for as many as are fastest if it is None.

    There is no executor if other processes gain nothing.
    """
    chosen = choose_jobs(jobs, remaining, devices, out / FILE)
    task = Task(threads=chosen.threads, device=devices[0])
    if chosen.jobs == 0 or not remaining.runs:
        return Opened(task=task)
    return Opened(LocalExecutor(chosen.jobs, chosen.threads), task, chosen.devices)


def _open_cluster(
    start: Callable[[int, Path], Executor], resources: Resources, device: str, out: Path, remaining: Remaining
) -> Opened:
    threads = keep_threads(resources.cpus, out / FILE)
    if not remaining.runs:
        return Opened(task=Task(threads=threads, device=device))
    return Opened(start(threads, out), Task(threads=threads, device=device))
