"""The workers asked of a cluster: how many, what each of them gets, and whether to wait."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from fewbench.errors import BenchError, shortened

LOCAL, SLURM, RAY = EXECUTORS = ("local", "slurm", "ray")

LIBRARIES = {SLURM: "submitit", RAY: "ray"}
"""The package that an executor needs; its extra has the executor's name."""

SHORTEST = 3
"""The fewest minutes of a Slurm job: it is told to stop before they are over."""

EXAMPLES = {SLURM: "--per-job time=8h,cpus=4,memory=16G", RAY: "--per-job cpus=1,gpus=0.5"}

ALLOWED = {
    "cpus": "a number above 0",
    "gpus": "0, a number below 1, or a whole one",
    "memory": "a size such as 16G or 500M",
    "time": f"minutes or hours, as 90m or 8h, from {SHORTEST}m",
    "partition": "a name",
    "account": "a name",
    "qos": "a name",
    "constraint": "a name",
}
"""The keys of `--per-job`, and what each takes."""

_OF_RAY = ("cpus", "gpus", "memory")

_SIZES = {"M": 1, "G": 1 << 10, "T": 1 << 20}

_MINUTES = {"m": 1, "h": 60, "d": 1440}


class Allotment(NamedTuple):
    """The part of a cluster that each worker gets: `memory` in MiB, `minutes` until it must end.

    None and empty texts stand for the cluster's defaults.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int | None = None
    minutes: int | None = None
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""


class AskedCluster(NamedTuple):
    """The workers that a plan is carried out by.

    Args:
        executor: `slurm` or `ray`.
        jobs: the number of workers; None for as many as there is room for (Ray).
        each: what each of them gets.
        address: of a Ray cluster that is running; None for one on this machine.
        detach: leave them alone once they are asked for (Slurm).
    """

    executor: str
    jobs: int | None = None
    each: Allotment = Allotment()
    address: str | None = None
    detach: bool = False


def asked_cluster(
    executor: str,
    *,
    jobs: int | None = None,
    per_job: str | None = None,
    address: str | None = None,
    detach: bool = False,
    device: str = "auto",
) -> AskedCluster | None:
    """Return the workers that options of these names ask for; None for this machine alone.

    Raises:
        BenchError: an executor that there is not, whose package is missing or that takes no such
            option; or a value that is none.
    """
    if executor not in EXECUTORS:
        raise BenchError(
            f"unknown executor '{shortened(executor)}'",
            allowed=EXECUTORS,
            given=executor,
            fix="--executor slurm",
        )
    given = {"--jobs": jobs, "--per-job": per_job, "--address": address, "--detach": detach}
    _check_options(executor, [option for option, value in given.items() if value])
    if executor == LOCAL:
        return None
    _check_library(executor)
    each = _allotment(executor, per_job)
    if executor == SLURM and jobs is None:
        raise BenchError("--executor slurm needs the number of jobs", fix="--jobs 4")
    _check_device(device, each)
    return AskedCluster(executor, jobs, each, address, detach)


def _check_device(device: str, each: Allotment) -> None:
    """Refuse a device that workers do not get."""
    if device not in ("auto", "cpu", "cuda"):
        raise BenchError(
            f"--device is '{shortened(device)}' for workers on a cluster",
            allowed=("auto", "cpu", "cuda"),
            fix="--per-job gpus=1 --device cuda",
        )
    if device == "cuda" and not each.gpus:
        raise BenchError("--device cuda, but the workers get no GPU", fix="--per-job gpus=1")


def _check_options(executor: str, given: Collection[str]) -> None:
    """Refuse options that another executor takes."""
    takes = {
        LOCAL: (),
        SLURM: ("--jobs", "--per-job", "--detach"),
        RAY: ("--jobs", "--per-job", "--address"),
    }
    for option in given:
        if option in takes[executor]:
            continue
        others = [name for name, options in takes.items() if option in options]
        raise BenchError(
            f"{option} does not go with --executor {executor}",
            allowed=takes[executor] or "no option of a cluster",
            fix=f"--executor {others[0]}",
        )


def _check_library(executor: str) -> None:
    library = LIBRARIES[executor]
    if find_spec(library) is None:
        raise BenchError(
            f"--executor {executor} needs the package {library}",
            fix=f"pip install 'fewbench[{executor}]'",
        )


def _allotment(executor: str, text: str | None) -> Allotment:
    """Return the part that `--per-job` gives each worker."""
    pairs = _pairs(executor, text or "")
    if executor == SLURM and "time" not in pairs:
        raise BenchError("a Slurm job needs a time limit", fix=EXAMPLES[SLURM])
    each = Allotment(
        cpus=_number("cpus", pairs.get("cpus", "1")),
        gpus=_number("gpus", pairs.get("gpus", "0")),
        memory=_memory(pairs["memory"]) if "memory" in pairs else None,
        minutes=_time(pairs["time"]) if "time" in pairs else None,
        partition=_name("partition", pairs),
        account=_name("account", pairs),
        qos=_name("qos", pairs),
        constraint=_name("constraint", pairs),
    )
    for key, number in (("cpus", each.cpus), ("gpus", each.gpus)):
        if executor == SLURM and number != int(number):
            raise _wrong(key, pairs[key], "a whole number on Slurm", "--executor ray shares one")
    return each


def _pairs(executor: str, text: str) -> dict[str, str]:
    """Return the keys and values of a text such as `cpus=4,time=8h`."""
    allowed = _OF_RAY if executor == RAY else tuple(ALLOWED)
    pairs: dict[str, str] = {}
    for piece in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if key not in allowed or not equals or not value or key in pairs:
            raise BenchError(
                f"--per-job has '{shortened(piece)}' for --executor {executor}",
                allowed=f"each once: {', '.join(f'{name}=…' for name in allowed)}",
                fix=EXAMPLES[executor],
            )
        pairs[key] = value
    return pairs


def _number(key: str, text: str) -> float:
    match = re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII)
    number = float(text) if match else -1.0
    whole = number <= 1 or number == int(number)
    if number < 0 or not whole or (key == "cpus" and not number):
        raise _wrong(key, text)
    return number


def _memory(text: str) -> int:
    """Return a size in MiB."""
    match = re.fullmatch(r"(\d{1,9})([MGT])B?", text.upper(), re.ASCII)
    size = int(match[1]) * _SIZES[match[2]] if match else 0
    if not size:
        raise _wrong("memory", text)
    return size


def _time(text: str) -> int:
    """Return a time in minutes."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
    if minutes < SHORTEST:
        raise _wrong("time", text)
    return minutes


def _name(key: str, pairs: Mapping[str, str]) -> str:
    """Return a name as Slurm takes it: it stands in a line of a script."""
    text = pairs.get(key, "")
    if text and not re.fullmatch(r"[\w.+:&|*@/-]{1,200}", text, re.ASCII):
        raise _wrong(key, text)
    return text


def _wrong(key: str, text: str, allowed: str | None = None, fix: str | None = None) -> BenchError:
    return BenchError(
        f"--per-job {key} is '{shortened(text)}'",
        allowed=allowed or ALLOWED[key],
        fix=fix or EXAMPLES[SLURM],
    )
