"""The nouns of the harness: small, frozen and typed. No torch here.

Axes in every docstring: n examples, C classes (or options of a choice), B batch, T positions, V
vocabulary, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypedDict

from fewbench.refs import USUAL
from fewbench.refs import Arithmetic as Arithmetic
from fewbench.refs import CorpusRef as CorpusRef
from fewbench.refs import Inputs as Inputs
from fewbench.refs import ModelRef as ModelRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Format = Literal["single", "pair", "choice", "span"]
Kind = Literal["single", "pair", "choice", "regression", "span"]
KINDS: tuple[Kind, ...] = ("single", "pair", "choice", "regression", "span")
"""Kinds of tasks for a method: the formats, and regression."""
USUAL_KINDS = KINDS[:-1]
"""The kinds that a method takes unless it says otherwise: an answer's span needs its own head."""
AnswerKind = Literal["probabilities", "values", "spans"]
"""What predictions hold."""
BackboneKind = Literal["masked", "causal", "encoder-decoder"]
Label = int | float
Span = tuple[int, int]
"""The first character of a stretch of text, and the one after its last."""
K = int | str
"""The number of labelled examples per label, or a word for it (`fewbench.data.train_size`)."""
Settings = Mapping[str, Any]
Json = dict[str, Any]
"""A JSON object whose keys are open, as parsed or as it will be written."""

Count = int
Natural = int
Positive = float
Weight = float
Share = float
"""What a method's settings are annotated with; `bench.settings` reads the names. Whole numbers from
1 (`Count`) or 0 (`Natural`), numbers above 0 (`Positive`), of 0 or more (`Weight`), and from 0 to 1
(`Share`)."""


ModelName = str
DataFile = str
"""Annotations of a setting that names a model (as `--student` does) or a file: its value has their
name and content hash as text (`fewbench.registry.named_inputs`)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task.

    `texts` holds one text (single), two (pair: premise and hypothesis), or passage and question
    (choice, span; the question of a choice is empty where there is one text). `options` is empty
    but for a choice, which has one per class; an empty option is none. `label` is a class index, a
    value for regression, or None where it is withheld. `answers` are the right spans of a passage;
    none where the label says that there is no answer, or is withheld. `id` is `<split>-<row>`, the
    row counted from 0 in the source file; where a method is handed test or unlabelled rows, in an
    order that tells nothing (`fewbench.data.blind`).
    """

    id: str
    texts: tuple[str, ...]
    label: Label | None = None
    options: tuple[str, ...] = ()
    answers: tuple[Span, ...] = ()

    def without_label(self) -> Example:
        """Return the same item with its label and answers withheld."""
        return Example(self.id, self.texts, None, self.options)


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a task's rows: a hub data set, or a folder with the same layout.

    Files stand at `<data>/<path>/<config>/<split>.<jsonl|csv|tsv|parquet>`. `texts`, `label` and
    `options` name columns (`a.b`: a column of an object; and a text may be made of several, as in
    `{a} means {b}`); `columns` names those of a file without header; `values` are the file's own
    label values, in the order of the task's labels (None: the label's index; "options": a choice's
    label is the right option itself); `revision` pins the hub's commit, and a source with
    `hub=False` exists only as files. `root` overrides the data folder (the embedded demo, a user's
    own TOML).

    A data set that publishes its own few-shot splits has `folds` of them: `train` and `dev` name
    their files, `{fold}` standing for 0, 1, … `unlabeled` names published rows without labels.

    What the real data has is said, not guessed: `may_be_empty` accepts empty texts,
    `may_repeat_options` a row with two equal options, `may_lack_options` a row with fewer options
    than labels, `join` puts together a text that is a list (turns of a dialogue), and rows whose
    label is in `drop` are left out.
    """

    name: str
    path: str
    config: str
    train: str
    test: str
    texts: tuple[str, ...]
    label: str
    options: str | None = None
    columns: tuple[str, ...] | None = None
    values: tuple[str | int, ...] | Literal["options"] | None = None
    hub: bool = True
    revision: str | None = None
    may_be_empty: bool = False
    root: Path | None = None
    may_repeat_options: bool = False
    may_lack_options: bool = False
    join: str | None = None
    drop: tuple[str | int, ...] = ()
    dev: str | None = None
    folds: int = 0
    unlabeled: str | None = None

    @property
    def published(self) -> tuple[tuple[str, str], ...]:
        """The names of train and dev of each published fold; none where splits are sampled."""
        return tuple(
            (self.train.replace("{fold}", str(fold)), (self.dev or "").replace("{fold}", str(fold)))
            for fold in range(self.folds)
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of all that is read: train (and dev) of every fold, test, unlabelled rows."""
        trained = [name for pair in zip(*self.published, strict=True) for name in pair] or [
            self.train
        ]
        return (*trained, self.test, *filter(None, [self.unlabeled]))


