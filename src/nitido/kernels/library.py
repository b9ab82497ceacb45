"""Compiles, caches and loads the C kernels, once for each source, compiler and OpenMP runtime."""

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
from nitido.kernels.compiler import compile_library, compiler_name, split_command, trial_failure

FOLDER = Path(__file__).parent
SHARED = tuple(FOLDER / name for name in ("bfloat16.h", "chain.h", "narrow.c"))
"""Files that are compiled with every source."""
FLAGS = "-O3 -std=gnu11 -shared -fPIC -fopenmp -mavx512f -mavx512bw -mavx512vl -mavx512bf16"
MAX_CONVOLUTIONS = 8
"""Maximum number of convolutions per chain, as in chain.h."""

CPUINFO, MAPS = Path("/proc/cpuinfo"), Path("/proc/self/maps")
"""Files in which Linux describes the processor and the libraries that this process has loaded."""

COMPILE_SECONDS = 300.0
"""Time limit in seconds for compiling; it takes about ten on one idle core."""

DRAFT_LIFETIME = 3600.0
"""Age in seconds after which no running process can still be writing a draft."""

CHECKSUM_MARK = b"\nnitido sha256 "
"""Separates a compiled library from its appended checksum."""

FUNCTIONS = (
    "nitido_chains_allowed",
    "nitido_chains_forward",
    "nitido_chain_backward",
    "nitido_narrow_forward",
    "nitido_narrow_backward",
)

Pointer = ctypes.c_void_p


class Shape(ctypes.Structure):
    """The structure `shape` of chain.h: sizes of a chain's features and convolutions."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("images", "height", "width", "kernel", "length", "skip", "threads")),
        ("channels", ctypes.c_int32 * (MAX_CONVOLUTIONS + 1)),
        ("slope", ctypes.c_float * MAX_CONVOLUTIONS),
    )


class NarrowShape(ctypes.Structure):
    """The structure `narrow` of narrow.c: sizes of a convolution from features to an image."""

    _fields_ = tuple(
        (name, ctypes.c_int32) for name in ("images", "height", "width", "kernel", "inputs", "outputs", "threads")
    )


@dataclass(frozen=True)
class Source:
    """A C file that implements chains for one processor feature.

    Attributes:
        name: Name of the file, without suffix.
        needs: The processor feature, for messages.
        available: Returns whether the processor has the feature.
        flags: Compiler flags in addition to `FLAGS`.
        kernel_sizes: Supported kernel sizes; None means all odd ones.
        shares_images: Whether several threads can work on one image. Otherwise some threads are idle if a call has
            fewer images than threads.
    """

    name: str
    needs: str
    available: Callable[[], bool]
    flags: str = ""
    kernel_sizes: frozenset[int] | None = None
    shares_images: bool = False

    @property
    def file(self) -> Path:
        """Path of the C source."""
        return FOLDER / f"{self.name}.c"


def _has_vectors() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())


def _has_tiles() -> bool:
    return _has_vectors() and bool(torch.cpu._is_amx_tile_supported())


TILES = Source("tiles", "matrix tiles (AMX)", _has_tiles, "-mamx-tile -mamx-bf16")
WINOGRAD = Source(
    "winograd", "bfloat16 vectors (AVX512-BF16)", _has_vectors, kernel_sizes=frozenset({3}), shares_images=True
)

SOURCES = (TILES, WINOGRAD)
"""All sources, fastest first."""


@dataclass(frozen=True)
class Kernels:
    """A compiled and loaded source. Its functions are described in chain.h and narrow.c."""

    source: Source
    library: ctypes.CDLL


class KernelsUnavailableError(NitidoError):
    """The kernels cannot be compiled or run on this machine; the message says why."""


def fastest() -> Source:
    """Return the fastest source for this processor.

    Raises:
        KernelsUnavailableError: The processor has no bfloat16 instructions.
    """
    for source in SOURCES:
        if source.available():
            return source
    raise KernelsUnavailableError(f"the processor has neither {' nor '.join(source.needs for source in SOURCES)}")


def load() -> Kernels:
    """Return the fastest kernels for this processor.

    Raises:
        KernelsUnavailableError: The processor has no bfloat16 instructions, or no C++ compiler can compile the kernels.
    """
    return load_source(fastest(), compiler_name())


@cache
def load_source(source: Source, compiler: str) -> Kernels:
    """Return the kernels of `source`, compiled by `compiler` unless they are in the cache.

    Args:
        source: What to compile.
        compiler: Command with options, as in a shell.

    Raises:
        KernelsUnavailableError: They cannot be compiled or loaded, or the system does not allow their instructions.
    """
    words = split_command(compiler)
    if not words:
        raise KernelsUnavailableError(f"CXX={compiler!r} is not a command")
    # Link to PyTorch's OpenMP runtime, because two runtimes would start two competing sets of threads.
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
    """Load `file`, compiled first if it is missing or damaged; raises OSError or AttributeError on failure."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _require_private(file.parent)
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
    """Compile `file` atomically and append its checksum."""
    _remove_old_drafts(file.parent)
    refusal = trial_failure(compiler, os.environ.get("PATH", ""))
    with replacing(file) as draft:
        if refusal is None:
            content, refusal = compile_library((*compiler, *arguments), draft, COMPILE_SECONDS)
        if refusal is not None:
            raise KernelsUnavailableError(f"{compiler[0]} cannot compile the kernels: {refusal}")
        draft.write_bytes(content + CHECKSUM_MARK + hashlib.sha256(content).digest())
        draft.chmod(0o755)


