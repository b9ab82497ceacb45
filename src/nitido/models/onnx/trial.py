"""Runs an ONNX file once in a separate process with limited time and memory.

ONNX Runtime evaluates constants while it reads a graph: a damaged or malicious file can take all memory, crash, or run
forever. This file is also the program of that process. It imports nothing of nitido, so that it starts quickly.
"""

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 60
"""Time limit for reading the file and upscaling a few pixels."""

MEMORY = 2 << 30
"""Bytes of address space in addition to four times the file size."""

READ, RUN = "read", "run"
"""The stage of a failure."""


def try_onnx_file(path: Path, channels: int) -> tuple[str, str] | None:
    """Upscale 2×3 pixels with the file. Return None, or the stage of the failure (`READ` or `RUN`) and its reason."""
    command = [sys.executable, "-P", __file__, str(path.resolve()), str(channels)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return RUN, f"it did not end within {SECONDS} s"
    try:
        failure = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):  # it crashed, so the last line is not JSON
        return READ, f"ONNX Runtime crashed with exit code {done.returncode}"
    return None if failure is None else (failure[0], failure[1])


def _limit_memory(path: Path) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MEMORY + 4 * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _try(path: Path, channels: int) -> list[str] | None:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    stage = READ
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        stage = RUN
        (given,) = session.get_inputs()
        session.run(None, {given.name: np.zeros((1, channels, 2, 3), np.float32)})
    except Exception as error:  # damage may lead to any exception
        return [stage, str(error).strip().partition("\n")[0] or type(error).__name__]
    return None


if __name__ == "__main__":
    _limit_memory(Path(sys.argv[1]))
    print(json.dumps(_try(Path(sys.argv[1]), int(sys.argv[2]))))
