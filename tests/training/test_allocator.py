"""Memory that a step frees is there for the next one without a page fault."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = 16_384  # 64 MB: more than glibc keeps by itself

ROOT = Path(__file__).parents[2]

FAULTS = f"""
import resource
import torch

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.empty({PAGES} * 4096, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def after(begin):
    by_itself = faults()
    begin()
    for _ in range(3):  # until the heap is large enough
        faults()
    print(by_itself, faults())
"""

BY_CALL = """
from nitido.training.allocator import keep_freed_memory
after(keep_freed_memory)
"""

BY_TRAINING = """
import sys
from pathlib import Path
from skimage import data, io
from nitido.data import PictureSet, prepare
from tests.training.small_runs import run
folder = Path(sys.argv[1])
io.imsave(folder / "a.png", data.chelsea()[60:140, 90:190])
store = prepare(PictureSet("small", (folder / "a.png",)), [2], folder)
after(lambda: run(store, folder / "run", steps=1, validate_every=1, compile=False))
"""


def faults_before_and_after(begin: str, folder: Path) -> tuple[int, int]:
    command = [sys.executable, "-c", FAULTS + begin, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    before, after = ended.stdout.split()
    return int(before), int(after)


@pytest.mark.parametrize("begin", [BY_CALL, BY_TRAINING], ids=["call", "training"])
def test_large_tensors_do_not_fault_again_where_glibc_hands_out_memory(begin: str, tmp_path: Path) -> None:
    before, after = faults_before_and_after(begin, tmp_path)
    if platform.libc_ver()[0] == "glibc":
        assert before >= 4 * PAGES / 512, "without it every time is like the first (at best in huge pages)"
        assert after < 50


def test_it_says_whether_there_is_such_an_allocator() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from nitido.training.allocator import keep_freed_memory as k; print(k())"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert told.stdout.strip() == str(platform.libc_ver()[0] == "glibc")
