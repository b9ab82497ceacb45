"""Trainings under limits that the system sets."""

from pathlib import Path

import pytest

from tests.forked import ForkServer

LIMITED = """
import resource, sys
from pathlib import Path
import torch
from nitido.architectures import build, resolve_config
from nitido.data import ImageSet, prepare
from skimage import data, io
from tests.training.small_runs import run

folder = Path(sys.argv[1])
io.imsave(folder / "a.png", data.chelsea()[:200, :200])
store = prepare(ImageSet("small", (folder / "a.png",)), [2], folder)
network = build(sys.argv[3], resolve_config(sys.argv[3], sys.argv[4], {}))
small = build("srcnn", resolve_config("srcnn", "debug", {}))
run(store, folder / "first", small, steps=1, validate_every=1)  # what is loaded late
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[2]) * 2**20, resource.RLIM_INFINITY))
run(store, folder / "run", network, steps=2, validate_every=2, validation_crop=64, batch=64, patch=24)
"""


@pytest.mark.parametrize(
    ("architecture", "variant", "way"),
    [
        ("srcnn", "vanilla", "of 64 patches per micro-batch"),
        (
            "edsr",
            "compact_batch",
            "offloaded to disk, because batch normalization needs all 64 patches at once",
        ),
    ],
)
def test_under_a_limit_of_the_system(
    fork_server: ForkServer, architecture: str, variant: str, way: str, tmp_path: Path
) -> None:
    ended = fork_server.python(LIMITED, tmp_path, 160, architecture, variant, cwd=tmp_path)
    assert ended.code == 0, ended
    [line] = ended.err.strip().splitlines()
    assert line.startswith("out of memory: training with ")
    assert line.endswith(way)
