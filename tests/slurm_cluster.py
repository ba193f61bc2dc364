"""A Slurm of one machine for trials: slurmctld and slurmd from Debian's packages, nodes by name.

Both run as this user in a folder of their own, on ports of their own, without munge and accounting,
and end with the block. The nodes are this machine, under several names.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")

CONFIG = """
ClusterName=trial
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
ReturnToService=2
KillWait=5
MinJobAge=10
RebootProgram=/bin/false
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=usual Nodes=ALL Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL MaxTime=60 State=UP PriorityTier=9 PreemptMode=OFF
"""

NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"


def missing() -> list[str]:
    """Return the programs that are not here (Debian: slurm-wlm)."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextlib.contextmanager
def cluster(folder: Path, nodes: int = 2) -> Iterator[dict[str, str]]:
    """Yield the environment in which Slurm's commands speak to a cluster of some nodes."""
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    ports = free_ports(nodes + 1)
    host = socket.gethostname().partition(".")[0]
    lines = [
        NODE.format(number=number, host=host, port=port)
        for number, port in enumerate(ports[1:], start=1)
    ]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    config = folder / "slurm.conf"
    config.write_text(
        CONFIG.format(controller=ports[0], user=user, folder=folder, nodes="\n".join(lines)),
        "utf-8",
    )
    environment = {**os.environ, "SLURM_CONF": str(config)}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        daemons.append(start(["slurmctld", "-D", "-i"], folder / "controller.out", environment))
        for number in range(1, nodes + 1):
            (folder / f"spool-n{number}").mkdir()
            command = ["slurmd", "-D", "-N", f"n{number}"]
            daemons.append(start(command, folder / f"n{number}.out", environment))
        wait_for_nodes(nodes, environment, folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--me"], env=environment, check=False, capture_output=True)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon in the foreground, with its output in a file."""
    path = environment["PATH"] + ":/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    assert program is not None
    with log.open("wb") as stream:
        return subprocess.Popen(
            [program, *command[1:]], stdout=stream, stderr=stream, env=environment
        )


def wait_for_nodes(nodes: int, environment: dict[str, str], folder: Path) -> None:
    """Wait until all nodes are idle."""
    until = time.monotonic() + 60
    said = ""
    while time.monotonic() < until:
        asked = ["sinfo", "--noheader", "--Node", "--partition", "usual", "--format", "%t"]
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        if done.stdout.split() == ["idle"] * nodes:
            return
        time.sleep(0.5)
    logs = [file.read_text(errors="replace")[-2000:] for file in folder.glob("*.out")]
    raise RuntimeError("\n".join(["Slurm does not start:", said, *logs]))
