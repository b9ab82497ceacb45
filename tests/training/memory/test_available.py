"""The available memory according to Linux: of the machine, of control groups and of limits."""

from pathlib import Path

import pytest
import torch

from nitido.training.memory.available import _remaining, available_memory
from tests.forked import ForkServer

MB = 1 << 20

SAY = "import torch; from nitido.training.memory.available import available_memory as a; print(a(torch.device('cpu')))"


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 8388608 kB\nMemFree: 1048576 kB\nMemAvailable: 4194304 kB\nSwapFree: 1048576 kB\n")
    return file


def left(meminfo: Path, own_groups: str, groups: Path) -> int:
    own = meminfo.parent / "cgroup"
    own.write_text(own_groups)
    return _remaining(meminfo, own, groups)


def test_available_memory_and_free_swap_of_a_machine_count(meminfo: Path, tmp_path: Path) -> None:
    assert left(meminfo, "", tmp_path / "groups") == 5 * 1024 * MB


def test_the_limit_of_a_version_2_group_counts(meminfo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    write(groups / "user" / "job", memory__max="max", memory__current=600 * MB, memory__stat="inactive_file 0")
    write(
        groups / "user",
        memory__max=1000 * MB,
        memory__current=700 * MB,
        memory__stat=f"anon {500 * MB}\ninactive_file {50 * MB}",
    )
    assert left(meminfo, "0::/user/job\n", groups) == 350 * MB, "a group above may be the narrower one"


def test_the_limit_of_a_version_1_group_counts(meminfo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    stat = f"cache 5\nhierarchical_memory_limit 7\ntotal_inactive_file {10 * MB}"
    write(
        groups / "memory" / "job",
        memory__limit_in_bytes=500 * MB,
        memory__usage_in_bytes=200 * MB,
        memory__stat=stat,
    )
    write(groups / "memory", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=900 * MB, memory__stat=stat)
    assert left(meminfo, "5:cpu,memory:/job\n3:devices:/elsewhere\n", groups) == 310 * MB


def test_in_a_container_whose_paths_are_those_outside(meminfo: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    write(groups, memory__max=100 * MB, memory__current=40 * MB, memory__stat="inactive_file 0")
    assert left(meminfo, "0::/docker/4f2a\n", groups) == 60 * MB


def test_a_group_above_its_limit_has_no_memory_left(meminfo: Path, tmp_path: Path) -> None:
    write(tmp_path / "groups", memory__max=1 * MB, memory__current=2 * MB, memory__stat="inactive_file 0")
    assert left(meminfo, "0::/\n", tmp_path / "groups") == 0


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_count(fork_server: ForkServer, tmp_path: Path, limit: str) -> None:
    begin = f"import resource; resource.setrlimit(resource.{limit}, (8 << 30, 8 << 30)); "
    unlimited, limited = (int(fork_server.python(code, cwd=tmp_path).out) for code in (SAY, begin + SAY))
    assert 0 < limited < 8 << 30
    assert limited < unlimited


def test_available_memory_of_a_graphics_card_is_unknown() -> None:
    assert available_memory(torch.device("cuda")) is None
