"""Define the errors a user can cause: the value, what is allowed, the nearest name, and the fix.

Records, task files, corpora and file names may come from anybody: characters that control a
terminal or reorder a line are written as escapes (`visible`) wherever text is printed.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

JOINERS = "\u200c\u200d"
"""Format characters that some scripts and emoji need."""

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories: control, format, lone surrogates, separators of lines and paragraphs."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Write a text's control and format characters as escapes, such as `\x1b` and `\u202e`.

    Args:
        text: any, of one line or several.
        lines: leave ends of lines (`\n`) as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        _shown(letter) if steers(letter) and not (lines and letter == "\n") else letter
        for letter in text
    )


def steers(letter: str) -> bool:
    """Return True for controls, direction marks, lone surrogates and other invisible characters."""
    return unicodedata.category(letter) in _STEERING and letter not in JOINERS


LONGEST = 100
"""Most characters of the user's input that a message repeats."""


def shortened(text: str) -> str:
    """Cut a long text to the part that a message repeats."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def how_many(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in s: `1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


class BenchError(Exception):
    """An error with a message for the user instead of a traceback.

    Args:
        problem: one sentence that names the thing and the value that was given.
        where: the file, and the line or table in it.
        allowed: what would have been accepted.
        given: the name that was given, if the nearest allowed names should be suggested.
        fix: what to type or change.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        allowed: Iterable[str] | str | None = None,
        given: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.where, self.fix = problem, where, fix
        names = None if allowed is None or isinstance(allowed, str) else sorted(allowed)
        self.allowed = allowed if isinstance(allowed, str) or names is None else ", ".join(names)
        self.nearest = difflib.get_close_matches(given, names, 3, 0.5) if given and names else []
        super().__init__(self.problem)

    def __str__(self) -> str:
        rows = (
            ("in", self.where),
            ("nearest", ", ".join(self.nearest)),
            ("allowed", self.allowed),
            ("fix", self.fix),
        )
        lines = [self.problem, *(f"  {name}: {text}" for name, text in rows if text)]
        return "\n".join(visible(line, lines=True).replace("\n", "\n    ") for line in lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all parts: worker processes pass errors to their parent."""
        return (
            _rebuild,
            (type(self), self.problem, self.where, self.allowed, self.nearest, self.fix),
        )


def _rebuild(
    kind: type[BenchError],
    problem: str,
    where: str | None,
    allowed: str | None,
    nearest: list[str],
    fix: str | None,
) -> BenchError:
    error = kind(problem, where=where, allowed=allowed, fix=fix)
    error.nearest = nearest
    return error


class DataError(BenchError):
    """A data or task file that cannot be trusted."""


class ModelError(BenchError):
    """A model that cannot be loaded completely, or gives numbers that are not finite."""


class StoreDamaged(BenchError):
    """A file of the store that has changed since it was written."""

    exit_code = 3


class StoreUnwritable(BenchError):
    """A file of the store that cannot be written or read."""

    exit_code = 1


class StoreFull(StoreUnwritable):
    """No space is left for a file of the store."""


class NeedsNetwork(BenchError):
    """Something must be fetched while the network is off."""

    exit_code = 4
