"""Scores of predictions against labels: scikit-learn and SciPy, and any metric of the hub through
`evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbench.data.blind import secret_order
from fewbench.errors import BenchError, NeedsNetwork
from fewbench.types import Example, Label, Predictions, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

HUB = "evaluate"
ALLOW = "--allow-metric-code"

Metric = Callable[["NDArray[Any]", "NDArray[Any]"], float]

OF_ONE_CLASS = ("f1", "evaluate:f1", "evaluate:precision", "evaluate:recall")
"""Metrics of two classes that are of one of them, the task's `positive`."""


def shown_metric(name: str, positive: str = "") -> str:
    """Return a metric's name as people read it, with the class that it is of: `f1 (spam)`."""
    return f"{name} ({positive})" if positive and name in OF_ONE_CLASS else name


def score(task: Task, labels: Sequence[Label], predictions: Predictions) -> dict[str, float]:
    """Return the task's headline metric first, then its others.

    Args:
        task: names the metrics.
        labels: n class indices, or n values.
        predictions: for the same n examples in the same order.

    Raises:
        BenchError: predictions of another kind or number than the labels.
    """
    import numpy as np  # here and below, so that listing commands start without it

    if (predictions.values is not None) != task.is_regression:
        kind = "values" if task.is_regression else "probabilities"
        raise BenchError(f"{task.full_name} is scored from {kind}, and the predictor gave others")
    if len(labels) != len(predictions.ids):
        raise BenchError(
            f"{task.full_name}: {len(predictions.ids)} predictions for {len(labels)} labels"
        )
    check_metrics(task)
    gold, answers = np.asarray(labels), predictions.answers
    scores = {}
    for name in dict.fromkeys((task.metric, *task.metrics)):
        given = (gold, answers)
        if name in OF_ONE_CLASS:  # they are of class 1
            given = tuple((classes == task.positive_index).astype(int) for classes in given)
        scores[name] = _metric(name)(*given)
    return scores


def check_metrics(task: Task) -> None:
    """Refuse metrics that are code of others, unless the user lets them run.

    The name of a metric in a task file may be a path, and `evaluate` runs the script it finds
    there; or a user's space on the hub, whose script it fetches and runs. A name alone is a metric
    that the hub itself keeps, and no folder.

    Raises:
        BenchError: a path or a user's metric that is not allowed, or a folder here that takes a
            metric's name.
    """
    for name in (task.metric, *task.metrics):
        kind, _, given = name.partition(":")
        if kind != HUB:
            continue
        if _is_code(given) and not task.metric_code:
            raise BenchError(
                f"the metric '{name}' of {task.name} is a script, which would be run",
                where=task.file or None,
                allowed=f"{', '.join(METRICS)}, {HUB}:NAME of a metric that the hub itself keeps",
                fix=f"read that script, then {ALLOW}",
            )
        if not _is_code(given) and Path(given).exists():
            raise BenchError(
                f"the metric '{name}' of {task.name} is one of the hub, but a folder here has its name",
                where=str(Path(given).absolute()),
                fix=f"run from another folder; or, if it is meant, '{HUB}:./{given}' and {ALLOW}",
            )


def _is_code(name: str) -> bool:
    """Whether a name given to `evaluate` is a path or a user's space."""
    return "/" in name or "\\" in name or name.startswith(".") or name.endswith(".py")


class Scorer:
    """The one holder of test labels. It gives the order in which methods are asked, and scores for
    predictions.

    It stays in the process of the command: no process that runs a method is ever handed it.

    Args:
        task: names the metrics.
        examples: the test rows, labels included.
    """

    __slots__ = ("_examples", "_ids", "_labels", "_order", "_task")

    def __init__(self, task: Task, examples: Sequence[Example]) -> None:
        self._task = task
        self._examples = tuple(examples)
        self._order: tuple[int, ...] | None = None
        self._ids = tuple(example.id for example in examples)
        self._labels = tuple(example.label for example in examples if example.label is not None)
        if len(self._labels) != len(self._ids):
            raise BenchError(
                f"{task.full_name}: some test rows have no label",
                fix="use a split whose labels are public",
            )

    @property
    def order(self) -> tuple[int, ...]:
        """The order in which methods are asked the rows: `secret_order`, of these rows whoever
        asks.
        """
        if self._order is None:
            self._order = secret_order(self._examples)
        return self._order

    def score(self, predictions: Predictions) -> dict[str, float]:
        """Score predictions for exactly the test examples, in their order.

        Raises:
            BenchError: predictions for other examples.
        """
        if predictions.ids != self._ids:
            raise BenchError(
                f"{self._task.full_name}: these predictions are not for the test examples, in their order"
            )
        return score(self._task, self._labels, predictions)


def _accuracy(gold: NDArray[Any], answers: NDArray[Any]) -> float:
    return float((gold == answers).mean())


def _f1(average: str) -> Metric:
    def f1(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(gold, answers, average=average, zero_division=0))

    return f1


def _mcc(gold: NDArray[Any], answers: NDArray[Any]) -> float:
    from sklearn.metrics import matthews_corrcoef

    if (
        gold.min() == gold.max() or answers.min() == answers.max()
    ):  # one class alone has no correlation: scored 0, without a warning
        return 0.0
    return float(matthews_corrcoef(gold, answers))


def _correlation(name: str) -> Metric:
    def correlation(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        from scipy import stats

        if (
            gold.min() == gold.max() or answers.min() == answers.max()
        ):  # a constant has no correlation with anything: scored 0
            return 0.0
        return float(getattr(stats, name)(gold, answers).statistic)

    return correlation


METRICS: Mapping[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1("binary"),
    "macro_f1": _f1("macro"),
    "mcc": _mcc,
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
}


def _metric(name: str) -> Metric:
    return _from_evaluate(name.partition(":")[2]) if name.startswith(f"{HUB}:") else METRICS[name]


def _from_evaluate(name: str) -> Metric:
    """Return a metric of the hub, whose one number (or the one under its own name) is the score."""
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
            f"the metric 'evaluate:{name}' is fetched from the hub, which cannot be reached",
            allowed=METRICS,
            fix="a local folder with the metric's script, or go online once",
        ) from error

    def metric(gold: NDArray[Any], answers: NDArray[Any]) -> float:
        scores = loaded.compute(references=gold.tolist(), predictions=answers.tolist())
        return float(scores.get(name.rpartition("/")[2], next(iter(scores.values()))))

    return metric
