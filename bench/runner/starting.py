"""The start of a process that carries out one work, without torch in the process that asks."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple

from fewbench.store.artifacts import Artifacts


class Start(NamedTuple):
    """The conditions that a process starts with: device, threads, environment, folders."""

    device: str
    threads: int
    environment: Mapping[str, str]
    folder: str
    artifacts: Artifacts | None


def begin(content: bytes, start: Start, pipe: Connection, told: Connection) -> None:
    """Carry out a pickled work and end (`fewbench.runner.child`); the libraries load here."""
    from fewbench.runner.child import main

    main(content, start, pipe, told)
