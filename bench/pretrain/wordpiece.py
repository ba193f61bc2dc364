"""A lower-casing WordPiece tokenizer learned from documents, with chosen words as single tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IDEOGRAPHS = ("\u3400", "\u9fff")
"""The first and the last of the Chinese characters, each of which is a word to WordPiece."""


def learn(
    read: Callable[[], Iterable[str]], size: int, words: Sequence[str], alphabet: int = 300
) -> Any:
    """Return a fast tokenizer of at most `size` tokens in which each of `words` is one token.

    The same texts give the same tokenizer. The library breaks ties between pairs by the numbers of
    their pieces, and numbers the characters inside words in the order in which a hash table of its
    own gives them, another in every process; so the characters are counted, and numbered as special
    tokens, before it begins.

    Args:
        read: gives the texts to learn the pieces from, from the start; called twice.
        size: tokens, special ones and `words` included.
        words: label words and the like, in lower case.
        alphabet: how many different characters are kept; others become [UNK]. Text in Chinese
            has some six thousand.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = _letters(map(learner.normalizer.normalize_str, read()), alphabet)
    inside = [f"##{letter}" for letter in letters if not _is_ideograph(letter)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *inside],
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    learner.train_from_iterator(read(), trainer)
    learned = [piece for piece, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]
    pieces = list(dict.fromkeys([*SPECIAL, *words, *learned]))[
        :size
    ]  # the rarest pieces give way to the words
    tokenizer = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = learner.normalizer, learner.pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))],
    )
    names = dict(
        zip(
            ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True
        )
    )
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, model_input_names=inputs, **names
    )


def _letters(texts: Iterable[str], most: int) -> list[str]:
    """Return the characters that are no space, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    found = [letter for letter in counts if not letter.isspace()]
    return sorted(found, key=lambda letter: (-counts[letter], letter))[:most]


def label_words(words: Iterable[str]) -> list[str]:
    """Return the words that can be single tokens, in lower case and without repeats.

    They are plain Latin, or one Chinese character.
    """
    lowered = (word.strip().lower() for word in words)
    return list(dict.fromkeys(filter(_is_one_token, lowered)))


def _is_one_token(word: str) -> bool:
    return _is_ideograph(word) or (word.isascii() and word.isalnum())


def _is_ideograph(text: str) -> bool:
    return len(text) == 1 and IDEOGRAPHS[0] <= text <= IDEOGRAPHS[1]
