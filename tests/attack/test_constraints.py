"""Goal and constraints, each by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fewbench.errors import BenchError
from fewbench.measure.attack.asking import Ask
from fewbench.measure.attack.constraints import (
    NotStopWords,
    SameTag,
    Similar,
    angular,
    from_radians,
)
from fewbench.measure.attack.goal import Untargeted
from fewbench.measure.attack.recipes import JIN_2019, RECIPES, get_recipe
from fewbench.measure.attack.text import words

ROWS = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.5, 0.0]], np.float32)


def test_the_goal_is_any_other_class():
    goal = Untargeted(0)
    assert goal.reached(ROWS).tolist() == [False, True, False]
    assert goal.score(ROWS) == pytest.approx([0.3, 0.7, 0.5])


def test_stop_words_stay_in_the_case_they_are_listed_in(resources):
    assert NotStopWords(resources.stop_words)(words("The film is a film")) == [0, 1, 4]


@pytest.mark.parametrize("context", ["original", "current"])
def test_part_of_speech_is_kept_and_nouns_and_verbs_exchange(resources, context):
    text = words("this good film")
    constraint = SameTag(resources.tagger, context)
    candidates = [
        text.replace(2, word) for word in ("movie", "viewing", "fine")
    ]  # noun, verb, adjective
    assert constraint(text, candidates, 2) == [True, True, False]
    candidates = [
        text.replace(1, word) for word in ("great", "well", "cat", "see")
    ]  # adjective, adverb, noun, verb
    assert constraint(text, candidates, 1) == [True, False, False, False]


class Spy:
    """Notes what it is asked to tag."""

    def __init__(self):
        self.asked = []

    def tag(self, words, index):
        self.asked.append((" ".join(words), index))
        return "NOUN"


def test_the_original_context_is_four_words_before_and_three_after():
    spy = Spy()
    original = words("a b c d e f g h i j k l")
    SameTag(spy, "original")(original, [original.replace(0, "z").replace(6, "x")], 6)
    assert spy.asked == [("c d e f g h i j", 4), ("c d e f x h i j", 4)]
    spy.asked.clear()
    SameTag(spy, "original")(original, [original.replace(1, "x")], 1)
    assert spy.asked == [("a b c d e", 1), ("a x c d e", 1)]


def test_the_current_context_is_the_changed_text_and_the_original_is_tagged_whole():
    spy = Spy()
    original = words("a b c d e f g h i j k l")
    SameTag(spy, "current")(original, [original.replace(5, "z").replace(6, "x")], 6)
    assert spy.asked == [("a b c d e f g h i j k l", 6), ("c d e z x h i j k", 4)]
    spy.asked.clear()
    short = words("a b c d e f g h i j")
    SameTag(spy, "current")(short, [short.replace(9, "x")], 9)
    assert spy.asked == [("a b c d e f g h i j", 9), ("a b c d e f g h i x", 9)]


def test_angular_similarity_is_one_less_the_angle_over_pi():
    east, north, northeast = np.eye(2, dtype=np.float32)[:1], np.array([[0, 2]]), np.array([[3, 3]])
    others = np.concatenate([east, -5 * east, north, northeast]).astype(np.float32)
    assert angular(east, others) == pytest.approx([1, 0, 0.5, 0.75])


def test_thresholds_are_converted():
    """0.7 is cosine 0.955336, angular 0.904507; 0.5 is 0.877583, 0.840845, as in TextAttack."""
    for stated, cosine, angle in ((0.7, 0.955336, 0.904507), (0.5, 0.877583, 0.840845)):
        assert from_radians(stated) == pytest.approx(angle, abs=1e-6)
        assert math.cos(math.pi * (1 - from_radians(stated))) == pytest.approx(cosine, abs=1e-6)
    assert from_radians(0.5) == pytest.approx(JIN_2019, abs=1e-9)
    assert (RECIPES["textfooler-paper"].threshold, RECIPES["textfooler-cli"].threshold) == (
        from_radians(0.5),
        from_radians(0.7),
    )


def send(search, rows):
    try:
        search.send(np.asarray(rows, np.float32))
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks again")


def test_similarity_is_of_windows_against_the_text_before_the_change():
    current = words("a b c d e f g")
    candidates = [current.replace(3, "x"), current.replace(3, "y")]
    search = Similar(0.7, short=None, window=5)(current, candidates, 3)
    assert next(search) == Ask("encoder", ["b c d e f", "b c x e f", "b c y e f"])
    near, similarity = send(search, [[1, 0], [1, 1], [0, 1]])
    assert near.tolist() == [True, False] and similarity == pytest.approx([0.75, 0.5])


def test_short_texts_pass_or_have_a_threshold_of_their_own():
    current = words("a b c")
    candidates = [current.replace(1, "x"), current.replace(1, "y")]
    with pytest.raises(StopIteration) as end:
        next(Similar(0.9, short=None, window=4)(current, candidates, 1))
    near, similarity = end.value.value
    assert near.tolist() == [True, True] and similarity.tolist() == [1, 1]
    search = Similar(0.9, short=0.6, window=4)(current, candidates, 1)
    assert next(search).texts == ["a b c", "a x c", "a y c"]
    assert send(search, [[1, 0], [1, 1], [0, 1]])[0].tolist() == [True, False]
    long = Similar(0.9, short=0.6, window=3)(current, candidates, 1)
    next(long)
    assert send(long, [[1, 0], [1, 1], [0, 1]])[0].tolist() == [False, False]


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(BenchError, match="unknown recipe 'textfooler-papr'") as error:
        get_recipe("textfooler-papr")
    assert error.value.nearest[0] == "textfooler-paper"
