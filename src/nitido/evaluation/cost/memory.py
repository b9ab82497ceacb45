"""How much memory a network takes, measured in a process of its own."""

import resource
import subprocess
import sys
from pathlib import Path

import torch

from nitido.base.errors import NitidoError
from nitido.models import load_model_file

KILOBYTE = 1 if sys.platform == "darwin" else 1024
"""What the system counts a process's memory in, in bytes."""


RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class CostError(NitidoError):
    """A cost could not be measured."""


def peak_memory(model: Path, lr_size: tuple[int, int]) -> int:
    """Bytes by which enlarging one LR picture of `lr_size` (height, width) raises a process's largest memory.

    The model file is loaded and run whole-picture in float32 in a fresh process; what Python, its libraries and the
    weights take before is not counted. Raises `CostError` when that process fails.
    """
    command = [sys.executable, "-m", "nitido.evaluation.cost.memory", str(model), *map(str, lr_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise CostError(f"{model}: its memory could not be measured ({reason})")
    return int(done.stdout)


@torch.inference_mode()
def _measure(model: Path, height: int, width: int) -> int:
    network = load_model_file(model).network
    network(torch.rand(1, network.channels, 8, 8))  # what the libraries set up once is not the network's
    picture = torch.rand(1, network.channels, height, width)
    if RESET.exists():
        RESET.write_text("5", encoding="ascii")  # Linux: the largest memory so far is forgotten
    before = _largest()
    network(picture)
    return _largest() - before


def _largest() -> int:
    """The process's largest memory so far, in bytes."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
