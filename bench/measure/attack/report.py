"""The results of an attack: one outcome per item, and figures over them.

- `classes`: the number of items attacked, by class.
- `original_accuracy`: the share of items that the model gets right, prepared for the recipe.
- `clean_accuracy`: the same for the unprepared texts.
- `after_attack_accuracy`: the share of items whose attack failed. Items that the model gets wrong
  from the start are not attacked and count as wrong (thesis 4.3.2; Jin et al.'s program counts them
  as successes of the attack).
- `success_rate`: the share of successful attacks on items that the model got right.
- `mean_queries`: the mean number of texts that the model was asked about, over the items it got
  right, whether or not the attack succeeded. The text itself counts as one, and a text asked about
  twice as two.
- `changed_words`: the mean share of changed words in the attacked text, over successful attacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from fewbench.types import Json

Status = Literal["succeeded", "failed", "skipped"]

DENOMINATORS = {
    "original_accuracy": "all items",
    "after_attack_accuracy": "all items; what was wrong before the attack counts as wrong",
    "success_rate": "items that were right before the attack",
    "mean_queries": "items that were right before the attack; "
    "the query of the text itself included",
    "changed_words": "items whose attack succeeded",
}


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """The outcome for one item.

    Attributes:
        id: of the example.
        status: `skipped` if the model got it wrong from the start.
        label: the right class.
        texts: the model's input, the attacked text last.
        adversarial: the changed texts, also where the attack failed in the end.
        before: the model's probabilities for the texts, one per class.
        after: those for the adversarial texts.
        queries: number of texts that the model was asked about.
        changed: number of changed words.
        words: number of words in the attacked text.
    """

    id: str
    status: Status
    label: int
    texts: tuple[str, ...]
    adversarial: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    queries: int
    changed: int
    words: int

    def row(self) -> Json:
        """Return the outcome as a JSON object."""
        return asdict(self)


def outcome_of(row: Json) -> AttackOutcome:
    """Return the outcome of a JSON object."""
    values = dict(row)
    for name in ("texts", "adversarial", "before", "after"):
        values[name] = tuple(values[name])
    return AttackOutcome(**values)


def summary(outcomes: Sequence[AttackOutcome], labels: Sequence[str] = ()) -> Json:
    """Return the figures over outcomes; a mean over nothing is None.

    Args:
        outcomes: of the items attacked, at least one.
        labels: the names of their classes.
    """
    of_class = Counter(outcome.label for outcome in outcomes)
    count = Counter(outcome.status for outcome in outcomes)
    right = [outcome for outcome in outcomes if outcome.status != "skipped"]
    successes = [outcome for outcome in right if outcome.status == "succeeded"]
    return {
        "items": len(outcomes),
        "classes": {name: of_class[number] for number, name in enumerate(labels)},
        "succeeded": count["succeeded"],
        "failed": count["failed"],
        "skipped": count["skipped"],
        "original_accuracy": len(right) / len(outcomes),
        "after_attack_accuracy": count["failed"] / len(outcomes),
        "success_rate": _ratio(len(successes), len(right)),
        "mean_queries": _mean([outcome.queries for outcome in right]),
        "changed_words": _mean([outcome.changed / outcome.words for outcome in successes]),
        "denominators": DENOMINATORS,
    }


def _mean(values: Sequence[float]) -> float | None:
    return _ratio(sum(values), len(values))


def _ratio(part: float, total: int) -> float | None:
    return part / total if total else None
