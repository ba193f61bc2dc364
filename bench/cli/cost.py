"""`bench cost`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import DataOption, JsonOption, MethodFiles, ResultsOption
from fewbench.cli.out import note, print_grid, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.store.measurement import Measurement
    from fewbench.store.record import Record
    from fewbench.store.store import Store


def cost(
    runs: Annotated[
        list[str], typer.Argument(help="the first digits of runs' keys; their models were kept")
    ],
    against: Annotated[
        str | None,
        typer.Option(
            "--against", help="the run that speed-ups are over; default each one's own teacher"
        ),
    ] = None,
    data: DataOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="folder of a backbone that the runs were made of"),
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--tasks", help="TOML file of tasks that are your own")
    ] = None,
    methods: MethodFiles = None,
    examples: Annotated[
        int, typer.Option("--examples", min=1, help="test inputs to measure on")
    ] = 64,
    rounds: Annotated[
        int, typer.Option("--rounds", min=2, help="measured rounds of each model")
    ] = 5,
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch's threads")] = 1,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:0")] = "cpu",
    energy: Annotated[
        bool, typer.Option("--energy/--no-energy", help="ask codecarbon, if it is installed")
    ] = True,
    offline: Annotated[bool, typer.Option("--offline", help="never use the network")] = False,
    results: ResultsOption = Path("results"),
    json: JsonOption = False,
) -> None:
    """Measure what stored runs' models cost, beside their teacher in the same process, and store it
    with them.
    """
    import torch

    from fewbench.measure.stored import Locations
    from fewbench.measure.stored_cost import CostConditions, codecarbon
    from fewbench.measure.stored_cost import cost as measure
    from fewbench.nn.fit_context import Models
    from fewbench.runner.local import choose_device
    from fewbench.store.measurement import write
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    device = choose_device(device)
    torch.set_num_threads(threads)
    store = Store(results)
    records = [find_run(store, key) for key in runs]
    teachers = {"": find_run(store, against)} if against else {}
    world = Locations(store, data, model or (), tasks or (), offline, methods or ())
    conditions = CostConditions(device, threads, examples, rounds, codecarbon() if energy else None)
    found: list[tuple[Record, Measurement]] = []
    for record in records:
        try:
            teacher = teachers.get("") or _own_teacher(record, store)
            measurement = measure(record, teacher, world, Models(torch.device(device)), conditions)
            write(store, record, measurement)
            found.append((record, measurement))
            note(f"measured {_title(record)}, load {measurement.environment.load}")
        except (BenchError, ValueError) as error:  # the other runs go on
            note(
                f"error: {error}"
                if isinstance(error, BenchError)
                else f"error: {_title(record)}: {error}"
            )
    if json:
        print_json(
            [
                {"run": record.run.key, **dict(m.scores), "settings": dict(m.settings)}
                for record, m in found
            ]
        )
    elif found:
        print_costs(found)
    if len(found) < len(records):
        raise typer.Exit(1)


def _own_teacher(record: Record, store: Store) -> Record | None:
    from fewbench.measure.loyalty import own_teacher

    told = record.details.get("teacher", {}).get("run")
    try:
        return own_teacher(record, {told: store.find(told)}) if told else None
    except BenchError:  # the teacher's record was taken away
        return None


def print_costs(found: Iterable[tuple[Record, Measurement]]) -> None:
    """Print costs, a run a row: what it holds, what it computes, how long that takes."""
    found = list(found)
    for header, cells in (
        (("parameters", "trained", "soft", "MiB on disk", "peak MiB"), _held),
        (("MACs", "int8 MACs", "layers", "training s", "J"), _computed),
        (("ms at 1", "ms at 32", "speed-up at 1", "at 32", "layer ratio"), _timed),
    ):
        rows = [
            (f"{record.run.key[:8]} {record.run.method}", *cells(m.scores)) for record, m in found
        ]
        print_grid(("run", *header), rows, right=range(1, len(header) + 1))
    note(
        "MACs, J and ms are of one example, speed-ups over the teacher in the same process; ± half the quartiles' range"
    )


def _held(scores: Any) -> list[str]:
    size = [_count(scores["parameters"][name]) for name in ("total", "trained", "soft")]
    return [*size, f"{scores['bytes'] / (1 << 20):.1f}", f"{scores['peak_memory_mib']:.1f}"]


def _computed(scores: Any) -> list[str]:
    macs, seconds, energy = (
        scores["macs"]["model"],
        scores["training_seconds"],
        scores.get("energy"),
    )
    return [
        *(_count(macs[name]) for name in ("total", "int8")),
        f"{scores['layers']['run']:.4g} of {scores['layers']['of']}",
        "–" if seconds is None else f"{seconds:.0f}",
        f"{energy['joules']:.3g}" if energy else "–",
    ]


def _timed(scores: Any) -> list[str]:
    own = [scores["latency_ms"][batch]["model"] for batch in ("1", "32")]
    ratios = [scores["speed_up"].get(batch) for batch in ("1", "32")]
    return [
        *(_with_spread(time) for time in own),
        *(_with_spread(ratio) if ratio else "–" for ratio in ratios),
        f"{scores['layer_ratio']:.2f}" if "layer_ratio" in scores else "–",
    ]


def _with_spread(value: Any) -> str:
    return f"{value['median']:.2f} ±{(value['high'] - value['low']) / 2:.2f}"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _title(record: Record) -> str:
    run = record.run
    return f"{run.key[:8]} {run.task}@{run.source} {run.method} k{run.k} s{run.seed}"
