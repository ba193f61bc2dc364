"""Make and check K-shot splits.

The sampling rule is LM-BFF's, checked against its published checksums: shuffle the training rows
with NumPy's legacy generator seeded by the split seed, and group them by label; the first K of each
label are train and the next K are dev, with labels in order of first appearance after the shuffle.
Full data is shuffled likewise; the first rows of each label are a dev cut, and the rest is train.
Regression is grouped into the lower and upper half of its bounds. Data sets that publish their own
few-shot splits (FewCLUE) are split as published; the split seed is then the number of the fold.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, cast

import numpy as np

from fewbench.data.blind import hidden, secret_order
from fewbench.data.dev_cut import USUAL_CUT, DevCut
from fewbench.data.hub import place_of
from fewbench.data.kept_rows import WithoutLabels, derived, ids_of, labels_of
from fewbench.data.leaks import (
    TextCounts,
    Texts,
    count_leaks,
    counted,
    fingerprint,
    texts_of,
    without_leaks,
)
from fewbench.data.train_size import ALLOWED, is_full, k_title, per_label
from fewbench.errors import BenchError
from fewbench.types import Example, K, Label, Rows, Split, Task

CHAINED_SEEDS = (100, 13, 21, 42, 87)
"""LM-BFF shuffles CoLA's rows in place, so each of these seeds continues from the one before."""

POOL = "pool"
"""Prefix of ids in the unlabelled pool: the rows' own ids could reveal labels (see `blind`)."""

LIMIT_SEED = 0
"""Seed of the draw of limited test rows, the same for all split seeds of a table cell."""


class DrawnTest(NamedTuple):
    """The test rows of all splits of a task, with what is computed of them once."""

    rows: Sequence[Example]
    hidden: WithoutLabels
    texts: Texts
    counts: TextCounts
    fingerprint: str
    drawn_of: int
    """How many there were before a draw; 0 without one."""


def draw_test(rows: Rows, limit: int | None = None) -> DrawnTest:
    """Draw the test rows of all splits: `limit` of them by `LIMIT_SEED`, or all."""
    drawn = rows.test if limit is None else draw(rows.test, limit)
    texts = Texts(*derived(drawn, "texts", lambda: texts_of(drawn)))
    hashed = derived(drawn, "fingerprint", lambda: fingerprint(drawn))
    drawn_of = 0 if limit is None else len(rows.test)
    return DrawnTest(drawn, WithoutLabels(drawn), texts, counted(texts), hashed, drawn_of)


def make_split(
    task: Task,
    rows: Rows,
    k: K | None,
    seed: int,
    *,
    limit: int | None = None,
    drop_leaks: bool = False,
    cut: DevCut = USUAL_CUT,
    drawn_test: DrawnTest | None = None,
    pool: bool = True,
) -> Split:
    """Make the split of a task for one K and split seed, or return one of its published folds.

    Args:
        task: the task; its `rule` is `shuffle`, or `chained` for LM-BFF's CoLA.
        rows: all rows of its source.
        k: examples per label in train, and equally many in dev (true few-shot: |dev| = |train|); or
            the word for a total or for full data (`train_size`). None takes that of the published
            folds: train rows per label, rounded down.
        seed: the split seed, 0 to 2**32 - 1; with published folds, the fold's number.
        limit: how many test rows to draw, by `LIMIT_SEED`; the first rows may all have one label.
        drop_leaks: leave out test rows whose texts also occur, in their bare form, in train or dev.
        cut: the size of dev with full data.
        drawn_test: that of `limit`, where several splits of a task are made; None makes it.
        pool: with the rows left over, without labels.

    Raises:
        BenchError: K or the seed is out of range, a class has fewer than 2K rows, a row is in two
            parts, or no test row is left.
    """
    if rows.folds:
        k, train, dev = _published(task, rows, k, seed)
    else:
        k, train, dev = _sampled(task, rows, k, seed, cut)
    whole = drawn_test or draw_test(rows, limit)
    test, hidden_test = whole.rows, _tested(whole.hidden, lazy=drawn_test is not None)
    if drop_leaks:
        test = without_leaks(task, (*train, *dev), whole.rows, whole.texts)
        hidden_test = WithoutLabels(test).rows
    split = Split(
        task=task.full_name,
        k=k,
        seed=seed,
        train=train,
        dev=dev,
        test=hidden_test,
        unlabeled=pool_of(rows, (*train, *dev)) if pool else (),
        fingerprint=fingerprint((*train, *dev)),
        test_fingerprint=fingerprint(test) if drop_leaks else whole.fingerprint,
        leaks=count_leaks((*train, *dev), whole.counts),
        dropped=len(whole.rows) - len(test),
        whole_fingerprint=whole.fingerprint,
        drawn_of=whole.drawn_of,
        label_counts=count_labels(rows.train),
    )
    check_split(split, published=bool(rows.folds))
    return split


