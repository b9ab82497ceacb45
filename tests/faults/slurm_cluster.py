"""A SLURM cluster of one node on this machine, without systemd, for the time of a test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = """\
ClusterName=nitido
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
JobRequeue=1
KillWait=30
MinJobAge=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def slurm_cluster(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """Start the daemons with their files in `folder`; yield the environment of SLURM's commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    host = socket.gethostname()
    ports = {"controller": free_port(), "node": free_port()}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, cpus=cpus, **ports))
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    files = [f"--{what}={folder}/munge.{what.removesuffix('-file')}" for what in ("key-file", "log-file", "pid-file")]
    commands = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--seed-file={folder}/seed", *files],
        ["slurmctld", "-D", "-i"],
        ["slurmd", "-D", "-N", host],
    ]
    processes = []
    try:
        for command in commands:
            program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
            assert program is not None, f"{command[0]} is not installed"
            with (folder / f"{command[0]}.out").open("wb") as output:
                processes.append(
                    subprocess.Popen([program, *command[1:]], env=environment, stdout=output, stderr=output)
                )
            time.sleep(1)
        for _ in range(60):
            state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
            if state.stdout.strip() in ("idle", "mixed"):
                break
            time.sleep(0.5)
        else:
            raise AssertionError(f"the cluster is not up: {state}\n{(folder / 'slurmd.log').read_text()[-2000:]}")
        yield environment
    finally:
        subprocess.run(["scancel", "--me"], env=environment, check=False)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(20)
