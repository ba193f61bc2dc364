"""Artifacts: trained models, pretrained prompts and distilled students that other runs use.

An artifact is one file, `<results>/artifacts/<key>.safetensors`. It holds tensors, and in its
header the key, a manifest (JSON) and a hash of the rest of the file. A key is a hash of everything
that determines the artifact. Files are written atomically. Any of them may be deleted, and what is
missing is built again. So are the files of an older version, which did not hold their key: a file
in the place of another could not be recognised.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from fewbench.errors import StoreDamaged, StoreUnwritable
from fewbench.io.atomic import TEMPORARY, remove, unwritable, write_whole
from fewbench.io.files import MIB, NotAFile, open_file, parse_json
from fewbench.types import Json, Settings

if TYPE_CHECKING:
    from fewbench.registry.methods import MethodInfo

ENDING = ".safetensors"

_HEAD = b'{"__metadata__": {"sha256": "'
"""The start of every header. The hash follows; it covers all bytes but its own digits."""

_AT = 8 + len(_HEAD)
_DIGITS = 64

_LARGEST_HEADER = 100 * MIB
"""The limit of the safetensors library."""


class Older(FileNotFoundError):
    """An artifact of an older version, which is treated as missing."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts of a results folder.

    Args:
        root: the folder; the first save makes it.
    """

    root: Path

    @property
    def unfinished(self) -> Artifacts:
        """The checkpoints of runs under way, in a folder beside this one."""
        return Artifacts(self.root.parent / "unfinished")

    def file(self, key: str) -> Path:
        """Return the file of an artifact."""
        return self.root / f"{key}{ENDING}"

    def has(self, key: str) -> bool:
        """True if the artifact is stored and its checksum matches.

        Raises:
            StoreDamaged: its file is not what was written.
            StoreUnwritable: its file cannot be read.
        """
        try:
            self.read(key)
        except FileNotFoundError:
            return False
        return True

    def save(self, key: str, manifest: Settings, tensors: bytes) -> None:
        """Store an artifact. `tensors` are the bytes of a safetensors file without metadata.

        Raises:
            StoreUnwritable: it cannot be written; nothing is left behind.
            StoreFull: the same, for lack of space.
        """
        header, data = _parts(tensors)
        metadata = {
            "sha256": "0" * _DIGITS,
            "key": key,
            "manifest": json.dumps(manifest, sort_keys=True),
        }
        head = json.dumps({"__metadata__": metadata, **header}).encode()
        head += b" " * (-len(head) % 8)  # tensors start at a multiple of 8
        content = len(head).to_bytes(8, "little") + head + data
        content = content[:_AT] + _digest(content).encode() + content[_AT + _DIGITS :]
        try:
            write_whole(self.file(key), content)
        except OSError as error:
            raise unwritable(self.file(key), error) from error

    def remove(self, start: str) -> None:
        """Remove the artifacts whose keys begin in some way, as far as that can be done.

        What a killed process had half written of one goes, too.
        """
        for pattern in (f"{start}*{ENDING}", f".{start}*{TEMPORARY}"):
            for file in self.root.glob(pattern):
                remove(file)

    def read(self, key: str) -> tuple[Json, bytes]:
        """Return an artifact's manifest and its safetensors bytes.

        Raises:
            FileNotFoundError: it is not stored; `Older` if an older version wrote it.
            StoreDamaged: its file is not what was written, or holds another artifact.
            StoreUnwritable: its file cannot be read.
        """
        file = self.file(key)
        try:
            with open_file(file) as stream:
                content = _read_checked(stream)
            return _manifest(content, key), content
        except (NotAFile, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = error.strerror if isinstance(error, NotAFile) else str(error)
            fix = "bench fsck --repair sets it aside, and it is built again"
            raise StoreDamaged(f"damaged artifact: {problem}", where=str(file), fix=fix) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise (error if isinstance(error, Older) else FileNotFoundError(str(file))) from error
        except OSError as error:
            raise StoreUnwritable(
                f"an artifact cannot be read: {error.strerror}", where=str(file)
            ) from error


class Built(NamedTuple):
    """An artifact that a run may fetch: its key, and its title for people."""

    key: str
    title: str


class Supplies(NamedTuple):
    """The artifacts that a run may fetch: its trained teacher, and what its method prepared.

    `methods` are those whose modules may define the class of the teacher's model, by name. A run is
    not handed the teacher's job, which holds test labels.
    """

    teacher: Built | None = None
    prepared: Built | None = None
    methods: Mapping[str, MethodInfo] = MappingProxyType({})


def _read_checked(stream: BinaryIO) -> bytes:
    """Return the bytes of a safetensors file; read its data only if its size matches its header."""
    head = stream.read(8)
    size = int.from_bytes(head, "little")
    if size > _LARGEST_HEADER:
        raise ValueError("it has no header")
    head += stream.read(size)
    header, _ = _parts(head)
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    stated = len(head) + max(ends, default=0)
    size = os.fstat(stream.fileno()).st_size
    if size != stated:
        raise ValueError(f"it has {size} bytes, and its header says {stated}")
    return head + stream.read(size - len(head))


def _manifest(content: bytes, key: str) -> Json:
    """Return the manifest of an artifact, from all of its bytes.

    Raises:
        Older: an older version wrote it.
        ValueError: it is not what was written, or another artifact.
    """
    if content[8:_AT] != _HEAD:
        _refuse_older(content)
    if content[_AT : _AT + _DIGITS] != _digest(content).encode():
        raise ValueError("its checksum does not match its contents")
    metadata = _parts(content)[0]["__metadata__"]
    if metadata["key"] != key:
        raise ValueError(f"it is the artifact {metadata['key']} in the place of {key}")
    manifest: Json = parse_json(metadata["manifest"])
    return manifest


def _refuse_older(content: bytes) -> None:
    header, data = _parts(content)
    metadata = header["__metadata__"]
    if metadata.keys() != {"manifest", "sha256"}:
        return
    if hashlib.sha256(data).hexdigest() == metadata["sha256"]:
        raise Older("an older version wrote it, without its key: it is built again when needed")


def _digest(content: bytes) -> str:
    """Return the hash of all bytes but those of the hash itself."""
    view = memoryview(content)
    digest = hashlib.sha256(view[:_AT])
    digest.update(view[_AT + _DIGITS :])
    return digest.hexdigest()


def _parts(content: bytes) -> tuple[Json, bytes]:
    """Split the bytes of a safetensors file into header and data."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 + size:
        raise ValueError("it is cut short")
    header = parse_json(content[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    return header, content[8 + size :]
