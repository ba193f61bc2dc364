"""Keep results that take long in the user's cache, each under a hash of all that decides it.

A file may be deleted at any time. It is written atomically, holds JSON under its own checksum, and
counts only if that is right; the newest files of each kind stay. `FEWBENCH_CACHE` names another
folder, and `off` keeps and reads nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.io.atomic import remove, write_whole
from fewbench.io.files import LARGEST_DATA, parse_json, read_file

VARIABLE = "FEWBENCH_CACHE"
OFF = "off"
ENDING = ".json"


def user_cache() -> Path:
    """Return the folder of this package in the user's cache."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "fewbench"


class Kept(NamedTuple):
    """One kind of results in the cache.

    Args:
        kind: the name of its folder.
        most: how many files stay.
        most_bytes: how large they may be together.
    """

    kind: str
    most: int
    most_bytes: int

    def get(self, key: str) -> Any:
        """Return what is kept under a key; None if there is nothing, or it is damaged."""
        file = self._file(key)
        if file is None:
            return None
        try:
            digest, _, content = read_file(file, LARGEST_DATA).partition(b"\n")
            if hashlib.sha256(content).hexdigest().encode() != digest:
                return None
            return parse_json(content)
        except (OSError, ValueError):
            return None

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key; do nothing where that cannot be written."""
        file = self._file(key)
        if file is None:
            return
        with contextlib.suppress(OSError, ValueError, TypeError):
            content = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
            write_whole(file, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            self._drop_oldest(file)

    def _file(self, key: str) -> Path | None:
        place = os.environ.get(VARIABLE) or str(user_cache() / "kept")
        return None if place == OFF else Path(place).absolute() / self.kind / f"{key}{ENDING}"

    def _drop_oldest(self, newest: Path) -> None:
        others = (file for file in newest.parent.iterdir() if file.suffix == ENDING)
        ages = sorted(((file.stat().st_mtime_ns, file) for file in others), reverse=True)
        total = 0
        for place, (_, file) in enumerate(ages):
            total += file.stat().st_size
            if file != newest and (place >= self.most or total > self.most_bytes):
                remove(file)


def key_of(*parts: object) -> str:
    """Return a hash of some values' exact texts: 64 hexadecimal digits."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def bytes_hash(files: Iterable[Path]) -> str:
    """Return a hash of some files' names and bytes.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(str(file).encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(read_file(file)).digest())
    return digest.hexdigest()
