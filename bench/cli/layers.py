"""`bench layers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fewbench.cli.options import (
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
from fewbench.cli.out import note, print_json, print_list, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.measure.stored import Locations
    from fewbench.nn.fit_context import Models
    from fewbench.store.measurement import Measurement
    from fewbench.store.record import Record


def layers(
    runs: RunsArgument,
    data: DataOption = None,
    model: BackboneOption = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Measure error rate and entropy by layer of kept early-exit models, on their test rows.

    They are stored with the runs, and bench plot error-entropy draws them.
    """
    import torch

    from fewbench.nn.fit_context import Models
    from fewbench.runner.devices import choose_device
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    torch.set_num_threads(threads)
    store = Store(results)
    records = [find_run(store, run) for run in runs]
    places = locations(store, data, model, tasks, methods, offline=offline)
    models = Models(torch.device(choose_device(device)))
    measured: list[tuple[Record, Measurement]] = []
    for record in records:
        measurement = _measure(record, places, models, threads)
        if measurement is not None:
            measured.append((record, measurement))
    if json:
        print_json([{"run": record.run.key, **found.scores} for record, found in measured])
    else:
        _print(measured)
    if len(measured) < len(records):
        raise typer.Exit(1)


def _measure(record: Record, places: Locations, models: Models, threads: int) -> Measurement | None:
    """Measure a run's layers and store them, or print why not: the other runs go on."""
    from fewbench.measure.layers import layers as measure
    from fewbench.store.measurement import write

    try:
        measurement = measure(record, places, models, threads)
        write(places.store, record, measurement)
    except BenchError as error:
        note(f"error: {error}")
        return None
    return measurement


def _print(measured: list[tuple[Record, Measurement]]) -> None:
    """Print a table for each run: a row per layer."""
    from fewbench.store.selector import title_of

    for record, measurement in measured:
        say(title_of(record.run))
        errors, entropies = measurement.scores["error"], measurement.scores["entropy"]
        rows = [
            (str(number), f"{100 * error:.1f}", f"{entropy:.3f}")
            for number, (error, entropy) in enumerate(zip(errors, entropies, strict=True), 1)
        ]
        print_list(("layer", "error rate", "entropy (nats)"), rows, right=(0, 1, 2))
