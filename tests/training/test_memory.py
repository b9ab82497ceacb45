"""A training is refused memory that is not there, and only as long as it lasts."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nitido.training.available_memory import MEMINFO, available_memory
from nitido.training.memory import OutOfMemoryError, refused_memory, training_memory

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    not MEMINFO.exists() or torch.accelerator.is_available(), reason="only Linux's processors are asked to refuse"
)


def test_what_is_not_there_is_refused_while_a_training_lasts() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    available = available_memory(CPU)
    assert available is not None
    with pytest.raises(OutOfMemoryError, match="not enough memory for this training"), training_memory():
        torch.empty(available, dtype=torch.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    torch.empty(available - (1 << 28), dtype=torch.uint8)  # untouched it costs nothing


def test_a_lower_limit_of_the_user_stays() -> None:
    before, highest = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, highest))
    try:
        with refused_memory():
            inside, _ = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (inside - (1 << 20), highest))
            with refused_memory():
                assert resource.getrlimit(resource.RLIMIT_DATA)[0] <= inside - (1 << 20)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 1 << 40
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, highest))


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), training_memory():
        torch.ones(2, 3) @ torch.ones(2, 3)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of 1,000 MB, where the system lets one be made."""
    for limit in ("/sys/fs/cgroup/memory/{}/memory.limit_in_bytes", "/sys/fs/cgroup/{}/memory.max"):
        file = Path(limit.format(f"nitido-test-{os.getpid()}"))
        try:
            file.parent.mkdir()
        except OSError:
            continue
        if file.exists():
            file.write_text(str(1000 << 20))
            yield file.parent
            file.parent.rmdir()
            return
        file.parent.rmdir()
    pytest.skip("no control group can be made here")


ASKED = """
import sys
import torch
open(sys.argv[1], "w").write("0")
from nitido.training.available_memory import available_memory
print(available_memory(torch.device("cpu")))
"""


def test_what_a_control_group_has_left_is_seen(group: Path) -> None:
    command = [sys.executable, "-c", ASKED, str(group / "cgroup.procs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 1000 << 20


TRAINED = """
import sys
from pathlib import Path
open(sys.argv[1], "w").write("0")
from skimage import data, io
from nitido.architectures import build, resolve_config
from nitido.data import PictureSet, prepare
from tests.training.small_runs import run
folder = Path(sys.argv[2])
io.imsave(folder / "a.png", data.chelsea()[:200, :200])
store = prepare(PictureSet("small", (folder / "a.png",)), [2], folder)
network = build("srcnn", resolve_config("srcnn", "vanilla", {}))
run(store, folder / "run", network, steps=2, validate_every=2, batch=64, patch=48)
"""


def test_a_training_in_a_control_group_is_not_killed(group: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINED, str(group / "cgroup.procs"), str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("memory is short: ")
