"""Clusters of questions: numbers of one task, or on one test set, are not independent."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.store.cell import Question


def by_task(questions: Sequence[Question]) -> list[list[int]]:
    """Group the indices of questions by task.

    Questions of one task with different K, templates, sources or protocols are one group, and so
    are tasks with different names that are tested on the same rows.
    """
    groups: list[tuple[set[tuple[str, str]], list[int]]] = []
    for place, question in enumerate(questions):
        names = {("task", question.task.task), ("test set", question.task.test_set)}
        places = [place]
        others = []
        for other_names, other_places in groups:
            if other_names & names:
                names |= other_names
                places += other_places
            else:
                others.append((other_names, other_places))
        groups = [*others, (names, places)]
    return sorted(sorted(places) for _, places in groups)


def same_rows(questions: Sequence[Question]) -> list[str]:
    """Return the joined names of tasks that share test rows: `mood and tone`."""
    joined = []
    for places in by_task(questions):
        names = sorted({questions[place].task.task for place in places})
        if len(names) > 1:
            joined.append(" and ".join(names))
    return joined
