"""Published few-shot splits: read as they stand, a split seed for each, and nothing sampled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fewbench.data.reader import read_rows
from fewbench.data.split import check_split, make_split
from fewbench.data.task_file import declared
from fewbench.errors import BenchError, DataError
from fewbench.registry.tasks import choose_tasks
from fewbench.runner.plan import Request, make_plan
from fewbench.store.store import Store

TASK = """
[mood]
title = "Mood"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { good = "great", bad = "terrible" }
max_length = 64

[[mood.source]]
name = "files"
folder = "."
path = "mood"
folds = 2
train = "train_{fold}"
dev = "dev_{fold}"
test = "test_public"
unlabeled = "unlabeled"
texts = ["text"]
label = "label"
"""


def write_rows(file, labels, **more):
    rows = [
        {"text": f"{file.stem} {n}", **({} if label is None else {"label": label})}
        for n, label in enumerate(labels)
    ]
    file.write_text("".join(json.dumps(row | more) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path):
    """A task file and its two folds: the first of three and one rows a label, the second of two
    each.
    """
    (tmp_path / "mood").mkdir()
    (tmp_path / "moods.toml").write_text(TASK)
    for name, labels in {
        "train_0": [1, 0, 1, 1],
        "train_1": [1, 0, 1, 0],
        "dev_0": [0, 0, 1, 0],
        "dev_1": [0, 1, 0, 1],
        "test_public": [0, 1, 1],
        "unlabeled": [None, None],
    }.items():
        write_rows(tmp_path / "mood" / f"{name}.json", labels)
    return tmp_path


def task_of(folder, **changes):
    task = declared([folder / "moods.toml"]).tasks["mood"]
    return replace(task, sources=(replace(task.source, **changes),))


def test_a_fold_is_what_is_published(folder):
    task = task_of(folder)
    rows = read_rows(task, None, offline=True)
    assert [fact["file"] for fact in rows.files] == [
        f"mood/{name}.json"
        for name in ("train_0", "train_1", "dev_0", "dev_1", "test_public", "unlabeled")
    ]
    split = make_split(task, rows, None, 1)
    assert (split.k, split.seed) == (2, 1)
    assert [(e.id, e.label) for e in split.train] == [
        ("train_1-0", 1),
        ("train_1-1", 0),
        ("train_1-2", 1),
        ("train_1-3", 0),
    ]
    assert [e.texts for e in split.dev] == [(f"dev_1 {n}",) for n in range(4)]
    assert [(e.id, e.label) for e in split.unlabeled] == [("pool-0", None), ("pool-1", None)]
    assert [e.label for e in split.test] == [None] * 3
    assert make_split(task, rows, 2, 0).fingerprint != split.fingerprint


def test_labels_of_unlabelled_rows_are_not_looked_at(folder):
    write_rows(folder / "mood/unlabeled.json", [None], label="hidden")
    assert read_rows(task_of(folder), None, offline=True).unlabeled[0].label is None


def test_without_unlabelled_rows_the_pool_is_empty(folder):
    task = task_of(folder, unlabeled=None)
    assert make_split(task, read_rows(task, None, offline=True), None, 0).unlabeled == ()


@pytest.mark.parametrize(
    ("k", "seed", "message"), [(None, 2, "fold: 0,1"), (None, -1, "--seeds 0,1"), (8, 0, "K is 8")]
)
def test_a_seed_or_k_that_is_not_published_is_refused(k, seed, message, folder):
    task = task_of(folder)
    with pytest.raises(BenchError) as caught:
        make_split(task, read_rows(task, None, offline=True), k, seed)
    assert message in str(caught.value)


def test_a_fold_that_lacks_a_class_or_a_dev_row_is_refused(folder):
    task = task_of(folder)
    write_rows(folder / "mood/train_0.json", [1, 1, 1, 1])
    with pytest.raises(BenchError, match="fold 0 has no training row of class 'bad'"):
        make_split(task, read_rows(task, None, offline=True), None, 0)
    write_rows(folder / "mood/train_0.json", [1, 0])
    with pytest.raises(BenchError, match="dev has 4 examples and train 2"):
        make_split(task, read_rows(task, None, offline=True), None, 0)


def test_a_missing_fold_is_named(folder):
    (folder / "mood/dev_1.json").unlink()
    with pytest.raises(DataError, match="there is no file for the split 'dev_1'"):
        read_rows(task_of(folder), None, offline=True)


def test_the_plan_has_a_run_a_fold(folder):
    request = Request(methods=("majority",), tasks=(str(folder / "moods.toml"),), offline=True)
    jobs = make_plan(request, Store(folder / "results")).jobs
    assert [(job.run.seed, job.run.k) for job in jobs] == [(0, 2), (1, 2)]
    with pytest.raises(BenchError, match="the split seed is 13"):
        make_plan(replace(request, seeds=(13,)), Store(folder / "results"))


MISTAKES = {
    "no dev": ({'dev = "dev_{fold}"\n': ""}, "together with 'dev'"),
    "no folds": ({"folds = 2\n": ""}, "'folds' is 0"),
    "folds below 0": ({"folds = 2": "folds = -2"}, "'folds' is -2"),
    "one train for all": ({"train_{fold}": "train"}, "'train' is 'train'"),
    "a fold where none are": (
        {"folds = 2\n": "", 'dev = "dev_{fold}"\n': ""},
        "'train' is 'train_{fold}'",
    ),
    "train for dev": ({"dev_{fold}": "train_{fold}"}, "not different splits"),
    "dev elsewhere": ({"dev_{fold}": "../dev_{fold}"}, "leads outside its folder"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(mistake, tmp_path):
    replaced, message = MISTAKES[mistake]
    text = TASK
    for old, new in replaced.items():
        text = text.replace(old, new, 1)
    (tmp_path / "moods.toml").write_text(text)
    with pytest.raises(BenchError) as caught:
        declared([tmp_path / "moods.toml"])
    assert message in str(caught.value)


def test_fewclue_as_published(shared):
    sizes = {"eprstmt": 32, "bustm": 32, "ocnli": 32, "csl": 32, "tnews": 240, "chid": 42}
    for task in [task for task in choose_tasks(["fewclue"]) if task.name in sizes]:
        rows = read_rows(task, shared / "data", offline=True)
        for fold in range(5):
            split = make_split(task, rows, None, fold)
            for part, examples in (("train", split.train), ("dev", split.dev)):
                published = (
                    (shared / f"data/fewclue/{task.name}/{part}_{fold}.json")
                    .read_text("utf-8")
                    .splitlines()
                )
                assert len(examples) == len(published) == sizes[task.name]
                assert [e.id for e in examples] == [
                    f"{part}_{fold}-{n}" for n in range(len(published))
                ]
                first = json.loads(published[0])[task.source.texts[0]]
                assert examples[0].texts[0] == first


ROWS = {  # one made-up row a label value, in the columns that FewCLUE publishes
    "csldcp": lambda task, n: {"content": f"摘要{n}", "label": task.labels[n % 67], "id": n},
    "iflytek": lambda task, n: {
        "label": n % 119,
        "label_des": task.labels[n % 119],
        "sentence": f"应用{n}",
        "id": n,
    },
    "cluewsc": lambda task, n: {
        "target": {"span2_index": 3, "span1_index": 0, "span1_text": f"马{n}", "span2_text": "它"},
        "idx": n,
        "label": ["false", "true"][n % 2],
        "text": f"马{n}说它累。",
    },
}


@pytest.mark.parametrize("name", ROWS)
def test_fewclue_of_many_labels_and_of_spans(name, tmp_path):
    (task,) = choose_tasks([name])
    train, dev = (2 * len(task.labels), len(task.labels) + 1)
    folder = tmp_path / f"fewclue/{name}"
    folder.mkdir(parents=True)
    counts = (
        {f"train_{n}": train for n in range(5)}
        | {f"dev_{n}": dev for n in range(5)}
        | {"test_public": train}
    )
    for split, count in counts.items():
        rows = [json.dumps(ROWS[name](task, n), ensure_ascii=False) for n in range(count)]
        (folder / f"{split}.json").write_text("\n".join(rows) + "\n")
    split = make_split(task, read_rows(task, tmp_path, offline=True), None, 4)
    assert (split.k, len(split.train), len(split.dev), len(split.test)) == (2, train, dev, train)
    assert [example.label for example in split.train[: len(task.labels)]] == list(
        range(len(task.labels))
    )
    if name == "cluewsc":
        assert split.train[1].texts == ("马1说它累。", "它指的是马1")


def test_a_dev_set_may_be_smaller_only_where_it_is_published(folder):
    task = task_of(folder)
    write_rows(folder / "mood/dev_0.json", [0, 1])
    split = make_split(task, read_rows(task, None, offline=True), None, 0)
    assert (len(split.train), len(split.dev)) == (4, 2)
    with pytest.raises(BenchError, match="dev has 2 examples and train 4"):
        check_split(split)


def test_a_fold_that_lacks_a_class_is_named_by_its_file(folder):
    task = task_of(folder)
    write_rows(folder / "mood/train_1.json", [1, 1, 1, 1])
    with pytest.raises(BenchError) as caught:
        make_split(task, read_rows(task, None, offline=True), None, 1)
    assert caught.value.where == "mood/train_1" and "--seeds 0" in str(caught.value)


def test_every_row_of_chid_stands_alone(shared):
    """CHID lets no idiom fill two blanks of a passage; FewCLUE's rows have one blank, and
    candidates of their own.
    """
    (task,) = choose_tasks(["chid"])
    rows = read_rows(task, shared / "data", offline=True)
    for part in (*(part for fold in rows.folds for part in fold), rows.test):
        assert all(example.texts[0].count("#idiom") == 1 for example in part)
        assert len({frozenset(example.options) for example in part}) == len(part)
