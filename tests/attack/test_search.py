"""Ranking, choosing and greedy search on a model whose answers are worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fewbench.measure.attack.asking import Ask, Remembered, answer_together
from fewbench.measure.attack.goal import Untargeted
from fewbench.measure.attack.recipes import RECIPES
from fewbench.measure.attack.report import AttackOutcome, summary
from fewbench.measure.attack.run import blocks
from fewbench.measure.attack.search import (
    Tried,
    by_deletion,
    by_unknown,
    first_winners,
    most_similar_winner,
)
from fewbench.measure.attack.text import words
from fewbench.types import Example, Predictions

GOAL = Untargeted(0)


class Counting:
    """A model of two classes, which records its questions.

    The log-odds of the second class are the sum of the words' weights.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        self.weights = weights
        self.asked: list[list[tuple[str, ...]]] = []

    def predict(self, examples):
        self.asked.append([example.texts for example in examples])
        odds = np.array(
            [sum(self.weights.get(word, 0.0) for word in e.texts[-1].split()) for e in examples]
        )
        second = 1 / (1 + np.exp(-odds))
        rows = np.stack([1 - second, second], axis=1).astype(np.float32)
        return Predictions(tuple(example.id for example in examples), probabilities=rows)


def letters(texts):
    """Encode texts by their counts of letters: another word turns the vector a little."""
    return np.array(
        [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts],
        np.float32,
    )


def rank(search, answers):
    """Return a ranking's question and its order."""
    ask = next(search)
    with pytest.raises(StopIteration) as end:
        search.send(np.asarray(answers, np.float32))
    return ask, end.value.value


def test_words_are_ranked_by_deletion():
    before = np.array([[0.9, 0.1]], np.float32)
    answers = [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]
    ask, order = rank(by_deletion(words("w x y z"), [0, 2, 3], before, GOAL), answers)
    assert ask == Ask("model", ["x y z", "w x z", "w x y"])
    assert order == [2, 3, 0]


def test_words_are_ranked_by_the_unknown_word_as_in_equation_2():
    """0.6 - 0.5 = 0.1; turned: 0.6 - 0.2 + 0.7 - 0.3 = 0.8; 0.6 - 0.55 = 0.05 (Jin et al.)."""
    before = np.array([[0.6, 0.3, 0.1]], np.float32)
    answers = [[0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.55, 0.3, 0.15]]
    ask, order = rank(by_unknown(words("x y z"), [0, 1, 2], before, GOAL), answers)
    assert ask == Ask("model", ["<oov> y z", "x <oov> z", "x y <oov>"])
    assert order == [1, 0, 2]
    assert rank(by_unknown(words("x y z"), [2, 0], before, GOAL), answers)[1] == [0, 2]


def tried(right, violations, similarity):
    rows = np.stack([np.array(right), 1 - np.array(right)], axis=1).astype(np.float32)
    return Tried(rows, np.array(violations), np.array(similarity, np.float32))


BEFORE, NOW = np.array([[0.9, 0.1]], np.float32), np.array([[0.7, 0.3]], np.float32)


@pytest.mark.parametrize(
    ("right", "violations", "similarity", "chosen"),
    [
        (
            [0.4, 0.3, 0.6],
            [0, 0, 0],
            [0.8, 0.9, 0.99],
            1,
        ),  # the most similar of those that turn the class
        ([0.4, 0.3, 0.6], [0, 1, 0], [0.8, 0.9, 0.99], 0),  # what violates does not win
        (
            [0.8, 0.1, 0.6],
            [0, 1, 0],
            [0.8, 0.9, 0.7],
            2,
        ),  # 1 is added for a violation: 0.8, 1.1, 0.6
        ([0.8, 0.1, 0.2], [2, 1, 2], [0.8, 0.9, 0.7], None),  # 2.8, 1.1, 2.2: none is below 0.9
        ([0.95, 0.92], [0, 0], [0.8, 0.9], None),  # none is below the original text's 0.9
        ([0.85, 0.92], [0, 0], [0.8, 0.9], 0),  # not below 0.7, what it is now, but below 0.9
    ],
)
def test_the_papers_choice(right, violations, similarity, chosen):
    assert most_similar_winner(GOAL, tried(right, violations, similarity), BEFORE, NOW) == chosen


