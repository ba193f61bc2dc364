"""What a process that ran a method answers: JSON and plain arrays, never a pickle and never an
object.

Whatever the method did to its own process, only these bytes leave it, and they are read as numbers
that are checked here: finite, of the right shape, not negative, rows adding up to 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.data.options import only_present
from fewbench.errors import BenchError
from fewbench.io.checked_json import dumps
from fewbench.types import Example, Predictions, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 1e-4
"""How far from 1 the float32 probabilities of a row may add up."""

_EXTRAS = "extras."


def pack(told: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return what is told, and some arrays by name, as a safetensors file's bytes.

    Raises:
        BenchError: something is told that JSON cannot hold.
    """
    from safetensors.numpy import save

    what = "what this run tells of itself"
    try:
        text = dumps(told, what)
    except RecursionError:
        fix = "let kit.notes and describe() hold numbers, texts, lists and tables"
        raise BenchError(
            f"{what} cannot be stored: something in it contains itself", fix=fix
        ) from None
    return save(dict(arrays), metadata={"told": text})


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what `pack` was given.

    Raises:
        ValueError: these are no such bytes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        told = json.loads(header["__metadata__"]["told"], parse_constant=_refuse)
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(told, dict):
        raise ValueError("it tells no table")
    return told, arrays


def numbers(
    task: Task, examples: Sequence[Example], predictions: Predictions
) -> dict[str, NDArray[Any]]:
    """Return copies of a predictor's numbers for some examples: `answers`, and `extras.<name>`.

    Raises:
        BenchError: they are not for these examples in their order, or of another kind than the
            task's.
    """
    import numpy as np

    if tuple(predictions.ids) != tuple(example.id for example in examples):
        raise BenchError(
            f"{task.full_name}: these predictions are not for the examples asked for, in their order"
        )
    given = predictions.values if task.is_regression else predictions.probabilities
    if given is None:
        kind = "values" if task.is_regression else "probabilities"
        raise BenchError(f"{task.full_name} is scored from {kind}, and the predictor gave others")
    extras = {_EXTRAS + name: np.array(extra, "<i4") for name, extra in predictions.extras.items()}
    return {"answers": np.array(given, "<f4"), **extras}


def answers(task: Task, examples: Sequence[Example], arrays: Arrays) -> Predictions:
    """Return as predictions, under the examples' ids, the numbers that were answered for them in
    their order.

    An option that a row lacks has probability 0.

    Raises:
        BenchError: numbers that are no answers to these examples.
    """
    array = arrays["answers"]
    classes = () if task.is_regression else (len(task.labels),)
    if array.dtype != "float32" or array.shape != (len(examples), *classes):
        raise BenchError(
            f"{task.full_name}: {array.dtype} predictions of shape {array.shape}",
            allowed=f"float32 of shape {(len(examples), *classes)}",
        )
    _check_numbers(task, array)
    ids = tuple(example.id for example in examples)
    extras = {
        name.removeprefix(_EXTRAS): extra for name, extra in arrays.items() if name != "answers"
    }
    try:
        if task.is_regression:
            return Predictions(ids, values=array, extras=extras)
        return only_present(examples, Predictions(ids, probabilities=array, extras=extras))
    except ValueError as error:
        raise BenchError(f"{task.full_name}: {error}") from error


def in_order(arrays: Arrays, order: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return arrays whose row i answers row `order[i]`, with their rows put back.

    Raises:
        BenchError: an array of another length.
    """
    import numpy as np

    restored = {}
    for name, array in arrays.items():
        if array.shape[:1] != (len(order),):
            raise BenchError(f"{name} of shape {array.shape} for {len(order)} examples")
        restored[name] = np.empty_like(array)
        restored[name][list(order)] = array
    return restored


def part(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    """Return those arrays whose names begin with a part's name and a colon, by the rest of their
    names.
    """
    head = f"{name}:"
    return {key.removeprefix(head): array for key, array in arrays.items() if key.startswith(head)}


def named(name: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays with their part's name and a colon before their own, as `part` reads them."""
    return {f"{name}:{key}": array for key, array in arrays.items()}


def _check_numbers(task: Task, array: NDArray[np.float32]) -> None:
    import numpy as np

    if not np.isfinite(array).all():
        raise BenchError(f"{task.full_name}: predictions hold numbers that are not finite")
    if task.is_regression:
        return
    if (array < 0).any():
        raise BenchError(f"{task.full_name}: probabilities below 0", allowed="0 to 1")
    sums = array.sum(axis=1, dtype=np.float64)
    far = int(np.abs(sums - 1).argmax())
    if abs(sums[far] - 1) > TOLERANCE:
        raise BenchError(
            f"{task.full_name}: the probabilities of row {far} add up to {sums[far]:.6g}",
            allowed=f"rows that add up to 1, within {TOLERANCE}",
            fix="a softmax, or divide each row by its sum",
        )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
