"""The process that carries out one piece of work, and then is gone: no method sees what another
left behind.

It is forked from a server that has loaded the libraries and nothing else, so it starts from a known
state, holds no test label, and costs little. What it writes to the pipe is all that leaves it
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
from collections.abc import Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch
from transformers.utils import logging

from fewbench.nn.fit_context import Models
from fewbench.runner import channel
from fewbench.runner.jobs import Job
from fewbench.runner.preflight import Checks, answer_checks
from fewbench.runner.run import attempt, build, failed
from fewbench.store.artifacts import Artifacts


class Start(NamedTuple):
    """How a process starts: where it computes and with how many threads, its environment, and where
    artifacts lie.
    """

    device: str
    threads: int
    environment: Mapping[str, str]
    folder: str
    artifacts: Artifacts | None


def main(content: bytes, start: Start, pipe: Connection) -> None:
    """Carry out a pickled piece of work (a `Job` as sent, a `Preparation`, `Checks`), answer, and
    end this process.

    The parent pickles, and never unpickles anything from here.
    """
    number = os.dup(pipe.fileno())
    try:
        _alone(number)
        _known_state(start)
        answer = _answer(content, start)
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


def _answer(content: bytes, start: Start) -> bytes:
    work = pickle.loads(content)
    models = Models(torch.device(start.device))
    if isinstance(work, Checks):
        return channel.pack({"status": "ok", "refusals": answer_checks(work, models)}, {})
    before = state()
    if isinstance(work, Job):
        answer = attempt(work, models, start.artifacts)
        given = pickle.loads(content)
        return _with_warnings(answer, [*altered(before, state()), *changed(given, work)])
    assert start.artifacts is not None
    return build(work, models, start.artifacts)


def _with_warnings(answer: bytes, found: list[str]) -> bytes:
    if not found:
        return answer
    told, arrays = channel.unpack(answer)
    if told["status"] != "ok":
        return answer
    return channel.pack({**told, "warnings": [*told["warnings"], *found]}, arrays)


def state() -> dict[str, Any]:
    """Return what a method may change of its process that would change other numbers, if others
    came after it.
    """
    return {
        "the number of torch's threads": torch.get_num_threads(),
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's default device": str(torch.get_default_device()),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        "the precision of float32 products": torch.get_float32_matmul_precision(),
        "the working folder": _folder(),
        "the environment": dict(os.environ),
    }


def altered(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that is not as it was."""
    return [
        f"this method left {name} changed" for name, value in before.items() if after[name] != value
    ]


def changed(given: Job, after: Job) -> list[str]:
    """Return a line for each thing that a method was handed and has changed."""
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
    """Cut this process off: a session of its own, prints to stderr, deaths that say where, an end
    with its parent.
    """
    os.setsid()
    os.dup2(2, 1)  # what a method prints is no output of the command
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(number, all_threads=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and ends its children itself
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    _let_go()
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _let_go() -> None:
    """Close the pipes to the server and to its tracker of resources: what is written there would
    end all processes.

    Should the method use `multiprocessing` itself, it gets its own.
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
    setattr(forkserver._forkserver, "_forkserver_address", None)  # noqa: B010 (private to multiprocessing)


def _end_with(parent: Any) -> None:
    """End this process and all it started when its parent is gone (killed, say): nobody would read
    the answer.
    """
    parent.join()
    os.killpg(0, signal.SIGKILL)


def _known_state(start: Start) -> None:
    os.environ.clear()
    os.environ.update(start.environment)
    os.chdir(start.folder)
    torch.set_num_threads(start.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    logging.set_verbosity_error()
    logging.disable_progress_bar()
