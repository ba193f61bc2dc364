"""The progress of an attack: outcomes as JSON lines, block by block, that survive a kill.

The first line identifies the attack. A line that a kill has cut short, and an incomplete block, are
dropped, and the block is attacked again from its first query. So every batch has the same texts as
without the kill, and the outcome is the same to the last bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from fewbench.errors import BenchError
from fewbench.measure.attack.report import AttackOutcome, outcome_of
from fewbench.types import Settings


class AttackProgress:
    """The file of an attack under way, as a context; other processes are locked out.

    Args:
        file: made if it is missing.
        attack: what determines the outcome. A file of another attack is started again.
        block: outcomes per block; the last may have fewer.
        total: outcomes in all.

    Attributes:
        outcomes: those of complete blocks.
    """

    def __init__(self, file: Path, attack: Settings, block: int, total: int) -> None:
        self.file, self.block, self.total = file, block, total
        self.outcomes: list[AttackOutcome] = []
        self._head = json.dumps({"attack": dict(attack)}, sort_keys=True).encode() + b"\n"

    def __enter__(self) -> AttackProgress:
        """Open the file, and keep its complete blocks.

        Raises:
            BenchError: another process writes to it, or it cannot be written.
        """
        try:
            number = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        self._stream: IO[bytes] = os.fdopen(number, "r+b")
        self._lock()
        lines = self._stream.read().splitlines(keepends=True)
        complete = self._complete(lines[1:]) if lines and lines[0] == self._head else []
        self.outcomes = [outcome_of(json.loads(line)) for line in complete]
        self._stream.seek(0)
        self._stream.truncate()
        self._write(self._head + b"".join(complete))
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
        """Write a block's outcomes to the disk."""
        self._write(lines_of(outcomes))
        self.outcomes += outcomes

    def _complete(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return the lines of complete blocks."""
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
            fix = "the same command again, which goes on from the last complete block"
            raise self._unwritable(error, fix) from error

    def _unwritable(self, error: OSError, fix: str | None = None) -> BenchError:
        return BenchError(
            f"an attack cannot be stored: {error.strerror}", where=str(self.file), fix=fix
        )

    def _lock(self) -> None:
        if os.name == "nt":
            return
        import fcntl

        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._stream.close()
            raise BenchError(
                "another process runs this attack", where=str(self.file), fix="wait for it"
            ) from error


def lines_of(outcomes: Sequence[AttackOutcome]) -> bytes:
    """Return outcomes as JSON lines."""
    lines = [json.dumps(o.row(), sort_keys=True, ensure_ascii=False) for o in outcomes]
    return "".join(f"{line}\n" for line in lines).encode()


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
