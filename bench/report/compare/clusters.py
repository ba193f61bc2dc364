"""Which questions count as one: numbers of one task, or on one test set, are not independent of
each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.store.cell import Question


def by_task(questions: Sequence[Question]) -> list[list[int]]:
    """Return the places of questions in the sequence, by task.

    Whatever K, template, source or protocol a task is asked with, it is one; and tasks of several
    names that are tested on the same rows are one as well.
    """
    groups: list[tuple[set[tuple[str, str]], list[int]]] = []
    for place, question in enumerate(questions):
        names, places = (
            {("task", question.task.task), ("test set", question.task.test_set)},
            [place],
        )
        apart = []
        for known, members in groups:
            if known & names:
                names, places = names | known, members + places
            else:
                apart.append((known, members))
        groups = [*apart, (names, places)]
    return sorted(sorted(places) for _, places in groups)


def same_rows(questions: Sequence[Question]) -> list[str]:
    """Return the names of tasks that count as one because they share test rows, joined: `mood and
    tone`.
    """
    named = [
        sorted({questions[place].task.task for place in places}) for places in by_task(questions)
    ]
    return [" and ".join(names) for names in named if len(names) > 1]
