"""Answers that are spans of a passage: rows, scores, and runs from a folder as the hub has them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from fewbench.data.metrics import score_on
from fewbench.data.reader import read_rows
from fewbench.data.spans import item_scores, normalised
from fewbench.data.split import make_split
from fewbench.data.task_file import load_file
from fewbench.errors import BenchError, DataError
from fewbench.registry.tasks import choose_tasks
from fewbench.testing import toy_task
from fewbench.types import Example, Predictions

PASSAGE = "In 1889 the Eiffel Tower opened in Paris, the capital of France."


def asked(*answers: str, passage: str = PASSAGE) -> Example:
    spans = tuple((passage.index(text), passage.index(text) + len(text)) for text in answers)
    return Example("x-0", (passage, "What?"), 0 if answers else 1, answers=spans)


def scored(answer: str, *right: str, passage: str = PASSAGE, version: int = 1):
    """Return exact match and F1 of an answer, by the rules of SQuAD 1.1 or 2.0."""
    task = toy_task("span", labels=("answer", "no-answer")[:version])
    start = passage.index(answer)
    example, spans = asked(*right, passage=passage), [(start, start + len(answer))]
    return [float(item_scores(task, [example], spans, m)[0]) for m in ("exact_match", "token_f1")]


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("The  U.S. President's", "us presidents"),
        ("a  an the", ""),
        ("theatre, another", "theatre another"),
        ("well-known—«old»", "wellknown—«old»"),  # only ASCII's punctuation goes
        ("An A-Team of the\tbest\n", "ateam of best"),
    ],
)
def test_texts_are_compared_without_case_articles_punctuation_and_spacing(text, bare):
    assert normalised(text) == bare


@pytest.mark.parametrize(
    ("answer", "right", "want"),
    [
        ("the Eiffel Tower", ("Eiffel Tower",), [1, 1]),
        ("Paris, the capital", ("Paris",), [0, 2 * (1 / 2) * 1 / (1 / 2 + 1)]),
        ("in Paris", ("opened in Paris, the capital",), [0, 2 * 1 * (2 / 4) / (1 + 2 / 4)]),
        ("France", ("Paris", "capital of France"), [0, 1 / 2]),
        ("France", ("France", "Paris"), [1, 1]),
        ("1889", ("Paris",), [0, 0]),
    ],
)
def test_the_best_of_several_right_answers_counts(answer, right, want):
    for version in (1, 2):
        assert scored(answer, *right, version=version) == pytest.approx(want)


def test_no_answer_is_right_alone_where_there_is_none():
    assert scored("", version=2) == [1, 1]
    assert scored("Paris", version=2) == [0, 0]
    assert scored("", "Paris", version=2) == [0, 0]


def test_the_two_evaluations_differ_where_texts_normalise_to_nothing():
    assert scored("the", "the") == [1, 0]
    assert scored("the", "the", version=2) == [1, 1]
    assert scored("Paris", "the", "Paris", version=2) == [1, 1]
    assert scored("", "the", "Paris", version=2) == [0, 0]  # "the" is no right answer any more
    assert scored("", "the", "Paris") == [1, 0]


def test_repeated_words_count_as_often_as_both_have_them():
    passage = "no no no means no"
    assert scored("no no no", "no", passage=passage)[1] == pytest.approx(2 * (1 / 3) / (4 / 3))


def test_scores_are_means_over_examples():
    task = toy_task("span", metrics=("exact_match",))
    rows = [asked("Paris"), asked(), asked("the Eiffel Tower")]
    start = PASSAGE.index("Eiffel")
    spans = np.array([[0, 0], [0, 0], [start, start + len("Eiffel")]], np.int32)
    ids = tuple(row.id for row in rows)
    found = score_on(task, rows, Predictions(ids, spans=spans))
    assert found == pytest.approx({"token_f1": (0 + 1 + 2 / 3) / 3, "exact_match": 1 / 3})
    with pytest.raises(BenchError, match="scored from spans"):
        score_on(task, rows, Predictions(ids, values=np.zeros(3, np.float32)))


# Rows


def row(number: int, passage: str, *answers: str, **changes):
    starts = [passage.index(answer) for answer in answers]
    return {
        "id": f"q{number}",
        "title": "T",
        "context": passage,
        "question": f"What of {number}?",
        "answers": {"text": list(answers), "answer_start": starts},
    } | changes


def rows_like_squad(n: int, *, lacking: bool):
    passages = [
        f"The {animal} of number {n} sat there ." for n, animal in enumerate(["cat", "dog"] * n)
    ]
    return [
        row(n, passages[n], *([] if lacking and n % 2 else [passages[n].split(" of")[0]] * 2))
        for n in range(n)
    ]


@pytest.fixture
def folder(tmp_path):
    """Write the two data sets below a folder as the hub's paths are."""

    def write(path, split, rows):
        file = tmp_path / "data" / path / f"{split}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")

    for path, lacking in (("squad", False), ("squad_v2", True)):
        write(path, "train", rows_like_squad(16, lacking=lacking))
        write(path, "validation", rows_like_squad(6, lacking=lacking))
    write.root = tmp_path / "data"
    return write


