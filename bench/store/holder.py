"""The process that holds a claim, and whether it is certain that it has ended."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.types import Json


class Holder(NamedTuple):
    """A process of some machine.

    `host` is the machine's name for people. `machine` identifies this start of it and, among
    containers, those that see the same processes. `born` is when the process began, so that another
    one with its number is not taken for it; empty where the system does not tell.
    """

    host: str
    machine: str
    pid: int
    born: str = ""

    @property
    def title(self) -> str:
        """The process as a person would look for it."""
        return f"{self.host}, pid {self.pid}"

    @property
    def is_here(self) -> bool:
        """True if the process is one of this machine; False where its machine is unknown."""
        return bool(self.machine) and self.machine == this_machine()

    @property
    def is_gone(self) -> bool:
        """True if the process was one of this machine, and has ended.

        Nothing is known of processes of other machines.
        """
        if not self.is_here:
            return False
        state, born = _process(self.pid)
        return not state or state == "Z" or born != self.born


def this_process() -> Holder:
    """Return the process that asks."""
    pid = os.getpid()
    return Holder(socket.gethostname(), this_machine(), pid, _process(pid)[1])


def holder_from(content: Json) -> Holder | None:
    """Return the holder that a claim's content names; None if it names none."""
    host, machine, pid, born = (content.get(name) for name in Holder._fields)
    texts = isinstance(host, str) and isinstance(machine, str) and isinstance(born, str)
    if not texts or not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return None
    return Holder(str(host), str(machine), pid, str(born))


@lru_cache
def this_machine() -> str:
    """Return the boot of this machine and the space of process numbers; empty if unknown.

    Two containers may have one name, and numbers of their own for processes.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 (no path)
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str]:
    """Return a process's state and the time of its start in ticks; empty if there is no such one.

    Its name, the second field, may hold anything, brackets too.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("ascii", "replace")
    except OSError:
        return "", ""
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
