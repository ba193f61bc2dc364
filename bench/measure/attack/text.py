"""A text as words and what stands between them: what an attack changes, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MARKED = re.compile(r'([,!?;:()"]*)(.*?)([,!?;:()"]*)', re.DOTALL)
_LAST = re.compile(r"[^.]*\w\.")
_WORD = re.compile(r"[\w'\-*@]+")
_EDGES = "'-_*@"


@dataclass(frozen=True, slots=True)
class WordSequence:
    """A text, taken apart: `gaps[0] + words[0] + gaps[1] + ... + words[-1] + gaps[-1]`."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def text(self) -> str:
        """The text put together."""
        return "".join(
            part for pair in zip(self.gaps, (*self.words, ""), strict=True) for part in pair
        )

    def replace(self, index: int, word: str) -> WordSequence:
        """Return the text with another word at a place."""
        return WordSequence((*self.words[:index], word, *self.words[index + 1 :]), self.gaps)

    def delete(self, index: int) -> str:
        """Return the text without a word and one of the spaces beside it: the one before, or at the
        start after.
        """
        before, after = self.gaps[index], self.gaps[index + 1]
        if index == 0:
            after = after.removeprefix(" ")
        else:
            before = before.removesuffix(" ")
        left = WordSequence(self.words[:index], (*self.gaps[:index], before)).text
        return left + WordSequence(self.words[index + 1 :], (after, *self.gaps[index + 2 :])).text

    def window(self, index: int, size: int) -> str:
        """Return the text of `size` words around a place; at an edge they are taken from the other
        side.
        """
        start = max(0, min(index - size // 2, len(self.words) - size))
        words = self.words[start : start + size]
        return WordSequence(words, ("", *self.gaps[start + 1 : start + len(words)], "")).text


def tokens(text: str) -> WordSequence:
    """Take a text apart as the paper's data is: at spaces, and marks count as words.

    The paper's files are tokenised, and there nothing else happens. In plain text, marks at a
    word's edges and the full stop at the end of the text are words of their own too.
    """
    spans: list[tuple[int, int]] = []
    for match in re.finditer(r"\S+", text):
        start, end = match.span()
        opening, core, closing = _MARKED.fullmatch(match.group()).groups()  # type: ignore[union-attr]  # fits any text
        inner = start + len(opening), end - len(closing)
        spans += [
            span
            for span in ((start, inner[0]), inner, (inner[1], end))
            if core and span[0] < span[1]
        ]
        spans += [] if core else [(start, end)]
    if spans and _LAST.fullmatch(text[slice(*spans[-1])]):
        start, end = spans.pop()
        spans += [(start, end - 1), (end - 1, end)]
    return _apart(text, spans)


def words(text: str) -> WordSequence:
    """Take a text apart as TextAttack does: a word is letters, digits and inner apostrophes,
    hyphens, stars and ats.
    """
    spans = []
    for match in _WORD.finditer(text):
        bare = match.group().strip(_EDGES)
        if bare:
            start = match.start() + match.group().index(bare)
            spans.append((start, start + len(bare)))
    return _apart(text, spans)


def _apart(text: str, spans: Iterable[tuple[int, int]]) -> WordSequence:
    found: list[str] = []
    gaps: list[str] = []
    end = 0
    for start, stop in spans:
        gaps.append(text[end:start])
        found.append(text[start:stop])
        end = stop
    return WordSequence(tuple(found), (*gaps, text[end:]))