def _tested(rows: WithoutLabels, *, lazy: bool) -> tuple[Example, ...]:
    """Return test rows as a tuple; `lazy`, they are made when a job is sent (`Job.sent`)."""
    return cast("tuple[Example, ...]", rows) if lazy else rows.rows


def pool_of(rows: Rows, used: Iterable[Example]) -> tuple[Example, ...]:
    """Return the rows that train and dev leave over, and those published without labels."""
    taken = {example.id for example in used}
    rest = () if rows.folds else (each for each in rows.train if each.id not in taken)
    pool = (*rest, *rows.unlabeled)
    return hidden(pool, secret_order(pool), POOL)


def draw(examples: Sequence[Example], limit: int | None) -> tuple[Example, ...]:
    """Draw `limit` examples without replacement and keep their order; None keeps all.

    A larger draw contains a smaller one.
    """
    if limit is None:
        return tuple(examples)
    chosen = np.random.default_rng(LIMIT_SEED).permutation(len(examples))[:limit]
    return tuple(examples[row] for row in sorted(chosen))


def count_labels(examples: Iterable[Example]) -> tuple[tuple[Label, int], ...]:
    """Return each label with the number of examples that have it, in label order."""
    counts = Counter(labels_of(examples))
    return tuple(sorted((label, count) for label, count in counts.items() if label is not None))


_Drawn = tuple[K, tuple[Example, ...], tuple[Example, ...]]
"""K, train and dev."""


def _sampled(task: Task, rows: Rows, k: K | None, seed: int, cut: DevCut) -> _Drawn:
    if k is None or (isinstance(k, int) and k < 1):
        raise _out_of_range(f"K is {k}")
    if not 0 <= seed < 2**32:
        raise _out_of_range(f"the split seed is {seed}")
    groups = _shuffled_groups(task, rows.train, seed)
    files = [task.file, *(file["file"] for file in rows.files[:1])]
    where = ", ".join(filter(None, files))
    if is_full(k):
        return k, *_examples(rows.train, *_cut(task, groups, cut, where))
    sizes = [len(members) for members in groups.values()]
    counts = dict(zip(groups, per_label(k, sizes), strict=True))
    _check_counts(task, groups, counts, k, where)
    drawn: list[int] = []
    held: list[int] = []
    for group, members in groups.items():
        drawn += members[: counts[group]]
        held += members[counts[group] : 2 * counts[group]]
    return k, *_examples(rows.train, drawn, held)


def _shuffled_groups(task: Task, rows: Sequence[Example], seed: int) -> dict[int, list[int]]:
    """Return the numbers of rows by group, shuffled, the groups in order of first appearance."""
    labels = labels_of(rows)
    group_of = {label: _group(task, label) for label in set(labels)}
    order = np.array(shuffled_order(task, len(rows), seed))
    groups = np.array([group_of[label] for label in labels])[order]
    found, first = np.unique(groups, return_index=True)
    return {int(group): order[groups == group].tolist() for group in found[first.argsort()]}


