"""Tests that offloading gives gradients identical to a step in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nitido.training.memory.disk_offloading import SMALLEST, OffloadToDisk
from tests.forked import ForkServer

SIDE = 64

WAYS = {
    "float32": lambda x: (x * x).exp(),
    "bfloat16": lambda x: (x.bfloat16() * x.bfloat16()).float(),
    "channels last": lambda x: torch.nn.functional.conv2d(x.contiguous(memory_format=torch.channels_last), KERNEL),
    "a slice": lambda x: x[:, ::2, :, 1::2].sin() * x[:, 1::2, :, ::2],
    "expanded": lambda x: x * x.mean(dim=(2, 3), keepdim=True).expand_as(x).sin(),
    "a batch norm": lambda x: torch.nn.functional.batch_norm(x, None, None, training=True),
    "indices": lambda x: torch.nn.functional.max_pool2d(x, 2, return_indices=True)[0],
}
KERNEL = torch.nn.Parameter(torch.linspace(-1, 1, 8 * 8 * 9).view(8, 8, 3, 3))


def gradient(way: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
    x = torch.linspace(-1, 1, 4 * 8 * SIDE * SIDE).view(4, 8, SIDE, SIDE).clone().requires_grad_()
    KERNEL.grad = None
    way(x).square().sum().backward()
    assert x.grad is not None
    return (x.grad, *([] if KERNEL.grad is None else [KERNEL.grad]))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_gradients_are_those_of_a_step_in_memory(way: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    expected = gradient(way)
    with OffloadToDisk(tmp_path):
        found = gradient(way)
    assert all(map(torch.equal, found, expected))
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def test_large_tensors_are_in_the_file_and_small_ones_and_weights_are_not(tmp_path: Path) -> None:
    large, small = (torch.rand(size // 4, requires_grad=True) for size in (SMALLEST, SMALLEST - 4))
    kept = OffloadToDisk(tmp_path)
    with kept:
        made = (large.sin() * 2).exp(), (small.sin() * 2).exp()
    assert kept._file.seek(0, 2) == SMALLEST, "of the large ones: the result of exp, and not the leaf that sin has seen"
    sum(result.sum() for result in made).backward()


TOO_LARGE_A_FILE = """
import resource, sys, torch
from pathlib import Path
from nitido.training.memory.disk_offloading import OffloadToDisk
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
with OffloadToDisk(Path(sys.argv[1])):
    torch.rand(1 << 20, requires_grad=True).exp()
"""


def test_a_full_disk_error_names_the_folder(fork_server: ForkServer, tmp_path: Path) -> None:
    ended = fork_server.python(TOO_LARGE_A_FILE, tmp_path, cwd=tmp_path)
    assert ended.err.strip().splitlines()[-1] == f"OSError: [Errno 27] File too large: '{tmp_path}'"
