"""Read and write JSON that carries its own checksum.

Keys are sorted, each value has a line of its own, and numbers are finite, so that equal contents
give equal bytes. Records of runs and their measurements are stored in this form.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError, StoreDamaged, StoreUnwritable
from fewbench.io.files import LARGEST_RECORD, NotAFile, parse_json, read_file
from fewbench.types import CorpusRef, Json, ModelRef

MEND = "bench fsck --repair sets damaged files aside; bench run redoes the run"

_HEAD = '{\n "checksum": "'
"""Start of every text, in every schema: "checksum" sorts first."""

_DIGITS = 64


def seal(value: Any, what: str) -> str:
    """Return a dataclass as checked JSON that ends in a newline; `what` names it in errors.

    Raises:
        BenchError: it holds a number that is not finite, or a value that JSON cannot represent.
    """
    text = dumps({"checksum": "", **plain(value)}, what, indent=1, ensure_ascii=False) + "\n"
    # A lone surrogate (from a file name that is not UTF-8) becomes its JSON escape.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    assert text.startswith(_HEAD), "a field sorts before the checksum"
    return _HEAD + _digest(text) + text[len(_HEAD) :]


def read(file: Path, what: str, limit: int = LARGEST_RECORD) -> bytes:
    """Read a file of the store; `what` names it in errors.

    Raises:
        FileNotFoundError: there is no such file.
        StoreDamaged: the path is not a regular file (a pipe, a folder, a broken link), or the file
            has more than `limit` bytes.
        StoreUnwritable: the file cannot be read.
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


def unseal(text: str, where: str, what: str) -> Json:
    """Parse checked JSON and return its fields, the checksum among them.

    `where` and `what` name the file and its contents in errors.

    Raises:
        StoreDamaged: the text is not JSON, is cut short, or does not match its checksum.
    """
    if "\r" in text:  # from a checkout on Windows; inside a JSON string it would be escaped
        text = text.replace("\r\n", "\n")
    try:
        payload: Json = parse_json(text)
    except ValueError as error:
        problem = "an empty file" if not text.strip() else f"not JSON, or cut short: {error}"
        raise StoreDamaged(f"damaged {what}: {problem}", where=where, fix=MEND) from error
    stated = text[len(_HEAD) : len(_HEAD) + _DIGITS]
    rest = text[len(_HEAD) + _DIGITS :]
    if not text.startswith(_HEAD) or _digest(_HEAD + rest) != stated:
        raise StoreDamaged(
            f"damaged {what}: its checksum does not match its contents", where=where, fix=MEND
        )
    return payload


def dumps(payload: Any, what: str, **options: Any) -> str:
    """Serialise a payload as JSON with sorted keys; `what` names it in errors.

    Raises:
        BenchError: JSON cannot represent a value in the payload; the message gives its path.
    """
    try:
        return json.dumps(payload, sort_keys=True, allow_nan=False, default=plain, **options)
    except (TypeError, ValueError) as error:
        problem = _find_unfit(payload) or error
        fix = "correct the values that the method reports"
        raise BenchError(f"{what} cannot be stored: {problem}", fix=fix) from error


def plain(value: Any) -> Any:
    """Convert a dataclass, mapping, set, path, or NumPy or torch value to JSON types.

    Raises:
        TypeError: the value is of no such type.
    """
    if isinstance(value, ModelRef):  # its folder differs between machines, and may be private
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
    """Hash a text whose checksum is blanked, so that verifying it needs no new serialisation."""
    return hashlib.sha256(text.encode()).hexdigest()


def _find_unfit(value: Any, path: str = "") -> str | None:
    """Describe the first value in a payload that JSON cannot represent, with its path."""
    if not isinstance(value, (dict, list, tuple, str, int, float, type(None))):
        try:
            value = plain(value)
        except TypeError as error:
            return f"{path} is {error}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}"
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return f"the key {key!r} of {path} is not a string"
        return _find_unfit_item(value.items(), path)
    if isinstance(value, (list, tuple)):
        return _find_unfit_item(enumerate(value), path)
    return None


def _find_unfit_item(items: Iterable[tuple[str | int, Any]], path: str) -> str | None:
    for key, item in items:
        if problem := _find_unfit(item, f"{path}.{key}".lstrip(".")):
            return problem
    return None


def joint_hash(*determinants: object) -> str:
    """Hash several values together by their JSON: 32 hexadecimal digits."""
    text = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