@pytest.mark.parametrize(
    ("right", "similarity", "chosen"),
    [
        ([0.6, 0.65], [0.8, 0.9], 0),  # the lowest
        ([0.85, 0.92], [0.8, 0.9], None),  # none is below 0.7, what it is now
        ([0.7, 0.92], [0.8, 0.9], None),
        (
            [0.4, 0.2, 0.6, 0.3],
            [0.8, 0.7, 0.99, 0.8],
            3,
        ),  # the most similar winner, of equals the lowest
        ([0.4, 0.4], [0.8, 0.8], 0),
    ],
)
def test_textattacks_choice(right, similarity, chosen):
    assert first_winners(GOAL, tried(right, [0] * len(right), similarity), BEFORE, NOW) == chosen


def test_a_winner_behind_a_candidate_that_turns_nothing_is_not_seen():
    rows = np.array([[0.3, 0.4, 0.3], [0.34, 0.33, 0.33], [0.35, 0.4, 0.25]], np.float32)
    found = first_winners(
        GOAL, Tried(rows, np.zeros(3, int), np.array([0.8, 0.9, 0.99], np.float32)), BEFORE, NOW
    )
    assert found == 0


WEIGHTS = {
    "good": 2.0,
    "great": 1.5,
    "nice": -0.5,
    "fine": -1.5,
    "film": 0.5,
    "movie": 0.25,
    "viewing": -4.0,
}


def attacked(recipe, resources, model, *texts, label=1):
    items = [
        Example(f"test-{n}", (text,) if isinstance(text, str) else text, label)
        for n, text in enumerate(texts)
    ]
    return [
        outcome
        for block in blocks(recipe.assemble(resources), model, letters, items)
        for outcome in block
    ]


def loose(name):
    """Return a recipe that finds all sentences similar, to follow the rest by hand."""
    recipe = RECIPES[name]

    def assemble(resources):
        assembly = recipe.assemble(resources)
        return replace(assembly, similar=replace(assembly.similar, threshold=0.0, short=0.0))

    return replace(recipe, assemble=assemble)


def test_textattacks_attack_by_hand(resources):
    """The log-odds are 2.5, 0.5 without good and 2 without film: good comes first.

    Of great 2, nice 0 and fine -1 (well is an adverb), fine is lowest and turns the class. So does
    nice: at 0, a tie, the first class wins, which is not the right one.
    """
    model = Counting(WEIGHTS)
    (found,) = attacked(loose("textattack-jin2019"), resources, model, "this good film")
    assert model.asked == [
        [("this good film",)],
        [("this film",), ("this good",)],
        [("this fine film",), ("this great film",), ("this nice film",)],
    ]
    assert (found.status, found.queries, found.changed, found.words) == ("succeeded", 6, 1, 3)
    assert found.adversarial[0] in ("this fine film", "this nice film")
    assert found.before[1] == pytest.approx(1 / (1 + math.exp(-2.5)), abs=1e-6)


def test_the_papers_attack_by_hand(resources):
    """All words are replaced by <oov>, then good by its candidates: well is no adjective."""
    model = Counting(WEIGHTS | {"well": -9.0})
    (found,) = attacked(loose("textfooler-paper"), resources, model, "this good film")
    assert model.asked == [
        [("this good film",)],
        [("<oov> good film",), ("this <oov> film",), ("this good <oov>",)],
        [("this great film",), ("this well film",), ("this nice film",), ("this fine film",)],
    ]
    assert (found.status, found.queries, found.changed) == ("succeeded", 8, 1)


@pytest.mark.parametrize("name", ["textattack-jin2019", "textfooler-paper"])
def test_a_second_word_is_changed_where_one_does_not_do(resources, name):
    """From 3 + 0.5: good becomes great (2.5), since nice and fine are near nothing; then film."""
    model = Counting(
        {
            "good": 3.0,
            "great": 2.5,
            "nice": 3.5,
            "fine": 3.5,
            "film": 0.5,
            "movie": 0.25,
            "viewing": -4.0,
        }
    )
    (found,) = attacked(loose(name), resources, model, "this good film")
    assert (found.status, found.adversarial, found.changed) == (
        "succeeded",
        ("this great viewing",),
        2,
    )


@pytest.mark.parametrize("name", [*RECIPES])
def test_what_is_wrong_already_is_skipped_after_one_query(resources, name):
    (found,) = attacked(RECIPES[name], resources, Counting(WEIGHTS), "this film is bad", label=0)
    assert (found.status, found.queries, found.changed, found.adversarial) == (
        "skipped",
        1,
        0,
        ("this film is bad",),
    )


