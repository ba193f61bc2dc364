"""The report of a process that ran a method: JSON and plain arrays, never a pickled object.

Whatever the method did to its own process, only these bytes leave it. They are read as numbers and
checked here: finite, of the right shape; probabilities not negative, and rows that add up to 1;
spans within their passages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.data.options import only_present
from fewbench.errors import BenchError
from fewbench.io.checked_json import dumps
from fewbench.store.predictions import DTYPES
from fewbench.types import AnswerKind, Example, Json, Predictions, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 1e-4
"""How far from 1 the float32 probabilities of a row may add up."""

_EXTRAS = "extras."


def pack(report: Json, arrays: Arrays) -> bytes:
    """Write a report and its arrays as the bytes of a safetensors file.

    Raises:
        BenchError: JSON cannot hold the report.
    """
    from safetensors.numpy import save

    what = "what this run tells of itself"
    try:
        text = dumps(report, what)
    except RecursionError:
        fix = "let kit.notes and describe() hold numbers, texts, lists and tables"
        problem = f"{what} cannot be stored: something in it contains itself"
        raise BenchError(problem, fix=fix) from None
    return save(dict(arrays), metadata={"told": text})


def unpack(content: bytes) -> tuple[Json, dict[str, NDArray[Any]]]:
    """Read the report and the arrays that `pack` wrote.

    Raises:
        ValueError: these are no such bytes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        report = json.loads(header["__metadata__"]["told"], parse_constant=_refuse)
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(report, dict):
        raise ValueError("the report is no object")
    return report, arrays


def numbers(
    task: Task, examples: Sequence[Example], predictions: Predictions
) -> dict[str, NDArray[Any]]:
    """Copy a predictor's numbers for some examples: `answers`, and `extras.<name>`.

    Raises:
        BenchError: they are for other examples, in another order, or of another kind than the
            task's.
    """
    import numpy as np

    if tuple(predictions.ids) != tuple(example.id for example in examples):
        problem = "these predictions are not for the examples asked for, in their order"
        raise BenchError(f"{task.full_name}: {problem}")
    kind = task.answer_kind
    array = getattr(predictions, kind)
    if array is None:
        raise BenchError(f"{task.full_name} is scored from {kind}, and the predictor gave others")
    extras = {_EXTRAS + name: np.array(extra, "<i4") for name, extra in predictions.extras.items()}
    return {"answers": np.array(array, DTYPES[kind]), **extras}


def answers(task: Task, examples: Sequence[Example], arrays: Arrays) -> Predictions:
    """Return the numbers predicted for some examples as predictions, under the examples' ids.

    An option that a row lacks has probability 0.

    Raises:
        BenchError: the numbers are no predictions for these examples.
    """
    import numpy as np

    array = arrays["answers"]
    kind = task.answer_kind
    columns = {"probabilities": (len(task.labels),), "values": (), "spans": (2,)}[kind]
    shape, dtype = (len(examples), *columns), DTYPES[kind]
    if array.dtype != dtype or array.shape != shape:
        raise BenchError(
            f"{task.full_name}: {array.dtype} predictions of shape {array.shape}",
            allowed=f"{np.dtype(dtype)} of shape {shape}",
        )
    _CHECKS[kind](task, examples, array)
    ids = tuple(example.id for example in examples)
    extras = {
        name.removeprefix(_EXTRAS): extra for name, extra in arrays.items() if name != "answers"
    }
    try:
        return only_present(examples, Predictions.of(kind, ids, array, extras))
    except ValueError as error:
        raise BenchError(f"{task.full_name}: {error}") from error


def in_order(arrays: Arrays, order: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Put the rows of arrays back in order: row i belongs to row `order[i]`.

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
    """Return the arrays of a part, by their names within it."""
    head = f"{name}:"
    return {key.removeprefix(head): array for key, array in arrays.items() if key.startswith(head)}


def named(name: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Put a part's name and a colon before the names of its arrays, as `part` reads them."""
    return {f"{name}:{key}": array for key, array in arrays.items()}


def _check_values(task: Task, examples: Sequence[Example], array: NDArray[Any]) -> None:
    import numpy as np

    if not np.isfinite(array).all():
        raise BenchError(f"{task.full_name}: predictions hold numbers that are not finite")


def _check_probabilities(task: Task, examples: Sequence[Example], array: NDArray[Any]) -> None:
    import numpy as np

    _check_values(task, examples, array)
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


def _check_spans(task: Task, examples: Sequence[Example], array: NDArray[Any]) -> None:
    for row, (example, (start, end)) in enumerate(zip(examples, array.tolist(), strict=True)):
        if not 0 <= start <= end <= len(example.texts[0]):
            raise BenchError(
                f"{task.full_name}: the span of row {row} is {start} to {end}, and its passage has "
                f"{len(example.texts[0])} characters",
                allowed="0 <= start <= end <= length",
            )


_CHECKS: Mapping[AnswerKind, Callable[[Task, Sequence[Example], NDArray[Any]], None]] = {
    "probabilities": _check_probabilities,
    "values": _check_values,
    "spans": _check_spans,
}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
