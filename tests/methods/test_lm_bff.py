"""LM-BFF's demonstrations: what a draw reads, who is near, the mean over draws, and what is refused."""

from __future__ import annotations

import pytest
import torch

from fewbench.data.template import render
from fewbench.errors import BenchError
from fewbench.methods.lm_bff.demonstrations import (
    DemonstratedModel,
    class_of,
    demonstrate,
    demonstration_length,
)
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.registry.named_inputs import NamedInput, named_model
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import ask_method
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_task
from fewbench.types import Example

DRAWS = 3


@pytest.fixture
def job(tiny_model):
    return toy_job(methods()["lm-bff"], tiny_model, k=4)


@pytest.fixture
def model(job, tiny_model):
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny_model)))
    found = demonstrate(backbone, job.task, job.split.train)
    model = DemonstratedModel(backbone, job.task, found, draws=DRAWS, seed=13)
    model.remember(job.split.train)
    return model.eval()


def demonstration_of(model, job, number):
    row, label, ids = model.demonstrations[number]
    word = job.task.words[label][0]
    return ids, render(job.task.template, job.split.train[row], word)


def test_a_draw_is_the_input_and_then_an_answered_example_of_each_class(model, job):
    tokenizer = model.backbone.tokenizer
    query = job.split.dev[0]
    (encoded,) = model.encode([query])
    assert len(encoded.sequences) == DRAWS
    (alone,) = model.prompt.encode([query])[0].sequences
    (nearer,) = model.nearer(model.prompt.encode([query]))
    for sequence, places in zip(encoded.sequences, model.places, strict=True):
        numbers = [near[int(u * len(near))] for near, u in zip(nearer, places, strict=True)]
        assert [model.demonstrations[n].label for n in numbers] == [0, 1, 2]
        demonstrations = [demonstration_of(model, job, number) for number in numbers]
        assert sequence.ids == alone.ids + sum((ids for ids, _ in demonstrations), ())
        assert sequence.read == alone.read and sequence.ids[alone.read] == tokenizer.mask_token_id
        for ids, text in demonstrations:
            whole = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert len(ids) <= demonstration_length(model.backbone, job.task)
            assert ids[-1] == tokenizer.sep_token_id and tokenizer.mask_token_id not in ids
            assert list(ids[-5:-1]) == whole[-4:]  # "It was great .": texts are cut alone


def test_the_nearer_half_is_by_the_cosine_of_mean_states(model, job):
    plain = model.backbone.model.base_model

    @torch.no_grad()
    def state(examples):
        (tokens,) = model.prompt.encode(examples)[0].sequences
        states = plain(input_ids=torch.tensor([tokens.ids])).last_hidden_state[0]
        return states.mean(0) / states.mean(0).norm()

    query = job.split.dev[:1]
    (nearer,) = model.nearer(model.prompt.encode(query))
    for label, near in enumerate(nearer):
        group = [n for n, d in enumerate(model.demonstrations) if d.label == label]
        cosines = {
            n: float(state(query) @ state([job.split.train[model.demonstrations[n].row]]))
            for n in group
        }
        assert len(near) == len(group) // 2 == 2
        assert (
            min(cosines[n] for n in near) >= max(cosines[n] for n in group if n not in near) - 1e-3
        )


def test_scores_are_the_mean_over_draws(model, job):
    (encoded,) = model.encode([job.split.dev[0]])
    batch = model.collate([encoded])
    words = model.prompt.verbalizer.words
    with torch.no_grad():
        scores = [
            model.backbone.model(input_ids=torch.tensor([s.ids])).logits[0, s.read][words]
            for s in encoded.sequences
        ]
        expected = torch.stack(scores).mean(0)
        torch.testing.assert_close(model(batch)[0], expected, atol=1e-5, rtol=1e-4)
        loss = torch.nn.functional.cross_entropy(expected[None], torch.tensor([1]))
        labelled = model.collate([encoded._replace(label=1)])
        torch.testing.assert_close(model.loss(labelled), loss, atol=1e-5, rtol=1e-4)


