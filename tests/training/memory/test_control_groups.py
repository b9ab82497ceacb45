"""Trainings in a real control group, as containers and batch systems make them; where none can be, see `conftest`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import ForkServer
from tests.training.memory.control_groups import control_group

LIMIT = 400 << 20
"""Bytes for what a fork adds to the memory of its parent, which is in another group."""


@pytest.fixture
def group() -> Iterator[Path]:
    with control_group(LIMIT) as folder:
        assert folder is not None
        yield folder


ASKED = """
import sys
import torch
open(sys.argv[1], "w").write("0")
from nitido.training.memory.available import available_memory
print(available_memory(torch.device("cpu")))
"""


def test_the_remainder_of_a_control_group_counts(fork_server: ForkServer, group: Path, tmp_path: Path) -> None:
    ended = fork_server.python(ASKED, group / "cgroup.procs", cwd=tmp_path)
    assert 0 < int(ended.out) <= LIMIT


TRAINED = """
import sys
from pathlib import Path
open(sys.argv[1], "w").write("0")
from skimage import data, io
from nitido.architectures import build, resolve_config
from nitido.data import ImageSet, prepare
from tests.training.small_runs import run
folder = Path(sys.argv[2])
io.imsave(folder / "a.png", data.chelsea()[:200, :200])
store = prepare(ImageSet("small", (folder / "a.png",)), [2], folder)
network = build("srcnn", resolve_config("srcnn", "vanilla", {}))
run(store, folder / "run", network, steps=2, validate_every=2, batch=64, patch=24)
"""


def test_a_training_in_a_control_group_is_not_killed(fork_server: ForkServer, group: Path, tmp_path: Path) -> None:
    ended = fork_server.python(TRAINED, group / "cgroup.procs", tmp_path, cwd=tmp_path)
    assert ended.code == 0, ended
    assert ended.err.startswith("out of memory: training with ")
