"""Damage: a file or folder in the store that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fewbench.errors import BenchError, StoreDamaged, StoreUnwritable


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the store that should not be as it is.

    A file of severity `damage` is not what was written, and one that is `unreadable` (or a folder)
    cannot be read. `newer` is a record of a later version, `leftover` a harmless file that a kill
    left, and `unknown` a file that is not the store's. `done` says what was done about it.
    """

    path: Path
    reason: str
    severity: Literal["damage", "unreadable", "newer", "leftover", "unknown"] = "damage"
    done: str = ""

    @property
    def serious(self) -> bool:
        """True if something that was stored is lost or cannot be read."""
        return self.severity in ("damage", "unreadable")

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" + (f"; {self.done}" if self.done else "")


def to_damage(file: Path, error: BenchError) -> Damage:
    """Return an error of reading a file as damage."""
    if isinstance(error, StoreDamaged):
        return Damage(file, error.problem, "damage")
    unreadable = isinstance(error, StoreUnwritable)
    return Damage(file, error.problem, "unreadable" if unreadable else "newer")


def unread_folder(error: OSError) -> Damage:
    """Return an error of reading a folder as damage."""
    reason = f"a folder that cannot be read: {error.strerror}"
    return Damage(Path(error.filename), reason, "unreadable")


def second(file: Path, first: Path) -> Damage:
    """Return the damage of a second record of one run, which would count twice."""
    return Damage(file, f"a second record of the run in {first}")
