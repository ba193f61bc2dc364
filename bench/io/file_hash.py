"""Hash files, reading each once per process as long as it does not change."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from fewbench.io.files import open_file


def file_hash(file: Path) -> bytes:
    """Return the sha256 of a file's bytes.

    Raises:
        OSError: the file cannot be read.
    """
    stat = file.stat()
    return _hash(file.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash(file: Path, size: int, modified: int) -> bytes:
    """Hash a file; its size and modification time only serve as part of the cache key."""
    digest = hashlib.sha256()
    with open_file(file) as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.digest()
