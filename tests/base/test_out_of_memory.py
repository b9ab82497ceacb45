"""Tests that out-of-memory errors are distinguished from other errors."""

import weakref
from pathlib import Path

import pytest
import torch

from nitido.base.out_of_memory import is_out_of_memory_error, unless_out_of_memory
from tests.forked import ForkServer

MORE_THAN_ANY_MACHINE_HAS = 10**15

ONEDNN_IS_REFUSED = """
import resource
import torch
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.training.memory.allocator import keep_freed_memory
from nitido.training.memory.available import writable_memory
keep_freed_memory()
convolution = torch.nn.Conv2d(3, 64, 3, padding=1)
images = torch.rand(21, 3, 48, 48).contiguous(memory_format=torch.channels_last)
torch.ones(1 << 27)  # what the heap keeps is enough for tensors
resource.setrlimit(resource.RLIMIT_DATA, (writable_memory(), resource.RLIM_INFINITY))
with torch.no_grad():
    print(unless_out_of_memory(lambda: convolution(images)))
"""


def test_the_result_is_returned() -> None:
    assert unless_out_of_memory(lambda: 7) == 7


def test_pytorch_that_is_refused_memory_gives_none() -> None:
    assert unless_out_of_memory(lambda: torch.empty(MORE_THAN_ANY_MACHINE_HAS)) is None


def test_python_that_is_refused_memory_gives_none() -> None:
    assert unless_out_of_memory(lambda: bytearray(MORE_THAN_ANY_MACHINE_HAS)) is None


def test_onednn_that_is_refused_memory_gives_none(fork_server: ForkServer, tmp_path: Path) -> None:
    ended = fork_server.python(ONEDNN_IS_REFUSED, cwd=tmp_path)
    assert ended.out.strip() == "None"


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    ],
)
def test_a_graphics_card_that_is_full_gives_none(error: RuntimeError) -> None:
    def fail() -> None:
        raise error

    assert unless_out_of_memory(fail) is None


def test_other_mistakes_are_raised() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        unless_out_of_memory(lambda: torch.ones(2, 3) @ torch.ones(2, 3))
    assert not is_out_of_memory_error(ValueError("DefaultCPUAllocator: not enough memory"))


def test_memory_of_a_failed_calculation_is_released() -> None:
    made = []

    def calculate() -> torch.Tensor:
        large = torch.zeros(1000, requires_grad=True) * 2
        made.append(weakref.ref(large))
        return large + torch.empty(MORE_THAN_ANY_MACHINE_HAS)

    assert unless_out_of_memory(calculate) is None
    assert [reference() for reference in made] == [None]
