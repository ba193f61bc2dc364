"""Score predictions with scikit-learn, SciPy, or any metric of the hub through `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbench.data.blind import secret_order
from fewbench.data.kept_rows import ids_of, labels_of
from fewbench.data.spans import SPAN_METRICS, as_spans, item_scores
from fewbench.errors import BenchError, NeedsNetwork
from fewbench.types import Example, Label, Predictions, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

HUB = "evaluate"
ALLOW = "--allow-metric-code"

Metric = Callable[["NDArray[Any]", "NDArray[Any]"], float]

OF_ONE_CLASS = ("f1", "evaluate:f1", "evaluate:precision", "evaluate:recall")
"""Metrics of one of two classes, the task's `positive`."""


def shown_metric(name: str, positive: str = "") -> str:
    """Return a metric's name for display, with the class that it measures: `f1 (spam)`."""
    return f"{name} ({positive})" if positive and name in OF_ONE_CLASS else name


def score(task: Task, labels: Sequence[Label], predictions: Predictions) -> dict[str, float]:
    """Compute the metrics of a task with classes or values, the headline metric first.

    Args:
        task: names the metrics.
        labels: n class indices, or n values.
        predictions: for the same n examples in the same order.

    Raises:
        BenchError: kind or number of the predictions do not match the labels.
    """
    import numpy as np  # here and below, so that listing commands start without it

    if (predictions.values is not None) != task.is_regression:
        kind = "values" if task.is_regression else "probabilities"
        raise BenchError(
            f"{task.full_name} is scored from {kind}, which the predictor did not give"
        )
    if len(labels) != len(predictions.ids):
        raise BenchError(
            f"{task.full_name}: {len(predictions.ids)} predictions for {len(labels)} labels"
        )
    check_metrics(task)
    gold, answers = np.asarray(labels), predictions.answers
    scores = {}
    for name in dict.fromkeys((task.metric, *task.metrics)):
        metric = _metric(name)
        if name in OF_ONE_CLASS:  # such a metric measures class 1
            is_gold = (gold == task.positive_index).astype(int)
            is_answer = (answers == task.positive_index).astype(int)
            scores[name] = metric(is_gold, is_answer)
        else:
            scores[name] = metric(gold, answers)
    return scores


def score_on(task: Task, examples: Sequence[Example], predictions: Predictions) -> dict[str, float]:
    """Compute a task's metrics on labelled examples, the headline metric first.

    Args:
        task: of any format.
        examples: n, with their labels or answers.
        predictions: for the same n examples in the same order.

    Raises:
        BenchError: kind or number of the predictions do not match the examples.
    """
    if task.format != "span":
        labels = [example.label for example in examples if example.label is not None]
        return score(task, labels, predictions)
    if predictions.spans is None or len(predictions.ids) != len(examples):
        raise BenchError(
            f"{task.full_name} is scored from spans of {len(examples)} passages, and there are "
            f"{predictions.kind} of {len(predictions.ids)}"
        )
    spans = as_spans(predictions.spans)
    names = dict.fromkeys((task.metric, *task.metrics))
    return {name: float(item_scores(task, examples, spans, name).mean()) for name in names}


def check_metrics(task: Task) -> None:
    """Check that the metrics run no third-party code, unless the user allows it.

    A metric's name in a task file may be a path, and `evaluate` runs the script that it finds
    there, or a user's space on the hub, whose script it downloads and runs. Any other name is a
    metric that the hub itself maintains, unless a local folder has that name.

    Raises:
        BenchError: a path or a user's metric is not allowed, or a local folder has a metric's name.
    """
    for name in (task.metric, *task.metrics):
        kind, _, hub_name = name.partition(":")
        if kind != HUB:
            continue
        if _is_code(hub_name) and not task.metric_code:
            raise BenchError(
                f"the metric '{name}' of {task.name} is a script, which would be run",
                where=task.file or None,
                allowed=f"{', '.join(METRICS)}, {HUB}:NAME of a metric that the hub maintains",
                fix=f"read the script, then add {ALLOW}",
            )
        if not _is_code(hub_name) and Path(hub_name).exists():
            raise BenchError(
                f"the metric '{name}' of {task.name} is on the hub, "
                "but a local folder has the same name",
                where=str(Path(hub_name).absolute()),
                fix=f"run from another folder, or use '{HUB}:./{hub_name}' and {ALLOW}",
            )


