"""Computes how much more memory this process may allocate before the system refuses or kills it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

if sys.platform != "win32":
    import resource

MEMINFO, STATUS, OWN_GROUPS = Path("/proc/meminfo"), Path("/proc/self/status"), Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
"""Files in which Linux describes memory and control groups."""

FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""A group's files for its limit and its usage, and the key in `memory.stat` of inactive file pages (versions 2 and 1).

In version 1, a number larger than any memory means no limit.
"""


def available_memory(device: torch.device) -> int | None:
    """Return the bytes that this process may still allocate on `device`; None unless it is a CPU under Linux.

    If the limit is unknown, allocations beyond it fail, as on graphics cards.
    """
    return _remaining() if device.type == "cpu" and MEMINFO.exists() else None


def _remaining(meminfo: Path = MEMINFO, own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> int:
    """Return the bytes that this process may still allocate under Linux.

    This is the minimum of the machine's available memory (including reclaimable memory and free swap), of the remainder
    of each control group of the process (its limit less its usage, without inactive file pages), and of its resource
    limits. See `man 5 proc_meminfo`, `man getrlimit`, and the kernel's documentation of control groups, "memory" in
    versions 1 and 2.
    """
    of_machine = _numbers(meminfo)
    left = [1024 * (of_machine["MemAvailable"] + of_machine["SwapFree"]), *_remaining_in_limits()]
    for group in _folders(own_groups, groups):
        left.extend(_remaining_in(group))
    return max(0, min(left))


def writable_memory() -> int:
    """Return the bytes of this process that count towards `RLIMIT_DATA`: private and writable, touched or not."""
    return 1024 * _numbers(STATUS)["VmData"]


def _remaining_in_limits() -> Iterator[int]:
    taken = _numbers(STATUS)
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        allowed, _ = resource.getrlimit(limit)
        if allowed != resource.RLIM_INFINITY:
            yield allowed - 1024 * taken[name]


def _folders(own_groups: Path, groups: Path) -> Iterator[Path]:
    """Yield the folders of the groups of this process and of their ancestors.

    In a container the paths may be those of the host. Then only the topmost folder exists, which is the container's
    group.
    """
    if not own_groups.exists():
        return
    for line in own_groups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = groups / "memory" if controllers else groups
        own = Path(path).relative_to("/")
        yield from (top / folder for folder in (own, *own.parents) if (top / folder).is_dir())


def _remaining_in(group: Path) -> Iterator[int]:
    for limit, held, file_pages in FILES:
        if (group / limit).exists() and (allowed := (group / limit).read_text().strip()) != "max":
            taken = int((group / held).read_text()) - _numbers(group / "memory.stat")[file_pages]
            yield int(allowed) - taken


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers in lines like `MemTotal:  24684092 kB` or `inactive_file 4096` by name; skip other lines."""
    words = (line.split() for line in file.read_text().splitlines())
    return {word[0].rstrip(":"): int(word[1]) for word in words if len(word) > 1 and word[1].isdecimal()}
