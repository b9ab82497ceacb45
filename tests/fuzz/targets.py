"""What damaged files are given to: nitido's own commands, with the permitted results."""

import io
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import mutate, mutate_json, mutate_text

LARGEST_MEMORY = 2 << 30
"""Bytes that an input may take."""

SECONDS = 60
"""After so long an input counts as hanging."""

Arguments = Sequence[str]


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        folder: Below the corpus, where the valid files are.
        commands: From the damaged file, or the folder it lies in, to the command lines that it goes through.
        pattern: Which of the files are damaged.
        inputs: How many in an ordinary run.
        whole: Whether the folder is copied whole and one file in it is damaged.
        figures: What the output of commands that succeed says, by name; it must be what the undamaged input says.
    """

    folder: str
    commands: Callable[[Path], Sequence[Arguments]]
    inputs: int
    pattern: str = "*"
    whole: bool = False
    figures: Callable[[list[str]], dict[str, Any]] | None = None


def _upscale(path: Path, *options: str) -> Arguments:
    return ["upscale", str(path), "-o", "result.png", *options]


def _all(outputs: list[str]) -> dict[str, Any]:
    return {"all": outputs}


def _by_variant(outputs: list[str]) -> dict[str, Any]:
    """The figures of each variant of a leaderboard that has any: one whose run is damaged is named as a gap."""
    return {entry["variant"]: entry["metrics"] for entry in json.loads(outputs[0])["entries"] if entry["metrics"]}


TARGETS: Mapping[str, Target] = {
    "upscaled_images": Target("image", lambda p: [_upscale(p, "--model", "bicubic", "--scale", "2")], 750),
    "training_images": Target(
        "image", lambda p: [["data", "check", str(p.parent)], ["data", "prepare", str(p.parent)]], 450
    ),
    "models": Target(
        "model",
        lambda p: [["upscale", "images/test/test0.png", "-o", "result.png", "--model", str(p)]],
        250,
        figures=_all,
    ),
    "foreign_weights": Target("foreign", lambda p: [["model", "import", str(p), "-o", "imported.safetensors"]], 300),
    "onnx": Target("onnx", lambda p: [["upscale", "images/test/test0.png", "-o", "result.png", "--model", str(p)]], 60),
    "study_files": Target("studies", lambda p: [["study", "show", str(p)]], 150),
    "runs": Target(
        "run",
        lambda p: [["evaluate", str(p), "--data", "images/test", "--scale", "2", "--json", "-"]],
        80,
        whole=True,
        figures=_all,
    ),
    "studies": Target(
        "study", lambda p: [["study", "report", str(p), "--json", "-"]], 10, whole=True, figures=_by_variant
    ),
    "packs": Target(
        "cache",
        lambda p: [["evaluate", "bicubic", "--data", "images/test", "--scale", "2", "--json", "-"]],
        80,
        pattern="packs/**/*",
        whole=True,
        figures=_all,
    ),
    "manifests": Target(
        "upscaled",
        lambda p: [["upscale", "images/train", "-o", str(p), "--model", "bicubic", "--scale", "2"]],
        60,
        pattern=".nitido-upscale.jsonl",
        whole=True,
    ),
}


def damaged(rng: random.Random, path: Path, files: Sequence[Path]) -> bytes:
    """The content of `path` after a mutation that fits its kind; others of its kind among `files` may lend parts."""
    others = [other.read_bytes() for other in files if other.suffix == path.suffix][:20]
    if path.suffix in (".json", ".jsonl"):
        return mutate_json(rng, path.read_bytes(), others)
    if path.suffix in (".yaml", ".yml", ".txt"):
        return mutate_text(rng, path.read_bytes(), others)
    return mutate(rng, path.read_bytes(), others)


def run_batch(name: str, seed: int, first: int, count: int, corpus: str, work: str, log: str) -> None:
    """Try the inputs `first` … `first + count - 1` of a target; a line of JSON for each goes to `log`.

    Before an input is tried its number is written, so that the log says what ended this process.
    """
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (int(size.split()[1]) * 1024 + 2 * LARGEST_MEMORY,) * 2)
    expected: dict[str, Any] | None = None
    figures = TARGETS[name].figures
    with Path(log).open("a", encoding="utf-8") as lines:
        for index in range(first, first + count):
            print(json.dumps({"started": index}), file=lines, flush=True)
            signal.alarm(4 * SECONDS)
            if figures is not None and expected is None:
                outputs, wrong = _outputs(TARGETS[name], place_input(name, None, Path(corpus), Path(work))[1])
                assert not wrong, wrong
                assert all(outputs)
                expected = figures(outputs)
            file, given = place_input(name, random.Random(f"{seed}/{name}/{index}"), Path(corpus), Path(work))
            _forget_peak()
            before, began = _resident("VmRSS"), time.perf_counter()
            signal.alarm(SECONDS)
            outputs, wrong = _outputs(TARGETS[name], given)
            signal.alarm(0)
            seconds, memory = time.perf_counter() - began, _resident("VmHWM") - before
            if figures is not None and expected is not None and not wrong and all(outputs):
                said = figures(outputs)
                if any(expected[key] != value for key, value in said.items()):
                    wrong = f"another result and no error: {said} instead of {expected}"[:3000]
            if memory > LARGEST_MEMORY:
                wrong = f"{memory >> 20} MB of memory"
            found = {"ended": index, "file": file, "wrong": wrong, "seconds": seconds, "memory": memory}
            print(json.dumps(found), file=lines, flush=True)


def place_input(name: str, rng: random.Random | None, corpus: Path, work: Path) -> tuple[str, Path]:
    """Put an input into the working folder, damaged if there is a generator; its file, and what commands get."""
    target = TARGETS[name]
    source = corpus / target.folder
    files = sorted(path for path in source.rglob(target.pattern) if path.is_file() and path.name != ".lock")
    chosen = rng.choice(files) if rng is not None else files[0]
    place = work / target.folder
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    os.chdir(work)
    (work / "images").symlink_to(corpus / "images")
    if not target.whole:
        place.mkdir()
        given = place / chosen.name
        given.write_bytes(chosen.read_bytes() if rng is None else damaged(rng, chosen, files))
        return chosen.name, given
    shutil.copytree(source, place, symlinks=True)
    if rng is not None:
        _damage_in(rng, place / chosen.relative_to(source), chosen, files)
    return chosen.relative_to(source).as_posix(), place


def _damage_in(rng: random.Random, place: Path, chosen: Path, files: Sequence[Path]) -> None:
    """Damage a file of a folder: mostly its content, sometimes all of it."""
    match rng.randrange(12):
        case 0:
            place.unlink()
        case 1:
            place.unlink()
            place.mkdir()
        case 2:
            place.unlink()
            place.symlink_to(place.name)
        case _:
            place.write_bytes(damaged(rng, chosen, files))


def _outputs(target: Target, given: Path) -> tuple[list[str], str]:
    """What the commands put out, "" for one that ended in an error, and what is wrong with how they ended."""
    outputs = []
    for arguments in target.commands(given):
        code, out, err = run_command(arguments)
        problem = _problem(code, err, bool(out))
        if problem:
            return [], f"{' '.join(arguments)}: {problem}"
        outputs.append(out if code == 0 else "")
        if code:
            break
    return outputs, ""


def run_command(arguments: Arguments) -> tuple[Any, str, str]:
    """Exit code, standard output and standard error of a command in this process; a traceback is in the latter."""
    import traceback

    from nitido.cli.app import main

    sys.argv = ["nitido", *arguments]
    Path("result.png").unlink(missing_ok=True)
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            code = "traceback"
            traceback.print_exc()
    result = Path("result.png")
    shown = out.getvalue() + (result.read_bytes().hex() if result.exists() else "")
    return code, shown, err.getvalue()


def _problem(code: Any, err: str, said: bool) -> str:
    """What is wrong with how a command ended; "" where nothing is."""
    lines = [line for line in err.splitlines() if line.startswith("nitido: ")]
    if code == "traceback" or "Traceback" in err:
        return err[-3000:]
    if code not in (0, 1, 2):
        return f"exit code {code}: {err[-500:]}"
    if code and not lines and not said and "Usage" not in err:
        return f"exit code {code} without a line that says why: {err[-500:]}"
    if code and any("enough memory" in line for line in lines):
        return f"the memory of {2 * LARGEST_MEMORY >> 30} GB was not enough: {lines[0]}"
    if any(not character.isprintable() for line in lines for character in line):
        return f"unprintable characters reach the terminal: {lines!r}"
    return ""


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _resident(key: str) -> int:
    """Resident memory of this process in bytes: `VmRSS` now, `VmHWM` at most since the peak was forgotten."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(key)).split()[1]) * 1024
