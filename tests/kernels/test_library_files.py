"""Tests that damaged or foreign libraries in the cache are never loaded.

A truncated library ends a process by SIGBUS when it is loaded, a library of zeros by SIGSEGV when it is called.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from nitido.kernels import Chain, Chains, Kernels, KernelsUnavailableError
from nitido.kernels import compiler as compiler_module
from nitido.kernels import library as library_module
from nitido.kernels.compiler import compiler_name, compiler_problem, trial_failure
from nitido.kernels.library import WINOGRAD, load_source


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled library without the appended checksum."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NITIDO_CACHE", str(folder))
        load_source.__wrapped__(WINOGRAD, compiler_name())
    (file,) = (folder / "kernels").iterdir()
    content, _, _ = file.read_bytes().rpartition(library_module.CHECKSUM_MARK)
    plain = folder / "plain.so"
    plain.write_bytes(content)
    return plain


@pytest.fixture
def compiler(tmp_path: Path, made: Path) -> Callable[..., str]:
    """Return a function that writes a compiler script; `body` replaces compiling the kernels to `$out`."""

    def write(body: str, trial: str = f'exec {compiler_name()} "$@"', name: str = "compiler") -> str:
        script = tmp_path / name
        count = tmp_path / "count"
        script.write_text(
            "#!/bin/sh\n"
            'for word in "$@"; do out=$word; done\n'
            f"made={made}\n"
            f'case " $* " in *" c++ "*) {trial};; esac\n'
            f"echo >> {count}\n"
            f"{body}\n"
        )
        script.chmod(0o755)
        return str(script)

    return write


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NITIDO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


COPY = 'cp "$made" "$out"'


def load(compiler: str) -> Kernels:
    """Load the kernels without the memory cache, as a new process does."""
    return load_source.__wrapped__(WINOGRAD, compiler)


def compiled(tmp_path: Path) -> int:
    """Return how often kernels were compiled."""
    return len((tmp_path / "count").read_text().splitlines())


def assert_works(kernels: Kernels) -> None:
    layer = nn.Conv2d(32, 32, 3, padding=1)
    features = torch.randn(1, 32, 8, 8).bfloat16()
    with torch.no_grad():
        found, right = Chains(kernels, [Chain((layer,), (1.0,))])(features), layer(features.float())
    assert (found - right).norm() < 2**-6 * right.norm()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "checksum missing": lambda content: content[:-47],
    "zeros": lambda content: bytes(len(content)),
    "zeros in the middle": lambda content: content[:8192] + bytes(16384) + content[24576:],
    "a flipped bit": lambda content: content[:20000] + bytes([content[20000] ^ 1]) + content[20001:],
    "a flipped bit in the checksum": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "text": lambda content: b"no library\n" * 100,
    "appended bytes": lambda content: content + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_library_is_compiled_again(
    tmp_path: Path, cache: Path, compiler, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    command = compiler(COPY)
    load(command)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(DAMAGE[damage](content))
    file.chmod(0o755)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert_works(load(command))
    assert [record.getMessage() for record in caplog.records] == [f"{file} is damaged: compiling it again"]
    assert file.read_bytes() == content
    assert list(cache.iterdir()) == [file]
    assert compiled(tmp_path) == 2
    load(command)
    assert compiled(tmp_path) == 2


REFUSED = {
    "no output": ("exit 0", "it succeeds without writing its output"),
    "garbage on its standard streams": ("echo garbage; echo rubbish >&2", "it succeeds without writing its output"),
    "an empty file": (': > "$out"', "it writes an empty file"),
    "text": ('echo text > "$out"', "its output is not a shared library"),
    "half a library": ('head -c 30000 "$made" > "$out"', "its output is truncated"),
    "a header": ('head -c 64 "$made" > "$out"', "its output is truncated"),
    "an error": ("echo 'cannot find cc1plus' >&2; exit 1", "cannot find cc1plus"),
    "an error without words": ("exit 7", "exit code 7"),
    "killed": ("kill -9 $$", "it was ended by signal 9"),
    "no end": ("sleep 1000", "it did not end within 1 s"),
    "no end of a child": ("sleep 1000 & wait", "it did not end within 1 s"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("when", ["trial", "kernels"])
def test_a_failing_compiler_gives_one_line(
    cache: Path, compiler, kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes compilers that can compile small libraries, but not the kernels."""
    monkeypatch.setattr(compiler_module, "TRIAL_SECONDS", 1.0)
    monkeypatch.setattr(library_module, "COMPILE_SECONDS", 1.0)
    body, reason = REFUSED[kind]
    if when == "trial":
        command = compiler(COPY, trial=f"{body}; exit 0")
    else:
        monkeypatch.setattr(compiler_module, "TRIAL_SECONDS", 30.0)
        command = compiler(body)
    started = time.monotonic()
    with pytest.raises(KernelsUnavailableError) as refused:
        load(command)
    assert str(refused.value) == f"{command} cannot compile the kernels: {reason}"
    assert time.monotonic() - started < 20
    assert list(cache.iterdir()) == []


