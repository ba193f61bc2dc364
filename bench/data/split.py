"""K-shot splits: LM-BFF's sampling rule, the checks around it, and fingerprints.

The rule is LM-BFF's, checked against its published checksums: shuffle the training rows with
NumPy's legacy generator seeded by the split seed and group them by label; the first K of each label
are train, the next K are dev, labels in order of first appearance after the shuffle. Regression is
grouped into the lower and upper half of its bounds. Data sets that publish their own few-shot
splits (FewCLUE) are split as published, the split seed naming the fold.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from fewbench.data.bare_text import bare
from fewbench.data.blind import hidden, secret_order
from fewbench.errors import BenchError
from fewbench.types import Example, Label, Rows, Split, Task

CHAINED_SEEDS = (100, 13, 21, 42, 87)
"""LM-BFF shuffles CoLA's rows in place, so each of its seeds, in this order, starts from the last
one's order.
"""

POOL = "pool"
"""How ids of the unlabelled pool begin: its rows' own ids would place them in a file that may be
sorted by label.
"""

LIMIT_SEED = 0
"""Draws the test rows that a limit keeps: the same ones for every split seed, so that one table
cell holds them.
"""


def make_split(
    task: Task,
    rows: Rows,
    k: int | None,
    seed: int,
    *,
    limit: int | None = None,
    drop_leaks: bool = False,
) -> Split:
    """Return the K-shot split of a task for one split seed, or one of its published folds.

    Args:
        task: the task; its `rule` is `shuffle`, or `chained` for LM-BFF's CoLA.
        rows: all rows of its source.
        k: examples a label in train, and as many again in dev (true few-shot: |dev| = |train|).
            None takes what is published, the train rows over the labels, rounded down.
        seed: the split seed, 0 to 2**32 - 1; with published folds, the fold's number.
        limit: keep only so many test rows, drawn by `LIMIT_SEED`: the first ones may be all of one
            label.
        drop_leaks: leave out test rows whose texts, in their bare form, also stand in train or dev.

    Raises:
        BenchError: K or the seed out of range, a class with fewer than 2K rows, a row in two parts,
            or no test row left.
    """
    if rows.folds:
        k, train, dev = _published(task, rows, k, seed)
        rest: Iterable[Example] = ()
    else:
        k, train, dev = _sampled(task, rows, k, seed)
        used = {e.id for e in train + dev}
        rest = (e for e in rows.train if e.id not in used)
    pool = (*rest, *rows.unlabeled)
    whole = draw(rows.test, limit)
    test = without_leaks(task, (*train, *dev), whole) if drop_leaks else whole
    split = Split(
        task=task.full_name,
        k=k,
        seed=seed,
        train=train,
        dev=dev,
        test=tuple(e.without_label() for e in test),
        unlabeled=hidden(pool, secret_order(pool), POOL),
        fingerprint=fingerprint((*train, *dev)),
        test_fingerprint=fingerprint(test),
        leaks=count_leaks((*train, *dev), whole),
        dropped=len(whole) - len(test),
        whole_fingerprint=fingerprint(whole),
        drawn_of=0 if limit is None else len(rows.test),
    )
    check_split(split, published=bool(rows.folds))
    return split


def draw(examples: Sequence[Example], limit: int | None) -> tuple[Example, ...]:
    """Return the examples that a limit keeps, in their order; all without one.

    Drawn without replacement by `LIMIT_SEED`; a larger draw holds a smaller one.
    """
    if limit is None:
        return tuple(examples)
    chosen = np.random.default_rng(LIMIT_SEED).permutation(len(examples))[:limit]
    return tuple(examples[row] for row in sorted(chosen))


_Drawn = tuple[int, tuple[Example, ...], tuple[Example, ...]]
"""K, train and dev."""


def _sampled(task: Task, rows: Rows, k: int | None, seed: int) -> _Drawn:
    if k is None or k < 1 or not 0 <= seed < 2**32:
        what = f"the split seed is {seed}" if k is not None and k >= 1 else f"K is {k}"
        raise BenchError(
            what,
            allowed="K of 1 or more; seeds from 0 to 4294967295",
            fix="--k 16 --seeds 13,21,42",
        )
    groups: dict[int, list[Example]] = {}
    for row in shuffled_order(task, len(rows.train), seed):
        example = rows.train[row]
        groups.setdefault(stratum(task, example), []).append(example)
    _check_counts(
        task,
        groups,
        k,
        ", ".join(filter(None, [task.file, *(str(f["file"]) for f in rows.files[:1])])),
    )
    train = tuple(e for members in groups.values() for e in members[:k])
    return k, train, tuple(e for members in groups.values() for e in members[k : 2 * k])


def _published(task: Task, rows: Rows, k: int | None, seed: int) -> _Drawn:
    if not 0 <= seed < len(rows.folds):
        folds = ",".join(map(str, range(len(rows.folds))))
        raise BenchError(
            f"{task.full_name}: the split seed is {seed}, and its splits are published, {len(rows.folds)} folds",
            allowed=f"the number of a fold: {folds}",
            fix=f"--seeds {folds}",
        )
    train, dev = rows.folds[seed]
    published = len(train) // len(task.labels)
    if k not in (None, published):
        raise BenchError(
            f"{task.full_name}: K is {k}, and its splits are published",
            allowed=str(published),
            fix="leave out --k",
        )
    if missing := sorted(set(range(len(task.labels))) - {stratum(task, e) for e in train}):
        raise BenchError(
            f"{task.full_name}: fold {seed} has no training row of class '{task.labels[missing[0]]}'",
            where=_fold_place(task, seed),
            fix="another fold: --seeds "
            + ",".join(str(fold) for fold in range(len(rows.folds)) if fold != seed),
        )
    return published, train, dev


def _fold_place(task: Task, fold: int) -> str:
    """Return which file of the data folder a fold's training rows are in, as the source names it."""
    source = task.source
    return "/".join(
        filter(None, [source.path, source.config, source.train.replace("{fold}", str(fold))])
    )


