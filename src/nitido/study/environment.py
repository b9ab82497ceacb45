"""The environment of a run: versions, hardware, precision, commit."""

import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from nitido.base.device import device_label
from nitido.base.plugins import describe_plugins
from nitido.base.programs import ProgramError, run_program

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""

GIT_SECONDS = 5.0
"""Seconds that git may take for an answer."""

_COMMIT = re.compile(r"[0-9a-f]{7,64}(\+changes)?")

PACKAGES = ("nitido", "torch", "lightning", "numpy", "pyvips", "scikit-image")


def describe_environment(precision: str, device: torch.device) -> dict[str, object]:
    """Return what is needed to judge or repeat a run, whose steps use `precision` on `device`."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [argument.encode(errors="backslashreplace").decode() for argument in sys.argv],
        "python": platform.python_version(),
        "plugins": describe_plugins(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": _platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "device": device_label(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": precision,
        "git_commit": git_commit(Path(__file__).parent),
    }


def processor_name() -> str:
    """Return the name of the processor, or its architecture if the system does not provide a name."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()


def git_commit(folder: Path) -> str | None:
    """Return the commit of the checkout that `folder` is part of (with "+changes" if it has any), or None.

    A folder inside a checkout that is not part of it, such as a virtual environment, has none.
    """
    # Variables such as GIT_DIR would name the checkout of whoever called: a hook, for instance.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return run_program(command, GIT_SECONDS, environment=environment).decode(errors="replace").strip()

    try:
        if not git("ls-files", "--", "."):
            return None
        commit = git("describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*")
    except ProgramError:
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _version(package: str) -> str | None:
    """Return the version of an installed package; None for nitido itself if it runs from source."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _platform() -> str:
    """Return operating system, release, machine and C library without calling `uname`, as `platform.platform` does."""
    return "-".join(
        part for part in (platform.system(), platform.release(), platform.machine(), *platform.libc_ver()) if part
    )
