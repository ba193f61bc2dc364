"""The cost of a stored run, also beside its teacher (thesis Tables 4.1 and 4.2, "Speed-up")."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fewbench.measure.stored import Locations, model_key, model_of, task_of, test_rows
from fewbench.runner.environment import environment
from fewbench.store.measurement import Measurement, measured
from fewbench.store.record import Record
from fewbench.types import Example, Json

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models
    from fewbench.nn.task_model import TaskModel

BATCHES = (1, 32)
"""The numbers of examples per call at which models are timed."""


class EnergyUse(NamedTuple):
    """The joules that some work took, and the source of that figure."""

    joules: float
    by: str


Energy = Callable[[Callable[[], object]], EnergyUse]
"""Runs some work and measures its energy."""


@dataclass(frozen=True, slots=True)
class CostConditions:
    """The conditions under which costs are measured.

    Args:
        device: of the models.
        threads: torch's.
        examples: number of test inputs, evenly spaced over the test set.
        rounds: timed rounds per model.
        energy: measures the energy; without it none is reported.
    """

    device: str = "cpu"
    threads: int = 1
    examples: int = 64
    rounds: int = 5
    energy: Energy | None = None


def cost(
    record: Record,
    teacher: Record | None,
    locations: Locations,
    models: Models,
    conditions: CostConditions,
) -> Measurement:
    """Measure the cost of a run's model, and its speed-up over the teacher if one is given.

    The two are timed in turn in one process on the same test inputs. Without a teacher, early exits
    are timed beside the same model without them (thesis, chapter 3). The layer ratio, which papers
    report as speed-up, is measured too.

    Raises:
        BenchError: a model was not kept, or data are missing.
        ValueError: a model's predictions are not finite.
    """
    from fewbench.measure import cost as parts
    from fewbench.nn.exits import ExitModel

    task = task_of(record, locations)
    examples = spaced(test_rows(record, task, locations), conditions.examples)
    model = model_of(record, task, models, locations)
    sides = {"model": model}
    if teacher is not None and teacher.run.key == record.run.key:
        teacher = None
    if teacher is not None:
        teacher_model = model_of(teacher, task_of(teacher, locations), models, locations)
        sides = {"teacher": teacher_model, "model": model}
    elif isinstance(model, ExitModel):
        sides = {"whole": model.without_exits(), "model": model}
    run = parts.layers_run(model, examples)
    scores: Json = {
        "parameters": parts.parameters(model, models)._asdict(),
        "bytes": locations.store.artifacts.file(model_key(record)).stat().st_size,
        "macs": {name: parts.products(side, examples)._asdict() for name, side in sides.items()},
        "layers": {"run": run, "of": parts.layers(model.backbone)},
        "peak_memory_mib": parts.peak_memory(model, examples[: max(BATCHES)]),
        "training_seconds": record.training_seconds,
        **_times(sides, examples, conditions.rounds),
    }
    if len(sides) > 1:
        scores["layer_ratio"] = parts.layers_run(next(iter(sides.values())), examples) / run
    if conditions.energy is not None:
        scores["energy"] = _per_example(conditions.energy, model, examples)._asdict()
    return measured(
        record,
        "cost",
        settings={
            "against": teacher.run.key if teacher is not None else None,
            "examples": len(examples),
            "rounds": conditions.rounds,
        },
        scores=scores,
        environment=environment(conditions.device, conditions.threads),
    )


def spaced(rows: Sequence[Example], count: int) -> list[Example]:
    """Return `count` evenly spaced rows without labels, or all if there are fewer."""
    count = min(count, len(rows))
    return [rows[number * len(rows) // count].without_label() for number in range(count)]


def _times(sides: Mapping[str, TaskModel], examples: Sequence[Example], rounds: int) -> Json:
    from fewbench.measure.cost import interleaved

    latencies, speed_ups = {}, {}
    for batch in BATCHES:
        timings, ratios = interleaved(sides, examples, batch=batch, rounds=rounds)
        latencies[str(batch)] = {name: timing._asdict() for name, timing in timings.items()}
        if len(sides) > 1:
            speed_ups[str(batch)] = ratios["model"]._asdict()
    return {"latency_ms": latencies, "speed_up": speed_ups}


def _per_example(energy: Energy, model: TaskModel, examples: Sequence[Example]) -> EnergyUse:
    """Measure the joules per example at batch 1, over two seconds: less is not seen."""
    import time

    done = 0

    def work() -> None:
        nonlocal done
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            model.predict([examples[done % len(examples)]])
            done += 1

    use = energy(work)
    return use._replace(joules=use.joules / done)


def codecarbon() -> Energy | None:
    """Return codecarbon's measure of energy, or None if it is not installed.

    Without a readable counter in the processor, it estimates the processor's rated power times its
    load.
    """
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    logging.getLogger("codecarbon").disabled = True  # it logs before its own level is set
    tracker = OfflineEmissionsTracker(
        country_iso_code="USA",  # avoids a network request; only carbon, not reported, needs it
        save_to_file=False,
        log_level="critical",
        tracking_mode="process",
        allow_multiple_runs=True,
    )

    def energy(work: Callable[[], object]) -> EnergyUse:
        tracker.start_task()
        work()
        task = tracker.stop_task()
        joules = task.energy_consumed * 3.6e6
        return EnergyUse(joules, f"codecarbon, {task.tracking_mode}, {task.cpu_model}")

    return energy
