"""What a tokenizer makes of a task: lengths of its prompts, and the pieces of its label words. No
torch, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.data.template import Piece, parse_template, piece_text
from fewbench.errors import BenchError, ModelError
from fewbench.types import Example, ModelRef, Task

BOUNDARY = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign for the space before a word."""


class Word(NamedTuple):
    """A label word and its pieces; `unknown` where the tokenizer has no piece for it."""

    label: str
    word: str
    pieces: tuple[str, ...]
    unknown: bool

    @property
    def fits(self) -> bool:
        """Whether a prompted model can read it at the mask: one piece, and a known one."""
        return len(self.pieces) == 1 and not self.unknown

    @property
    def chinese(self) -> bool:
        """Whether it is written in Chinese characters, which an English vocabulary mostly lacks."""
        return any("\u4e00" <= character <= "\u9fff" for character in self.word)


def load_tokenizer(model: ModelRef) -> Any:
    """Return a model's tokenizer, from its tokenizer.json.

    Raises:
        ModelError: there is none, or it cannot be read.
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
    """Let a tokenizer (of the library tokenizers) read what is spelt like a special token as text.

    SentencePiece finds the pieces of its vocabulary wherever they are spelt, and "</s>" may be one
    of them: what would still be read as a special token gets a space behind its first character.
    """
    from tokenizers import normalizers

    tokenizer.encode_special_tokens = True
    special = [
        token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special
    ]
    found = [
        text for text in special if text in tokenizer.encode(text, add_special_tokens=False).tokens
    ]
    if found:
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        split = [normalizers.Replace(text, f"{text[:1]} {text[1:]}") for text in found]
        tokenizer.normalizer = normalizers.Sequence([*own, *split])


def prompt_lengths(task: Task, examples: Sequence[Example], tokenizer: Any) -> list[int]:
    """Return each example's tokens as a prompted model reads it whole: its pieces one by one, and
    two at the ends.
    """
    lengths = [2] * len(examples)
    for before, piece in pairwise((Piece("literal", ""), *parse_template(task.template))):
        if piece.kind == "mask":
            counts = [1] * len(examples)
        else:
            texts = [piece_text(piece, before, example) for example in examples]
            counts = [
                len(found.ids) for found in tokenizer.encode_batch(texts, add_special_tokens=False)
            ]
        lengths = [length + count for length, count in zip(lengths, counts, strict=True)]
    return lengths


def label_words(task: Task, tokenizer: Any) -> list[Word]:
    """Return every label word as the verbalizer looks it up: after a space, unless it begins with
    punctuation.

    A tokenizer of SentencePiece puts the boundary that stands for that space itself.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    first = tokenizer.encode("a", add_special_tokens=False).tokens[:1]
    spaced = "" if first and first[0].startswith(BOUNDARY) else " "
    words = []
    for label, several in zip(task.labels, task.words, strict=True):
        for word in several:
            text = word if word[0] in "<[.," else spaced + word
            pieces = tuple(tokenizer.encode(text, add_special_tokens=False).tokens)
            words.append(Word(label, word, pieces, unknown in pieces))
    return words


def check_words(task: Task, words: Sequence[Word]) -> None:
    """Refuse label words that the verbalizer would refuse; Chinese ones are for another tokenizer,
    and pass.

    Raises:
        BenchError: a word of several pieces, one that the tokenizer lacks, or one piece for two
            labels.
    """
    where = f"{task.file} [{task.name}] words"
    owner: dict[str, str] = {}
    for word in words:
        if word.chinese:
            continue
        if not word.fits:
            raise BenchError(
                f"the label word '{word.word}' is {len(word.pieces)} pieces with this tokenizer: "
                f"{' '.join(word.pieces)}",
                where=where,
                allowed="words of one piece",
                fix="another word, or --student MODEL whose vocabulary has this one",
            )
        if owner.setdefault(word.pieces[0], word.label) != word.label:
            raise BenchError(
                f"the labels '{owner[word.pieces[0]]}' and '{word.label}' share the token '{word.pieces[0]}' "
                "with this tokenizer",
                where=where,
                fix="choose words that differ in more than case",
            )
