"""Runs `bench` commands for the tests, each in a process forked from one that has the libraries.

A command of its own spends seconds on importing torch, twice: once itself, once in the server of
its workers. Here that is done once for all commands of a pytest process. A forked command has
arguments, environment, folder and output of its own, and leaves nothing behind.

Requests come over a socket, one at a time: JSON, with descriptors for stdout and stderr. The answer
is the exit code, negative where a signal ended the command.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

SETTLED_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "PYTHON", "HOME", "XDG_")
"""Starts of variables that libraries read once, when they are imported."""


class CommandServer:
    """A process that runs commands; start it once, and close it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._environment = settled(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """True if its libraries were imported in such an environment."""
        return settled(environment) == self._environment

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and return what it wrote, as text."""
        request = {"arguments": arguments, "environment": dict(environment), "folder": folder}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            content = json.dumps(request).encode()
            head = len(content).to_bytes(4, "little")
            socket.send_fds(self._socket, [head], [out.fileno(), err.fileno()])
            self._socket.sendall(content)
            self._socket.settimeout(timeout)
            answer = self._socket.recv(4)
            assert len(answer) == 4, "the server of commands has ended"
            out.seek(0)
            err.seek(0)
            code = int.from_bytes(answer, "little", signed=True)
            command = [sys.executable, "-m", "fewbench", *arguments]
            return subprocess.CompletedProcess(command, code, out.read(), err.read())

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.wait(timeout=60)


def settled(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that cannot change after the imports."""
    return {
        name: value for name, value in environment.items() if name.startswith(SETTLED_AT_IMPORT)
    }


def serve(link: socket.socket) -> None:
    """Run commands until the other side closes."""
    from read_once import read_once

    from fewbench.cli import main
    from fewbench.runner.processes import PRELOADED, get_ready

    for module in PRELOADED:
        __import__(module)
    read_once()
    while True:
        head, descriptors, _, _ = socket.recv_fds(link, 4, 2)
        if not head:
            return
        content = b""
        while len(content) < int.from_bytes(head, "little"):
            content += link.recv(1 << 16)
        get_ready()  # once, unless a command has ended the server of its workers
        pid = os.fork()
        if not pid:
            _command(main, json.loads(content), descriptors, link)
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        link.sendall(code.to_bytes(4, "little", signed=True))


def _command(main, request, descriptors, link) -> None:
    import numpy as np

    link.close()
    forkserver._forkserver.ensure_running = lambda: None  # it is no child of this process
    forkserver.ensure_running = forkserver._forkserver.ensure_running
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [str(Path(sys.modules["fewbench"].__file__).parent / "__main__.py")]
    sys.argv += request["arguments"]
    random.seed()
    np.random.seed()
    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
