"""Measures the peak memory of networks in separate processes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from nitido.base.activity import activity
from nitido.base.notes import note
from nitido.models.model_file import load_model_file

KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss` in bytes."""

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@activity("measuring memory")
def peak_memories(models: Sequence[Path], lr_size: tuple[int, int]) -> list[int | None]:
    """Return for each model file by how many bytes upscaling one LR image raises a process's peak memory.

    The model is loaded and applied to a whole image of `lr_size` (height, width) in float32 in a separate process.
    Memory that Python, its libraries and the weights took before does not count. The processes are forks of one new
    process, which imports PyTorch once. If a process fails, the result is None, and a note reports it.
    """
    if not hasattr(os, "fork"):
        note("peak memory is only measured on Linux and macOS")
        return [None] * len(models)
    numbers = (*lr_size, torch.get_num_threads())
    command = [sys.executable, "-m", "nitido.models.peak_memory", *map(str, numbers), *map(str, models)]
    # OpenMP's threads do not survive a fork, which would wait for them forever, so the parent must have none.
    single_threaded = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=single_threaded)
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(models):
        note(f"peak memory was not measured: {(done.stderr.strip().splitlines() or ['the process was killed'])[-1]}")
        return [None] * len(models)
    for model, answer in zip(models, answers, strict=True):
        if not answer.isdecimal():
            note(f"{model}: its peak memory was not measured: {answer}")
    return [int(answer) if answer.isdecimal() else None for answer in answers]


def _in_a_fork(model: Path, height: int, width: int, threads: int) -> str:
    """Return the measured bytes, or the reason for a failure, from a fork of this process."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        try:
            torch.set_num_threads(threads)
            answer = str(_measure(model, height, width))
        except Exception as error:
            answer = " ".join(str(error).split()) or type(error).__name__
        os.write(sender, answer.encode("utf-8", "backslashreplace"))
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer or "the process was killed"


@torch.inference_mode()
def _measure(model: Path, height: int, width: int) -> int:
    network = load_model_file(model).network
    network(torch.rand(1, network.channels, 8, 8))  # one-time allocations of libraries do not count
    image = torch.rand(1, network.channels, height, width)
    if RESET.exists():
        RESET.write_text("5", encoding="ascii")  # Linux: resets the peak
    before = _peak()
    network(image)
    return _peak() - before


def _peak() -> int:
    """Return this process's peak memory so far, in bytes."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # absent on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


if __name__ == "__main__":
    for name in sys.argv[4:]:
        print(_in_a_fork(Path(name), *map(int, sys.argv[1:4])), flush=True)
