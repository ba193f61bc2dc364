"""Reads each file of the installed methods and tasks once a process.

Most commands and many tests read all of them, which takes a tenth of a second each time; no test
changes them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fewbench.data import task_file
from fewbench.data.task_file import TaskFile
from fewbench.registry import methods as registry
from fewbench.registry.methods import MethodInfo


def read_once() -> None:
    """Make this process read each file of an installed method or task only once."""
    read, load = registry.read_method, task_file.load_file
    methods = {info.file for info in registry.methods().values()}
    # A file of prompts for other tasks is left out: its tables are used up as they are read.
    tasks = {file for file in registry.task_files() if not load(file).prompts}
    known, loaded = lru_cache(maxsize=None)(read), lru_cache(maxsize=None)(load)

    def read_method(file: Path) -> MethodInfo:
        return known(file) if file in methods else read(file)

    def load_file(path: Path) -> TaskFile:
        return loaded(path) if path in tasks else load(path)

    registry.read_method, task_file.load_file = read_method, load_file
    registry.entry_points = lru_cache(maxsize=None)(registry.entry_points)
