"""The C++ compiler for the kernels, the same one that `torch.compile` calls."""

import os
import shlex
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from nitido.base.programs import ProgramError, run_program

TRIAL_SECONDS = 10.0
"""Time limit in seconds for compiling a library of one function; most compilers need 0.1 s."""

_ELF_HEADER = 64


def compiler_name() -> str:
    """Return the name of the C++ compiler that PyTorch would call."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def is_compiler_installed() -> bool:
    """Return whether the compiler is on the search path, without checking that it works."""
    return shutil.which(compiler_name()) is not None


def compiler_problem() -> str | None:
    """Return why nothing can be compiled, or None if the compiler compiles a small library in time."""
    name = compiler_name()
    if not is_compiler_installed():
        return f"no C++ compiler ({name})"
    reason = trial_failure((name,), os.environ.get("PATH", ""))
    return None if reason is None else f"no working C++ compiler ({name}: {reason})"


@cache
def trial_failure(compiler: tuple[str, ...], search_path: str) -> str | None:
    """Return why `compiler` cannot compile a one-line library, or None if it can.

    The result is cached for each `search_path` (the environment's PATH), so that a compiler that hangs costs time only
    once.
    """
    with tempfile.TemporaryDirectory(prefix="nitido-") as folder:
        made = Path(folder) / "trial.so"
        command = (*compiler, "-x", "c++", "-shared", "-fPIC", "-")
        _, refusal = compile_library(command, made, TRIAL_SECONDS, b'extern "C" int nitido_trial() { return 0; }\n')
        return refusal


def compile_library(
    command: tuple[str, ...], made: Path, seconds: float, source: bytes = b""
) -> tuple[bytes, str | None]:
    """Compile a shared library to the file `made`.

    Args:
        command: The compiler and all its arguments except for the output.
        made: The library's file.
        seconds: Time limit.
        source: Standard input of the command.

    Returns:
        The content of the library, and None or why it is unusable.
    """
    try:
        run_program((*command, "-o", str(made)), seconds, source)
        content = made.read_bytes()
    except ProgramError as error:
        return b"", error.reason
    except FileNotFoundError:
        return b"", "it succeeds without writing its output"
    return content, library_problem(content)


def library_problem(content: bytes) -> str | None:
    """Return why `content` cannot be a shared library of this system, or None.

    On Linux the section header table, which linkers write last, must be within the file, because loading a truncated
    library crashes the process.
    """
    if not content:
        return "it writes an empty file"
    if not sys.platform.startswith("linux"):
        return None
    if len(content) < _ELF_HEADER or not content.startswith(b"\x7fELF\x02"):
        return "its output is not a shared library"
    sections = int.from_bytes(content[40:48], "little")
    size, count = (int.from_bytes(content[at : at + 2], "little") for at in (58, 60))
    return None if 0 < sections + size * count <= len(content) else "its output is truncated"


def split_command(compiler: str) -> tuple[str, ...]:
    """Split `compiler` into words as a shell does; return none if it is empty or its quotes are not closed."""
    try:
        return tuple(shlex.split(compiler))
    except ValueError:
        return ()
