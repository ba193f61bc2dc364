"""`bench cite`."""

from __future__ import annotations

from typing import Annotated

import typer

from fewbench.cli.options import TasksOption
from fewbench.cli.out import note, say


def cite(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[METHOD]...", help="methods, groups or pipelines, as --methods takes them"
        ),
    ] = None,
    tasks: TasksOption = None,
) -> None:
    """Print the BibTeX of this project and of the papers that methods and tasks are of.

    Each paper is printed once. Entries hold what docs/papers.md says: a venue may be abbreviated.
    """
    from fewbench.registry.settings import split_list
    from fewbench.report.citations import of_methods, of_project, of_tasks

    requests = split_list(",".join(methods), "METHOD") if methods else []
    names = split_list(",".join(tasks), "--tasks") if tasks else []
    cited, without = of_methods(requests)
    of_data, without_data = of_tasks(names)
    papers = dict.fromkeys([*cited, *of_data])
    say("\n\n".join([of_project(), *(paper.bibtex() for paper in papers)]))
    for name in [*without, *without_data]:
        note(f"{name} names no paper")
