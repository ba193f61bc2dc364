"""What an attack came to: one outcome an item, and figures over them whose denominators are said.

- `classes`: how many of the items attacked are of each class.
- `original_accuracy`: items the model gets right, of all items attacked, read as the recipe reads
them.
- `clean_accuracy`: the same of the texts as they stand.
- `after_attack_accuracy`: items whose attack failed, of all items attacked. What the model gets
  wrong to begin with is not attacked, and counts as wrong (thesis 4.3.2; in Jin et al.'s program as
  a success of the attack).
- `success_rate`: attacks that succeeded, of the items the model got right.
- `mean_queries`: texts the model was asked about, over the items it got right, whether or not the
  attack succeeded. The text itself counts as one, and a text asked about twice as two.
- `changed_words`: changed words over all words of the text that is attacked, over the attacks that
succeeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["succeeded", "failed", "skipped"]

DENOMINATORS = {
    "original_accuracy": "all items",
    "after_attack_accuracy": "all items; what was wrong before the attack counts as wrong",
    "success_rate": "items that were right before the attack",
    "mean_queries": "items that were right before the attack; the query of the text itself included",
    "changed_words": "items whose attack succeeded",
}


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """What became of one item.

    Attributes:
        id: of the example.
        status: `skipped` is what the model got wrong to begin with.
        label: the right class.
        texts: what the model was given, the attacked text last.
        adversarial: what those texts became; where the attack failed, how far it came.
        before: the model's probabilities of the texts, one a class.
        after: and with the adversarial text.
        queries: texts that the model was asked about.
        changed: words that were changed.
        words: words of the attacked text.
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

    def row(self) -> dict[str, Any]:
        """Return it as a JSON line holds it."""
        return asdict(self)


def outcome_of(row: dict[str, Any]) -> AttackOutcome:
    """Return the outcome that a row holds."""
    lists = ("texts", "adversarial", "before", "after")
    values: Any = {name: tuple(value) if name in lists else value for name, value in row.items()}
    return AttackOutcome(**values)


def summary(outcomes: Sequence[AttackOutcome], labels: Sequence[str] = ()) -> dict[str, Any]:
    """Return the figures over some outcomes, at least one; None where there is nothing to take a
    mean of.

    Args:
        outcomes: of the items attacked.
        labels: what their classes are called.
    """
    of_class = Counter(outcome.label for outcome in outcomes)
    count = Counter(outcome.status for outcome in outcomes)
    right = [outcome for outcome in outcomes if outcome.status != "skipped"]
    won = [outcome for outcome in outcomes if outcome.status == "succeeded"]
    return {
        "items": len(outcomes),
        "classes": {name: of_class[number] for number, name in enumerate(labels)},
        **{status: count[status] for status in ("succeeded", "failed", "skipped")},
        "original_accuracy": len(right) / len(outcomes),
        "after_attack_accuracy": count["failed"] / len(outcomes),
        "success_rate": _mean([float(outcome.status == "succeeded") for outcome in right]),
        "mean_queries": _mean([outcome.queries for outcome in right]),
        "changed_words": _mean([outcome.changed / outcome.words for outcome in won]),
        "denominators": DENOMINATORS,
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
