"""How much memory this process may still take before it is refused more, or ended for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

if sys.platform != "win32":
    import resource

MEMINFO, STATUS, OWN_GROUPS = Path("/proc/meminfo"), Path("/proc/self/status"), Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells of memory and of control groups."""

FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""A group's files that tell its limit and what it holds, and the line of `memory.stat` about files that nobody has read
for a while: in version 2, and in version 1, where no limit is a number larger than any memory."""


def available_memory(device: torch.device) -> int | None:
    """Bytes that this process may still take for what lies on `device`; None where that is no processor under Linux.

    Where it is not known, one who takes too much finds out by being refused it, as on graphics cards.
    """
    return _left() if device.type == "cpu" and MEMINFO.exists() else None


def _left(meminfo: Path = MEMINFO, own_groups: Path = OWN_GROUPS, groups: Path = GROUPS) -> int:
    """Bytes that this process may still take under Linux.

    It is the least of what is left of the machine (what is free or can be made so without swapping, and free swap), of
    each control group the process is in (its limit less what it holds, but for files that nobody has read for a while),
    and of its resource limits. See `man 5 proc_meminfo`, `man getrlimit`, and the kernel's documentation of control
    groups, "memory" in versions 1 and 2.
    """
    of_machine = _numbers(meminfo)
    left = [1024 * (of_machine["MemAvailable"] + of_machine["SwapFree"]), *_left_in_limits()]
    for group in _folders(own_groups, groups):
        left.extend(_left_in(group))
    return max(0, min(left))


def writable_memory() -> int:
    """Bytes of this process that count against `RLIMIT_DATA`: private and writable, whether touched or not."""
    return 1024 * _numbers(STATUS)["VmData"]


def _left_in_limits() -> Iterator[int]:
    taken = _numbers(STATUS)
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        allowed, _ = resource.getrlimit(limit)
        if allowed != resource.RLIM_INFINITY:
            yield allowed - 1024 * taken[name]


def _folders(own_groups: Path, groups: Path) -> Iterator[Path]:
    """The folders of the groups this process is in, each with those above it.

    In a container the paths may be those outside of it; then only the topmost folder is there, which is its own.
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


def _left_in(group: Path) -> Iterator[int]:
    for limit, held, file_pages in FILES:
        if (group / limit).exists() and (allowed := (group / limit).read_text().strip()) != "max":
            taken = int((group / held).read_text()) - _numbers(group / "memory.stat")[file_pages]
            yield int(allowed) - taken


def _numbers(file: Path) -> dict[str, int]:
    """The numbers of lines like `MemTotal:  24684092 kB` or `inactive_file 4096`, by name; other lines are left out."""
    words = (line.split() for line in file.read_text().splitlines())
    return {word[0].rstrip(":"): int(word[1]) for word in words if len(word) > 1 and word[1].isdecimal()}
