"""The errors a user can cause: each says what was given, what is allowed, the nearest name, and
what to type.

Names and texts in records, task files, corpora and file names may be anybody's: what would steer a
terminal or reorder a line is shown as a visible escape (`visible`), and every way out calls that.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

JOINERS = "\u200c\u200d"
"""Format characters that words of some scripts, and emoji, are spelt with."""

_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of Unicode: control, format (direction among it), lone surrogates, separators of lines
and paragraphs.
"""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text in which control and format characters are written out: `\x1b`, `\u202e`.

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
    """Whether a character is not shown but changes what is: controls, direction marks, lone
    surrogates.
    """
    return unicodedata.category(letter) in _STEERING and letter not in JOINERS


LONGEST = 100
"""Characters that a message repeats at most of what was typed."""


def shortened(text: str) -> str:
    """Return a text as a message repeats it: its beginning, where it is long."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


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
        told = [self.problem, *(f"  {name}: {text}" for name, text in rows if text)]
        return "\n".join(visible(text, lines=True).replace("\n", "\n    ") for text in told)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle whole: worker processes hand errors to their parent."""
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
    """A model that cannot be loaded whole, or that gives no finite numbers."""


class StoreDamaged(BenchError):
    """A file of the store that is not what was written."""

    exit_code = 3


class StoreUnwritable(BenchError):
    """A file of the store cannot be written, or not be read."""

    exit_code = 1


class StoreFull(StoreUnwritable):
    """No space is left for a file of the store."""


class NeedsNetwork(BenchError):
    """Something must be fetched while the network is off."""

    exit_code = 4
