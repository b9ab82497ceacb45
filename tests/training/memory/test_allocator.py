"""Memory that a step frees is available to the next one without a page fault."""

import platform
from pathlib import Path

import pytest

from tests.forked import ForkServer

PAGES = 16_384  # 64 MB: more than glibc keeps by itself

FAULTS = f"""
import resource
import sys
import torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.empty({PAGES} * 4096, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def kept():
    for _ in range(3):  # until the heap is large enough
        faults()
    return faults()
"""

BY_CALL = """
from nitido.training.memory.allocator import restore_allocator, keep_freed_memory, keep_no_memory
before = faults()
keep_freed_memory()
during = kept()
(restore_allocator if sys.argv[1] == "back" else keep_no_memory)()
print(before, during, faults())
"""

BY_TRAINING = """
from pathlib import Path
from skimage import data, io
from nitido.data import ImageSet, prepare
from tests.training.small_runs import run
folder = Path(sys.argv[1])
io.imsave(folder / "a.png", data.chelsea()[60:140, 90:190])
store = prepare(ImageSet("small", (folder / "a.png",)), [2], folder)
before, during = faults(), []
run(store, folder / "run", listener=lambda *_: during.append(kept()), steps=1, validate_every=1, compile=False)
print(before, during[0], faults())
"""


@pytest.mark.parametrize(("code", "argument"), [(BY_CALL, "back"), (BY_CALL, "none"), (BY_TRAINING, "")])
def test_large_tensors_do_not_fault_again_until_memory_is_given_back(
    fork_server: ForkServer, tmp_path: Path, code: str, argument: str
) -> None:
    ended = fork_server.python(FAULTS + code, argument or tmp_path, cwd=tmp_path)
    assert ended.code == 0, ended
    before, during, after = map(int, ended.out.split())
    assert before >= 4 * PAGES / 512, "without it every time is like the first (at best in huge pages)"
    assert during < 50
    assert after >= PAGES / 512, "the pages were the system's again"


def test_the_return_value_states_whether_glibc_is_used(fork_server: ForkServer, tmp_path: Path) -> None:
    code = "from nitido.training.memory.allocator import keep_freed_memory as k; print(k())"
    assert fork_server.python(code, cwd=tmp_path).out.strip() == str(platform.libc_ver()[0] == "glibc")
