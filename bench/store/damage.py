"""What is said of things in the store that are not as they should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fewbench.errors import BenchError, StoreDamaged, StoreUnwritable


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the store that should not be as it is.

    `damage` is a file that is not what was written; `unreadable` one that cannot be read, or a
    folder; `newer` a record of a later version; `leftover` what a kill left, harmless; `unknown` a
    file that is none of the store's. `done` says what was done about it.
    """

    path: Path
    reason: str
    severity: Literal["damage", "unreadable", "newer", "leftover", "unknown"] = "damage"
    done: str = ""

    @property
    def serious(self) -> bool:
        """Whether something that was stored is lost, or cannot be had."""
        return self.severity in ("damage", "unreadable")

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" + (f"; {self.done}" if self.done else "")


def to_damage(file: Path, error: BenchError) -> Damage:
    """Return what an error of reading a file says of it."""
    if isinstance(error, StoreDamaged):
        return Damage(file, error.problem, "damage")
    return Damage(
        file, error.problem, "unreadable" if isinstance(error, StoreUnwritable) else "newer"
    )


def unread_folder(error: OSError) -> Damage:
    """Return what is to say of a folder that cannot be read."""
    reason = f"a folder that cannot be read: {error.strerror}"
    return Damage(Path(error.filename), reason, "unreadable")


def second(file: Path, first: Path) -> Damage:
    """Return what is to say of a record whose run has one already: it would count twice."""
    return Damage(file, f"a second record of the run in {first}")
