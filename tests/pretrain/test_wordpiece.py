"""Tokenizers learned from documents: the same from the same texts, with the words asked for."""

from __future__ import annotations

import random
from itertools import chain

from conftest import PROJECT

from fewbench.pretrain.recipe import read_recipe
from fewbench.pretrain.wordpiece import label_words, learn
from fewbench.registry.tasks import choose_tasks


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


def test_a_chinese_character_is_a_token_and_stands_alone():
    texts = ["体育新闻 abc 体育场", "文化新闻 abd 教育"]
    words = label_words(["差", "Great", "体育", "a b"])
    assert words == ["差", "great"]  # 体育 is two words to WordPiece
    tokenizer = learn(lambda: texts, 60, words, alphabet=30)
    assert tokenizer.tokenize("教育abc差") == ["教", "育", "abc", "差"]
    assert not [piece for piece in tokenizer.get_vocab() if piece[:2] == "##" and piece[2:] > "z"]


def test_the_chinese_recipe_has_every_character_of_the_tasks_label_words():
    recipe = read_recipe(PROJECT / "scripts" / "chinese" / "recipe.toml", {})
    tasks = choose_tasks(["clue", "fewclue"])
    words = chain.from_iterable(task.words for task in tasks)
    characters = set("".join(chain.from_iterable(words)))
    assert characters <= set(recipe.words) == set(label_words(recipe.words))
    assert recipe.alphabet < recipe.vocabulary
