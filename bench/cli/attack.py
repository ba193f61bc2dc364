"""`bench attack`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import DataOption, JsonOption, MethodFiles, ResultsOption
from fewbench.cli.out import note, print_grid, print_json
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.measure.attack.run import Target
    from fewbench.measure.stored import Locations
    from fewbench.nn.fit_context import Models
    from fewbench.store.measurement import Measurement

ATTACKED = 1000
"""Jin et al.'s programs attack a thousand items."""
OURS = "textfooler-paper"


def attack(
    runs: Annotated[
        list[str],
        typer.Argument(help="stored runs, by the first four or more digits of their keys"),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="textfooler-paper, textfooler-cli, textattack-jin2019, or textattack:NAME",
        ),
    ] = OURS,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="items attacked, drawn from the test rows")
    ] = ATTACKED,
    neighbours: Annotated[
        Path | None,
        typer.Option("--neighbours", help="table (.json) or counter-fitted vectors (.txt)"),
    ] = None,
    nltk_data: Annotated[
        Path | None,
        typer.Option(
            "--nltk-data", help="folder with NLTK's tagger and stop words; default NLTK_DATA"
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", help="masked language model that compares sentences; default embedded"
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="folder of a run's backbone, if it is not embedded"),
    ] = None,
    task_files: Annotated[
        list[str] | None, typer.Option("--tasks", help="your own .toml, if a run is of it")
    ] = None,
    methods: MethodFiles = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:0")] = "auto",
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch's threads")] = 1,
    force: Annotated[bool, typer.Option("--force", help="attack again what is stored")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="never use the network")] = False,
    json: JsonOption = False,
) -> None:
    """Attack stored runs whose models were kept, and store accuracy under attack, queries and
    adversarial texts.
    """
    from fewbench.data.hub import go_offline
    from fewbench.measure.stored import Locations
    from fewbench.store.store import Store

    if offline:
        go_offline()

    store = Store(results, on_damage=lambda damage: note(f"warning: {damage}"))
    world = Locations(store, data, model or (), task_files or (), offline, methods or ())
    one = _attacker(
        recipe, neighbours, nltk_data, encoder, world, device, threads, limit=limit, force=force
    )
    done: list[tuple[Target, Measurement]] = []
    failed: list[BenchError] = []
    for key in runs:
        try:
            done.append(one(key))
        except BenchError as error:
            if len(runs) == 1:
                raise
            failed.append(error)
            note(f"FAILED {key}: {error}")
    _show(done, json=json)
    if failed:
        raise typer.Exit(max(error.exit_code for error in failed) if not done else 1)


def _attacker(
    name: str,
    neighbours: Path | None,
    nltk_data: Path | None,
    encoder: str | None,
    world: Locations,
    device: str,
    threads: int,
    *,
    limit: int,
    force: bool,
) -> Callable[[str], tuple[Target, Measurement]]:
    """Return what attacks one stored run. What all runs need is read once, and refused before any
    is attacked.
    """
    from fewbench.measure.attack.recipes import get_recipe
    from fewbench.measure.attack.resources import read_resources

    theirs = name.startswith("textattack:")
    recipe = None if theirs else get_recipe(name)
    resources = None if theirs else read_resources(neighbours, nltk_data, world.data)
    if theirs:
        from fewbench.measure.attack.adapter import check_installed

        check_installed()
        if nltk_data is not None:
            os.environ["NLTK_DATA"] = str(nltk_data)  # read when TextAttack is loaded
    import torch
    from transformers.utils import logging

    from fewbench.measure.attack.run import Target, attack
    from fewbench.measure.stored import model_of, task_of, test_rows
    from fewbench.nn.fit_context import Models
    from fewbench.runner.environment import environment
    from fewbench.runner.local import choose_device
    from fewbench.store.selector import find_run

    place = choose_device(device)
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    models = Models(torch.device(place))
    pooled = None if theirs else _encoder(encoder, models, offline=world.offline)

    def one(key: str) -> tuple[Target, Measurement]:
        record = find_run(world.store, key)
        task = task_of(record, world)
        found = Target(
            record, task, model_of(record, task, models, world), test_rows(record, task, world)
        )
        title = f"{found.task.full_name} {found.record.run.method} s{found.record.run.seed}"
        options: dict[str, Any] = {
            "limit": limit,
            "environment": environment(place, threads),
            "force": force,
        }

        def heard(count: int, total: int) -> None:
            note(f"{title}: {count} of {total} items attacked")

        if recipe is None or resources is None or pooled is None:
            from fewbench.measure.attack.adapter import attack_by_textattack

            return found, attack_by_textattack(world.store, found, name, **options, on_item=heard)
        return found, attack(
            world.store, found, recipe, resources, pooled, **options, on_block=heard
        )

    return one


def _encoder(name: str | None, models: Models, *, offline: bool) -> Any:
    """Return the backbone of the sentence encoder.

    Raises:
        BenchError: no such model, or not a masked one.
    """
    from fewbench.registry.pretrained import backbone_kind, find_model
    from fewbench.runner.plan import TEACHER

    ref = find_model(name or TEACHER, offline=offline)
    if (kind := backbone_kind(ref)) != "masked":
        raise BenchError(
            f"--encoder {ref.name} is a {kind} model",
            allowed="masked language models",
            where=ref.path,
        )
    return models.fresh(ref)


def _show(done: Sequence[tuple[Target, Measurement]], *, json: bool) -> None:
    if json:
        rows = [
            {
                "run": target.record.run.key,
                "task": target.task.full_name,
                "method": target.record.run.method,
            }
            | {
                "settings": measurement.settings,
                "scores": measurement.scores,
                "files": measurement.files,
            }
            for target, measurement in done
        ]
        print_json(rows)
        return
    names = (
        "clean_accuracy",
        "original_accuracy",
        "after_attack_accuracy",
        "mean_queries",
        "changed_words",
    )
    cells = [
        [
            f"{target.task.full_name} {target.record.run.method}",
            target.record.run.key[:8],
            str(measurement.scores["items"]),
        ]
        + [_figure(name, measurement.scores[name]) for name in names]
        for target, measurement in done
    ]
    if not cells:
        return
    header = ("run", "key", "items", "clean", "as read", "after attack", "queries", "changed words")
    print_grid(header, cells, right=range(2, 8))
    for target, measurement in done:
        note(f"{target.record.run.key[:8]}: {_drawn(measurement)}")
    for name, text in done[0][1].scores["denominators"].items():
        note(f"{name}: of {text}")
    for what, status in _statuses(done[0][1].settings):
        note(f"{what}: {status}")


def _drawn(measurement: Measurement) -> str:
    """Return how many items of which class were drawn, of how many."""
    classes = {name: count for name, count in measurement.scores["classes"].items() if count}
    counts = ", ".join(f"{count} of class '{name}'" for name, count in classes.items())
    text = f"{measurement.scores['items']} drawn of {measurement.settings['drawn']['of']} test rows: {counts}"
    return text + ("; the test rows are of one class alone" if len(classes) == 1 else "")


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if name == "mean_queries" else f"{100 * value:.1f}"


def _statuses(settings: Any) -> list[tuple[str, str]]:
    """Return what stands for what could not be had, and what could not be checked."""
    resources = settings.get("resources", {})
    stands = [
        (name, f"{told['name']}, in place of {told['stands_for']}")
        for name, told in resources.items()
        if "stands_for" in told
    ]
    return [
        *stands,
        *(
            (f"{name}, cosine", told["cosine"])
            for name, told in resources.items()
            if "cosine" in told
        ),
    ]
