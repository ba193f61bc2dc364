"""AMuLaP's label search on arrays worked by hand: two classes, six words."""

from __future__ import annotations

import numpy as np
import pytest

from fewbench.errors import BenchError
from fewbench.nn.label_search import (
    best_k,
    class_means,
    cut,
    random_words,
    rank_words,
    scores_by_k,
)
from fewbench.testing import toy_task
from fewbench.types import Example

# Four examples, two a class, and their probabilities over six words.
SEEN = np.array(
    [
        [0.40, 0.10, 0.20, 0.10, 0.10, 0.10],
        [0.20, 0.10, 0.40, 0.10, 0.10, 0.10],
        [0.10, 0.30, 0.20, 0.20, 0.10, 0.10],
        [0.10, 0.50, 0.20, 0.00, 0.10, 0.10],
    ],
    np.float32,
)
LABELS = [0, 0, 1, 1]


def lists(ranking):
    return [order.tolist() for order in ranking]


def test_class_means_are_the_average_over_the_examples_of_a_class():
    mixed = [2, 0, 3, 1]
    expected = [[0.3, 0.1, 0.3, 0.1, 0.1, 0.1], [0.1, 0.4, 0.2, 0.1, 0.1, 0.1]]
    np.testing.assert_allclose(
        class_means(SEEN[mixed], [LABELS[i] for i in mixed], 2), expected, atol=1e-7
    )


MEANS = np.array([[0.3, 0.1, 0.3, 0.1, 0.1, 0.1], [0.1, 0.4, 0.2, 0.1, 0.1, 0.1]])


def test_with_dedup_a_word_belongs_to_the_class_that_gives_it_most_and_a_tie_to_the_first():
    # Words 0 and 2 are likelier in class 0, word 1 in class 1; 3, 4, 5 tie and go to class 0. Equal
    # words: lower id.
    assert lists(rank_words(MEANS, dedup=True)) == [[0, 2, 3, 4, 5], [1]]
    assert lists(rank_words(MEANS[::-1], dedup=True)) == [[1, 3, 4, 5], [0, 2]]


def test_without_dedup_every_class_ranks_every_word():
    assert lists(rank_words(MEANS, dedup=False)) == [[0, 2, 1, 3, 4, 5], [1, 2, 0, 3, 4, 5]]


def test_a_class_where_no_word_is_likelier_keeps_its_own_likeliest():
    means = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert lists(rank_words(means, dedup=True)) == [[0, 1, 2], [0]]


def test_the_cut_keeps_the_first_k_or_all_there_are():
    ranking = rank_words(MEANS, dedup=True)
    assert cut(ranking, 1) == ((0,), (1,))
    assert cut(ranking, 2) == ((0, 2), (1,))
    assert cut(ranking, 1024) == ((0, 2, 3, 4, 5), (1,))
    with pytest.raises(BenchError, match="k is 0"):
        cut(ranking, 0)


def test_random_words_are_drawn_once_for_all_k_and_shared_by_no_two_classes():
    ranking = random_words(100, 3, np.random.default_rng(1))
    assert sorted(token for order in ranking for token in order) == list(range(100))
    assert lists(ranking) == lists(random_words(100, 3, np.random.default_rng(1)))
    assert lists(ranking) != lists(random_words(100, 3, np.random.default_rng(2)))
    assert cut(ranking, 4)[1][:2] == cut(ranking, 2)[1]


def test_scores_of_every_k_from_the_same_distributions():
    task = toy_task("single", labels=("bad", "good"), words=(("terrible",), ("great",)))
    examples = [Example(str(n), ("x",), label) for n, label in enumerate((0, 1, 1))]
    held = np.array([[0.3, 0.2, 0.2, 0.3], [0.4, 0.1, 0.1, 0.4], [0.1, 0.2, 0.4, 0.3]], np.float32)
    ranking = [np.array([0, 1]), np.array([2, 3])]
    # k = 1: 0.3 > 0.2, 0.4 > 0.1, 0.1 < 0.4, so two are right. k = 2: 0.5 = 0.5 and 0.5 = 0.5 (the
    # first class), then 0.3 < 0.7: two again. With words in the other order, k = 1: 0.2 < 0.3, 0.1
    # < 0.4, 0.2 < 0.3.
    assert scores_by_k(task, held, examples, ranking, (1, 2, 4)) == pytest.approx([2 / 3] * 3)
    other = [np.array([1, 0]), np.array([3, 2])]
    assert scores_by_k(task, held, examples, other, (1,)) == pytest.approx([2 / 3])
    assert scores_by_k(task, held, [*examples[1:], examples[0]], other, (1,)) == pytest.approx(
        [2 / 3]
    )
    assert scores_by_k(task, held[1:], examples[1:], other, (1,)) == [1.0]


def test_each_k_agrees_with_its_own_sum():
    rng = np.random.default_rng(0)
    task = toy_task("single")
    held = rng.dirichlet(np.ones(50), 30).astype(np.float32)
    examples = [Example(str(n), ("x",), n % 3) for n in range(30)]
    ranking = random_words(50, 3, rng)
    for k, found in zip(
        (1, 3, 8, 64), scores_by_k(task, held, examples, ranking, (1, 3, 8, 64)), strict=True
    ):
        sums = np.stack([held[:, list(words)].sum(1) for words in cut(ranking, k)], 1)
        assert found == pytest.approx((sums.argmax(1) == [n % 3 for n in range(30)]).mean())


def test_of_equal_scores_the_largest_k_wins():
    assert best_k((1, 2, 4, 8), (0.5, 0.7, 0.7, 0.6)) == 4
    assert best_k((1, 2, 4), (0.5, 0.5, 0.5)) == 4
