"""The arithmetic that a run is asked for, by the names that a user types."""

from __future__ import annotations

from typing import cast

from fewbench.errors import BenchError
from fewbench.refs import ARITHMETIC, Attention, Dtype
from fewbench.types import Arithmetic


def arithmetic_of(dtype: str, attention: str) -> Arithmetic:
    """Return an arithmetic by the names that a user types.

    Raises:
        BenchError: a name that is none.
    """
    for name, given in (("dtype", dtype), ("attention", attention)):
        if given not in ARITHMETIC[name]:
            raise BenchError(
                f"--{name} is '{given}'",
                allowed=ARITHMETIC[name],
                given=given,
                fix=f"--{name} {ARITHMETIC[name][-1]}",
            )
    return Arithmetic(cast(Dtype, dtype), cast(Attention, attention))
