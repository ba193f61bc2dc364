"""Signs of significance in `bench table` and `bench paper`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fewbench.cli.out import note
from fewbench.cli.paired_options import RESAMPLES
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.paper.significance import SignedTests
    from fewbench.store.record import Record
    from fewbench.store.store import Store


def signs(
    records: Sequence[Record],
    store: Store,
    against: str,
    data: Path | None,
    tasks: list[str] | None,
    resamples: int = RESAMPLES,
) -> SignedTests:
    """Compare all methods of some records with one of them; note which cannot be compared.

    Raises:
        BenchError: no record is of the method.
    """
    from fewbench.report.compare.items import Labels
    from fewbench.report.paper.significance import signed_tests
    from fewbench.report.query import by_label, find_label, own_files

    baseline = find_label(against, by_label(records), str(store.root))
    labels = Labels(data, own_files(tasks or ()))
    tests = signed_tests(baseline, records, store, labels, resamples)
    for name, why in tests.left_out.items():
        note(f"{name} is not compared: {why}")
    return tests


class TableLook(NamedTuple):
    """The options of `bench table` that mark cells by tests, and make a LaTeX table a float."""

    against: str | None
    in_float: bool

    def check(self, form: str, flat: Collection[str], measures: str | None) -> None:
        """Refuse combinations that have no meaning.

        Args:
            form: of the table.
            flat: the formats that list cells.
            measures: after `--with`, if it is given.

        Raises:
            BenchError: `--float` in another format than LaTeX, marks in a list of cells, or either
                beside `--with`.
        """
        if self.in_float and form != "latex":
            raise BenchError("--float is of LaTeX", given=form, fix="--format latex --float")
        if self.against is not None and form in flat:
            raise BenchError(
                f"--against marks the cells of a table, and {form} lists cells without marks",
                fix=f"bench compare METHOD --against {self.against} --json has the tests",
            )
        if measures is not None and (self.in_float or self.against is not None):
            option = "--float" if self.in_float else "--against"
            raise BenchError(
                f"--with makes tables of its own, which have no {option}",
                fix="bench paper writes those tables as floats too",
            )

    def tests(
        self, records: Sequence[Record], store: Store, data: Path | None, tasks: list[str] | None
    ) -> SignedTests | None:
        """Return the tests that were asked for; None where there are none."""
        if self.against is None or not records:
            return None
        return signs(records, store, self.against, data, tasks)
