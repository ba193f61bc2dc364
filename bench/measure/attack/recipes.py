"""TextFooler's recipes by name: how its pieces are put together, and at which thresholds.

`textfooler-paper` is Jin et al. (2020) with the similarity threshold that its authors name to
reproduce the paper, 0.5; `textfooler-cli` has that of their program, 0.7, which the thesis used off
the shelf (thesis, 4.3.2). `textattack-jin2019` is TextAttack's recipe of that name. They differ in
more than the threshold: see `RECIPES`.

Departs from all three, for what cannot be had offline, as the record says of each: the Universal
Sentence Encoder (a local encoder stands for it), the recipe's own stop words (NLTK's stand for
them), and, where neighbours come from a table without distances, the cosine. Departs from Jin et
al.: plain text is taken apart at marks first; their files are tokenised. Of a text of 14 words, the
window at its last places is the whole text (their index runs below 0 there, and it is a single
word). Departs from TextAttack: of a pair only the text that is attacked is tagged and compared, not
both as one text; a word that repeats in its context is tagged where it stands, not where it stands
first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fewbench.errors import BenchError
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

JIN_2019 = 0.840845057
"""TextAttack's threshold of angular similarity: `from_radians(0.5)` to nine digits."""


@dataclass(frozen=True, slots=True)
class AttackRecipe:
    """An attack by name.

    Attributes:
        lower: texts are put in lower case first, as Jin et al.'s are.
        threshold: the least angular similarity.
        assemble: puts the pieces together.
        says: what a record says of it.
    """

    name: str
    lower: bool
    threshold: float
    assemble: Callable[[Resources], Assembly]
    says: dict[str, Any]


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

    says = {
        "importance": "out-of-vocabulary token",
        "threshold": {"one_minus_radians": threshold, "angular": round(angle, 9)},
        "short_texts": {
            "one_minus_radians": 0.1,
            "angular": round(from_radians(0.1), 9),
            "below_words": 15,
        },
        "asks": "all candidates",
    }
    return AttackRecipe(name, True, angle, assemble, says)


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

    says = {
        "importance": "deletion",
        "threshold": {"angular": JIN_2019},
        "short_texts": {"below_words": 15, "passed": True},
        "asks": "candidates that meet all constraints",
    }
    return AttackRecipe(name, False, JIN_2019, assemble, says)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _jin("textfooler-paper", 0.5),
        _jin("textfooler-cli", 0.7),
        _textattack("textattack-jin2019"),
    )
}


def get_recipe(name: str) -> AttackRecipe:
    """Return the recipe of a name.

    Raises:
        BenchError: there is none.
    """
    if name not in RECIPES:
        allowed = [*RECIPES, "textattack:NAME"]
        raise BenchError(
            f"unknown recipe '{name}'", allowed=allowed, given=name, fix="--recipe textfooler-paper"
        )
    return RECIPES[name]
