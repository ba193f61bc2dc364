"""The papers behind methods and tasks, and the citation of this project (CITATION.cff)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from itertools import chain

from fewbench.registry.papers import Paper, PaperGroup, entry, papers_in
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
    citations: dict[str, str] = {}
    for chosen in choose_methods(requests):
        citations |= {step.name: step.paper for step in chosen.method.sources.values()}
    return _cited(citations, "methods")


def of_tasks(names: Sequence[str]) -> tuple[list[Paper], list[str]]:
    """Return the papers of tasks as `--tasks` takes them, and the tasks that name none.

    Raises:
        BenchError: an unknown task, suite or source.
    """
    return _cited({task.name: task.paper for task in choose_tasks(names)}, "tasks")


def _cited(citations: Mapping[str, str], group: PaperGroup) -> tuple[list[Paper], list[str]]:
    """Return the papers in citations by name, and the names whose citation has none."""
    found = {name: papers_in(citation, group) for name, citation in citations.items()}
    without = [name for name, cited in found.items() if not cited]
    return list(chain.from_iterable(found.values())), without
