"""The papers behind methods and tasks, and the citation of this project (CITATION.cff)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import metadata

from fewbench.registry.papers import Paper, entry, papers_in
from fewbench.registry.settings import choose_methods
from fewbench.registry.tasks import choose_tasks

PROJECT = "fewbench"
AUTHORS = "The fewbench contributors"


def of_project() -> str:
    """Return the BibTeX of this project, in the version that is installed."""
    about = metadata(PROJECT)
    summary = about["Summary"]
    fields = {
        "title": f"{{{PROJECT}: {summary[0].lower()}{summary[1:]}}}",
        "author": f"{{{AUTHORS}}}",
        "version": about["Version"],
        "note": f"Version {about['Version']}",
    }
    return entry("software", PROJECT, fields)


def of_methods(requests: Sequence[str]) -> tuple[list[Paper], list[str]]:
    """Return the papers of methods as `--methods` takes them, and the methods that name none.

    Raises:
        BenchError: an unknown method, or a setting that it lacks.
    """
    infos = [step for chosen in choose_methods(requests) for step in chosen.method.sources.values()]
    cited = [paper for info in infos for paper in papers_in(info.paper)]
    return cited, [info.name for info in infos if not papers_in(info.paper)]


def of_tasks(names: Sequence[str]) -> tuple[list[Paper], list[str]]:
    """Return the papers of tasks as `--tasks` takes them, and the tasks that name none.

    Raises:
        BenchError: an unknown task, suite or source.
    """
    tasks = choose_tasks(names)
    cited = [paper for task in tasks for paper in papers_in(task.paper, "tasks")]
    return cited, [task.name for task in tasks if not papers_in(task.paper, "tasks")]
