"""The kernels' C, compiled: once for each source, compiler and OpenMP runtime, kept in the cache, loaded on demand."""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from nitido.base.activity import activity
from nitido.base.atomic import is_draft, replacing
from nitido.base.errors import NitidoError
from nitido.base.folders import cache_root
from nitido.kernels.compiler import compiled, compiler_name, failed_trial, split_command

FOLDER = Path(__file__).parent
SHARED = tuple(FOLDER / name for name in ("bfloat16.h", "chain.h", "narrow.c"))
"""What stands behind every source, and is compiled with it."""
FLAGS = "-O3 -std=gnu11 -shared -fPIC -fopenmp -mavx512f -mavx512bw -mavx512vl -mavx512bf16"
LONGEST = 8
"""The most convolutions of a chain, as in chain.h."""

CPUINFO, MAPS = Path("/proc/cpuinfo"), Path("/proc/self/maps")
"""Where Linux describes the processor and the files that this process has loaded."""

COMPILE_SECONDS = 300.0
"""Seconds that compiling may take; it needs about ten on one core that has nothing else to do."""

DRAFT_LIFE = 3600.0
"""Seconds after which a draft belongs to no process that still runs."""

MARK = b"\nnitido sha256 "
"""What stands between a compiled library and its checksum."""

FUNCTIONS = (
    "nitido_chains_allowed",
    "nitido_chains_forward",
    "nitido_chain_backward",
    "nitido_narrow_forward",
    "nitido_narrow_backward",
)

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
    words = split_command(compiler)
    if not words:
        raise KernelsUnavailableError(f"CXX={compiler!r} is no command")
    # PyTorch's own OpenMP runtime: with two of them, two sets of threads would fight for the cores.
    files = [word for file in (source.file, *SHARED) if file.suffix == ".c" for word in ("-x", "c", str(file))]
    arguments = (*shlex.split(f"{FLAGS} {source.flags}"), *files, "-x", "none", "-Wl,--as-needed", *_openmp_runtimes())
    code = b"".join(file.read_bytes() for file in (source.file, *SHARED))
    key = hashlib.sha256(code + repr((words, arguments, _compiler_file(words[0]), _processor())).encode()).hexdigest()[
        :16
    ]
    file = cache_root() / "kernels" / f"{source.name}-{key}.so"
    try:
        library = _load(file, words, arguments)
    except (OSError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise KernelsUnavailableError(f"{file}: {reason}") from None
    if not library.nitido_chains_allowed():
        raise KernelsUnavailableError(f"the system does not let this process use the processor's {source.needs}")
    return Kernels(source, library)


def _load(file: Path, compiler: tuple[str, ...], arguments: tuple[str, ...]) -> ctypes.CDLL:
    """Load `file`, which is compiled unless it is there and intact; raises OSError or AttributeError if that fails."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _keep_others_out(file.parent)
    if not _is_intact(file):
        if file.exists():
            logging.getLogger(__name__).warning("%s is damaged: compiling it again", file)
        _compile(compiler, arguments, file)
    library = ctypes.CDLL(str(file))
    for name in FUNCTIONS:
        getattr(library, name)
    return library


@activity("compiling the kernels, once on this machine")
def _compile(compiler: tuple[str, ...], arguments: tuple[str, ...], file: Path) -> None:
    """Make `file`, which appears whole and with its checksum, or not at all."""
    _remove_old_drafts(file.parent)
    refusal = failed_trial(compiler, os.environ.get("PATH", ""))
    with replacing(file) as draft:
        if refusal is None:
            content, refusal = compiled((*compiler, *arguments), draft, COMPILE_SECONDS)
        if refusal is not None:
            raise KernelsUnavailableError(f"{compiler[0]} cannot compile the kernels: {refusal}")
        draft.write_bytes(content + MARK + hashlib.sha256(content).digest())
        draft.chmod(0o755)


def _is_intact(file: Path) -> bool:
    """Whether `file` is this user's and ends with the checksum of what is before it, which loaders ignore."""
    try:
        content, mark, digest = file.read_bytes().rpartition(MARK)
        return bool(mark) and hashlib.sha256(content).digest() == digest and not _may_be_of_others(file)
    except FileNotFoundError:
        return False


def _keep_others_out(folder: Path) -> None:
    """Raise `KernelsUnavailableError` if `folder` is another user's, whose code would run here."""
    if _may_be_of_others(folder):
        with suppress(PermissionError):
            folder.chmod(0o755)
        if _may_be_of_others(folder):
            raise KernelsUnavailableError(
                f"{folder}: other users can write there, so code in it is not run: set NITIDO_CACHE to your own folder"
            )


def _may_be_of_others(path: Path) -> bool:
    """Whether another user than this one and root may have written `path`."""
    if sys.platform == "win32":
        return False
    found = path.stat()
    return found.st_uid not in (0, os.geteuid()) or bool(found.st_mode & stat.S_IWOTH)


def _remove_old_drafts(folder: Path) -> None:
    """Remove drafts of processes that were killed while they compiled; younger ones may be in use."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if is_draft(path) and time.time() - path.stat().st_mtime > DRAFT_LIFE:
                path.unlink()


def _compiler_file(name: str) -> tuple[object, ...]:
    """What changes when the compiler does: its file, its size and its time."""
    path = shutil.which(name)
    if path is None:
        return (name,)
    found = Path(path).stat()
    return (os.path.realpath(path), found.st_size, found.st_mtime_ns)


def _processor() -> tuple[str, ...]:
    """The processor's family and features: machines that share a cache do not load each other's code."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return (platform.system(), platform.machine(), *sorted(flags))


def _openmp_runtimes() -> tuple[str, ...]:
    """Return the file of PyTorch's GNU OpenMP runtime, as loaded in this process.

    Other packages may have loaded runtimes of their own, which another process has not: they count only if PyTorch has
    none. Empty if the system does not tell.
    """
    try:
        maps = MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ()
    files = (line.split(maxsplit=5)[5] for line in maps if "libgomp" in line)
    loaded = tuple(dict.fromkeys(file for file in files if Path(file).name.startswith("libgomp")))
    of_pytorch = tuple(file for file in loaded if Path(file).is_relative_to(Path(torch.__file__).parent))
    return of_pytorch or loaded
