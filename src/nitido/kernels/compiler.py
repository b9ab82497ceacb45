"""The C++ compiler that makes the kernels; PyTorch's own compiler calls the same one."""

import os
import shlex
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from nitido.base.programs import ProgramError, run_program

TRIAL_SECONDS = 10.0
"""Seconds that a compiler may take for a library of one function; most need a tenth of a second."""

_ELF_HEADER = 64


def compiler_name() -> str:
    """The C++ compiler that PyTorch would call."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def is_installed() -> bool:
    """Return whether the search path has that compiler, which may still not work."""
    return shutil.which(compiler_name()) is not None


def why_no_compiler() -> str | None:
    """Return why nothing can be compiled, or None if the compiler makes a small library in time."""
    name = compiler_name()
    if not is_installed():
        return f"no C++ compiler ({name})"
    reason = failed_trial((name,), os.environ.get("PATH", ""))
    return None if reason is None else f"no working C++ compiler ({name}: {reason})"


@cache
def failed_trial(compiler: tuple[str, ...], search_path: str) -> str | None:
    """Return why `compiler` makes no library of a one-line source, or None if it does.

    It is tried once for each `search_path` (the environment's PATH), so that a compiler that hangs costs time once.
    """
    with tempfile.TemporaryDirectory(prefix="nitido-") as folder:
        made = Path(folder) / "trial.so"
        command = (*compiler, "-x", "c++", "-shared", "-fPIC", "-")
        _, refusal = compiled(command, made, TRIAL_SECONDS, b'extern "C" int nitido_trial() { return 0; }\n')
        return refusal


def compiled(command: tuple[str, ...], made: Path, seconds: float, source: bytes = b"") -> tuple[bytes, str | None]:
    """Let `command` write the shared library `made`; returns its content, and why it is no use or None.

    Args:
        command: The compiler and all its arguments but the output.
        made: The library's file.
        seconds: Time limit.
        source: What the command reads from its standard input.
    """
    try:
        run_program((*command, "-o", str(made)), seconds, source)
        content = made.read_bytes()
    except ProgramError as error:
        return b"", error.reason
    except FileNotFoundError:
        return b"", "it succeeds without writing its output"
    return content, why_no_library(content)


def why_no_library(content: bytes) -> str | None:
    """Return why `content` cannot be a shared library of this system, or None.

    Under Linux the table of sections, which linkers write last, must lie within the file: loading a file that was cut
    short ends the process.
    """
    if not content:
        return "it writes an empty file"
    if not sys.platform.startswith("linux"):
        return None
    if len(content) < _ELF_HEADER or not content.startswith(b"\x7fELF\x02"):
        return "what it writes is no shared library"
    sections = int.from_bytes(content[40:48], "little")
    size, count = (int.from_bytes(content[at : at + 2], "little") for at in (58, 60))
    return None if 0 < sections + size * count <= len(content) else "what it writes is cut short"


def split_command(compiler: str) -> tuple[str, ...]:
    """Split `compiler` into words as a shell does; none if it is empty or its quotes are not closed."""
    try:
        return tuple(shlex.split(compiler))
    except ValueError:
        return ()