class Prompt(NamedTuple):
    """A named template with label words (a tuple per class): another prompt for a task."""

    name: str
    template: str
    words: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A data set with a format, labels, a headline metric, and its manual template and label words.

    `template` is a text with `{0}`, `{1}`, `{options}` and `{mask}`; `{0|cut}` drops the last
    character of a text, `{1|lower}` lower-cases its first letter, `{options|chinese}` counts
    options in Chinese. `words` holds one tuple of label words per class. Regression has `bounds`
    and two opposing words. A span task has neither template nor words, and one label, for rows with
    an answer, or two, the second for rows without. `rule` names the split rule. `prompts` are those
    that may take the place of the task's own; `prompt` names the one that did. `positive` is the
    label whose F1 is meant, where a metric is of one class. `metric_code` says that the user lets
    its metrics run code of others; no task file can.
    """

    name: str
    title: str
    format: Format
    labels: tuple[str, ...]
    metric: str
    template: str
    words: tuple[tuple[str, ...], ...]
    sources: tuple[Source, ...]
    paper: str
    licence: str
    version: int = 1
    bounds: tuple[float, float] | None = None
    metrics: tuple[str, ...] = ()
    max_length: int = 128
    rule: Literal["shuffle", "chained"] = "shuffle"
    file: str = ""
    prompts: tuple[Prompt, ...] = ()
    prompt: str = ""
    positive: str = ""
    metric_code: bool = field(default=False, compare=False)

    @property
    def source(self) -> Source:
        """The source in use: the first (see `with_source` in `fewbench.data.task_file`)."""
        return self.sources[0]

    @property
    def is_regression(self) -> bool:
        """True if labels are values within `bounds` instead of class indices."""
        return self.bounds is not None

    @property
    def kind(self) -> Kind:
        """The format, or `regression`."""
        return "regression" if self.is_regression else self.format

    @property
    def answer_kind(self) -> AnswerKind:
        """The kind of the task's predictions."""
        if self.format == "span":
            return "spans"
        return "values" if self.is_regression else "probabilities"

    @property
    def may_lack_answers(self) -> bool:
        """True if some rows of a span task have no answer."""
        return self.format == "span" and len(self.labels) > 1

    @property
    def positive_index(self) -> int:
        """The class that metrics of one class measure: that of `positive`, else the second."""
        return self.labels.index(self.positive) if self.positive else 1

    @property
    def full_name(self) -> str:
        """Name, source, and any other prompt, as in `sst-2@lm-bff` and `sst-2@lm-bff+man-2`."""
        return f"{self.name}@{self.source.name}" + (f"+{self.prompt}" if self.prompt else "")


class SourceFile(TypedDict):
    """A file that rows were read from, or `hub: …` without a hash."""

    file: str
    rows: int
    sha256: str | None


class Rows(NamedTuple):
    """All rows of a task's source, labels included.

    Only `make_split` and `Scorer` see the labels of test rows. With published folds, `folds` holds
    the train and dev rows of each, and `train` the train rows of all.
    """

    train: tuple[Example, ...]
    test: tuple[Example, ...]
    files: tuple[SourceFile, ...] = ()
    folds: tuple[tuple[tuple[Example, ...], tuple[Example, ...]], ...] = ()
    unlabeled: tuple[Example, ...] = ()


class SplitSizes(NamedTuple):
    """Numbers of a split's rows; `unlabeled` is 0 for a method that does not ask for them."""

    train: int
    dev: int
    unlabeled: int


