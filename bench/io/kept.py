"""Keep results that take long in the user's cache, each under a hash of all that decides it.

A file may be deleted at any time. It is written atomically, holds JSON under its own checksum, and
counts only if that is right; the newest files of each kind stay. `FEWBENCH_CACHE` names another
folder, and `off` keeps and reads nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.io.atomic import remove, write_whole
from fewbench.io.files import LARGEST_DATA, parse_json, read_file

ROOT = Path(__file__).resolve().parents[1]

VARIABLE = "FEWBENCH_CACHE"
OFF = "off"
ENDING = ".kept"


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
        """Return the JSON value that is kept under a key; None without one."""
        content = self.get_bytes(key)
        with contextlib.suppress(ValueError):
            return None if content is None else parse_json(content)
        return None

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON value under a key; do nothing where that cannot be written."""
        with contextlib.suppress(ValueError, TypeError):
            self.put_bytes(key, json.dumps(value, separators=(",", ":"), allow_nan=False).encode())

    def get_bytes(self, key: str) -> bytes | None:
        """Return the bytes that are kept under a key; None without any, or if they are damaged."""
        file = self._file(key)
        if file is None:
            return None
        try:
            digest, _, content = read_file(file, LARGEST_DATA).partition(b"\n")
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest().encode() == digest else None

    def put_bytes(self, key: str, content: bytes) -> None:
        """Keep bytes under a key; do nothing where they are too many, or cannot be written."""
        file = self._file(key)
        if file is None or len(content) > self.most_bytes:
            return
        with contextlib.suppress(OSError):
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


@lru_cache
def project_hash() -> str:
    """Return a hash of all code and declarations of the project, its methods among them."""
    spec = importlib.util.find_spec("fewbench.methods")
    folders = [ROOT, *map(Path, (spec and spec.submodule_search_locations) or ())]
    files = {file for folder in folders for file in folder.rglob("*") if file.suffix in _CODE}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(key_of(str(file), read_file(file)).encode())
    return digest.hexdigest()


_CODE = (".py", ".toml")