def test_rows_are_read_from_a_folder_laid_out_as_the_hub(folder):
    squad, squad2 = choose_tasks(["squad", "squad-v2"])
    rows = read_rows(squad, folder.root, offline=True)
    assert (len(rows.train), len(rows.test)) == (16, 6)
    first = rows.test[0]
    assert first.texts == ("The cat of number 0 sat there .", "What of 0?")
    assert (first.label, first.answers) == (0, ((0, 7), (0, 7)))
    assert {example.label for example in read_rows(squad2, folder.root).test} == {0, 1}


def test_splits_are_true_few_shot_and_balanced_where_answers_may_lack(folder):
    squad, squad2 = choose_tasks(["squad", "squad-v2"])
    split = make_split(squad, read_rows(squad, folder.root), 3, 13)
    assert len(split.train) == len(split.dev) == 3
    split = make_split(squad2, read_rows(squad2, folder.root), 3, 13)
    for part in (split.train, split.dev):
        assert sorted(example.label for example in part) == [0, 0, 0, 1, 1, 1]
    full = make_split(squad2, read_rows(squad2, folder.root), "full", 13)
    assert (len(full.train), len(full.dev)) == (14, 2)
    assert not any(example.answers for example in (*split.test, *split.unlabeled))
    assert "answers" not in repr([e for e in split.test if e.answers])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"answers": {"text": ["a dog"], "answer_start": [0]}}, "does not begin at character 0"),
        ({"answers": {"text": ["The"], "answer_start": [-9]}}, "does not begin at character -9"),
        ({"answers": {"text": ["The"], "answer_start": [10**6]}}, "does not begin at character"),
        ({"answers": {"text": ["The"], "answer_start": []}}, "'answers' is"),
        ({"answers": {"text": [""], "answer_start": [0]}}, "'answers' is"),
        ({"answers": {"text": ["The"], "answer_start": ["0"]}}, "'answers' is"),
        ({"answers": {"text": ["The"], "answer_start": [True]}}, "'answers' is"),
        ({"answers": "The"}, "'answers' is 'The'"),
        ({"answers": {"text": [], "answer_start": []}}, "there is no answer"),
        ({"context": " "}, "'context' is empty"),
        ({"question": ""}, "'question' is empty"),
        ({"context": None}, "'context' is None"),
        ({"id": "q0"}, 'two rows have the id "q0"'),
    ],
)
def test_faults_of_the_data_are_named_with_their_line(folder, change, problem):
    rows = rows_like_squad(6, lacking=False)
    folder("squad", "train", [*rows[:4], rows[4] | change, rows[5]])
    (squad,) = choose_tasks(["squad"])
    with pytest.raises(DataError, match=re.escape(problem)) as error:
        read_rows(squad, folder.root, offline=True)
    assert "train.jsonl, line 5" in str(error.value)


# Declarations

