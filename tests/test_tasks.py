"""Every declared task: whole by itself, and, where the real data stands beside the project, read
and split.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import pytest

from fewbench.data.metrics import METRICS
from fewbench.data.reader import read_rows
from fewbench.data.spans import SPAN_METRICS
from fewbench.data.split import make_split
from fewbench.data.task_file import Declared, declared, with_source
from fewbench.data.template import render
from fewbench.registry.methods import task_files
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example, Prompt, Task

SUITES = {
    "glue": "sst-2@glue cola mrpc qqp mnli mnli-mm qnli rte sts-b",
    "lm-bff": "sst-2@lm-bff sst-5@lm-bff mr cr mpqa subj trec cola mnli mnli-mm snli qnli rte@lm-bff mrpc qqp sts-b@lm-bff",
    "sentiment": "sst-2 sst-5 mr cr yelp-polarity",
    "superglue": "boolq cb rte@super-glue",
    "race": "race-middle race-high",
    "topics": "ag-news yahoo-answers",
    "clue": "cmnli ocnli lcqmc tnews chnsenticorp online-shopping amazon-zh c3 ccpm",
    "fewclue": "eprstmt csldcp tnews@fewclue iflytek ocnli@fewclue bustm chid csl cluewsc",
    "textfooler": " ".join(
        f"textfooler-{name}" for name in ("mr", "yelp", "imdb", "ag", "snli", "mnli", "mnli-mm")
    ),
}
NOT_MIRRORED = {
    "subj@setfit",
    "amazon-zh@setfit",
    "textfooler-imdb@files",
    "chnsenticorp@hub",
    "rte@super-glue",
    "squad@squad",
    "squad-v2@squad",
    "yelp-review-full@files",
}
NOT_MIRRORED |= {f"{name}@fewclue" for name in ("csldcp", "iflytek", "cluewsc")}
"""What `../shared` has no rows of: these are read from the hub, or from files of the user's own."""

SEEDS = (100, 13, 21, 42, 87)
K = {"cb": 8, "yahoo-answers": 8, "tnews": 8}
"""16, but 8 where there are many labels (ppt, section 4.1), and where a class has 16 rows for train
and dev.
"""


@lru_cache
def known() -> Declared:
    return declared(task_files())


def prompts_of(task: Task) -> list[Prompt]:
    own = [Prompt("own", task.template, task.words)] if task.template else []
    return [*own, *task.prompts]


def synthetic(task: Task) -> Example:
    texts = tuple(f"Text {n}." for n in range(len(task.source.texts)))
    if task.format != "choice":
        return Example("train-0", texts, 0)
    return Example(
        "train-0", (*texts, "")[:2], 0, tuple(f"option {n}" for n in range(len(task.labels)))
    )


@pytest.mark.parametrize("name", known().tasks)
def test_a_task_is_whole(name):
    task = known().tasks[name]
    assert (
        task.title
        and task.paper
        and task.licence
        and task.version >= 1
        and 16 <= task.max_length <= 512
    )
    assert set((task.metric, *task.metrics)) <= {*METRICS, *SPAN_METRICS}
    example = synthetic(task)
    for prompt in prompts_of(task):
        shown = render(prompt.template, example, "[MASK]")
        assert shown.count("[MASK]") == 1
        assert all(
            text[1:-1] in shown for text in example.texts if text
        )  # the first letter and the stop may go
        assert all(option in shown for option in example.options)
        assert len(prompt.words) == len(task.labels)
        flat = [word for words in prompt.words for word in words]
        assert all(flat) and len(set(flat)) == len(flat)
    for source in task.sources:
        assert source.root or source.revision or not source.hub


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_has_its_tasks(suite):
    assert list(known().suites[suite].tasks) == SUITES[suite].split()


def test_every_task_stands_in_a_suite():
    members = {name.partition("@")[0] for suite in known().suites.values() for name in suite.tasks}
    assert members == set(known().tasks)


@pytest.mark.parametrize("name", [task.name for task in choose_tasks(["clue", "fewclue"])])
def test_chinese_label_words_are_one_character(name):
    task = known().tasks[name]
    for prompt in prompts_of(task):
        long = [word for words in prompt.words for word in words if len(word) > 1]
        assert bool(long) == (prompt.name == "ppt-words"), long
        letters = prompt.name == "unified" and len(task.labels) > 10
        kind = "[A-P]" if letters else "[一-鿿]+"
        assert all(re.fullmatch(kind, word) for words in prompt.words for word in words)


def test_english_label_words_are_one_token(shared):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models/minilm-l6-mlm")
    chinese = {task.name for task in choose_tasks(["clue", "fewclue"])}
    for task in known().tasks.values():
        for prompt in prompts_of(task):
            if task.name not in chinese and not prompt.name.startswith(
                "auto-l"
            ):  # chosen with RoBERTa's vocabulary
                words = [word for words in prompt.words for word in words]
                ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
                assert all(len(pieces) == 1 for pieces in ids), (task.name, prompt.name, words)
                assert len({pieces[0] for pieces in ids}) == len(ids)


@pytest.mark.parametrize(
    "full_name",
    [with_source(t, s.name).full_name for t in known().tasks.values() for s in t.sources],
)
def test_a_task_is_read_and_split(full_name, shared):
    name, _, source = full_name.partition("@")
    task = with_source(known().tasks[name], source)
    if full_name in NOT_MIRRORED:
        pytest.skip(f"{full_name}: its rows are not in ../shared")
    rows = read_rows(task, shared / "data", offline=True)
    k = None if rows.folds else K.get(name, 16)
    prints = set()
    for seed in range(5) if rows.folds else SEEDS:
        split = make_split(task, rows, k, seed, limit=100)
        prints.add(split.fingerprint)
        assert (
            len(split.train)
            == len(split.dev)
            >= len(split.train) // len(task.labels) * len(task.labels)
        )
        if k is not None:
            groups = 2 if task.is_regression else len(task.labels)
            assert len(split.train) == k * groups
        if k is not None and not task.is_regression:
            counts = [
                Counter(example.label for example in part) for part in (split.train, split.dev)
            ]
            assert counts == [dict.fromkeys(range(len(task.labels)), k)] * 2
        if task.format == "choice":
            assert all(
                len(e.options) == len(task.labels) and len(e.texts) == 2
                for e in (*split.train, *split.test)
            )
    assert len(prints) == 5
    assert {e.label for e in rows.test} == set(range(len(task.labels))) or task.is_regression