def test_a_library_without_kernels_gives_one_line(cache: Path, compiler) -> None:
    command = compiler(f'{compiler_name()} -x c++ -shared -fPIC /dev/null -o "$out"')
    with pytest.raises(KernelsUnavailableError, match="undefined symbol: nitido_chains_allowed"):
        load(command)


@pytest.mark.parametrize("command", ["", "  ", "g++ 'unclosed"])
def test_an_invalid_command_gives_one_line(cache: Path, command: str) -> None:
    with pytest.raises(KernelsUnavailableError, match="is not a command"):
        load(command)


def test_a_compiler_that_hangs_is_tried_once(compiler, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(compiler_module, "TRIAL_SECONDS", 1.0)
    monkeypatch.setenv("CXX", compiler(COPY, trial="sleep 1000"))
    for _ in range(2):
        assert compiler_problem() == f"no working C++ compiler ({os.environ['CXX']}: it did not end within 1 s)"
    assert trial_failure.cache_info().hits > 0


def test_two_processes_may_compile_at_the_same_time(tmp_path: Path, cache: Path, compiler) -> None:
    command = compiler("sleep 1; " + COPY)
    code = f"""
from nitido.kernels.library import WINOGRAD, load_source
import torch
kernels = load_source(WINOGRAD, {command!r})
print(kernels.library.nitido_chains_allowed())
"""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", code], **streams) for _ in range(2)]
    for process in started:
        out, err = process.communicate()
        assert (process.returncode, out) == (0, "1\n"), err
    assert len(list(cache.iterdir())) == 1
    assert_works(load(command))


def test_drafts_of_a_killed_process_are_removed_later(
    tmp_path: Path, cache: Path, compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = compiler(f'head -c 20000 "$made" > "$out"; [ -e {tmp_path}/fast ] || sleep 30; {COPY}')
    code = f"from nitido.kernels.library import WINOGRAD, load_source; load_source(WINOGRAD, {command!r})"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + 60
    while not (cache.exists() and list(cache.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (draft,) = cache.iterdir()
    (tmp_path / "fast").touch()
    assert_works(load(command))
    assert draft in list(cache.iterdir()), "it may belong to another process"
    monkeypatch.setattr(library_module, "DRAFT_LIFETIME", 0.0)
    load(compiler(COPY, name="another"))
    assert draft not in list(cache.iterdir())


def test_code_of_other_users_is_not_loaded(
    tmp_path: Path, cache: Path, compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = compiler(COPY)
    load(command)
    (file,) = cache.iterdir()
    file.chmod(0o777)
    cache.chmod(0o777)
    load(command)
    assert compiled(tmp_path) == 2, "a file that anybody can write must be compiled again"
    assert (file.stat().st_mode & 0o022, cache.stat().st_mode & 0o022) == (0, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if cache.stat().st_uid == 0:
        os.chown(cache, 54321, -1)
    with pytest.raises(KernelsUnavailableError, match=r"other users can write there.*NITIDO_CACHE"):
        load(command)


def test_each_processor_and_compiler_has_its_own_library(
    cache: Path, compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = compiler(COPY)
    load(command)
    monkeypatch.setattr(library_module, "_processor", lambda: ("Linux", "x86_64", "avx512_bf16"))
    load(command)
    assert len(list(cache.iterdir())) == 2
    later = time.time() + 1000
    os.utime(command, (later, later))  # as an update does
    load(command)
    assert len(list(cache.iterdir())) == 3


def test_kernels_are_loaded_without_proc(cache: Path, compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "MAPS", cache / "maps")
    monkeypatch.setattr(library_module, "CPUINFO", cache / "cpuinfo")
    assert_works(load(compiler(COPY)))


def test_kernels_use_the_openmp_of_pytorch_whatever_else_is_loaded() -> None:
    """FLIP's package contains another runtime, which a process without FLIP cannot find."""
    code = "import flip_evaluator, torch; from nitido.kernels.library import _openmp_runtimes\n"
    code += "from pathlib import Path\n"
    code += "(file,) = _openmp_runtimes(); print(Path(file).is_relative_to(Path(torch.__file__).parent))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
