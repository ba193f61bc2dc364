"""Hashes of the code of the project's methods, kept in the user's cache.

To find what counts takes most of a second. A hash is kept for the same bytes of all code of the
project, which is all that it can be of, and holds while no file has changed since they were read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.io.file_hash import file_hash
from fewbench.io.kept import ROOT, Kept, key_of

FileState = tuple[Path, int, int]
"""A file with its size and time of modification."""

HASHES = Kept("code", most=400, most_bytes=16 << 20)


class CodeHash(NamedTuple):
    """The hash of a method's code, and the files that were read for it."""

    digest: str
    files: tuple[FileState, ...]


def find_hash(file: Path) -> CodeHash | None:
    """Return the hash that is kept of a method of the project; None without it."""
    project = _project_code()
    kept = HASHES.get(project.key_for(file)) if file in project.files else None
    if kept is None:
        return None
    digest, *names = kept
    return CodeHash(digest, tuple(project.files[Path(name)] for name in names))


def keep_hash(file: Path, code: CodeHash) -> None:
    """Keep the hash of a method of the project, if it is of the project's code alone."""
    project = _project_code()
    if file in project.files and all(project.files.get(one[0]) == one for one in code.files):
        HASHES.put(project.key_for(file), [code.digest, *(str(one[0]) for one in code.files)])


class _ProjectCode(NamedTuple):
    """A hash of all code of the project, and its files as they were when they were read."""

    digest: str
    files: Mapping[Path, FileState]

    def key_for(self, file: Path) -> str:
        return key_of(self.digest, str(file), sys.version_info[:2])


@lru_cache
def _project_code() -> _ProjectCode:
    spec = importlib.util.find_spec("fewbench.methods")
    places = (spec and spec.submodule_search_locations) or ()
    folders = {ROOT, *(Path(place).resolve() for place in places)}
    found = sorted({file for folder in folders for file in folder.rglob("*.py")})
    files = {file: _state_of(file) for file in found}
    digest = hashlib.sha256()
    for file in found:
        digest.update(f"{file}\0".encode() + file_hash(file))
    return _ProjectCode(digest.hexdigest(), files)


def _state_of(file: Path) -> FileState:
    stat = file.stat()
    return file, stat.st_size, stat.st_mtime_ns
