"""`bench attack`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import (
    DATA,
    HOW,
    MODELS,
    BackboneOption,
    DataOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    ResultsOption,
    RunsArgument,
    TasksOption,
    ThreadsOption,
    locations,
)
from fewbench.cli.out import note, print_json, print_list
from fewbench.errors import BenchError
from fewbench.measure.attack import PAPER_RECIPE

if TYPE_CHECKING:
    from fewbench.measure.attack.attacker import Attacker
    from fewbench.measure.attack.run import Target
    from fewbench.store.measurement import Measurement
    from fewbench.store.store import Store
    from fewbench.types import Json

ATTACKED = 1000
"""Items that the programs of jin2020 attack."""


def attack(
    runs: RunsArgument,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="textfooler-paper, textfooler-cli, textattack-jin2019, or textattack:NAME",
            rich_help_panel=HOW,
        ),
    ] = PAPER_RECIPE,
    limit: LimitOption = ATTACKED,
    neighbours: Annotated[
        Path | None,
        typer.Option(
            "--neighbours",
            metavar="FILE",
            help="near words: a table (.json) or counter-fitted vectors (.txt)",
            rich_help_panel=DATA,
        ),
    ] = None,
    nltk_data: Annotated[
        Path | None,
        typer.Option(
            "--nltk-data",
            metavar="DIR",
            help="folder with NLTK's tagger and stop words; default NLTK_DATA",
            rich_help_panel=DATA,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="MODEL",
            help="masked language model that compares sentences; default embedded",
            rich_help_panel=MODELS,
        ),
    ] = None,
    model: BackboneOption = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
    threads: ThreadsOption = 1,
    force: ForceOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Attack kept models with TextFooler, and store accuracy under attack beside their runs.

    Files of your own tasks and methods are needed if runs are of them.
    """
    from fewbench.data.hub import go_offline
    from fewbench.measure.attack.attacker import AttackConditions, Attacker
    from fewbench.store.store import Store

    if offline:
        go_offline()
    store = Store(results, on_damage=lambda damage: note(f"warning: {damage}"))
    places = locations(store, data, model, tasks, methods, offline=offline)
    conditions = AttackConditions(
        recipe, limit or ATTACKED, neighbours, nltk_data, encoder, device, threads, force
    )
    attacker = Attacker(conditions, places, _tell)
    attacked, errors = _attack_each(runs, attacker, store)
    if json:
        print_json([_to_object(target, measurement) for target, measurement in attacked])
    elif attacked:
        _show(attacked)
    if errors:
        raise typer.Exit(1 if attacked else max(error.exit_code for error in errors))


def _attack_each(
    runs: Sequence[str], attacker: Attacker, store: Store
) -> tuple[list[tuple[Target, Measurement]], list[BenchError]]:
    """Attack runs one after another; of several, those that fail do not stop the others.

    Raises:
        BenchError: the only run fails.
    """
    from fewbench.store.selector import find_run

    attacked: list[tuple[Target, Measurement]] = []
    errors: list[BenchError] = []
    for run in runs:
        try:
            attacked.append(attacker.attack(find_run(store, run)))
        except BenchError as error:
            if len(runs) == 1:
                raise
            errors.append(error)
            note(f"FAILED {run}: {error}")
    return attacked, errors


def _tell(title: str, count: int, total: int) -> None:
    note(f"{title}: {count} of {total} items attacked")


def _to_object(target: Target, measurement: Measurement) -> Json:
    return {
        "run": target.record.run.key,
        "task": target.task.full_name,
        "method": target.record.run.method,
        "settings": measurement.settings,
        "scores": measurement.scores,
        "files": measurement.files,
    }


SCORES = {
    "clean": "clean_accuracy",
    "as read": "original_accuracy",
    "after attack": "after_attack_accuracy",
    "queries": "mean_queries",
    "changed words": "changed_words",
}
"""The scores that are shown, by the header of their column."""


def _show(attacked: Sequence[tuple[Target, Measurement]]) -> None:
    rows = []
    for target, measurement in attacked:
        run = target.record.run
        scores = measurement.scores
        figures = [_figure(name, scores[name]) for name in SCORES.values()]
        title = f"{target.task.full_name} {run.method}"
        rows.append([run.key[:8], title, str(scores["items"]), *figures])
    print_list(("key", "run", "items", *SCORES), rows, right=range(2, 8))
    for target, measurement in attacked:
        note(f"{target.record.run.key[:8]}: {_drawn(measurement)}")
    first = attacked[0][1]
    for name, text in first.scores["denominators"].items():
        note(f"{name}: of {text}")
    for line in _substitutes(first.settings.get("resources", {})):
        note(line)


def _drawn(measurement: Measurement) -> str:
    """Describe the drawn items: the number of each class, and the total."""
    classes = {name: count for name, count in measurement.scores["classes"].items() if count}
    counts = ", ".join(f"{count} of class '{name}'" for name, count in classes.items())
    items, rows = measurement.scores["items"], measurement.settings["drawn"]["of"]
    text = f"{items} drawn of {rows} test rows: {counts}"
    return text + ("; the test rows are of one class alone" if len(classes) == 1 else "")


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if name == "mean_queries" else f"{100 * value:.1f}"


def _substitutes(resources: Any) -> Iterator[str]:
    """Yield which resources stand for missing ones, and which cosines could not be checked."""
    for name, resource in resources.items():
        if "stands_for" in resource:
            yield f"{name}: {resource['name']}, in place of {resource['stands_for']}"
    for name, resource in resources.items():
        if "cosine" in resource:
            yield f"{name}, cosine: {resource['cosine']}"
