"""A text as words and the gaps between them, to be changed word by word."""

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
    """A text in parts: `gaps[0] + words[0] + gaps[1] + ... + words[-1] + gaps[-1]`."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def text(self) -> str:
        """The complete text."""
        parts = []
        for gap, word in zip(self.gaps, (*self.words, ""), strict=True):
            parts += [gap, word]
        return "".join(parts)

    def replace(self, index: int, word: str) -> WordSequence:
        """Return the text with another word at `index`."""
        return WordSequence((*self.words[:index], word, *self.words[index + 1 :]), self.gaps)

    def delete(self, index: int) -> str:
        """Return the text without a word and the space before it (at the start: after it)."""
        before, after = self.gaps[index], self.gaps[index + 1]
        if index == 0:
            after = after.removeprefix(" ")
        else:
            before = before.removesuffix(" ")
        left = WordSequence(self.words[:index], (*self.gaps[:index], before))
        right = WordSequence(self.words[index + 1 :], (after, *self.gaps[index + 2 :]))
        return left.text + right.text

    def window(self, index: int, size: int) -> str:
        """Return the text of `size` words around `index`, at an edge more of the other side."""
        start = max(0, min(index - size // 2, len(self.words) - size))
        words = self.words[start : start + size]
        return WordSequence(words, ("", *self.gaps[start + 1 : start + len(words)], "")).text


def tokens(text: str) -> WordSequence:
    """Split a text at spaces, as the paper's data is, with punctuation as words.

    The paper's files are tokenised, so that spaces are enough for them. In plain text, punctuation
    at a word's edges and the full stop at the end of the text become words too.
    """
    spans: list[tuple[int, int]] = []
    for match in re.finditer(r"\S+", text):
        spans += _without_marks(*match.span(), match.group())
    if spans and _LAST.fullmatch(text[slice(*spans[-1])]):
        start, end = spans.pop()
        spans += [(start, end - 1), (end - 1, end)]
    return _sequence(text, spans)


def words(text: str) -> WordSequence:
    """Split a text as TextAttack does.

    A word has letters, digits, and inner apostrophes, hyphens, stars and at signs.
    """
    spans = []
    for match in _WORD.finditer(text):
        bare = match.group().strip(_EDGES)
        if bare:
            start = match.start() + match.group().index(bare)
            spans.append((start, start + len(bare)))
    return _sequence(text, spans)


def _without_marks(start: int, end: int, word: str) -> list[tuple[int, int]]:
    """Return the spans of a word and of the punctuation before and after it."""
    match = _MARKED.fullmatch(word)
    assert match is not None  # it fits any text
    opening, core, closing = match.groups()
    if not core:
        return [(start, end)]
    inner_start, inner_end = start + len(opening), end - len(closing)
    spans = [(start, inner_start), (inner_start, inner_end), (inner_end, end)]
    return [(first, last) for first, last in spans if first < last]


def _sequence(text: str, spans: Iterable[tuple[int, int]]) -> WordSequence:
    words: list[str] = []
    gaps: list[str] = []
    end = 0
    for start, stop in spans:
        gaps.append(text[end:start])
        words.append(text[start:stop])
        end = stop
    return WordSequence(tuple(words), (*gaps, text[end:]))
