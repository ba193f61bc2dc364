"""A teacher's scores of every token of some passages, as the first or the last of an answer.

Axes: S sequences (windows) of a batch, T positions of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.batch import Batch, by_length
from fewbench.nn.span_model import NEVER, SpanModel
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.types import Example


class SpanTargets:
    """A teacher's scores by example, [2S, T] each; those of a batch are padded to its longest.

    Args:
        scores: of each example's windows, as `SpanModel` gives them.
    """

    def __init__(self, scores: Sequence[Tensor]) -> None:
        self._scores = scores

    def of(self, batch: Batch) -> Tensor:
        """Return the scores of a batch's examples, one after another, [2S, T]."""
        chosen = [self._scores[row] for row in batch.numbers]
        longest = max(scores.shape[1] for scores in chosen)
        padded = [F.pad(s, (0, longest - s.shape[1]), value=NEVER) for s in chosen]
        return torch.cat(padded)


@torch.no_grad()
def span_targets(teacher: TaskModel, examples: Sequence[Example]) -> SpanTargets:
    """Compute a teacher's scores of the tokens of some examples.

    Raises:
        BenchError: the teacher does not answer by spans.
    """
    if not isinstance(teacher, SpanModel):
        raise BenchError(
            f"a {type(teacher).__name__} does not answer by spans, as the student does",
            fix="teacher=ft",
        )
    was_training = teacher.training
    teacher.eval()
    encoded = teacher.encode([example.without_label() for example in examples])
    found: dict[int, Tensor] = {}
    for indices in by_length(encoded, TOKENS_A_BATCH):
        chosen = [encoded[index] for index in indices]
        scores = teacher(teacher.collate(chosen)).float()
        parts = scores.split([2 * len(example.sequences) for example in chosen])
        for index, part in zip(indices, parts, strict=True):
            found[index] = part[:, : encoded[index].length].clone()
    teacher.train(was_training)
    return SpanTargets([found[index] for index in range(len(encoded))])
