"""The hash of a file's bytes, read once a process as long as the file is not changed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from fewbench.io.files import open_file


def file_hash(file: Path) -> bytes:
    """Return the sha256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    stat = file.stat()
    return _hash(file.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash(file: Path, size: int, modified: int) -> bytes:
    """Hash a file's bytes; its size and time of change are part of the cache's key only."""
    digest = hashlib.sha256()
    with open_file(file) as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.digest()