def test_training_draws_anew_and_never_the_input_itself(model, job):
    inputs = model.prompt.encode(job.split.train)
    nearer = model.nearer(inputs, rows=range(len(inputs)))
    torch.manual_seed(0)
    for row, (encoded, near) in enumerate(zip(inputs, nearer, strict=True)):
        rows = {model.demonstrations[n].row for numbers in near for n in numbers}
        assert row not in rows
        drawn = {model.with_one_draw(encoded, near).sequences[0].ids for _ in range(20)}
        assert len(drawn) > 1
        assert model.with_one_draw(encoded, near).label == job.split.train[row].label


def test_a_class_with_the_input_alone_shows_nothing(tiny_model):
    job = toy_job(methods()["lm-bff"], tiny_model, k=1)
    record, _ = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    assert record.details["demonstrations"] == {"of": 3, "draws": 2}


def test_the_encoder_is_the_pretrained_model_and_is_not_kept(model, job):
    names = model.state_dict()
    assert not [name for name in names if name.startswith("encoder")] and "sentences" in names
    before = model.sentence_states(model.prompt.encode(job.split.dev))
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(before, model.sentence_states(model.prompt.encode(job.split.dev)))


def test_regression_demonstrates_its_two_words():
    task = toy_task("regression")
    values = [0.0, 2.5, 2.6, 5.0]
    assert [class_of(task, Example("a", ("x",), value)) for value in values] == [0, 0, 1, 1]


def test_a_task_without_room_is_refused_before_it_runs(tiny_model):
    task = toy_task("single", max_length=8)
    job = toy_job(methods()["lm-bff"], tiny_model, task)
    with pytest.raises(BenchError, match="does not fit beside an input") as refused:
        ask_method(job, Models(torch.device("cpu")))
    assert "prompt-ft" in str(refused.value)


def test_another_encoder_measures_whole_texts(job, tiny_model, tiny, tmp_path):
    """Its mean states of the bare text, by its own tokenizer; kept by name, not by weights."""
    folder = tiny("roberta")
    named = named_model(str(folder))
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny_model)))
    found = demonstrate(backbone, job.task, job.split.train)
    options = {"draws": DRAWS, "seed": 13}
    model = DemonstratedModel(backbone, job.task, found, **options, encoder=named.parts)
    model.remember(job.split.train)
    other = Models(torch.device("cpu")).fresh(named.model)
    query = job.split.dev[0]
    ids = other.tokenizer(query.texts[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = other.model.base_model(input_ids=ids).last_hidden_state[0]
    expected = states.mean(0) / states.mean(0).norm()
    state = model.sentence_states(model.sentences_of([query]))[0]
    torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-4)
    assert not [name for name in model.state_dict() if name.startswith("encoder")]
    again = DemonstratedModel.rebuild(backbone, job.task, **model.blueprint())
    again.load_state_dict(model.state_dict())
    assert again.encode([query]) == model.encode([query])
    gone = NamedInput(named.name, named.revision, str(tmp_path / "gone"))
    with pytest.raises(BenchError, match="is no longer there"):
        DemonstratedModel(backbone, job.task, found, **options, encoder=gone.parts)


def test_an_encoder_is_in_the_identity_and_one_that_is_none_is_refused(tiny_model, tiny, tiny_t5):
    method = methods()["lm-bff"]
    plain = toy_job(method, tiny_model)
    settings = {"encoder": named_model(str(tiny("roberta")))}
    job = toy_job(method, tiny_model, settings=settings)
    assert job.key != plain.key and job.run.inputs.settings != plain.run.inputs.settings
    record, _ = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    settings = {"encoder": named_model(str(tiny_t5))}
    with pytest.raises(BenchError, match="is of the kind encoder-decoder"):
        ask_method(toy_job(method, tiny_model, settings=settings), Models(torch.device("cpu")))
