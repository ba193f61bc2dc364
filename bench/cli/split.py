"""`bench split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import HOW, DataOption, JsonOption, OfflineOption, OneKOption
from fewbench.cli.out import note, one_k, print_json, print_list
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.types import Example


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
    from fewbench.registry.tasks import choose_tasks

    chosen = choose_tasks([task])
    if len(chosen) != 1:
        names = [one.full_name for one in chosen]
        raise BenchError(
            f"'{task}' names {len(chosen)} tasks, and a split is of one", allowed=names
        )
    rows = read_rows(chosen[0], data, offline=offline)
    size = 16 if k is None and not rows.folds else one_k(k)
    made = make_split(chosen[0], rows, size, (0 if rows.folds else 13) if seed is None else seed)
    parts = {"train": [_plain(e) for e in made.train], "dev": [_plain(e) for e in made.dev]}
    facts = {
        "fingerprint": made.fingerprint,
        "test_fingerprint": made.test_fingerprint,
        "leaks": dict(made.leaks),
    }
    if json:
        print_json(
            {
                "task": made.task,
                "k": made.k,
                "seed": made.seed,
                **parts,
                **facts,
                "files": rows.files,
            }
        )
        return
    note(
        f"{made.task}  k={made.k} seed={made.seed}  "
        f"{len(made.train)} train, {len(made.dev)} dev, {len(made.test)} test"
    )
    note("  ".join(f"{name} {value}" for name, value in facts.items()))
    print_list(
        ("part", "id", "label", "text"),
        [
            (
                part,
                example["id"],
                str(example["label"]),
                " | ".join([*example["texts"], *example.get("options", [])]),
            )
            for part, examples in parts.items()
            for example in examples
        ],
    )


def _plain(example: Example) -> dict[str, Any]:
    options = {"options": list(example.options)} if example.options else {}
    return {"id": example.id, "texts": list(example.texts), "label": example.label, **options}
