"""`bench split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import HOW, DataOption, JsonOption, OfflineOption, OneKOption, one_task
from fewbench.cli.out import note, one_k, print_json, print_list

if TYPE_CHECKING:
    from fewbench.types import Example, Json, Split, Task


def split(
    task: Annotated[str, typer.Argument(metavar="TASK", help="a task, or task@source")],
    k: OneKOption = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="random seed", rich_help_panel=HOW),
    ] = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Show the split of a task, by default K=16 and seed 13.

    Of a task with published folds, --seed is the number of the fold, by default 0.
    """
    from fewbench.data.reader import read_rows
    from fewbench.data.split import make_split

    chosen = one_task(task, "a split is of one")
    rows = read_rows(chosen, data, offline=offline)
    size = 16 if k is None and not rows.folds else one_k(k)
    usual_seed = 0 if rows.folds else 13
    made = make_split(chosen, rows, size, usual_seed if seed is None else seed)
    if not json:
        _print_split(chosen, made)
        return
    print_json(
        {
            "task": made.task,
            "k": made.k,
            "seed": made.seed,
            "train": [_plain(e) for e in made.train],
            "dev": [_plain(e) for e in made.dev],
            "fingerprint": made.fingerprint,
            "test_fingerprint": made.test_fingerprint,
            "leaks": dict(made.leaks),
            "files": rows.files,
        }
    )


def _print_split(task: Task, made: Split) -> None:
    from fewbench.data.train_size import k_title

    note(
        f"{made.task}, {k_title(made.k)}, seed {made.seed}: "
        f"{len(made.train)} train, {len(made.dev)} dev, {len(made.test)} test rows"
    )
    note(f"fingerprints: {made.fingerprint} of train and dev, {made.test_fingerprint} of test")
    note(
        f"test rows also in train or dev: {made.leaks['exact']} exactly, "
        f"{made.leaks['normalised']} but for case and punctuation"
    )
    note(f"test rows that repeat another: {made.leaks['within_test']}")
    rows = []
    for part, examples in (("train", made.train), ("dev", made.dev)):
        for example in examples:
            text = " | ".join([*example.texts, *example.options])
            rows.append((part, example.id, _label(task, example), text))
    print_list(("part", "id", "label", "text"), rows)


def _label(task: Task, example: Example) -> str:
    """Name the label of an example: its class, its value, or its first answer."""
    from fewbench.data.spans import text_of

    if example.answers:
        return text_of(example, example.answers[0])
    if isinstance(example.label, int) and example.label < len(task.labels):
        return task.labels[example.label]
    return str(example.label)


def _plain(example: Example) -> Json:
    from fewbench.data.spans import text_of

    options = {"options": list(example.options)} if example.options else {}
    if example.answers:
        options["answers"] = [text_of(example, answer) for answer in example.answers]
    return {"id": example.id, "texts": list(example.texts), "label": example.label, **options}
