"""`bench cost`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import (
    HOW,
    BackboneOption,
    DataOption,
    DeviceOption,
    JsonOption,
    MethodsOption,
    OfflineOption,
    ResultsOption,
    RunsArgument,
    TasksOption,
    ThreadsOption,
    locations,
)
from fewbench.cli.out import note, print_json, print_list
from fewbench.cli.paired_options import AgainstOption
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.measure.stored import Locations
    from fewbench.measure.stored_cost import CostConditions
    from fewbench.store.measurement import Measurement
    from fewbench.store.record import Record
    from fewbench.store.store import Store
    from fewbench.types import Json


def cost(
    runs: RunsArgument,
    against: AgainstOption = None,
    data: DataOption = None,
    model: BackboneOption = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    examples: Annotated[
        int,
        typer.Option(
            "--examples", min=1, metavar="N", help="test inputs to measure on", rich_help_panel=HOW
        ),
    ] = 64,
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds",
            min=2,
            metavar="N",
            help="measured rounds of each model",
            rich_help_panel=HOW,
        ),
    ] = 5,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    energy: Annotated[
        bool,
        typer.Option(
            "--energy/--no-energy", help="ask codecarbon, if installed", rich_help_panel=HOW
        ),
    ] = True,
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Measure size, operations and latency of kept models, and store them with their runs.

    Speed-ups are over a run that --against names, or else over each run's own teacher, of early
    exits over their model without them; both are measured in one process. Files of your own tasks
    and methods are needed if runs are of them.
    """
    import torch

    from fewbench.measure.stored_cost import CostConditions, codecarbon
    from fewbench.runner.devices import choose_device
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    device = choose_device(device)
    torch.set_num_threads(threads)
    store = Store(results)
    records = [find_run(store, run) for run in runs]
    baseline = find_run(store, against) if against else None
    places = locations(store, data, model, tasks, methods, offline=offline)
    conditions = CostConditions(device, threads, examples, rounds, codecarbon() if energy else None)
    measured = [
        (record, measurement)
        for record in records
        if (measurement := _measure(record, baseline, places, conditions)) is not None
    ]
    if json:
        print_json([_to_object(record, measurement) for record, measurement in measured])
    elif measured:
        print_costs(measured)
    if len(measured) < len(records):
        raise typer.Exit(1)


def _measure(
    record: Record, baseline: Record | None, places: Locations, conditions: CostConditions
) -> Measurement | None:
    """Measure a run's model and store its costs, or print why not: the other runs go on."""
    import torch

    from fewbench.measure.stored_cost import cost as measure
    from fewbench.nn.fit_context import Models
    from fewbench.store.measurement import write
    from fewbench.store.selector import title_of

    try:
        teacher = baseline or _own_teacher(record, places.store)
        models = Models(torch.device(conditions.device))
        measurement = measure(record, teacher, places, models, conditions)
        write(places.store, record, measurement)
    except BenchError as error:
        note(f"error: {error}")
        return None
    except ValueError as error:
        note(f"error: {title_of(record.run)}: {error}")
        return None
    note(f"measured {title_of(record.run)}, load {measurement.environment.load}")
    return measurement


def _to_object(record: Record, measurement: Measurement) -> Json:
    settings = dict(measurement.settings)
    return {"run": record.run.key, **measurement.scores, "settings": settings}


def _own_teacher(record: Record, store: Store) -> Record | None:
    """Return the record of a run's trained teacher, if it has one that is still stored."""
    from fewbench.measure.loyalty import own_teacher

    key = record.details.get("teacher", {}).get("run")
    if key is None:
        return None
    try:
        return own_teacher(record, {key: store.find(key)})
    except BenchError:
        return None


def print_costs(measured: Sequence[tuple[Record, Measurement]]) -> None:
    """Print costs, a row per run: what it holds, what it computes, how long that takes."""
    for header, cells in (
        (("parameters", "trained", "soft", "MiB on disk", "peak MiB"), _held),
        (("MACs", "int8 MACs", "layers", "training s", "J"), _computed),
        (("ms at 1", "ms at 32", "speed-up at 1", "at 32", "layer ratio"), _timed),
    ):
        rows = [
            (f"{record.run.key[:8]} {record.run.method}", *cells(measurement.scores))
            for record, measurement in measured
        ]
        print_list(("run", *header), rows, right=range(1, len(header) + 1))
        print()
    note(
        "MACs, J and ms are of one example, speed-ups over the teacher in the same process, of "
        "early exits over their model without them; ± half the quartiles' range; ms are the "
        "clock's, in tables the processor's where these are less"
    )
    if any(record.simulates_int8 for record, _ in measured):
        note("where 8 bits are rounded in floating point, costs are those of floating point")


def _held(scores: Any) -> list[str]:
    sizes = [_count(scores["parameters"][name]) for name in ("total", "trained", "soft")]
    return [*sizes, f"{scores['bytes'] / (1 << 20):.1f}", f"{scores['peak_memory_mib']:.1f}"]


def _computed(scores: Any) -> list[str]:
    macs, layers = scores["macs"]["model"], scores["layers"]
    seconds, energy = scores["training_seconds"], scores.get("energy")
    return [
        _count(macs["total"]),
        _count(macs["int8"]),
        f"{layers['run']:.4g} of {layers['of']}",
        "–" if seconds is None else f"{seconds:.0f}",
        f"{energy['joules']:.3g}" if energy else "–",
    ]


def _timed(scores: Any) -> list[str]:
    batches = ("1", "32")
    times = [_with_spread(scores["latency_ms"][batch]["model"]) for batch in batches]
    ratios = [_with_spread(scores["speed_up"].get(batch)) for batch in batches]
    ratio = f"{scores['layer_ratio']:.2f}" if "layer_ratio" in scores else "–"
    return [*times, *ratios, ratio]


def _with_spread(value: Any) -> str:
    if not value:
        return "–"
    return f"{value['median']:.2f} ±{(value['high'] - value['low']) / 2:.2f}"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
