"""What runs build and others need: a trained model, a pretrained prompt, a distilled student. Built
once, found again.

One file an artifact, `<results>/artifacts/<key>.safetensors`: tensors, and in its header the key, a
manifest (JSON) and a hash of all the rest of the file. A key hashes all that determines the thing.
Files are written whole; any of them may be deleted, and what is missing is built anew. So is what
an older version wrote: its hash was of the tensors alone and its key only in the file's name, so
that a model in another's place could not be told from it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from fewbench.errors import StoreDamaged, StoreUnwritable
from fewbench.io.atomic import unwritable, write_whole
from fewbench.io.files import MIB, NotAFile, open_file, parse_json

ENDING = ".safetensors"

_HEAD = b'{"__metadata__": {"sha256": "'
"""How every header begins; the hash follows, and is of all bytes but its own digits."""

_AT = 8 + len(_HEAD)
_DIGITS = 64

_LARGEST_HEADER = 100 * MIB
"""As in the library."""


class Older(FileNotFoundError):
    """An artifact that an older version wrote, which counts as none."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts of a results folder.

    Args:
        root: the folder; it is made when something is first saved.
    """

    root: Path

    def file(self, key: str) -> Path:
        """Return where the artifact of a key stands."""
        return self.root / f"{key}{ENDING}"

    def has(self, key: str) -> bool:
        """Whether it is there, whole.

        Raises:
            StoreDamaged: its file is not what was written.
            StoreUnwritable: its file cannot be read.
        """
        try:
            self.read(key)
        except FileNotFoundError:
            return False
        return True

    def save(self, key: str, manifest: Mapping[str, Any], tensors: bytes) -> None:
        """Store an artifact: `tensors` as a safetensors file's bytes without metadata.

        Raises:
            StoreUnwritable: it cannot be written; nothing is left behind.
            StoreFull: the same, for lack of space.
        """
        header, data = _parts(tensors)
        told = {
            "sha256": "0" * _DIGITS,
            "key": key,
            "manifest": json.dumps(manifest, sort_keys=True),
        }
        head = json.dumps({"__metadata__": told, **header}).encode()
        head += b" " * (-len(head) % 8)  # tensors begin at a multiple of 8
        content = len(head).to_bytes(8, "little") + head + data
        content = content[:_AT] + _digest(content).encode() + content[_AT + _DIGITS :]
        try:
            write_whole(self.file(key), content)
        except OSError as error:
            raise unwritable(self.file(key), error) from error

    def read(self, key: str) -> tuple[dict[str, Any], bytes]:
        """Return an artifact's manifest and its safetensors bytes.

        Raises:
            FileNotFoundError: there is none; `Older` where an older version's stands.
            StoreDamaged: its file is not what was written, or the artifact of another key.
            StoreUnwritable: its file cannot be read.
        """
        file = self.file(key)
        try:
            with open_file(file) as stream:
                content = _whole(stream)
            return _manifest(content, key), content
        except (NotAFile, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = error.strerror if isinstance(error, NotAFile) else str(error)
            fix = "bench fsck --repair sets it aside, and it is built anew"
            raise StoreDamaged(f"damaged artifact: {problem}", where=str(file), fix=fix) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise (error if isinstance(error, Older) else FileNotFoundError(str(file))) from error
        except OSError as error:
            raise StoreUnwritable(
                f"an artifact cannot be read: {error.strerror}", where=str(file)
            ) from error


class Built(NamedTuple):
    """An artifact that a run may fetch, by key, and what a person would call it."""

    key: str
    title: str


class Supplies(NamedTuple):
    """What a run may fetch: its trained teacher, and what its method prepared. No job, for a job
    knows test labels.

    `methods` are those whose modules may hold the class of the teacher's model, by name.
    """

    teacher: Built | None = None
    prepared: Built | None = None
    methods: Mapping[str, Any] = MappingProxyType({})


def _whole(stream: BinaryIO) -> bytes:
    """Return the bytes of a safetensors file, if there are as many as its header says: none are
    read before.
    """
    head = stream.read(8)
    size = int.from_bytes(head, "little")
    if size > _LARGEST_HEADER:
        raise ValueError("it has no header")
    head += stream.read(size)
    header, _ = _parts(head)
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    stated, there = len(head) + max(ends, default=0), os.fstat(stream.fileno()).st_size
    if stated != there:
        raise ValueError(f"it has {there} bytes, and its header says {stated}")
    return head + stream.read(there - len(head))


def _manifest(content: bytes, key: str) -> dict[str, Any]:
    """Return the manifest of an artifact's whole bytes.

    Raises:
        Older: an older version wrote it.
        ValueError: it is not what was written, or another's.
    """
    if content[8:_AT] != _HEAD:
        _refuse_older(content)
    if content[_AT : _AT + _DIGITS] != _digest(content).encode():
        raise ValueError("its checksum does not fit its contents")
    metadata = _parts(content)[0]["__metadata__"]
    if metadata["key"] != key:
        raise ValueError(f"it is the artifact {metadata['key']}, and stands in the place of {key}")
    manifest: dict[str, Any] = parse_json(metadata["manifest"])
    return manifest


def _refuse_older(content: bytes) -> None:
    header, data = _parts(content)
    metadata = header["__metadata__"]
    if (
        metadata.keys() == {"manifest", "sha256"}
        and hashlib.sha256(data).hexdigest() == metadata["sha256"]
    ):
        raise Older(
            "an older version wrote it, without its key: it is built anew where it is needed"
        )


def _digest(content: bytes) -> str:
    """Return the hash of all bytes but those that hold it."""
    whole = memoryview(content)
    digest = hashlib.sha256(whole[:_AT])
    digest.update(whole[_AT + _DIGITS :])
    return digest.hexdigest()


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file's bytes."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 + size:
        raise ValueError("it is cut short")
    header = parse_json(content[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    return header, content[8 + size :]
