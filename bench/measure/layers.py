"""The error rate and the entropy of each layer's classifier of a kept model (thesis Figure 3.2b).

Axes: L layers, n examples, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.measure.stored import Locations, model_of, task_of, test_rows
from fewbench.runner.environment import environment
from fewbench.store.measurement import Measurement, measured
from fewbench.store.record import Record

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models

KIND = "layers"


def layers(record: Record, locations: Locations, models: Models, threads: int) -> Measurement:
    """Measure each layer's classifier on the run's test rows, all of them run for every row.

    The error rate is the share of rows whose likeliest class is not their label; the entropy, in
    nats, is the mean over rows. Both are lists of L numbers.

    Raises:
        BenchError: the model was not kept or has no classifier after every layer, the task is a
            regression, or data are missing.
    """
    import torch

    from fewbench.nn.exits import ExitModel

    task = task_of(record, locations)
    if task.is_regression:
        raise BenchError("errors and entropy are of classes, and this task is a regression")
    model = model_of(record, task, models, locations)
    if not isinstance(model, ExitModel):
        raise BenchError(
            f"the model of run {record.run.key[:8]} has one classifier, not one per layer",
            allowed="runs of early exit",
            fix="bench run --methods pabee --keep-models",
        )
    examples = test_rows(record, task, locations)
    answers = model.answers(examples).double()
    labels = torch.tensor([int(example.label or 0) for example in examples])
    errors = (answers.argmax(-1) != labels).double().mean(-1)
    entropies = torch.special.entr(answers).sum(-1).mean(-1)
    return measured(
        record,
        KIND,
        settings={"rows": len(examples)},
        scores={
            "error": [round(value, 6) for value in errors.tolist()],
            "entropy": [round(value, 6) for value in entropies.tolist()],
        },
        environment=environment(str(models.device), threads),
    )
