"""The compiled chain.c: made once for each source, compiler and OpenMP runtime, kept in the cache, loaded on demand."""

import ctypes
import hashlib
import shlex
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from nitido.data.catalog import cache_root
from nitido.errors import NitidoError

SOURCE = Path(__file__).with_name("chain.c")
FLAGS = "-x c -O3 -std=gnu11 -shared -fPIC -fopenmp -mavx512f -mavx512bw -mavx512bf16 -mamx-tile -mamx-bf16"
LONGEST = 8
"""The most convolutions of a chain, as in the source."""

Pointer = ctypes.c_void_p


class Shape(ctypes.Structure):
    """The source's `shape`: of the features that go through a chain, and of its convolutions."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("pictures", "height", "width", "kernel", "length", "skip", "threads")),
        ("channels", ctypes.c_int32 * (LONGEST + 1)),
        ("relu", ctypes.c_int32 * LONGEST),
    )


class KernelsUnavailableError(NitidoError):
    """This machine or its compiler cannot make or run the kernels; the message says why."""


def load(compiler: str) -> ctypes.CDLL:
    """The library, compiled by `compiler` (as in a shell: a name or path, with options) where that was not done before.

    Raises `KernelsUnavailableError` where the processor has no bfloat16 tiles or the compiler fails.
    """
    if not (torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()):
        raise KernelsUnavailableError("the processor has no bfloat16 matrix tiles (AMX)")
    return _load(compiler)


@cache
def _load(compiler: str) -> ctypes.CDLL:
    source = SOURCE.read_bytes()
    # PyTorch's own OpenMP runtime comes first: with two of them, two sets of threads would fight for the cores.
    arguments = (*shlex.split(FLAGS), "-", "-x", "none", "-Wl,--as-needed", *_openmp_runtimes())
    command = (*shlex.split(compiler), *arguments)
    key = hashlib.sha256(source + repr(command).encode()).hexdigest()[:16]
    file = cache_root() / "kernels" / f"chain-{key}.so"
    try:
        if not file.exists():
            _compile(command, source, file)
        library = ctypes.CDLL(str(file))
    except OSError as error:
        raise KernelsUnavailableError(f"{file}: {error.strerror or error}") from None
    if not library.nitido_tiles_allowed():
        raise KernelsUnavailableError("the system does not let this process use the processor's matrix tiles (AMX)")
    return library


def _compile(command: tuple[str, ...], source: bytes, file: Path) -> None:
    """Have `source` compiled to `file`, which appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / file.name
        done = subprocess.run((*command, "-o", str(made)), input=source, capture_output=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise KernelsUnavailableError(f"{command[0]} cannot compile {SOURCE.name}: {lines[0]}")
        made.replace(file)


def _openmp_runtimes() -> tuple[str, ...]:
    """The files of the GNU OpenMP runtimes that are loaded in this process."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    files = (line.split(maxsplit=5)[5] for line in maps if "libgomp" in line)
    return tuple(dict.fromkeys(file for file in files if Path(file).name.startswith("libgomp")))
