"""The suites of the papers hold the tasks that their published tables name, and no others."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from fewbench.data.task_file import declared
from fewbench.registry.methods import task_files
from fewbench.registry.tasks import choose_tasks

PUBLISHED = Path(__file__).parent.parent / "results" / "published"
PAPERS = {"smash": ["smash"], "prompt-distiller": ["prompt-distiller"], "ppt": ["ppt-en", "ppt-zh"]}
PAPERS |= {f"thesis-{chapter}": [f"thesis-{chapter}"] for chapter in (3, 4, 5, 6)}


def named_in(paper: str) -> set[str]:
    """Return the full names of the tasks in a paper's published tables."""
    start, _, chapter = paper.partition("-") if paper.startswith("thesis") else (paper, "", "")
    files = PUBLISHED.glob(f"{start}-{chapter}.*csv" if chapter else f"{paper}-*.csv")
    names = set()
    for file in files:
        rows = csv.DictReader(io.StringIO(file.read_text("utf-8")))
        names |= {row["task"].partition("+")[0] for row in rows if row["task"]}
    return {choose_tasks([name])[0].full_name for name in names}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_suite_holds_its_papers_tasks(paper):
    suites = declared(task_files()).suites
    members = [name for suite in PAPERS[paper] for name in suites[suite].tasks]
    assert len(set(members)) == len(members)
    assert {choose_tasks([name])[0].full_name for name in members} == named_in(paper)