def _examples(
    rows: Sequence[Example], train: Iterable[int], dev: Iterable[int]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return the rows of train and dev by their numbers."""
    return tuple(rows[row] for row in train), tuple(rows[row] for row in dev)


def _cut(
    task: Task, groups: Mapping[int, Sequence[int]], cut: DevCut, where: str
) -> tuple[list[int], list[int]]:
    """Cut dev off all rows: the same share of each label, rounded down, and at least one row.

    Raises:
        BenchError: a label has fewer than two rows.
    """
    _check_counts(task, groups, dict.fromkeys(groups, 1), "full", where)
    share = min(cut.share, cut.most / sum(map(len, groups.values())))
    train: list[int] = []
    dev: list[int] = []
    for members in groups.values():
        count = max(1, math.floor(share * len(members)))
        dev += members[:count]
        train += members[count:]
    return train, dev


def _out_of_range(problem: str) -> BenchError:
    return BenchError(
        problem,
        allowed=f"K: {ALLOWED}; seeds from 0 to 4294967295",
        fix="--k 16 --seeds 13,21,42",
    )


def _published(task: Task, rows: Rows, k: K | None, seed: int) -> _Drawn:
    count = len(rows.folds)
    if not 0 <= seed < count:
        folds = ",".join(map(str, range(count)))
        raise BenchError(
            f"{task.full_name}: the split seed is {seed}, but the task has {count} published folds",
            allowed=f"the number of a fold: {folds}",
            fix=f"--seeds {folds}",
        )
    train, dev = rows.folds[seed]
    published = len(train) // len(task.labels)
    if k not in (None, published):
        raise BenchError(
            f"{task.full_name}: K is {k}, but the task's splits are published",
            allowed=str(published),
            fix="leave out --k",
        )
    present = {stratum(task, example) for example in train}
    absent = [label for index, label in enumerate(task.labels) if index not in present]
    if absent:
        others = ",".join(str(fold) for fold in range(count) if fold != seed)
        raise BenchError(
            f"{task.full_name}: fold {seed} has no training row of class '{absent[0]}'",
            where=place_of(task.source, task.source.published[seed][0]),
            fix=f"another fold: --seeds {others}",
        )
    return published, train, dev


def check_split(split: Split, *, published: bool = False) -> None:
    """Check that a split is true few-shot, if its K is, and that its parts are apart.

    A published dev set may be smaller than train (FewCLUE's IFLYTEK: 690 and 928), which only makes
    model selection harder.

    Raises:
        BenchError: |dev| is not |train|, an example is in two parts, or a test row has a label.
    """
    if not is_full(split.k):
        _check_dev_size(split, published)
    parts = split.train, split.dev, split.test, split.unlabeled
    counts = Counter(chain.from_iterable(map(ids_of, parts)))
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise BenchError(
            f"{split.task}: {len(repeated)} examples are in two parts of the split, "
            f"{repeated[0]} among them"
        )
    if any(map(_has_labels, parts[2:])):
        raise BenchError(f"{split.task}: labels reached the test inputs or the unlabelled pool")


def _has_labels(rows: Sequence[Example]) -> bool:
    if isinstance(rows, WithoutLabels):
        return False
    return any(example.label is not None or example.answers for example in rows)


def _check_dev_size(split: Split, published: bool) -> None:
    """Refuse a dev set larger than train, or a smaller one unless it is published."""
    train, dev = len(split.train), len(split.dev)
    if dev > train or (dev < train and not published):
        raise BenchError(
            f"{split.task}: dev has {dev} examples and train {train}",
            fix="true few-shot learning needs a dev set as large as train (LM-BFF, section 3)",
        )


def shuffled_order(task: Task, n: int, seed: int) -> Sequence[int]:
    """Return the order in which the sampling rule visits n training rows."""
    if task.rule != "chained" or seed not in CHAINED_SEEDS:
        order: list[int] = np.random.RandomState(seed).permutation(n).tolist()
        return order
    chained = np.arange(n)
    for link in CHAINED_SEEDS[: CHAINED_SEEDS.index(seed) + 1]:
        chained = chained[np.random.RandomState(link).permutation(n)]
    order = chained.tolist()
    return order


def stratum(task: Task, example: Example) -> int:
    """Return the group an example is sampled in: its class, or its half of the bounds."""
    return _group(task, example.label)


def _group(task: Task, label: Label | None) -> int:
    assert label is not None
    if task.bounds is None:
        return int(label)
    return int(label >= sum(task.bounds) / 2)


def _check_counts(
    task: Task,
    groups: Mapping[int, Sequence[int]],
    wanted: Mapping[int, int],
    k: K,
    where: str,
) -> None:
    """Refuse a split if a label has too few rows for train and dev; `wanted` is by group."""
    names = ("lower half", "upper half") if task.is_regression else task.labels
    counts = {name: len(groups.get(i, ())) for i, name in enumerate(names)}
    each = max(wanted.values(), default=1)
    name = min(counts, key=lambda key: counts[key])
    if all(counts[name] >= 2 * wanted.get(i, each) for i, name in enumerate(names)):
        return
    problem = (
        f"{task.full_name}: class '{name}' has {counts[name]} training rows, "
        f"and {k_title(k).replace('=', ' = ')} needs {2 * each}"
    )
    largest = counts[name] // 2
    if largest == 0:
        raise BenchError(problem, where=where, fix="another source of this task")
    allowed = f"K up to {largest} (K for train and K for dev)"
    raise BenchError(problem, where=where, allowed=allowed, fix=f"--k {largest}")