@pytest.mark.parametrize("name", [*RECIPES])
def test_a_text_without_neighbours_survives(resources, name):
    (found,) = attacked(RECIPES[name], resources, Counting({"cat": 2.0}), "the cat is a cat")
    assert (found.status, found.adversarial) == ("failed", ("the cat is a cat",))


@pytest.mark.parametrize("name", [*RECIPES])
@pytest.mark.parametrize("text", ["", "the", ",", "cat"])
def test_a_text_of_few_words_or_none_survives(resources, name, text):
    (found,) = attacked(RECIPES[name], resources, Counting({}), text, label=0)
    assert (found.status, found.adversarial, found.changed) == ("failed", (text,), 0)


@pytest.mark.parametrize("name", [*RECIPES])
def test_a_premise_stays_as_it_is(resources, name):
    model = Counting(WEIGHTS)
    (found,) = attacked(RECIPES[name], resources, model, ("this good film", "a good film"))
    assert {texts[0] for batch in model.asked for texts in batch} == {"this good film"}
    assert found.texts == ("this good film", "a good film") and found.words == 3
    assert found.adversarial[0] == "this good film"


def test_candidates_that_are_not_similar_are_not_asked_about(resources):
    """In a text of fifteen words the threshold counts, and no candidate meets 1.1."""
    recipe = loose("textattack-jin2019")

    def assemble(resources):
        return replace(
            recipe.assemble(resources),
            similar=replace(recipe.assemble(resources).similar, threshold=1.1),
        )

    model = Counting(WEIGHTS)
    text = "this good film is " + "it " * 11
    (found,) = attacked(replace(recipe, assemble=assemble), resources, model, text.strip())
    assert found.status == "failed" and found.queries == 1 + 2


def test_questions_of_many_searches_fill_batches_and_repeated_texts_are_looked_up(resources):
    model = Counting(WEIGHTS)
    found = attacked(
        loose("textattack-jin2019"), resources, model, *["this good film"] * 5, "a good film"
    )
    assert [len(batch) for batch in model.asked] == [2, 4, 6]
    assert [outcome.queries for outcome in found] == [6] * 6
    assert len({outcome.adversarial for outcome in found[:5]}) == 1


def test_searches_end_when_they_end_and_queries_are_the_models():
    def search(n):
        for _ in range(n):
            rows = yield Ask("model", ["x", "y"])
            assert rows.tolist() == [[n, 0], [n, 1]]
            yield Ask("encoder", ["z"])
        return n

    def model(asked):
        return np.array([[number + 1, "xy".index(text)] for number, text in asked])

    def encoder(asked):
        return np.zeros((len(asked), 1))

    found = answer_together([search(n) for n in (1, 2, 3)], {"model": model, "encoder": encoder})
    assert found == [(1, 2), (2, 4), (3, 6)]


def test_an_answer_is_remembered():
    asked = []

    def answer(keys):
        asked.append(list(keys))
        return np.array([[len(key[0])] for key in keys])

    remembered = Remembered(answer)
    assert remembered([("a",), ("bb",), ("a",)]).tolist() == [[1], [2], [1]]
    assert remembered([("bb",), ("ccc",)]).tolist() == [[2], [3]]
    assert asked == [[("a",), ("bb",)], [("ccc",)]]


def test_figures_and_their_denominators():
    """Of four items one is wrong, one withstands 10 queries, two fall (20, 30; 1/4, 2/4 words)."""

    def outcome(status, queries, changed):
        return AttackOutcome(
            "x", status, 0, ("a b c d",), ("",), (1.0,), (1.0,), queries, changed, 4
        )

    found = summary(
        [
            outcome("skipped", 1, 0),
            outcome("failed", 10, 3),
            outcome("succeeded", 20, 1),
            outcome("succeeded", 30, 2),
        ]
    )
    assert found["original_accuracy"] == 3 / 4
    assert found["after_attack_accuracy"] == 1 / 4
    assert found["success_rate"] == 2 / 3
    assert found["mean_queries"] == (10 + 20 + 30) / 3
    assert found["changed_words"] == (1 / 4 + 2 / 4) / 2
    assert {*found["denominators"]} == {name for name in found if isinstance(found[name], float)}
    nothing = summary([outcome("skipped", 1, 0)])
    assert (nothing["mean_queries"], nothing["success_rate"], nothing["changed_words"]) == (
        None,
        None,
        None,
    )
