"""The process that imports nitido once and forks a child for each line of JSON that it reads. See `client`."""

import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

WARM = (
    "nitido.cli.app",
    "nitido.study.run",
    "nitido.study.publish",
    "nitido.evaluation.model_comparison",
    "nitido.upscaling.batch",
    "nitido.upscaling.upscaler",
    "matplotlib.pyplot",
    "tests.faults.operations",
)
"""What most commands import; whatever a child imports besides is imported before the next one is forked."""

IMPORTED_AHEAD = {
    "nitido",
    "matplotlib",
    "PIL",
    "lightning",
    "tensorboard",
    "torchinfo",
    "torchview",
    "skimage",
    "scipy",
}
"""Packages whose modules are imported in the server once a child needed them; others may start threads."""


def command(args: list[str], faults: dict[str, Any] | None) -> dict[str, Any]:
    """Run the command line; returns how many file-system operations there were, if they were watched."""
    from nitido.cli.app import main

    for module, name, value in quick_measurements(benchmark=args[:1] == ["benchmark"]):
        setattr(module, name, value)
    operations = None
    if faults is not None:
        from tests.faults.operations import watch

        operations = watch(**faults)
    sys.argv = ["nitido", *args]
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    return {"code": code, "operations": operations.count if operations is not None else 0}


def execute(code: str, args: list[str]) -> dict[str, Any]:
    """Do what `python -c code args` does."""
    sys.argv = ["-c", *args]
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        return {"code": end.code or 0}
    return {"code": 0}


def quick_measurements(*, benchmark: bool = False) -> Iterator[tuple[ModuleType, str, Any]]:
    """Yield modules, names in them and short values for what is measured: times are not tested.

    Costs take one round, figures have few pixels, and a damaged lease is soon stale. A `benchmark` multiplies small
    matrices, compiles nothing and looks at two built-in studies.
    """
    short: dict[str, dict[str, Any]] = {
        "nitido.study.report.costs": {
            "SIDES": (32,),
            "ROUNDS": 1,
            "peak_memories": lambda models, lr_size: [1 << 20] * len(models),
        },
        "nitido.inspection.diagram": {"_DPI": 40},
        "nitido.base.leases": {"BEAT": 0.5, "STALE_AFTER": 5.0},
        "nitido.study.report.ranking": {"_DPI": 40},
    }
    if benchmark:
        short |= {
            "nitido.benchmarking.matrix_peak": {"SIDES": (64, 128), "TURN": 0.001},
            "nitido.benchmarking.training_speed": {"ROUND_SECONDS": 0.01},
            "nitido.benchmarking.data_speed": {"builtin_names": lambda: ["srcnn", "vdsr"]},
            "nitido.training.fast_path": {"FEWEST_STEPS": 1 << 30},
        }
    for name, values in short.items():
        module = importlib.import_module(name)
        for key, value in values.items():
            assert hasattr(module, key), f"{name} has no {key}"
            yield module, key, value


def compile_templates() -> None:
    """Compile the templates of reports, which the children then share."""
    from nitido.study.report.html import _environment

    for name in _environment().list_templates(extensions=["j2"]):
        _environment().get_template(name)


def main() -> None:
    """Answer until standard input is closed."""
    scratch = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in WARM:
        importlib.import_module(name)
    compile_templates()
    for line in sys.stdin:
        job = json.loads(line)
        (scratch / "result").unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run_child(job, scratch)
        (scratch / "draft").write_text(str(child))
        (scratch / "draft").rename(scratch / "pid")
        _, status, usage = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        result = json.loads((scratch / "result").read_text()) if (scratch / "result").exists() else {}
        for name in result.get("imported", ()):
            with suppress(ImportError):  # a module that another one put together
                importlib.import_module(name)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = {"code": code, "value": result.get("value"), "peak": max(0, usage.ru_maxrss - own) * 1024}
        print(json.dumps(answer), file=answers, flush=True)


def _run_child(job: dict[str, Any], scratch: Path) -> None:
    """Call the job's function; never returns."""
    code = 99
    try:
        os.setpgid(0, 0)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(scratch / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for number, name in job["streams"].items():
            _redirect(int(number), name)
        ambient, asked = os.environ.get("TMPDIR"), job["environment"].get("TMPDIR")
        own = tempfile.mkdtemp(dir=scratch)
        tempfile.tempdir = own if asked in (None, ambient) else asked
        os.environ.update(job["environment"])
        os.chdir(job["cwd"])
        path = job["environment"].get("PYTHONPATH", "").split(os.pathsep)
        sys.path[1:1] = [folder for folder in path if folder and folder not in sys.path]
        if "MATPLOTLIBRC" in job["environment"]:  # which is read when Matplotlib is imported
            sys.modules["matplotlib"].rc_file(job["environment"]["MATPLOTLIBRC"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(job["timeout"])
        before = set(sys.modules)
        module, _, name = job["function"].partition(":")
        value = getattr(importlib.import_module(module), name)(**job["arguments"])
        signal.alarm(0)
        for path in Path(own).glob("nitido-traceback-*.txt"):
            print(path.read_text(), file=sys.stderr)
        code = value["code"] if isinstance(value, dict) and "code" in value else 0
        imported = [found for found in sys.modules if found not in before and found.partition(".")[0] in IMPORTED_AHEAD]
        (scratch / "result").write_text(json.dumps({"value": value, "imported": imported}))
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except OSError:
                code = 120  # as the interpreter ends then
        os._exit(code if isinstance(code, int) else 1)


def _redirect(number: int, target: str) -> None:
    """Make a standard stream a file, or as a shell leaves it: `closed`, or `unread`, a pipe that nobody reads."""
    if target == "closed":
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
        return
    if target == "unread":
        reader, file = os.pipe()
        os.close(reader)
    else:
        file = os.open(target, os.O_WRONLY)
    os.dup2(file, number)
    os.close(file)


if __name__ == "__main__":
    main()
    os._exit(0)  # the interpreter takes seconds to free what it has imported
