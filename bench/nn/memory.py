"""Tell a lack of memory from other errors, and go on in smaller parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

Found = TypeVar("Found")

SPOKEN = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What PyTorch says of a lack of memory in errors that have no class of their own."""

FIX = (
    "fewer runs at a time (--workers 1), a protocol with a smaller micro_batch, "
    "or a device with more memory"
)


def is_lack_of_memory(error: BaseException) -> bool:
    """True if PyTorch could not get the memory that it asked for."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in SPOKEN)


def release() -> None:
    """Give back the GPU memory that PyTorch holds and does not use."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_parts(
    batches: Iterable[list[int]], ask: Callable[[Sequence[int]], Found]
) -> Iterator[tuple[list[int], Found]]:
    """Yield each batch of indices with what is answered to it; halve one that memory is short for.

    Only for what answers to each index by itself, as scoring does: there a smaller batch changes no
    answer but by rounding. A single index that memory is short for is an error.

    Args:
        batches: of at least one index each.
        ask: answers to some indices; it may be called again after it has failed.
    """
    for batch in batches:
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            answer = _answer(ask, part)
            if answer is None:
                release()
                half = (len(part) + 1) // 2
                waiting += [part[half:], part[:half]]
            else:
                yield part, answer[0]


def _answer(ask: Callable[[Sequence[int]], Found], part: list[int]) -> tuple[Found] | None:
    """Return an answer; None if memory is short. The error, and what it holds, ends in here."""
    try:
        return (ask(part),)
    except RuntimeError as error:
        if len(part) == 1 or not is_lack_of_memory(error):
            raise
        return None
