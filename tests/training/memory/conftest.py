"""Tests for some machines are not collected on others, because a skipped test would go unnoticed."""

import platform
import sys

import torch

from tests.training.memory.control_groups import control_group

collect_ignore = []
if sys.platform != "linux" or torch.accelerator.is_available():  # only Linux's processors are asked to refuse memory
    collect_ignore += ["test_available.py", "test_limit.py", "test_system_limits.py", "test_control_groups.py"]
if platform.libc_ver()[0] != "glibc":
    collect_ignore += ["test_allocator.py"]
with control_group(1 << 30) as group:
    collect_ignore += [] if group else ["test_control_groups.py"]
