"""The kernels' C, compiled: once for each source, compiler and OpenMP runtime, kept in the cache, loaded on demand."""

import ctypes
import hashlib
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from nitido.atomic import replacing
from nitido.errors import NitidoError
from nitido.folders import cache_root
from nitido.kernels.compiler import compiler_name

FOLDER = Path(__file__).parent
SHARED = tuple(FOLDER / name for name in ("bfloat16.h", "chain.h", "narrow.c"))
"""What stands behind every source, and is compiled with it."""
FLAGS = "-O3 -std=gnu11 -shared -fPIC -fopenmp -mavx512f -mavx512bw -mavx512vl -mavx512bf16"
LONGEST = 8
"""The most convolutions of a chain, as in chain.h."""

Pointer = ctypes.c_void_p


class Shape(ctypes.Structure):
    """The `shape` of chain.h: of the features that go through a chain, and of its convolutions."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("pictures", "height", "width", "kernel", "length", "skip", "threads")),
        ("channels", ctypes.c_int32 * (LONGEST + 1)),
        ("slope", ctypes.c_float * LONGEST),
    )


class NarrowShape(ctypes.Structure):
    """The `narrow` of narrow.c: of features and the picture that a convolution makes of them."""

    _fields_ = tuple(
        (name, ctypes.c_int32) for name in ("pictures", "height", "width", "kernel", "inputs", "outputs", "threads")
    )


@dataclass(frozen=True)
class Source:
    """A way to calculate chains.

    Attributes:
        name: of the file, without its ending.
        needs: what the processor must have, in words.
        available: tells whether it has that.
        flags: for the compiler, besides `FLAGS`.
        kernel_sizes: of the convolutions it is for; None stands for all odd ones.
        shares_pictures: whether threads share the pictures of a call that are fewer than threads; else some are idle.
    """

    name: str
    needs: str
    available: Callable[[], bool]
    flags: str = ""
    kernel_sizes: frozenset[int] | None = None
    shares_pictures: bool = False

    @property
    def file(self) -> Path:
        """The C source."""
        return FOLDER / f"{self.name}.c"


def _has_vectors() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())


def _has_tiles() -> bool:
    return _has_vectors() and bool(torch.cpu._is_amx_tile_supported())


TILES = Source("tiles", "matrix tiles (AMX)", _has_tiles, "-mamx-tile -mamx-bf16")
WINOGRAD = Source(
    "winograd", "bfloat16 vectors (AVX512-BF16)", _has_vectors, kernel_sizes=frozenset({3}), shares_pictures=True
)

SOURCES = (TILES, WINOGRAD)
"""The fastest first."""


@dataclass(frozen=True)
class Kernels:
    """A source that was compiled and loaded; what its functions are and mean stands in chain.h and narrow.c."""

    source: Source
    library: ctypes.CDLL


class KernelsUnavailableError(NitidoError):
    """This machine or its compiler cannot make or run the kernels; the message says why."""


def fastest() -> Source:
    """The fastest source for this processor; raises `KernelsUnavailableError` where it has no bfloat16."""
    for source in SOURCES:
        if source.available():
            return source
    raise KernelsUnavailableError(f"the processor has neither {' nor '.join(source.needs for source in SOURCES)}")


def load() -> Kernels:
    """The fastest kernels for this processor.

    Raises `KernelsUnavailableError` where it has no bfloat16, or there is no C++ compiler that can make them.
    """
    return load_source(fastest(), compiler_name())


@cache
def load_source(source: Source, compiler: str) -> Kernels:
    """The kernels of `source`, made by `compiler` (as in a shell, with options) unless they were before.

    Raises as `load` does.
    """
    # PyTorch's own OpenMP runtime comes first: with two of them, two sets of threads would fight for the cores.
    files = [word for file in (source.file, *SHARED) if file.suffix == ".c" for word in ("-x", "c", str(file))]
    arguments = (*shlex.split(f"{FLAGS} {source.flags}"), *files, "-x", "none", "-Wl,--as-needed", *_openmp_runtimes())
    command = (*shlex.split(compiler), *arguments)
    code = b"".join(file.read_bytes() for file in (source.file, *SHARED))
    key = hashlib.sha256(code + repr(command).encode()).hexdigest()[:16]
    file = cache_root() / "kernels" / f"{source.name}-{key}.so"
    try:
        if not file.exists():
            _compile(command, file)
        library = ctypes.CDLL(str(file))
    except OSError as error:
        raise KernelsUnavailableError(f"{file}: {error.strerror or error}") from None
    if not library.nitido_chains_allowed():
        raise KernelsUnavailableError(f"the system does not let this process use the processor's {source.needs}")
    return Kernels(source, library)


def _compile(command: tuple[str, ...], file: Path) -> None:
    """Let `command` make `file`, which appears whole or not at all."""
    with replacing(file) as draft:
        done = subprocess.run((*command, "-o", str(draft)), capture_output=True, check=False)
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            raise KernelsUnavailableError(f"{command[0]} cannot compile the kernels: {lines[0]}")


def _openmp_runtimes() -> tuple[str, ...]:
    """The files of the GNU OpenMP runtimes that are loaded in this process."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    files = (line.split(maxsplit=5)[5] for line in maps if "libgomp" in line)
    return tuple(dict.fromkeys(file for file in files if Path(file).name.startswith("libgomp")))
