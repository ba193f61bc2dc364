"""Check a task against a tokenizer: prompt lengths and label words; needs no torch or model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.data.template import Piece, parse_template, piece_text
from fewbench.errors import BenchError, ModelError
from fewbench.types import Example, ModelRef, Task

BOUNDARY = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's symbol for the space before a word."""


class Word(NamedTuple):
    """A label word and its pieces; `unknown` where the tokenizer has no piece for it."""

    label: str
    word: str
    pieces: tuple[str, ...]
    unknown: bool

    @property
    def fits(self) -> bool:
        """True if it is a single known piece, which every method reads at the mask."""
        return len(self.pieces) == 1 and not self.unknown

    @property
    def remark(self) -> str:
        """A remark on its pieces: that they are several, or unknown; empty for a known one."""
        if self.unknown:
            return " UNKNOWN"
        return "" if self.fits else f" {len(self.pieces)} TOKENS"

    @property
    def taken_whole(self) -> Word:
        """The word with its known pieces as one, as methods see it that read several tokens."""
        return self if self.unknown else self._replace(pieces=(" ".join(self.pieces),))

    @property
    def chinese(self) -> bool:
        """True if it has Chinese characters, most of which an English vocabulary lacks."""
        return any("\u4e00" <= character <= "\u9fff" for character in self.word)


def load_tokenizer(model: ModelRef) -> Any:
    """Load a model's tokenizer from its tokenizer.json.

    Raises:
        ModelError: the file does not exist or cannot be read.
    """
    from tokenizers import Tokenizer

    file = Path(model.path) / "tokenizer.json"
    if not file.is_file():
        fix = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it"
        raise ModelError("no tokenizer.json in this model folder", where=model.path, fix=fix)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ModelError(f"this tokenizer cannot be read: {error}", where=str(file)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    read_as_text(tokenizer)
    return tokenizer


def read_as_text(tokenizer: Any) -> None:
    """Make a tokenizer (of the library tokenizers) read special tokens in a text as plain text.

    SentencePiece finds the pieces of its vocabulary anywhere, and "</s>" may be one of them: such a
    token gets a space after its first character.
    """
    from tokenizers import normalizers

    tokenizer.encode_special_tokens = True
    added = tokenizer.get_added_tokens_decoder().values()
    still_special = []
    for text in [token.content for token in added if token.special]:
        if text in tokenizer.encode(text, add_special_tokens=False).tokens:
            still_special.append(text)
    if still_special:
        existing = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        spaced = [normalizers.Replace(text, f"{text[:1]} {text[1:]}") for text in still_special]
        tokenizer.normalizer = normalizers.Sequence([*existing, *spaced])


def prompt_lengths(task: Task, examples: Sequence[Example], tokenizer: Any) -> list[int]:
    """Count the tokens of each example's prompt, encoded by pieces, plus two at the ends.

    The mask is as many tokens as the longest label word has.
    """
    lengths = [2] * len(examples)
    masks = max((len(word.pieces) for word in label_words(task, tokenizer)), default=1)
    for before, piece in pairwise((Piece("literal", ""), *parse_template(task.template))):
        if piece.kind == "mask":
            counts = [masks] * len(examples)
        else:
            texts = [piece_text(piece, before, example) for example in examples]
            encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
            counts = [len(encoding.ids) for encoding in encodings]
        lengths = [length + count for length, count in zip(lengths, counts, strict=True)]
    return lengths


def label_words(task: Task, tokenizer: Any) -> list[Word]:
    """Encode label words as the verbalizer does: after a space, unless they begin with punctuation.

    A SentencePiece tokenizer adds the symbol for that space itself.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    first = tokenizer.encode("a", add_special_tokens=False).tokens[:1]
    spaced = "" if first and first[0].startswith(BOUNDARY) else " "
    words = []
    for label, several in zip(task.labels, task.words, strict=True):
        for word in several:
            bare = word.removeprefix(BOUNDARY) or word
            text = bare if bare[0] in "<[.," else spaced + bare
            pieces = tuple(tokenizer.encode(text, add_special_tokens=False).tokens)
            if len(pieces) > 1 and pieces[0] == BOUNDARY:
                pieces = pieces[1:]
            words.append(Word(label, word, pieces, unknown in pieces))
    return words


def check_words(task: Task, words: Sequence[Word]) -> None:
    """Check that words are one piece, or `taken_whole`; Chinese ones, for other tokenizers, pass.

    Raises:
        BenchError: a word has several pieces or is unknown, or two labels share a piece.
    """
    where = f"{task.file} [{task.name}] words"
    owner: dict[str, str] = {}
    for word in words:
        if word.chinese:
            continue
        if word.unknown:
            raise BenchError(
                f"this tokenizer lacks a piece of the label word '{word.word}'",
                where=where,
                fix="another word, or --student MODEL whose vocabulary has its pieces",
            )
        if not word.fits:
            raise BenchError(
                f"the label word '{word.word}' is {len(word.pieces)} pieces with this tokenizer: "
                f"{' '.join(word.pieces)}",
                where=where,
                allowed="words of one piece",
                fix="another word, or --student MODEL whose vocabulary has this one",
            )
        piece = word.pieces[0]
        if owner.setdefault(piece, word.label) != word.label:
            raise BenchError(
                f"the labels '{owner[piece]}' and '{word.label}' share the token '{piece}' "
                "with this tokenizer",
                where=where,
                fix="choose words that differ in more than case",
            )
