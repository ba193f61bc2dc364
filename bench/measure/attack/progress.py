"""How far an attack has come: outcomes as JSON lines, a block at a time, that outlive a kill at any
moment.

The first line says which attack it is. A line that a kill has torn, and a block that is not whole,
are dropped, and the block is attacked again from its first query. So every batch is made of the
same texts as without the kill, which is what makes the outcome the same to the last bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from fewbench.errors import BenchError
from fewbench.measure.attack.report import AttackOutcome, outcome_of


class AttackProgress:
    """An attack's file while it is under way; no other process writes to it meanwhile. Use it as a
    context.

    Args:
        file: is made if it is not there.
        attack: what determines the outcome. A file of another attack is begun anew.
        block: outcomes a block; the last may have fewer.
        total: outcomes in all.

    Attributes:
        outcomes: those of whole blocks.
    """

    def __init__(self, file: Path, attack: Mapping[str, Any], block: int, total: int) -> None:
        self.file, self.block, self.total = file, block, total
        self.outcomes: list[AttackOutcome] = []
        self._head = json.dumps({"attack": dict(attack)}, sort_keys=True).encode() + b"\n"

    def __enter__(self) -> AttackProgress:
        """Open the file, and leave in it what is whole.

        Raises:
            BenchError: another process writes to it, or it cannot be written.
        """
        try:
            number = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BenchError(
                f"an attack cannot be stored: {error.strerror}", where=str(self.file)
            ) from error
        self._stream: IO[bytes] = os.fdopen(number, "r+b")
        self._lock()
        lines = self._stream.read().splitlines(keepends=True)
        kept = self._whole(lines[1:]) if lines and lines[0] == self._head else []
        self.outcomes = [outcome_of(json.loads(line)) for line in kept]
        self._stream.seek(0)
        self._stream.truncate()
        self._write(self._head + b"".join(kept))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; other processes may open it."""
        self._stream.close()

    def add(self, outcomes: Sequence[AttackOutcome]) -> None:
        """Write a block's outcomes durably."""
        self._write(lines_of(outcomes))
        self.outcomes += outcomes

    def _whole(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return the lines of whole blocks."""
        count = 0
        while count < len(lines) and lines[count].endswith(b"\n") and _is_json(lines[count]):
            count += 1
        return list(lines[: count if count == self.total else count - count % self.block])

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            fix = "the same command again goes on from the last whole block"
            raise BenchError(
                f"an attack cannot be stored: {error.strerror}", where=str(self.file), fix=fix
            ) from error

    def _lock(self) -> None:
        if os.name == "nt":
            return
        import fcntl

        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._stream.close()
            raise BenchError(
                "another process carries out this attack", where=str(self.file), fix="wait for it"
            ) from error


def lines_of(outcomes: Sequence[AttackOutcome]) -> bytes:
    """Return outcomes as JSON lines."""
    return b"".join(
        json.dumps(o.row(), sort_keys=True, ensure_ascii=False).encode() + b"\n" for o in outcomes
    )


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
