"""`bench show --text`: the tokens that a kept model, its teachers and their layers put at the mask."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest

from fewbench.errors import BenchError
from fewbench.measure.case_study import _examples, study
from fewbench.measure.stored import Locations
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.nn.top_tokens import layer_tokens, top_tokens
from fewbench.registry.pretrained import find_model
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.store.store import Store
from fewbench.testing import toy_rows, toy_task

TEXTS = ["a warm and clever film.", "a dull film."]


@pytest.fixture(scope="module")
def stored(tiny_model, tmp_path_factory):
    """A store with one kept run of prompt-kd, and the folder of its models."""
    root = tmp_path_factory.mktemp("study")
    folder = root / "tiny"
    shutil.copytree(tiny_model, folder)
    settings = "prompt-kd:lr=1e-3,batch_size=8,temperature=10.0,lambda1=0.2"
    request = Request((settings, "majority"), ("demo-sentiment",), k=(2,), seeds=(13,), protocol="demo",
                      student=str(folder), teacher=str(folder), offline=True, keep_models=True)  # fmt: skip
    store = Store(root / "results")
    plan = make_plan(request, store)
    assert (
        execute(
            plan.stages(plan.todo()),
            store,
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda *done: None,
        )
        == 0
    )
    return store, {record.run.method: record for record in store.records()}, folder


def test_layers_from_the_last_one_down(tiny_model):
    task = toy_task("single")
    model = prompt_model(open_backbone(find_model(str(tiny_model), offline=True)), task)
    examples = toy_rows(task).test[:3]
    scores = model.backbone.eval().vocabulary_scores(model.collate(model.encode(examples)))
    best = scores[:, : len(model.backbone.tokenizer)].argmax(1).tolist()
    assert [tokens[0] for tokens in top_tokens(model, examples, 2)] == [
        model.backbone.tokenizer.decode([b]) for b in best
    ]
    assert [len(layers) for layers in layer_tokens(model, examples, 2)] == [2, 2, 2]


def test_teachers_and_student_layer_by_layer(stored, capsys):
    store, records, folder = stored
    rows = study(records["prompt-kd"], TEXTS, 4, Locations(store, models=[str(folder)]))
    assert [row["text"] for row in rows] == [TEXTS[0]] * 6 + [TEXTS[1]] * 6
    assert [(row["model"], row["layer"]) for row in rows[:4]] == [
        ("trained teacher", "2, the answer"),
        ("trained teacher", "1"),
        ("pretrained teacher", "2, the answer"),
        ("pretrained teacher", "1"),
    ]
    assert all(len(row["tokens"].split(", ")) >= 4 for row in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typer's own, of click
        from fewbench.cli.show import show
    show(
        records["prompt-kd"].run.key[:8],
        text=TEXTS,
        top=4,
        model=[str(folder)],
        results=store.root,
        json=True,
    )
    assert json.loads(capsys.readouterr().out) == rows


@pytest.mark.parametrize(
    ("method", "texts", "problem"),
    [
        ("majority", TEXTS, "'majority' offers no case study"),
        ("prompt-ft", TEXTS, "'prompt-ft' offers no case study"),
    ],
)
def test_what_has_none(stored, method, texts, problem):
    store, records, _ = stored
    with pytest.raises(BenchError, match=problem):
        study(records[method], texts, 4, Locations(store))


def test_texts_come_in_the_tasks_number():
    assert [e.texts for e in _examples(toy_task("pair"), ["a", "b", "c", "d"])] == [
        ("a", "b"),
        ("c", "d"),
    ]
    for kind, texts in (("pair", ["a"]), ("choice", ["a"])):
        with pytest.raises(BenchError, match="--text is given 1 times"):
            _examples(toy_task(kind), texts)


def test_models_that_are_not_there(stored, tiny, tmp_path):
    store, records, folder = stored
    with pytest.raises(BenchError, match="was not kept"):
        study(records["prompt-kd"], TEXTS, 4, Locations(Store(tmp_path), models=[str(folder)]))
    with pytest.raises(BenchError, match="which is not found"):
        study(
            records["prompt-kd"],
            TEXTS,
            4,
            Locations(store, models=[str(tiny("roberta"))], offline=True),
        )