def check_split(split: Split, *, published: bool = False) -> None:
    """Refuse a split that is not true few-shot.

    A published dev set may be smaller than train (FewCLUE's IFLYTEK: 690 and 928), which only makes
    choosing harder.

    Raises:
        BenchError: |dev| is not |train|, an example stands in two parts, or a test row carries a
            label.
    """
    if len(split.dev) > len(split.train) or (len(split.dev) != len(split.train) and not published):
        raise BenchError(
            f"{split.task}: dev has {len(split.dev)} examples and train {len(split.train)}",
            fix="true few-shot learning chooses by a dev set as large as train (LM-BFF, section 3)",
        )
    ids = Counter(
        e.id for part in (split.train, split.dev, split.test, split.unlabeled) for e in part
    )
    if twice := [name for name, count in ids.items() if count > 1]:
        raise BenchError(
            f"{split.task}: {len(twice)} examples stand in two parts of the split, {twice[0]} among them"
        )
    if any(e.label is not None for e in (*split.test, *split.unlabeled)):
        raise BenchError(f"{split.task}: labels reached the test inputs or the unlabelled pool")


def shuffled_order(task: Task, n: int, seed: int) -> Sequence[int]:
    """Return the order in which the rule walks n training rows."""
    if task.rule != "chained" or seed not in CHAINED_SEEDS:
        return list(np.random.RandomState(seed).permutation(n))
    order = np.arange(n)
    for link in CHAINED_SEEDS[: CHAINED_SEEDS.index(seed) + 1]:
        order = order[np.random.RandomState(link).permutation(n)]
    return list(order)


def stratum(task: Task, example: Example) -> int:
    """Return the group an example is sampled in: its class, or the half of the bounds its value
    lies in.
    """
    assert example.label is not None
    if task.bounds is None:
        return int(example.label)
    return int(example.label >= sum(task.bounds) / 2)


def _check_counts(task: Task, groups: dict[int, list[Example]], k: int, where: str) -> None:
    names = ("lower half", "upper half") if task.is_regression else task.labels
    counts = {name: len(groups.get(i, ())) for i, name in enumerate(names)}
    name = min(counts, key=lambda key: counts[key])
    if counts[name] < 2 * k:
        raise BenchError(
            f"{task.full_name}: class '{name}' has {counts[name]} training rows, and K = {k} needs {2 * k}",
            where=where,
            allowed=f"K up to {counts[name] // 2} (K for train and K for dev)"
            if counts[name] > 1
            else None,
            fix=f"--k {counts[name] // 2}" if counts[name] > 1 else "another source of this task",
        )


def fingerprint(examples: Iterable[Example]) -> str:
    """Return a hash (16 hex digits) of normalised texts, options and labels, in order.

    Two sources of one data set (TSV and JSON, say) that give the same examples give the same
    fingerprint.
    """
    digest = hashlib.sha256()
    for example in examples:
        label: Label | None = example.label
        shown = f"{label:.6g}" if isinstance(label, float) else str(label)
        for part in (*map(_normalised, example.texts), *map(_normalised, example.options), shown):
            digest.update(part.encode() + b"\x1f")
        digest.update(b"\x1e")
    return digest.hexdigest()[:16]


def count_leaks(seen: Sequence[Example], test: Sequence[Example]) -> dict[str, int]:
    """Count test rows whose texts also stand in train or dev: letter for letter, and in their bare
    form.

    Also counts test rows that repeat an earlier test row.
    """
    exact, said = {_texts(e) for e in seen}, set(map(_bare, seen))
    return {
        "exact": sum(_texts(e) in exact for e in test),
        "normalised": sum(_bare(e) in said for e in test),
        "within_test": len(test) - len({_texts(e) for e in test}),
    }


def without_leaks(
    task: Task, seen: Sequence[Example], test: Sequence[Example]
) -> tuple[Example, ...]:
    """Return the test rows that `count_leaks` counts neither as exact nor as normalised.

    Raises:
        BenchError: none is left.
    """
    said = set(map(_bare, seen))
    if not (kept := tuple(e for e in test if _bare(e) not in said)):
        raise BenchError(
            f"{task.full_name}: every test row also stands in train or dev",
            fix="leave out --drop-leaks",
        )
    return kept


def _texts(example: Example) -> tuple[str, ...]:
    return example.texts + example.options


def _bare(example: Example) -> tuple[str, ...]:
    return tuple(map(bare, _texts(example)))


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
