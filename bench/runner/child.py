"""The process that carries out one work and ends: no method sees what another has left behind.

It is forked from a server that has loaded the libraries and nothing else, so it starts in a known
state, holds no test label, and starts quickly. Only what it writes to the pipe leaves it
(`fewbench.runner.channel`).
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import torch
from transformers.utils import logging

from fewbench.nn.fit_context import Models
from fewbench.runner import channel
from fewbench.runner.jobs import Job
from fewbench.runner.preflight import Checks, answer_checks
from fewbench.runner.run import attempt, build, failed
from fewbench.runner.starting import Start
from fewbench.runner.watched import Tell, Teller
from fewbench.types import Json

KILLED = 255
"""The exit status of a process that was told to end: no run is blamed for that."""


def main(content: bytes, start: Start, pipe: Connection, told: Connection) -> None:
    """Carry out a pickled work (a `Job` as sent, a `Preparation` or `Checks`), report, and exit.

    The parent pickles, and never unpickles anything from here. Progress goes to `told`.
    """
    number = os.dup(pipe.fileno())
    try:
        _alone(number)
        _known_state(start)
        answer = _answer(content, start, Teller(told.fileno()))
    except BaseException as error:
        answer = failed(error)
    faulthandler.disable()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for printed in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            printed.flush()
    with open(number, "wb") as stream:  # noqa: PTH123 (a descriptor)
        stream.write(answer)
    os._exit(0)  # whatever threads or exit handlers the method has left


def _answer(content: bytes, start: Start, tell: Tell) -> bytes:
    work = pickle.loads(content)
    models = Models(torch.device(start.device))
    if isinstance(work, Checks):
        return channel.pack({"status": "ok", "refusals": answer_checks(work, models)}, {})
    before = state()
    if isinstance(work, Job):
        answer = attempt(work, models, start.artifacts, tell)
        unchanged = pickle.loads(content)
        return _with_warnings(answer, [*altered(before, state()), *changed(unchanged, work)])
    assert start.artifacts is not None
    return build(work, models, start.artifacts)


def _with_warnings(answer: bytes, warnings: list[str]) -> bytes:
    if not warnings:
        return answer
    report, arrays = channel.unpack(answer)
    if report["status"] != "ok":
        return answer
    return channel.pack({**report, "warnings": [*report["warnings"], *warnings]}, arrays)


def state() -> Json:
    """Return the state of this process that would change the numbers of a run after this one."""
    return {
        "the number of torch's threads": torch.get_num_threads(),
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's default device": str(torch.get_default_device()),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        "the precision of float32 products": torch.get_float32_matmul_precision(),
        "the precision of float32 convolutions": torch.backends.cudnn.allow_tf32,
        "torch's autocast": [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        "the working folder": _folder(),
        "the environment": dict(os.environ),
    }


def altered(before: Json, after: Json) -> list[str]:
    """Return a line for each part of the state that has changed."""
    return [
        f"this method left {name} changed" for name, value in before.items() if after[name] != value
    ]


def changed(given: Job, after: Job) -> list[str]:
    """Return a line for each argument that a method has changed."""
    pairs = {"task": (given.task, after.task), "split": (given.split, after.split)}
    pairs["protocol"] = (given.protocol, after.protocol)
    return [
        f"this method changed the {name} it was given"
        for name, (old, new) in pairs.items()
        if old != new
    ]


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (a text, and it may be gone)
    except OSError:
        return ""


def _alone(number: int) -> None:
    """Isolate this process: its own session, prints to stderr, a trace if it crashes.

    It ends when its parent does.
    """
    os.setsid()
    os.dup2(2, 1)  # what a method prints is no output of the command
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(number, all_threads=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and ends its children itself
    signal.signal(signal.SIGTERM, lambda *_: os._exit(KILLED))
    _let_go()
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _let_go() -> None:
    """Close the pipes to the server and its resource tracker: writing there could end processes.

    A method that uses `multiprocessing` itself gets its own.
    """
    shared: list[tuple[Any, str]] = [
        (forkserver._forkserver, "_forkserver_alive_fd"),
        (resource_tracker._resource_tracker, "_fd"),
    ]
    for owner, name in shared:
        number = getattr(owner, name, None)
        if number is not None:
            os.close(number)
            setattr(owner, name, None)
    private: Any = forkserver._forkserver
    private._forkserver_address = None


def _end_with(parent: Any) -> None:
    """End this process and all it started once its parent is gone: nobody would read the answer."""
    parent.join()
    os.killpg(0, signal.SIGKILL)


def _known_state(start: Start) -> None:
    os.environ.clear()
    os.environ.update(start.environment)
    os.chdir(start.folder)
    torch.set_num_threads(start.threads)
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32, on a GPU too
    torch.backends.cudnn.allow_tf32 = False
    if start.device.startswith("cuda"):
        torch.cuda.set_device(start.device)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