@dataclass(frozen=True, slots=True)
class Split:
    """The data that a method may see for a task, K and split seed.

    |dev| = |train|, except with full data; `test` and `unlabeled` carry no labels. `fingerprint`
    hashes the normalised texts and labels of train and dev, `test_fingerprint` those of test.
    `leaks` counts test rows that also stand in train or dev; where they were left out of
    `test`, `dropped` says how many, and `whole_fingerprint` is that of test with them. Where a
    limit drew test rows, `drawn_of` says from how many. `label_counts` pairs each label with
    the number of rows that have it in the full train set, from which train and dev were drawn,
    in label order; it is empty for a method that does not name `label_counts` in its NEEDS.
    """

    task: str
    k: K
    seed: int
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    unlabeled: tuple[Example, ...]
    fingerprint: str
    test_fingerprint: str
    leaks: Mapping[str, int]
    dropped: int = 0
    whole_fingerprint: str = ""
    drawn_of: int = 0
    label_counts: tuple[tuple[Label, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for n examples in order, of one of three kinds.

    `probabilities` [n, C]; `values` [n] for regression; or `spans` [n, 2], int32, of the passage's
    characters, where an empty one is no answer. `extras` holds other numbers per example by name,
    such as the layer of an early exit: int32 [n].

    Raises:
        ValueError: not exactly one array is given, a shape does not fit, or a number is not finite.
    """

    ids: tuple[str, ...]
    probabilities: NDArray[np.float32] | None = None
    values: NDArray[np.float32] | None = None
    spans: NDArray[np.int32] | None = None
    extras: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import numpy as np  # here, so that listing commands start without it

        if len(self._given) != 1:
            raise ValueError("predictions hold probabilities [n, C], values [n] or spans [n, 2]")
        if not self._fits(self.array.shape):
            raise ValueError(
                f"predictions of shape {self.array.shape} for {len(self.ids)} examples"
            )
        if not np.isfinite(self.array).all():
            raise ValueError("predictions hold numbers that are not finite")
        for name, extra in self.extras.items():
            if extra.shape != (len(self.ids),) or extra.dtype != np.int32:
                raise ValueError(
                    f"{extra.dtype} {name} of shape {extra.shape} for {len(self.ids)} examples"
                )

    def _fits(self, shape: tuple[int, ...]) -> bool:
        n = len(self.ids)
        if self.kind == "probabilities":
            return len(shape) == 2 and shape[0] == n
        return shape == ((n,) if self.kind == "values" else (n, 2))

    @classmethod
    def of(
        cls,
        kind: AnswerKind,
        ids: tuple[str, ...],
        array: NDArray[Any],
        extras: Mapping[str, NDArray[np.int32]] | None = None,
    ) -> Predictions:
        """Return predictions of a kind (`Task.answer_kind`)."""
        given: Json = {kind: array}
        return cls(ids, **given, extras=extras or {})

    @property
    def _given(self) -> dict[AnswerKind, NDArray[Any]]:
        kinds: dict[AnswerKind, NDArray[Any] | None] = {
            "probabilities": self.probabilities,
            "values": self.values,
            "spans": self.spans,
        }
        return {kind: array for kind, array in kinds.items() if array is not None}

    @property
    def kind(self) -> AnswerKind:
        """The name of the one array held."""
        return next(iter(self._given))

    @property
    def array(self) -> NDArray[Any]:
        """The one array held."""
        return self._given[self.kind]

    @property
    def answers(self) -> NDArray[Any]:
        """The arg-max class per row (the first among equals), or the values or spans."""
        return self.array if self.probabilities is None else self.probabilities.argmax(axis=1)


class Predictor(Protocol):
    """A fitted model, as `fit` returns it."""

    def predict(self, examples: Sequence[Example]) -> Predictions:
        """Predict examples whose labels, if any, are not looked at."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the plan: a method on a task, with a backbone, K, a split seed and a protocol.

    `settings` are those the user fixed; the protocol's grid varies the method's others. `limit`
    tests on a draw of so many rows, which makes the record not comparable. `template` names the
    prompt that took the place of the task's own. `corpus` is what the method's shared preparation
    has read. With `drop_leaks`, test rows that also stand in train or dev are left out, and
    `test_fingerprint` is that of the rest. The names alone do not say what decides a number: a task
    may be declared anew, its data cleaned, a protocol changed. `inputs` does.
    """

    task: str
    task_version: int
    source: str
    method: str
    settings: Settings
    student: ModelRef | None
    teacher: ModelRef | None
    k: K
    seed: int
    protocol: str
    fingerprint: str
    test_fingerprint: str
    limit: int | None = None
    template: str = ""
    corpus: CorpusRef | None = None
    drop_leaks: bool = False
    inputs: Inputs = field(default_factory=Inputs)
    arithmetic: Arithmetic = USUAL
    key: str = field(default="", compare=False)
