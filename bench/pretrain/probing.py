"""Facts asked of a model while it is pretrained: the curve of thesis Figure 7.3."""

from __future__ import annotations

from typing import Any

from fewbench.data.facts import FactSet
from fewbench.measure.fact_probe import Questions, ask, prepare


class FactMeasure:
    """Measures the mean reciprocal rank of facts, macro-averaged over relations.

    The texts are tokenized once.
    """

    def __init__(self, facts: FactSet) -> None:
        self._facts = facts
        self._questions: Questions | None = None

    def __call__(self, model: Any, tokenizer: Any) -> dict[str, Any]:
        """Return the points' `mrr` (0 to 1), and how many facts were asked and left out."""
        self._questions = self._questions or prepare(tokenizer, self._facts)
        found = ask(model, self._questions).recalls
        mrr = found.macro.mrr
        return {
            "mrr": None if mrr is None else round(mrr, 5),
            "facts": found.micro.n,
            "left_out": found.micro.left_out,
        }
