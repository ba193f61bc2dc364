"""Stored JSON that carries its own checksum: sorted keys, one value a line, finite numbers only.

Records of runs and measurements of them are such texts. The same things give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError, StoreDamaged, StoreUnwritable
from fewbench.io.files import LARGEST_RECORD, NotAFile, parse_json, read_file
from fewbench.types import CorpusRef, ModelRef

MEND = "bench fsck --repair sets damaged files aside; bench run redoes the run"

_HEAD = '{\n "checksum": "'
"""How every text begins, in every schema: "checksum" sorts first."""

_DIGITS = 64


def seal(value: Any, what: str) -> str:
    """Return a dataclass's fields as text, which ends in a newline. `what` names it in errors.

    Raises:
        BenchError: it holds a number that is not finite, or a thing that JSON cannot hold.
    """
    text = dumps({"checksum": "", **plain(value)}, what, indent=1, ensure_ascii=False) + "\n"
    # A lone surrogate (a file name that is no UTF-8) becomes its JSON escape.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    assert text.startswith(_HEAD), "a field sorts before the checksum"
    return _HEAD + _digest(text) + text[len(_HEAD) :]


def read(file: Path, what: str, limit: int = LARGEST_RECORD) -> bytes:
    """Return the bytes of a file of the store. `what` names it in errors.

    Raises:
        FileNotFoundError: it is not there.
        StoreDamaged: what is there is no file (a pipe, a folder, a link to nothing), or one of more
            than `limit` bytes.
        StoreUnwritable: it cannot be read.
    """
    try:
        return read_file(file, limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(file)) from error
    except NotAFile as error:
        raise StoreDamaged(
            f"damaged {what}: {error.strerror}", where=str(file), fix=MEND
        ) from error
    except OSError as error:
        raise StoreUnwritable(
            f"{what} cannot be read: {error.strerror}", where=str(file)
        ) from error


def unseal(text: str, where: str, what: str) -> dict[str, Any]:
    """Return the fields that a text holds, its checksum among them. `where` names the file in
    errors.

    Raises:
        StoreDamaged: not JSON, cut short, or not what was written.
    """
    if "\r" in text:  # a checkout on Windows; within a JSON text it is written \\r
        text = text.replace("\r\n", "\n")
    try:
        payload: dict[str, Any] = parse_json(text)
    except ValueError as error:
        problem = "an empty file" if not text.strip() else f"not JSON, or cut short: {error}"
        raise StoreDamaged(f"damaged {what}: {problem}", where=where, fix=MEND) from error
    stated = text[len(_HEAD) : len(_HEAD) + _DIGITS]
    rest = text[len(_HEAD) + _DIGITS :]
    if not text.startswith(_HEAD) or _digest(_HEAD + rest) != stated:
        raise StoreDamaged(
            f"damaged {what}: its checksum does not fit its text", where=where, fix=MEND
        )
    return payload


def dumps(payload: Any, what: str, **options: Any) -> str:
    """Return JSON with sorted keys.

    Raises:
        BenchError: the payload holds what JSON cannot; the place in it is named.
    """
    try:
        return json.dumps(payload, sort_keys=True, allow_nan=False, default=plain, **options)
    except (TypeError, ValueError) as error:
        place = _unfit(payload)
        raise BenchError(
            f"{what} cannot be stored: {place or error}", fix="mend what the method reports"
        ) from error


def plain(value: Any) -> Any:
    """Return as JSON types what is not: dataclasses, mappings, sets, paths' texts, NumPy's and
    torch's numbers.

    Raises:
        TypeError: it is nothing of the kind.
    """
    if isinstance(value, ModelRef):  # where its folder lies is nobody's business, and changes
        return {"name": value.name, "revision": value.revision, "embedded": value.embedded}
    if isinstance(value, CorpusRef):
        return {"name": value.name, "revision": value.revision}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _digest(text: str) -> str:
    """Return the checksum of a text whose own checksum is blanked: nothing has to be serialised
    again to verify it.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def _unfit(value: Any, place: str = "") -> str | None:
    """Return the first place in a payload that JSON cannot hold, and what stands there."""
    if not isinstance(value, (dict, list, tuple, str, int, float, type(None))):
        try:
            value = plain(value)
        except TypeError as error:
            return f"{place} is {error}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place} is {value}"
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            return f"the key {odd[0]!r} of {place} is no text"
        pairs = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(str(index), item) for index, item in enumerate(value)]
    else:
        return None
    return next(
        (found for key, item in pairs if (found := _unfit(item, f"{place}.{key}".lstrip(".")))),
        None,
    )


def joint_hash(*determinants: object) -> str:
    """Return a hash of several things together, as JSON holds them: 32 hexadecimal digits."""
    text = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
