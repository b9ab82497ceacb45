"""The process that imports nitido once and forks a child for each line of JSON that it reads. See `client`."""

import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
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

    for name, value in quick_costs().items():
        setattr(sys.modules["nitido.study.report.costs"], name, value)
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
    finally:
        for path in Path(tempfile.gettempdir()).glob("nitido-traceback-*.txt"):
            print(path.read_text(), file=sys.stderr)
    return {"code": code, "operations": operations.count if operations is not None else 0}


def quick_costs() -> dict[str, Any]:
    """Return what to replace in `nitido.study.report.costs`, so that costs are measured in one short round.

    How long that takes is not what these tests look at.
    """
    return {"SIDES": (32,), "ROUNDS": 1, "peak_memories": lambda models, lr_size: [1 << 20] * len(models)}


def main() -> None:
    """Answer until standard input is closed."""
    scratch = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        (scratch / "result").unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run_child(job, scratch)
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
        os.environ.update(job["environment"])
        tempfile.tempdir = tempfile.mkdtemp(dir=scratch)
        os.chdir(job["cwd"])
        if "MATPLOTLIBRC" in job["environment"]:  # which is read when Matplotlib is imported
            sys.modules["matplotlib"].rc_file(job["environment"]["MATPLOTLIBRC"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(job["timeout"])
        before = set(sys.modules)
        module, _, name = job["function"].partition(":")
        value = getattr(importlib.import_module(module), name)(**job["arguments"])
        signal.alarm(0)
        code = value["code"] if isinstance(value, dict) and "code" in value else 0
        imported = [found for found in sys.modules if found not in before and found.partition(".")[0] in IMPORTED_AHEAD]
        (scratch / "result").write_text(json.dumps({"value": value, "imported": imported}))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
    os._exit(0)  # the interpreter takes seconds to free what it has imported