DECLARED = """
[asked]
title = "Asked"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "span"
labels = ["answer"]
metric = "exact_match"
max_length = 64
[[asked.source]]
name = "files"
folder = "."
train = "train"
test = "test"
texts = ["context", "question"]
label = "answers"
hub = false
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('labels = ["answer"]', 'labels = ["a", "b", "c"]', "'labels' is"),
        ('"exact_match"', '"accuracy"', "accuracy is not a metric for the format span"),
        ("max_length = 64", 'max_length = 64\ntemplate = "{0}{mask}"', "has no 'template'"),
        ("max_length = 64", "max_length = 64\nbounds = [0.0, 1.0]", "a span has no bounds"),
        ('"context", "question"', '"context"', "1 text columns"),
        ('label = "answers"', 'label = "answers"\nvalues = [1]', "have no values"),
        ('label = "answers"', 'label = "answers"\noptions = "o"', "belongs to the format choice"),
    ],
)
def test_mistakes_in_a_declaration(tmp_path, old, new, problem):
    file = tmp_path / "asked.toml"
    file.write_text(DECLARED, "utf-8")
    assert load_file(file).tasks["asked"].words == ((),)
    file.write_text(DECLARED.replace(old, new), "utf-8")
    with pytest.raises(BenchError, match=re.escape(problem)):
        load_file(file)


def test_metrics_of_spans_are_for_spans_alone(tmp_path):
    file = tmp_path / "asked.toml"
    text = DECLARED.replace('"span"', '"pair"').replace('["answer"]', '["a", "b"]')
    words = 'max_length = 64\ntemplate = "{0}{mask}{1}"\nwords = { a = "A", b = "B" }'
    file.write_text(text.replace("max_length = 64", words), "utf-8")
    with pytest.raises(BenchError, match="exact_match is not a metric for the format pair"):
        load_file(file)


# Runs


@pytest.fixture
def long_model(tiny_model, tmp_path):
    """A folder with a random model that holds as many tokens as SQuAD's tasks read."""
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    folder = tmp_path / "long-bert"
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(tiny_model, max_position_embeddings=400)
    BertForMaskedLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def test_runs_are_made_shown_checked_and_compared(folder, bench, long_model, tmp_path):
    store = ("--results", tmp_path / "results")
    models = ("--student", long_model, "--teacher", long_model)
    where = ("--data", folder.root, "--offline", "--protocol", "demo", *store)
    given = ("--methods", "all", "--tasks", "squad,squad-v2", *models, *where)
    plan = bench("run", *given, "--k", 2, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "method 'prompt-ft' takes no span task, and 'squad' is one" in plan.stderr + plan.stdout

    given = ("--methods", "ft,vanilla-kd", "--tasks", "squad-v2", *models, *where)
    done = bench("run", *given, "--k", 2, "--seeds", "1")
    assert done.returncode == 0, done.stderr
    shown = bench("table", "--metric", "all", *store).stdout
    assert "token_f1" in shown and "exact_match" in shown and "vanilla-kd" in shown
    assert bench("fsck", *store).returncode == 0
    record = bench("show", "ft/squad-v2/k2/s1", *store)
    assert record.returncode == 0 and "threshold" in record.stdout
    against = ("compare", "vanilla-kd", "--against", "ft", *store)
    compared = bench(*against, "--data", folder.root, "--json")
    assert compared.returncode == 0, compared.stderr
    assert '"items": 6' in compared.stdout

    refused = bench("loyalty", "ft/squad-v2/k2/s1", "vanilla-kd/squad-v2/k2/s1", *store)
    assert refused.returncode == 2 and "answers by spans" in refused.stderr


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ("prompt-ft", "takes no span task"),
        ("pkd", "takes no span task"),
        ("vanilla-kd:teacher=prompt-ft", "takes no span task"),
        ("vanilla-kd:kd=logits", "kd=logits"),
    ],
)
def test_other_methods_refuse_by_name(bench, tiny_model, tmp_path, method, problem):
    models = ("--student", tiny_model, "--teacher", tiny_model)
    given = ("--tasks", "demo-span", *models, "--results", tmp_path)
    refused = bench("run", "--methods", method, "--k", 2, *given)
    assert refused.returncode == 2
    assert problem in refused.stderr
