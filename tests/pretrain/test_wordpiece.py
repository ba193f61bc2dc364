"""Tokenizers learned from documents: the same from the same texts, with the words asked for."""

from __future__ import annotations

import random

from fewbench.pretrain.wordpiece import learn


def test_the_same_texts_give_the_same_tokenizer():
    """All pairs of letters are about equally frequent, so that ties decide nearly everything."""
    dice = random.Random(1)
    texts = [" ".join("".join(dice.choices("abcdefgh", k=6)) for _ in range(200)) for _ in range(5)]
    one, *others = (learn(lambda: texts, 400, ["great"]).get_vocab() for _ in range(4))
    assert all(other == one for other in others)
    assert len(one) == 400 and "great" in one


def test_rare_letters_give_way():
    tokenizer = learn(lambda: ["aaa bbb aab abb c"], 50, [], alphabet=2)
    assert "a" in tokenizer.get_vocab() and "c" not in tokenizer.get_vocab()
    assert tokenizer.tokenize("aab c") == ["aab", "[UNK]"]
