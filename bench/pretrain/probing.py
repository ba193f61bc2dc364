"""Facts asked of a model while it is pretrained: the curve of thesis Figure 7.3."""

from __future__ import annotations

from typing import Any

from fewbench.data.facts import FactSet
from fewbench.measure.fact_probe import Questions, ask, prepare
from fewbench.types import Json


class FactMeasure:
    """Measures the mean reciprocal rank of facts, macro-averaged over relations.

    The texts are tokenized once.
    """

    def __init__(self, facts: FactSet) -> None:
        self._facts = facts
        self._questions: Questions | None = None

    def __call__(self, model: Any, tokenizer: Any) -> Json:
        """Return the point's `mrr` (0 to 1), and the numbers of facts asked and left out."""
        self._questions = self._questions or prepare(tokenizer, self._facts)
        recalls = ask(model, self._questions).recalls
        mrr = recalls.macro.mrr
        return {
            "mrr": None if mrr is None else round(mrr, 5),
            "facts": recalls.micro.n,
            "left_out": recalls.micro.left_out,
        }
