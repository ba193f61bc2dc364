"""Compare language models on training rows alone: the way to choose weights without a look at any
test.

    python scripts/weigh_models.py --data ../shared/data --tasks sst-2,mr,cr,sst-5,trec MODEL [MODEL
    ...]

Two figures a task, in hundredths. *order*: how well the label words at the mask of the task's own
template order its rows, untrained, whatever their prior (area under the curve, each label against
the rest). *probe*: accuracy of a logistic regression on the mean of the last hidden states, trained
on K rows a label, mean of some draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fewbench.data.reader import read_rows
from fewbench.errors import BenchError
from fewbench.measure.attack.encoder import MeanPooled
from fewbench.nn.backbone import Backbone
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.registry.pretrained import find_model
from fewbench.registry.settings import split_list
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example, Task

PENALTY = 0.01
"""sklearn's C of the probe: features are centred and scaled, and there are more of them than rows.
"""


def order(backbone: Backbone, task: Task, rows: Sequence[Example]) -> float:
    """Return the area under the curve of the label words' shares, without training."""
    shares = np.asarray(prompt_model(backbone, task).predict(rows).probabilities)
    of_each = [
        roc_auc_score([row.label == label for row in rows], share)
        for label, share in enumerate(shares.T)
    ]
    return float(np.mean(of_each))


def probe(vectors: NDArray[np.float32], labels: NDArray[np.int64], k: int, draws: int) -> float:
    """Return the mean accuracy of probes trained on k rows a label, on all the other rows."""
    hits = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        chosen = np.zeros(len(labels), bool)
        for label in np.unique(labels):
            chosen[rng.permutation(np.flatnonzero(labels == label))[:k]] = True
        fitted = LogisticRegression(C=PENALTY, max_iter=1000).fit(vectors[chosen], labels[chosen])
        hits.append(fitted.score(vectors[~chosen], labels[~chosen]))
    return float(np.mean(hits))


def main() -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="names or folders of masked language models")
    parser.add_argument(
        "--tasks", type=split_list, required=True, help="tasks with labels, by commas"
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument(
        "--rows",
        type=int,
        default=1000,
        help="training rows a task, drawn once (default: %(default)s)",
    )
    parser.add_argument(
        "--k", type=int, default=16, help="rows a label of a probe (default: %(default)s)"
    )
    parser.add_argument(
        "--draws", type=int, default=20, help="probes a task (default: %(default)s)"
    )
    given = parser.parse_args()
    try:
        tasks = choose_tasks(given.tasks)
        if without := [task.name for task in tasks if task.is_regression]:
            raise BenchError(
                f"{without[0]} has no labels to order its rows by", fix="--tasks with labels"
            )
        drawn = {
            task: draw(read_rows(task, given.data, offline=True).train, given.rows)
            for task in tasks
        }
        lines = {}
        for name in given.models:
            backbone = open_backbone(find_model(name))
            line = {}
            for task, rows in drawn.items():
                texts = [" ".join(row.texts) for row in rows]
                vectors, labels = (
                    MeanPooled(backbone, texts)(texts),
                    np.array([row.label for row in rows]),
                )
                line["order", task.name] = order(backbone, task, rows)
                line["probe", task.name] = probe(vectors, labels, given.k, given.draws)
            lines[name] = line
    except BenchError as error:
        parser.exit(2, f"error: {error}\n")
    table = 100 * pd.DataFrame.from_dict(lines, orient="index").sort_index(
        axis=1, level=0, sort_remaining=False
    )
    for kind in ("order", "probe"):
        print(
            table[kind]
            .assign(mean=table[kind].mean(axis=1))
            .round(1)
            .rename_axis(kind)
            .to_string(),
            end="\n\n",
        )


def draw(rows: Sequence[Example], count: int) -> list[Example]:
    """Return some rows, the same ones each time."""
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:count]]


if __name__ == "__main__":
    main()
