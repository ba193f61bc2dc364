"""In-context learning: what stands before a query, its length, and what is never read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.in_context.demonstrations import InContextModel, demonstrate
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.prompt import PromptModel
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import ask_method
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_rows, toy_task
from fewbench.types import Example


@pytest.fixture
def fit(tiny):
    """Fit on a toy job with a tiny model, and return the predictor and the job."""

    def run(kind="single", family="bert", change=lambda split: split, seed=13, k=2, **settings):
        job = toy_job(methods()["in-context"], tiny(family), toy_task(kind), k=k)
        models = Models(torch.device("cpu"))
        kit = FitContext(
            job.task, change(job.split), job.protocol, seed, models, job.run.student, None
        )
        return job.method.module().fit(job.task, change(job.split), kit, **settings), job

    return run


@pytest.fixture
def model(tiny):
    """Make the model itself, from examples given."""

    def make(train, family="bert", most=32, seed=0, kind="single", **changes):
        backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny(family))))
        task = toy_task(kind, **changes)
        return InContextModel(
            backbone, task, demonstrate(backbone, task, train, most, seed), len(train)
        )

    return make


def shown(model, example):
    ((tokens,),) = [encoded.sequences for encoded in model.encode([example])]
    return " ".join(model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids)), tokens


TRAIN = tuple(
    Example(f"train-{label}", (text,), label)
    for label, text in enumerate(("poor plot", "a b", "lovely cat"))
)
QUERY = Example("q", ("the dog",))


def test_a_masked_prompt_behind_its_demonstrations(model):
    made = model(TRAIN)
    text, tokens = shown(made, QUERY)
    each = {
        "train-0": "poor plot it was terrible . [SEP]",
        "train-1": "a b it was okay . [SEP]",
        "train-2": "lovely cat it was great . [SEP]",
    }
    order = [d.example for d in made.demonstrations]
    assert sorted(order) == sorted(each)
    assert text == " ".join(
        ["[CLS]", *(each[example] for example in order), "the dog it was [MASK] . [SEP]"]
    )
    assert text.split()[tokens.read] == "[MASK]"


def test_a_causal_prompt_ends_where_its_answer_comes(model):
    made = model(TRAIN, "gpt2")
    text, tokens = shown(made, QUERY)
    assert "lovely cat it was great ." in text and "poor plot it was terrible ." in text
    assert text.endswith("the dog it was") and tokens.read == len(tokens.ids) - 1
    assert "[CLS]" not in text and "[SEP]" not in text and "[MASK]" not in text


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "gpt2", "roberta"])
def test_answers_are_the_models_own_for_that_text(model, family):
    made = model(TRAIN, family)
    _, tokens = shown(made, QUERY)
    logits = made.backbone.model(input_ids=torch.tensor([tokens.ids])).logits[0, tokens.read]
    words = made.backbone.tokenizer.convert_tokens_to_ids(["terrible", "okay", "great"])
    np.testing.assert_allclose(
        made.predict([QUERY]).probabilities[0], logits[words].softmax(-1), atol=1e-5
    )


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("kind", ["single", "regression"])
def test_as_many_as_fit_alike_for_each_class(model, family, kind):
    rows = toy_rows(toy_task(kind)).train
    made = model(rows, family, most=1000, kind=kind)
    labels = {row.id: row.label if kind == "single" else row.label > 2.5 for row in rows}
    counts = Counter(labels[d.example] for d in made.demonstrations)
    assert len(counts) == (3 if kind == "single" else 2) and len(set(counts.values())) == 1
    assert len(made.demonstrations) < len(rows)  # they do not all fit
    room = made.backbone.places - made.task.max_length
    assert room - len(made.context) < len(counts) * max(len(d.ids) for d in made.demonstrations)
    long = Example("long", ("a " * 200,))
    assert max(len(shown(made, query)[1].ids) for query in (QUERY, long)) <= made.backbone.places
    assert made.predict([long]).array.shape[0] == 1


def test_long_examples_are_cut_to_their_share_and_short_rounds_are_kept(model):
    long = tuple(Example(f"long-{label}", ("b " * 300,), label) for label in range(3))
    made = model(long)
    assert len(made.demonstrations) == 3 and len(made.context) <= 160 - 48
    assert [d.ids[-2] for d in made.demonstrations] == [
        made.backbone.tokenizer.convert_tokens_to_ids(".")
    ] * 3
    # Whatever round is drawn first, what is left of the room goes to rounds that fit.
    both = model((*long, *TRAIN), most=6)
    assert len(both.demonstrations) in (3, 6)


def test_no_more_than_asked_for_in_whole_rounds(model):
    rows = toy_rows(toy_task("single")).train
    assert [len(model(rows, most=most).demonstrations) for most in (0, 2, 3, 5, 6)] == [
        0,
        0,
        3,
        3,
        6,
    ]


def test_without_demonstrations_it_is_zero_shot(model):
    made = model(TRAIN, most=0)
    queries = toy_rows(made.task).test
    same = PromptModel(made.backbone, made.task).predict(queries)
    np.testing.assert_array_equal(made.predict(queries).array, same.array)


def test_options_longer_than_their_share_leave_no_demonstration_and_say_so(model):
    options = ("cat dog mat " * 9,) * 3
    long = [Example(f"l{n}", ("a", "b"), n, options) for n in range(3)]
    made = model(long, kind="choice")
    assert made.describe()["demonstrations"] == {"used": 0, "of": 3, "tokens": 0, "examples": []}


def test_the_seed_draws_choice_and_order(fit):
    models = [fit(k=4, seed=seed)[0] for seed in (1, 1, 2, 3)]
    orders = [tuple(example for example, _ in model.demonstrations) for model in models]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_labels_of_dev_are_never_read_nor_dev_at_all(fit, family):
    predictor, job = fit(family=family)
    blind, _ = fit(family=family, change=lambda split: replace(split, dev=()))
    np.testing.assert_array_equal(
        predictor.predict(job.split.test).array, blind.predict(job.split.test).array
    )
    turned = tuple(replace(e, label=(e.label + 1) % 3) for e in job.split.train)
    other, _ = fit(family=family, change=lambda split: replace(split, train=turned))
    assert not np.array_equal(
        predictor.predict(job.split.test).array, other.predict(job.split.test).array
    )


def test_demonstrations_are_tokenised_once(fit, monkeypatch):
    predictor, job = fit()
    texts = []
    own = PromptModel._encode_new
    monkeypatch.setattr(
        PromptModel,
        "_encode_new",
        lambda self, new: texts.extend(e.id for e in new) or own(self, new),
    )
    predictor.predict(job.split.test)
    predictor.predict(job.split.test)
    assert texts == [e.id for e in job.split.test]


@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
def test_a_run_with_a_causal_model(tiny, kind):
    job = toy_job(methods()["in-context"], tiny("gpt2"), toy_task(kind))
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    told = record.details["demonstrations"]
    assert told["used"] == len(told["examples"]) > 0 and told["of"] == len(job.split.train)
    again = carry_out(job, Models(torch.device("cpu")), 1)[1]
    np.testing.assert_array_equal(predictions.array, again.array)


@pytest.mark.parametrize(
    ("kind", "most"), [("single", 2), ("single", 1), ("choice", 2), ("regression", 1)]
)
def test_fewer_demonstrations_than_classes_are_refused(tiny, kind, most):
    job = toy_job(
        methods()["in-context"],
        tiny("bert"),
        toy_task(kind),
        k=2,
        settings={"demonstrations": most},
    )
    with pytest.raises(BenchError, match=f"{most} demonstrations are fewer than the") as refused:
        ask_method(job, Models(torch.device("cpu")))
    assert "zero-shot" in str(refused.value)


@pytest.mark.parametrize("most", [0, 3, 32])
def test_none_at_all_and_enough_are_taken(tiny, most):
    settings = {"demonstrations": most}
    ask_method(
        toy_job(methods()["in-context"], tiny("bert"), k=2, settings=settings),
        Models(torch.device("cpu")),
    )


def test_a_run_fails_where_no_demonstration_fits(tiny, monkeypatch):
    job = toy_job(
        methods()["in-context"], tiny("bert"), replace(toy_task("single"), max_length=9), k=2
    )
    monkeypatch.setattr(
        "fewbench.methods.in_context.demonstrations.query_length",
        lambda backbone, task: backbone.places - 8,
    )
    record, _ = carry_out(job, Models(torch.device("cpu")), 1)
    assert (
        record.status == "failed"
        and "one demonstration of each of 3 classes does not fit" in record.error
    )
