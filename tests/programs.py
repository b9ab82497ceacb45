"""Programs that only tests need, which not every machine has."""

import shutil
import subprocess

import pytest

from nitido.kernels.compiler import compiler_problem

PACKAGES = {
    "chromium": "chromium",
    "convert": "imagemagick",
    "exiftool": "libimage-exiftool-perl",
    "identify": "imagemagick",
}
"""Debian's packages with them; `.ci/run` installs them."""


def find_program(name: str) -> str:
    """Return the path of a program; skip the test that asks where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {PACKAGES[name]}")
    return found


def require_compiler() -> None:
    """Skip the test that asks where nothing can be compiled."""
    reason = compiler_problem()
    if reason is not None:
        pytest.skip(f"needs a C++ compiler ({reason}): apt-get install g++")


def run_program(name: str, *args: object) -> bytes:
    """Run a program that must succeed, and return its standard output."""
    return subprocess.run([find_program(name), *map(str, args)], check=True, capture_output=True).stdout
