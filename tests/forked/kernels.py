"""Jupyter kernels that are forked from one process, which has imported nitido: starting one takes no seconds.

`python kernels.py serve SOCKET` is that process. `python kernels.py SOCKET CONNECTION_FILE` is what Jupyter starts as
a kernel: it asks for a fork and lives as long as that does; the fork ends when it is killed.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ask(address: str, connection_file: str) -> None:
    """Ask for a kernel with this process's environment and folder, and wait for its end."""
    job = {"connection_file": connection_file, "environment": dict(os.environ), "cwd": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(json.dumps(job).encode() + b"\n")
        connection.recv(1)  # nothing is ever sent


def serve(address: str) -> None:
    """Fork a kernel for each that asks."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.forked.server import WARM, compile_templates, quick_measurements

    for name in (*WARM, "ipykernel.kernelapp"):
        importlib.import_module(name)
    compile_templates()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernels are not waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}-draft")
        listener.listen()
        Path(f"{address}-draft").rename(address)
        while True:
            connection, _ = listener.accept()
            job = json.loads(connection.makefile().readline())
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.environ.pop("JPY_PARENT_PID", None)  # a kernel ends when its parent is another one
    os.chdir(job["cwd"])
    for module, name, value in quick_measurements():
        setattr(module, name, value)

    def end_with_parent() -> None:
        connection.recv(1)
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel"]
    IPKernelApp.launch_instance(["-f", job["connection_file"]])
    os._exit(0)


@contextmanager
def forked_kernels(folder: Path) -> Iterator[None]:
    """Write Jupyter's description of such kernels to `folder`, and keep the process that forks them running."""
    from tests.forked.client import ROOT, SINGLE_THREADED

    settings = SINGLE_THREADED | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as Jupyter sets it
    with tempfile.TemporaryDirectory(prefix="nitido-kernels-") as scratch:
        address = f"{scratch}/socket"
        command = [sys.executable, __file__, "serve", address]
        with subprocess.Popen(command, env=os.environ | settings, cwd=ROOT) as server:
            while not Path(address).exists():
                assert server.poll() is None, "the process that forks kernels has died"
                time.sleep(0.05)
            folder.mkdir(parents=True)
            argv = [sys.executable, "-S", __file__, address, "{connection_file}"]
            words = {"argv": argv, "display_name": "nitido, forked", "language": "python"}
            (folder / "kernel.json").write_text(json.dumps(words))
            try:
                yield
            finally:
                server.kill()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[1], sys.argv[2])
