"""The predictions file: safetensors, the same bytes for the same predictions.

The library's own writer puts metadata in a random order, so the header is written here and only
read by the library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from fewbench.errors import StoreDamaged
from fewbench.io.files import parse_json
from fewbench.types import Predictions, Run

_EXTRAS = "extras."


def to_bytes(predictions: Predictions, run: Run) -> bytes:
    """Return the file's bytes: a float32 tensor, `probabilities` [n, C] or `values` [n], and the
    examples' ids.

    What else is told of each example follows, an int32 tensor [n] each, named `extras.<name>`.
    """
    name = "values" if predictions.probabilities is None else "probabilities"
    tensors = {name: predictions.array.astype("<f4")}
    tensors |= {
        _EXTRAS + extra: array.astype("<i4") for extra, array in sorted(predictions.extras.items())
    }
    metadata = {
        "ids": json.dumps(_pack(predictions.ids)),
        "ids_sha256": _hash(predictions.ids),
        "key": run.key,
        "test_fingerprint": run.test_fingerprint,
    }
    entries: dict[str, Any] = {}
    end = 0
    for tensor, array in tensors.items():
        start, end = end, end + array.nbytes
        kind = "F32" if array.dtype.kind == "f" else "I32"
        entries[tensor] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    header += b" " * (-len(header) % 8)  # the tensors begin at a multiple of 8
    return (
        len(header).to_bytes(8, "little")
        + header
        + b"".join(array.tobytes() for array in tensors.values())
    )


def from_bytes(data: bytes, where: str) -> Predictions:
    """Return the predictions that a file's bytes hold. `where` names the file in errors.

    Raises:
        StoreDamaged: no predictions file, or ids and numbers that do not fit each other.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        metadata = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        rows = len(next(iter(arrays.values())))
        ids = _unpack(parse_json(metadata["ids"]), rows)
        if _hash(ids) != metadata["ids_sha256"]:
            raise ValueError("ids that do not fit their hash")
        extras = {
            name[len(_EXTRAS) :]: arrays.pop(name)
            for name in list(arrays)
            if name.startswith(_EXTRAS)
        }
        return Predictions(ids, **arrays, extras=extras)
    except (SafetensorError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise StoreDamaged(
            f"damaged predictions: {error}", where=where, fix="bench fsck --repair"
        ) from error


def _pack(ids: Sequence[str]) -> Any:
    """Return ids as JSON holds them: `test-0`, `test-1`, … as prefix, start and count."""
    if not ids:
        return []
    prefix, dash, row = ids[0].rpartition("-")
    short = {
        "prefix": prefix + dash,
        "start": int(row) if row.isdecimal() else 0,
        "count": len(ids),
    }
    return short if _unpack(short, len(ids)) == tuple(ids) else list(ids)


def _unpack(packed: Any, rows: int) -> tuple[str, ...]:
    if isinstance(packed, dict):
        if packed["count"] != rows:  # which may be any number, and so would be held in memory
            raise ValueError(f"{packed['count']} ids and {rows} rows")
        start = packed["start"]
        return tuple(f"{packed['prefix']}{row}" for row in range(start, start + packed["count"]))
    return tuple(packed)


def _hash(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
