"""The identity of a table's cell: the question that a record answers, and who answers it.

Tables, comparisons, figures, the page, exports and published numbers all take it from here. Records
of different questions never share a cell. A question has one train set, test set, task definition,
metric and protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.data.train_size import k_order
from fewbench.types import CorpusRef, K, ModelRef, Run, Settings

if TYPE_CHECKING:
    from fewbench.registry.methods import MethodInfo

UNKNOWN_METRIC = "?"
"""The metric of a failed run whose record does not name one."""


class TaskCell(NamedTuple):
    """A task with its source and prompt, its definition and rows, and its metric.

    `definition`, `train_set` and `test_set` are the hashes of `fewbench.types.Inputs`. Before
    schema 5 the first two are empty, and `test_set` is the normalised fingerprint behind a `~`.
    Where each split leaves out its own leaked test rows, the test set is the one before that.
    `positive` is the class whose F1 is meant.
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
        """True if the record says what the task was made from."""
        return bool(self.definition)

    @property
    def unscored(self) -> TaskCell:
        """The task whichever metric it is scored by."""
        return self._replace(metric=UNKNOWN_METRIC, positive="")

    @property
    def metric_name(self) -> str:
        """The metric as headers show it, with the class where it is of one class: `f1 (spam)`."""
        return f"{self.metric} ({self.positive})" if self.positive else self.metric

    @property
    def data(self) -> tuple[str, str, str]:
        """The task and its test set, without K, template and protocol.

        Numbers on the same test rows are not independent, whatever else differs.
        """
        return self.task, self.source, self.test_set


class Terms(NamedTuple):
    """The conditions that all numbers of one table share.

    `constants` is the hash of the protocol's constants. `arithmetic` is empty where it is the usual
    one.
    """

    k: K
    protocol: str
    constants: str = ""
    limit: int | None = None
    drop_leaks: bool = False
    arithmetic: str = ""

    @property
    def comparable(self) -> bool:
        """True if the whole test set is used."""
        return self.limit is None and not self.drop_leaks

    @property
    def order(self) -> tuple[Any, ...]:
        """The sort key of tables: the protocol, K, complete test sets first."""
        left_out = self.limit or 0, self.drop_leaks
        return self.protocol, self.constants, k_order(self.k), *left_out, self.arithmetic


class Question(NamedTuple):
    """A task under given conditions: everything that a score depends on but entrant and seed."""

    task: TaskCell
    k: K
    protocol: str
    constants: str = ""
    limit: int | None = None
    drop_leaks: bool = False
    arithmetic: str = ""

    @property
    def terms(self) -> Terms:
        """The question without its task."""
        return Terms(
            self.k, self.protocol, self.constants, self.limit, self.drop_leaks, self.arithmetic
        )

    @property
    def comparable(self) -> bool:
        """True if the whole test set is used."""
        return self.terms.comparable

    @property
    def order(self) -> tuple[Any, ...]:
        """The sort key by task, then as that of terms."""
        return self.task, *self.terms.order


class Entrant(NamedTuple):
    """A method with the settings that its user fixed, its models and its corpus.

    `student` is the model that is trained. A method that changes the trained teacher itself (prunes
    or quantises it) has no student; it is listed under that teacher.
    """

    method: str
    student: str = ""
    teacher: str = ""
    corpus: str = ""


class Variant(NamedTuple):
    """Hashes of what an entrant was made from besides its name; empty where unknown or unused.

    `settings` is of the method's settings with their defaults, `unlabeled` of the rows without
    labels that it reads, `trials` of the settings and updates of its trials.
    """

    settings: str = ""
    unlabeled: str = ""
    trials: str = ""


class Cell(NamedTuple):
    """A question and its entrant; with a split seed it is one run."""

    question: Question
    entrant: Entrant
    variant: Variant = Variant()


def entrant_of(run: Run) -> Entrant:
    """Return the entrant of a run."""
    student = run.student or run.teacher
    teacher = run.teacher if run.student else None
    return Entrant(
        method=label(run.method, run.settings),
        student=_name(student),
        teacher=_name(teacher),
        corpus=_name(run.corpus),
    )


def label(method: str, settings: Settings) -> str:
    """Return a method as its user typed it: `ft:lr=1e-05`."""
    pairs = ",".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{method}:{pairs}" if pairs else method


def named(method: MethodInfo, settings: Settings) -> str:
    """Return a method with its preset, or else with its settings: `zero-shot:calibrated`."""
    for name, preset in method.presets.items():
        if dict(settings) == dict(preset):
            return f"{method.name}:{name}"
    return label(method.name, settings)


def _name(ref: ModelRef | CorpusRef | None) -> str:
    return "" if ref is None else ref.name