def _is_code(name: str) -> bool:
    """Return True if a name for `evaluate` is a path or a user's space."""
    return "/" in name or "\\" in name or name.startswith(".") or name.endswith(".py")


class Scorer:
    """The only holder of test labels: it orders the test rows and scores predictions.

    It stays in the process of the command and is never passed to a process that runs a method.

    Args:
        task: names the metrics.
        examples: the test rows, labels included.
    """

    __slots__ = ("_examples", "_ids", "_order", "_task")

    def __init__(self, task: Task, examples: Sequence[Example]) -> None:
        self._task = task
        self._examples = examples
        self._order: tuple[int, ...] | None = None
        self._ids = tuple(ids_of(examples))
        if any(label is None for label in labels_of(examples)):
            raise BenchError(
                f"{task.full_name}: some test rows have no label",
                fix="use a split whose labels are public",
            )

    @property
    def order(self) -> tuple[int, ...]:
        """The order in which methods get the test rows (`secret_order`)."""
        if self._order is None:
            self._order = secret_order(self._examples)
        return self._order

    def score(self, predictions: Predictions) -> dict[str, float]:
        """Score predictions for exactly the test examples, in their order.

        Raises:
            BenchError: predictions for other examples.
        """
        if predictions.ids != self._ids:
            name = self._task.full_name
            raise BenchError(
                f"{name}: the predictions are not for the test examples in their order"
            )
        return score_on(self._task, self._examples, predictions)


def _accuracy(gold: NDArray[Any], answers: NDArray[Any]) -> float:
    return float((gold == answers).mean())


def _f1(average: str) -> Metric:
    def f1(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(gold, answers, average=average, zero_division=0))

    return f1


def _mcc(gold: NDArray[Any], answers: NDArray[Any]) -> float:
    from sklearn.metrics import matthews_corrcoef

    if _is_constant(gold) or _is_constant(answers):  # scikit-learn would warn and give 0
        return 0.0
    return float(matthews_corrcoef(gold, answers))


def _correlation(name: str) -> Metric:
    def correlation(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        from scipy import stats

        if _is_constant(gold) or _is_constant(answers):  # its correlation is undefined
            return 0.0
        return float(getattr(stats, name)(gold, answers).statistic)

    return correlation


def _is_constant(values: NDArray[Any]) -> bool:
    return bool(values.min() == values.max())


METRICS: Mapping[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1("binary"),
    "macro_f1": _f1("macro"),
    "mcc": _mcc,
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
}


BOUNDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys((*METRICS, *SPAN_METRICS), (0.0, 1.0)),
    **dict.fromkeys(("mcc", "pearson", "spearman"), (-1.0, 1.0)),
}
"""The least and the greatest score by each metric of our own."""


def _metric(name: str) -> Metric:
    return _from_evaluate(name.partition(":")[2]) if name.startswith(f"{HUB}:") else METRICS[name]


def _from_evaluate(name: str) -> Metric:
    """Load a metric of the hub; its score is the number under its own name, or its only one."""
    try:
        import evaluate
    except ImportError as error:
        raise BenchError(
            f"the metric 'evaluate:{name}' needs the package evaluate",
            fix="pip install 'fewbench[evaluate]'",
        ) from error
    try:
        loaded = evaluate.load(name)
    except (ConnectionError, FileNotFoundError) as error:
        raise NeedsNetwork(
            f"the metric 'evaluate:{name}' is on the hub, which cannot be reached",
            allowed=METRICS,
            fix="go online once, or use a local folder with the metric's script",
        ) from error

    def metric(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        scores = loaded.compute(references=gold.tolist(), predictions=answers.tolist())
        return float(scores.get(name.rpartition("/")[2], next(iter(scores.values()))))

    return metric
