"""The runs that taught some others, which tables can show in rows of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fewbench.measure.loyalty import own_teacher
from fewbench.store.record import Record


class Taught(NamedTuple):
    """Records with their teachers' among them, the teachers' keys, and how many lack a teacher.

    `without` counts runs that name a teacher whose run is not stored, or has been made again since.
    """

    records: list[Record]
    teachers: frozenset[str]
    without: int


def with_teachers(records: Sequence[Record], stored: Iterable[Record]) -> Taught:
    """Add to some records those of the runs that taught them.

    Args:
        records: those to show.
        stored: all records of the store.
    """
    known = {record.run.key: record for record in stored}
    teachers: dict[str, Record] = {}
    without = 0
    for record in records:
        teacher = own_teacher(record, known)
        if teacher is not None:
            teachers[teacher.run.key] = teacher
        without += teacher is None and "teacher" in record.details
    shown = {record.run.key for record in records}
    added = [teacher for key, teacher in teachers.items() if key not in shown]
    return Taught([*records, *added], frozenset(teachers), without)