def _is_intact(file: Path) -> bool:
    """Return whether `file` belongs to this user and matches its appended checksum, which loaders ignore."""
    try:
        content, mark, digest = file.read_bytes().rpartition(CHECKSUM_MARK)
        return bool(mark) and hashlib.sha256(content).digest() == digest and not _is_writable_by_others(file)
    except FileNotFoundError:
        return False


def _require_private(folder: Path) -> None:
    """Raise `KernelsUnavailableError` if other users can write to `folder`, because their code would be loaded."""
    if _is_writable_by_others(folder):
        with suppress(PermissionError):
            folder.chmod(0o755)
        if _is_writable_by_others(folder):
            raise KernelsUnavailableError(
                f"{folder}: other users can write there, so code in it is not run: set NITIDO_CACHE to your own folder"
            )


def _is_writable_by_others(path: Path) -> bool:
    """Return whether a user other than this one and root may have written `path`."""
    if sys.platform == "win32":
        return False
    found = path.stat()
    return found.st_uid not in (0, os.geteuid()) or bool(found.st_mode & stat.S_IWOTH)


def _remove_old_drafts(folder: Path) -> None:
    """Remove drafts of processes that were killed during compilation; younger drafts may be in use."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if is_draft(path) and time.time() - path.stat().st_mtime > DRAFT_LIFETIME:
                path.unlink()


def _compiler_file(name: str) -> tuple[object, ...]:
    """Return the compiler's path, size and modification time, which change with the compiler."""
    path = shutil.which(name)
    if path is None:
        return (name,)
    found = Path(path).stat()
    return (os.path.realpath(path), found.st_size, found.st_mtime_ns)


def _processor() -> tuple[str, ...]:
    """Return the processor's family and features, so that machines that share a cache do not share code."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return (platform.system(), platform.machine(), *sorted(flags))


def _openmp_runtimes() -> tuple[str, ...]:
    """Return the file of PyTorch's GNU OpenMP runtime, as loaded in this process.

    Other packages may have loaded their own runtimes, which another process may lack. They count only if PyTorch has
    none. Return nothing if the system does not list loaded files.
    """
    try:
        maps = MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ()
    files = (line.split(maxsplit=5)[5] for line in maps if "libgomp" in line)
    loaded = tuple(dict.fromkeys(file for file in files if Path(file).name.startswith("libgomp")))
    of_pytorch = tuple(file for file in loaded if Path(file).is_relative_to(Path(torch.__file__).parent))
    return of_pytorch or loaded
