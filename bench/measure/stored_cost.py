"""The cost of a stored run, measured after the fact and beside its teacher (thesis Tables 4.1 and
4.2, "Speed-up").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewbench.measure.stored import Locations, model_key, model_of, task_of, test_rows
from fewbench.runner.environment import environment
from fewbench.store.measurement import Measurement, measured
from fewbench.store.record import Record
from fewbench.types import Example

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models
    from fewbench.nn.task_model import TaskModel

BATCHES = (1, 32)
"""Examples a call at which models are timed."""

Energy = Callable[[Callable[[], object]], Mapping[str, Any]]
"""Does some work and tells the joules it took, and whose figure that is."""


@dataclass(frozen=True, slots=True)
class CostConditions:
    """How costs are measured.

    Args:
        device: where.
        threads: torch's.
        examples: test inputs used, evenly spaced over the test set.
        rounds: measured rounds of each model.
        energy: measures it, if it can be.
    """

    device: str = "cpu"
    threads: int = 1
    examples: int = 64
    rounds: int = 5
    energy: Energy | None = None


def cost(
    record: Record,
    teacher: Record | None,
    world: Locations,
    models: Models,
    conditions: CostConditions,
) -> Measurement:
    """Return what a run's model costs, and its speed-up over the teacher in the same process if one
    is given.

    The two are timed in turn on the same test inputs. The layer ratio that papers give as speed-up
    stands beside it.

    Raises:
        BenchError: a model that was not kept, data that are not there.
        ValueError: a model that gives numbers that are not finite.
    """
    from fewbench.measure import cost as parts

    task = task_of(record, world)
    examples = spaced(test_rows(record, task, world), conditions.examples)
    model = model_of(record, task, models, world)
    sides = {"model": model}
    if teacher is not None and teacher.run.key != record.run.key:
        sides = {"teacher": model_of(teacher, task_of(teacher, world), models, world), **sides}
    run = parts.layers_run(model, examples)
    scores: dict[str, Any] = {
        "parameters": parts.parameters(model, models)._asdict(),
        "bytes": world.store.artifacts.file(model_key(record)).stat().st_size,
        "macs": {name: parts.products(side, examples)._asdict() for name, side in sides.items()},
        "layers": {"run": run, "of": parts.layers(model.backbone)},
        "peak_memory_mib": parts.peak_memory(model, examples[: max(BATCHES)]),
        "training_seconds": record.timing.search_seconds,
        **_times(sides, examples, conditions.rounds),
    }
    if "teacher" in sides:
        scores["layer_ratio"] = parts.layers_run(sides["teacher"], examples) / run
    if conditions.energy is not None:
        scores["energy"] = _per_example(conditions.energy, model, examples)
    return measured(
        record,
        "cost",
        settings={
            "against": teacher.run.key if teacher is not None and "teacher" in sides else None,
            "examples": len(examples),
            "rounds": conditions.rounds,
        },
        scores=scores,
        environment=environment(conditions.device, conditions.threads),
    )


def spaced(rows: Sequence[Example], count: int) -> list[Example]:
    """Return so many rows, evenly spaced, without labels; all of them if there are fewer."""
    count = min(count, len(rows))
    return [rows[number * len(rows) // count].without_label() for number in range(count)]


def _times(
    sides: Mapping[str, TaskModel], examples: Sequence[Example], rounds: int
) -> dict[str, Any]:
    from fewbench.measure.cost import interleaved

    found: dict[str, Any] = {"latency_ms": {}, "speed_up": {}}
    for batch in BATCHES:
        timings, ratios = interleaved(sides, examples, batch=batch, rounds=rounds)
        found["latency_ms"][str(batch)] = {
            name: timing._asdict() for name, timing in timings.items()
        }
        if len(sides) > 1:
            found["speed_up"][str(batch)] = ratios["model"]._asdict()
    return found


def _per_example(energy: Energy, model: TaskModel, examples: Sequence[Example]) -> dict[str, Any]:
    """Return the joules of one example at batch 1, by at least two seconds of them: shorter ones
    are not seen.
    """
    import time

    done = 0

    def work() -> None:
        nonlocal done
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            model.predict([examples[done % len(examples)]])
            done += 1

    found = dict(energy(work))
    return {"joules": found.pop("joules") / done, **found}


def codecarbon() -> Energy | None:
    """Return codecarbon's measure of energy, or None where it is not installed.

    Where the processor has no counter that may be read, it estimates: the processor's rated power
    times its load.
    """
    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError:
        return None
    logging.getLogger("codecarbon").disabled = True  # it speaks before its own log level is set
    tracker = OfflineEmissionsTracker(
        country_iso_code="USA",  # of carbon alone, which is not reported; without it the network is asked
        save_to_file=False,
        log_level="critical",
        tracking_mode="process",
        allow_multiple_runs=True,
    )

    def energy(work: Callable[[], object]) -> Mapping[str, Any]:
        tracker.start_task()
        work()
        told = tracker.stop_task()
        return {
            "joules": told.energy_consumed * 3.6e6,
            "by": f"codecarbon, {told.tracking_mode}, {told.cpu_model}",
        }

    return energy
