"""Marks on a table's cells: which differ significantly from a baseline, by the paired tests.

The tests are those of `bench compare` (decision 014): runs are paired by split seed and test item,
and p is adjusted by Holm over all cells of the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.report.compare.items import Labels
from fewbench.report.compare.pairing import pairs
from fewbench.report.compare.rows import PairFound, Versus, adjust, compare, draw
from fewbench.report.compare.sides import pair_found
from fewbench.report.statistics.crossed import LEVEL
from fewbench.report.tables.entry import Entry
from fewbench.store.cell import Question, entrant_of
from fewbench.store.record import Record
from fewbench.store.store import Store

BETTER, WORSE, UNKNOWN = "▲", "▼", "?"
SIGNS = {"better": BETTER, "worse": WORSE, "not significant": "", "too few seeds": UNKNOWN}
"""The sign of each verdict on a method against the baseline."""


class Contender(NamedTuple):
    """A method with one student: what is compared with the baseline of the same student."""

    method: str
    student: str


class SignedTests(NamedTuple):
    """The outcome of all tests of a study.

    `signs` has the sign of each contender in each question that could be tested, `tests` their
    number, and `left_out` the contenders without any, with the reason.
    """

    baseline: str
    signs: Mapping[tuple[Contender, Question], str]
    tests: int
    left_out: Mapping[str, str]

    @property
    def note(self) -> str:
        """The words below a table that explain its signs."""
        parts = {
            BETTER: f"{BETTER} significantly above {self.baseline}",
            WORSE: f"{WORSE} significantly below it",
            UNKNOWN: f"{UNKNOWN} too few split seeds to tell",
        }
        used = [text for sign, text in parts.items() if sign in self.signs.values()]
        how = (
            f"paired by split seed and test item, p < {LEVEL} by Holm over {self.tests} comparisons"
        )
        return f"{', '.join(used) or f'no cell differs from {self.baseline}'} ({how})"


def signed_tests(
    baseline: str, records: Sequence[Record], store: Store, labels: Labels, resamples: int
) -> SignedTests:
    """Compare every method with a baseline of the same student, on each question both answer.

    Args:
        baseline: a method as tables name it.
        records: those of the study, finished or not.
        store: of their predictions.
        labels: gives the test labels; where it cannot, runs are paired by seed alone.
        resamples: of the bootstrap and of permutations.
    """
    sides = _sides(records)
    asked: list[tuple[Contender, list[PairFound]]] = []
    left_out: dict[str, str] = {}
    for contender, mine in sides.items():
        theirs = sides.get(Contender(baseline, contender.student))
        if contender.method == baseline or theirs is None:
            continue
        try:
            paired = pairs(mine, theirs)
        except BenchError as error:
            left_out[" of ".join(filter(None, contender))] = error.problem
            continue
        asked.append((contender, [pair_found(pair, (store, store), labels) for pair in paired]))
    drawn = iter(draw([*chain.from_iterable(found for _, found in asked)], resamples))
    tables = [
        compare(
            (contender.method, baseline), found, list(islice(drawn, len(found))), lambda pair: ""
        )
        for contender, found in asked
    ]
    signs = _signs(asked, adjust(tables))
    return SignedTests(baseline, signs, len(signs), left_out)


def _signs(
    asked: Sequence[tuple[Contender, Sequence[PairFound]]], tables: Sequence[Versus]
) -> dict[tuple[Contender, Question], str]:
    """Return the sign of each row of the tables, by contender and question."""
    signs = {}
    for (contender, found), table in zip(asked, tables, strict=True):
        for one, row in zip(found, table.rows, strict=True):
            signs[contender, one.pair.question] = SIGNS[row.verdict]
    return signs


def _sides(records: Iterable[Record]) -> dict[Contender, list[Record]]:
    """Group comparable records by method and student."""
    sides: dict[Contender, list[Record]] = {}
    for record in records:
        if record.comparable:
            entrant = entrant_of(record.run)
            sides.setdefault(Contender(entrant.method, entrant.student), []).append(record)
    return sides


def with_signs(cells: Iterable[Entry], tests: SignedTests) -> list[Entry]:
    """Return cells with the signs of the tests."""
    signed = []
    for cell in cells:
        terms = cell.terms
        question = Question(cell.column, *terms)
        contender = Contender(cell.row.method, cell.row.student)
        signed.append(replace(cell, sign=tests.signs.get((contender, question), "")))
    return signed
