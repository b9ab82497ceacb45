"""Memory that a step frees is there for the next one without a page fault."""

import platform
import subprocess
import sys

PAGES = 16_384  # 64 MB: more than glibc keeps by itself

FAULTS = f"""
import resource
import torch
from nitido.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.empty({PAGES} * 4096, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_itself = faults()
kept = keep_freed_memory()
for _ in range(3):  # until the heap is large enough
    faults()
print(by_itself, kept, faults())
"""


def test_large_tensors_do_not_fault_again_where_glibc_hands_out_memory() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=120)
    by_itself, kept, after = ended.stdout.split()
    glibc = platform.libc_ver()[0] == "glibc"
    assert kept == str(glibc)
    if glibc:
        assert int(after) < 50
        assert int(by_itself) >= 4 * PAGES / 512, "without it every time is like the first (at best in huge pages)"
