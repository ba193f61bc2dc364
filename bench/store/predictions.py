"""The predictions file: safetensors, the same bytes for the same predictions.

The library writes metadata in a random order, so this module writes the header itself and uses the
library to read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fewbench.errors import StoreDamaged
from fewbench.io.files import parse_json
from fewbench.types import AnswerKind, Json, Predictions, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES: Mapping[AnswerKind, str] = {"probabilities": "<f4", "values": "<f4", "spans": "<i4"}
"""The numbers of each kind of predictions, in the byte order of files."""

_EXTRAS = "extras."


def to_bytes(predictions: Predictions, run: Run) -> bytes:
    """Return the bytes of a run's predictions file.

    It holds a float32 tensor, `probabilities` [n, C] or `values` [n], or the int32 tensor `spans`
    [n, 2]; the examples' ids; and each of the extras as an int32 tensor [n] named `extras.<name>`.
    """
    tensors: dict[str, NDArray[Any]] = {
        predictions.kind: predictions.array.astype(DTYPES[predictions.kind])
    }
    for extra, array in sorted(predictions.extras.items()):
        tensors[_EXTRAS + extra] = array.astype("<i4")
    metadata = {
        "ids": json.dumps(_pack(predictions.ids)),
        "ids_sha256": _hash(predictions.ids),
        "key": run.key,
        "test_fingerprint": run.test_fingerprint,
    }
    entries: Json = {}
    end = 0
    for tensor, array in tensors.items():
        start, end = end, end + array.nbytes
        kind = "F32" if array.dtype.kind == "f" else "I32"
        entries[tensor] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    header += b" " * (-len(header) % 8)  # the tensors begin at a multiple of 8
    data = b"".join(array.tobytes() for array in tensors.values())
    return len(header).to_bytes(8, "little") + header + data


def from_bytes(data: bytes, where: str) -> Predictions:
    """Parse the bytes of a predictions file. `where` names the file in errors.

    Raises:
        StoreDamaged: not a predictions file, or its ids and numbers do not match.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        metadata = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        rows = len(next(iter(arrays.values())))
        ids, digest = _unpack(parse_json(metadata["ids"]), rows)
        if digest != metadata["ids_sha256"]:
            raise ValueError("the ids do not match their hash")
        names = [name for name in arrays if name.startswith(_EXTRAS)]
        extras = {name.removeprefix(_EXTRAS): arrays.pop(name) for name in names}
        return Predictions(ids, **arrays, extras=extras)
    except (SafetensorError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise StoreDamaged(
            f"damaged predictions: {error}", where=where, fix="bench fsck --repair"
        ) from error


def _pack(ids: Sequence[str]) -> Any:
    """Return ids as JSON: consecutive ones (`test-0`, `test-1`, …) as prefix, start and count."""
    if not ids:
        return []
    prefix, dash, row = ids[0].rpartition("-")
    short = {
        "prefix": prefix + dash,
        "start": int(row) if row.isdecimal() else 0,
        "count": len(ids),
    }
    consecutive, _ = _unpack(short, len(ids))
    return short if consecutive == tuple(ids) else list(ids)


def _unpack(packed: Any, rows: int) -> tuple[tuple[str, ...], str]:
    """Return ids and their hash."""
    if isinstance(packed, dict):
        if packed["count"] != rows:  # a forged count could fill the memory
            raise ValueError(f"{packed['count']} ids and {rows} rows")
        return _consecutive(str(packed["prefix"]), int(packed["start"]), rows)
    ids = tuple(packed)
    return ids, _hash(ids)


@lru_cache(maxsize=32)
def _consecutive(prefix: str, start: int, count: int) -> tuple[tuple[str, ...], str]:
    """Return ids and their hash: the same for all predictions of one test set."""
    ids = tuple(f"{prefix}{row}" for row in range(start, start + count))
    return ids, _hash(ids)


def _hash(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
