"""Which question a record answers, and who answers it: the one identity of a table's cell.

Tables, comparisons, figures, the page, exports and published numbers all take it from here. Records
of different questions never share a cell: on another train or test set, by another definition,
metric or protocol, they are answers to something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fewbench.types import CorpusRef, ModelRef, Run

UNKNOWN_METRIC = "?"
"""What the metric of a failed run is called: it has chosen nothing, so its record does not name
one.
"""


class TaskCell(NamedTuple):
    """A task as it was asked: its source and prompt, its definition and rows, and what is scored.

    `definition`, `train_set` and `test_set` are the hashes of `fewbench.types.Inputs`. Of a record
    of before schema 5 the first two are empty, and `test_set` is the normalised fingerprint behind
    a `~`. Where each split leaves out its own leaked test rows, the test set is the one that they
    are taken from. `positive` is the class that F1 is of.
    """

    task: str
    source: str
    template: str
    version: int
    definition: str
    train_set: str
    test_set: str
    metric: str
    positive: str = ""

    @property
    def name(self) -> str:
        """Task, source and prompt: `sst-2@lm-bff`, `sst-2@lm-bff+man-2`."""
        return f"{self.task}@{self.source}" + (f"+{self.template}" if self.template else "")

    @property
    def known(self) -> bool:
        """True if it is recorded what the task was made from."""
        return bool(self.definition)

    @property
    def metric_name(self) -> str:
        """The metric as headers show it, with the class where it is of one: `f1 (spam)`."""
        return f"{self.metric} ({self.positive})" if self.positive else self.metric

    @property
    def data(self) -> tuple[str, str, str]:
        """The task and its test set: what two K, templates or protocols of one task share.

        Numbers on the same test rows are not independent, whatever else differs.
        """
        return self.task, self.source, self.test_set


class Terms(NamedTuple):
    """What numbers of several tasks must share to stand in one table. `constants` is the hash of
    the protocol's.
    """

    k: int
    protocol: str
    constants: str = ""
    limit: int | None = None
    drop_leaks: bool = False

    @property
    def comparable(self) -> bool:
        """True if the whole test set is used."""
        return self.limit is None and not self.drop_leaks


class Question(NamedTuple):
    """What a record answers, all but the split seed: a task as asked, K, a protocol, and which test
    rows are used.
    """

    task: TaskCell
    k: int
    protocol: str
    constants: str = ""
    limit: int | None = None
    drop_leaks: bool = False

    @property
    def terms(self) -> Terms:
        """All but the task."""
        return Terms(self.k, self.protocol, self.constants, self.limit, self.drop_leaks)

    @property
    def comparable(self) -> bool:
        """True if the whole test set is used."""
        return self.terms.comparable


class Entrant(NamedTuple):
    """Who answers: a method with the settings its user fixed, and the models and the corpus that it
    learnt from.

    `student` is the model that is trained. What is made of a trained teacher itself (a pruned or
    quantised one) has no student of its own: it stands under that teacher.
    """

    method: str
    student: str = ""
    teacher: str = ""
    corpus: str = ""


class Variant(NamedTuple):
    """What one entrant may have been made from besides its name: hashes, empty where there is or is
    known none.

    `settings` is of the method's settings with their defaults, `unlabeled` of the rows without
    labels that it read, `trials` of the settings and updates that its trials had.
    """

    settings: str = ""
    unlabeled: str = ""
    trials: str = ""


class Cell(NamedTuple):
    """A question and who answers it; with a split seed it is one run."""

    question: Question
    entrant: Entrant
    variant: Variant = Variant()


def entrant_of(run: Run) -> Entrant:
    """Return who made a run."""
    student = run.student or run.teacher
    teacher = run.teacher if run.student else None
    return Entrant(
        label(run.method, run.settings), _name(student), _name(teacher), _name(run.corpus)
    )


def label(method: str, settings: Mapping[str, Any]) -> str:
    """Return a method as its user typed it: `ft:lr=1e-05`."""
    given = ",".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{method}:{given}" if given else method


def _name(ref: ModelRef | CorpusRef | None) -> str:
    return "" if ref is None else ref.name
