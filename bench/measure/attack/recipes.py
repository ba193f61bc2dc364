"""TextFooler's recipes by name: their pieces and their thresholds.

`textfooler-paper` is Jin et al. (2020) with the similarity threshold that its authors name to
reproduce the paper, 0.5; `textfooler-cli` has that of their program, 0.7, which the thesis used
unchanged (thesis, 4.3.2). `textattack-jin2019` is TextAttack's recipe of that name. They differ in
more than the threshold: see `RECIPES`.

Departures from all three, for lack of offline resources, which the measurement names: a local
encoder replaces the Universal Sentence Encoder, NLTK's stop words replace the recipe's own, and the
cosine is not checked where neighbours come from a table without distances. Departures from Jin et
al.: plain text is split at punctuation first, since their files are tokenised; in a text of 14
words, the window at its last places is the complete text (their index falls below 0 there, which
gives a single word). Departures from TextAttack: of a pair only the attacked text is tagged and
compared, not both as one text; a word that repeats in its context is tagged in its own place, not
in its first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fewbench.errors import BenchError
from fewbench.measure.attack import PAPER_RECIPE
from fewbench.measure.attack.constraints import NotStopWords, SameTag, Similar, from_radians
from fewbench.measure.attack.moves import Swap
from fewbench.measure.attack.resources import Resources
from fewbench.measure.attack.search import (
    Assembly,
    by_deletion,
    by_unknown,
    first_winners,
    most_similar_winner,
)
from fewbench.measure.attack.text import tokens, words
from fewbench.types import Json

JIN_2019 = 0.840845057
"""TextAttack's threshold of angular similarity: `from_radians(0.5)` to nine digits."""


@dataclass(frozen=True, slots=True)
class AttackRecipe:
    """An attack by name.

    Attributes:
        lower: lower-case texts first, as Jin et al. do.
        threshold: the least angular similarity.
        assemble: makes the attack from its resources.
        description: for the measurement.
    """

    name: str
    lower: bool
    threshold: float
    assemble: Callable[[Resources], Assembly]
    description: Json


def _jin(name: str, threshold: float) -> AttackRecipe:
    angle = from_radians(threshold)

    def assemble(resources: Resources) -> Assembly:
        return Assembly(
            take_apart=tokens,
            changeable=NotStopWords(resources.stop_words),
            rank=by_unknown,
            swap=Swap(resources.neighbours),
            same_tag=SameTag(resources.tagger, "current"),
            similar=Similar(angle, short=from_radians(0.1)),
            choose=most_similar_winner,
            ask_all=True,
        )

    description = {
        "importance": "out-of-vocabulary token",
        "threshold": {"one_minus_radians": threshold, "angular": round(angle, 9)},
        "short_texts": {
            "one_minus_radians": 0.1,
            "angular": round(from_radians(0.1), 9),
            "below_words": 15,
        },
        "asks": "all candidates",
    }
    return AttackRecipe(name, True, angle, assemble, description)


def _textattack(name: str) -> AttackRecipe:
    def assemble(resources: Resources) -> Assembly:
        return Assembly(
            take_apart=words,
            changeable=NotStopWords(resources.stop_words),
            rank=by_deletion,
            swap=Swap(resources.neighbours),
            same_tag=SameTag(resources.tagger, "original"),
            similar=Similar(JIN_2019, short=None),
            choose=first_winners,
            ask_all=False,
        )

    description = {
        "importance": "deletion",
        "threshold": {"angular": JIN_2019},
        "short_texts": {"below_words": 15, "passed": True},
        "asks": "candidates that meet all constraints",
    }
    return AttackRecipe(name, False, JIN_2019, assemble, description)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _jin(PAPER_RECIPE, 0.5),
        _jin("textfooler-cli", 0.7),
        _textattack("textattack-jin2019"),
    )
}


def get_recipe(name: str) -> AttackRecipe:
    """Return a recipe by name.

    Raises:
        BenchError: there is none.
    """
    if name not in RECIPES:
        allowed = [*RECIPES, "textattack:NAME"]
        raise BenchError(
            f"unknown recipe '{name}'", allowed=allowed, given=name, fix=f"--recipe {PAPER_RECIPE}"
        )
    return RECIPES[name]
