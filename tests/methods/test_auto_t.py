"""Auto-T: what T5 reads, a template's likelihood, the beam, and the choice by dev."""

from __future__ import annotations

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.auto_t import beam
from fewbench.methods.auto_t.beam import PAIR, SINGLE, Hypothesis, input_ids, next_scores, search
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.registry.named_inputs import named_model
from fewbench.runner.preflight import ask_method
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_task
from fewbench.types import Example

METHOD = methods()["auto-t"]
TEXTS = ("the film was wonderful a.", "the plot was boring b.", "a cat was dull.")


@pytest.fixture
def models():
    return Models(torch.device("cpu"))


@pytest.fixture
def writer(models, tiny_t5):
    return models.fresh(named_model(str(tiny_t5)).model).eval()


@pytest.fixture
def inputs(writer):
    task = toy_task("single")
    examples = [Example("", (text,), 2 - row) for row, text in enumerate(TEXTS)]
    return [input_ids(writer, task, example, SINGLE[0]) for example in examples]


def spelt(writer, ids):
    return "".join(writer.tokenizer.convert_ids_to_tokens(ids)).replace("\u2581", " ").strip()


def test_the_three_inputs_have_the_label_word_between_two_spans(writer):
    single, pair = toy_task("single"), toy_task("pair")
    example = Example("", ("it was good.",), 2)
    read = [spelt(writer, input_ids(writer, single, example, form)) for form in SINGLE]
    assert read[0] == "It was good.<extra_id_0> great<extra_id_1></s>"
    assert read[1] == "<extra_id_0> great<extra_id_1> It was good.</s>"
    both = Example("", ("the cat was good.", "It was good."), 0)
    (form,) = PAIR
    shown = spelt(writer, input_ids(writer, pair, both, form))
    assert shown == "the cat was good<extra_id_0> no<extra_id_1> it was good.</s>"
    values = toy_task("regression")
    for value, word in ((2.5, "terrible"), (2.6, "great")):
        ids = input_ids(writer, values, Example("", ("it was.",), value), SINGLE[1])
        assert word in spelt(writer, ids)


@torch.no_grad()
def likelihoods(writer, inputs, tokens):
    """Return log P(tokens | input) for each example by teacher forcing, one at a time: [n, L]."""
    tokenizer = writer.tokenizer
    first = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    rows = []
    for ids in inputs:
        labels = torch.tensor([[first, *tokens]])
        logits = writer.model(input_ids=torch.tensor([ids]), labels=labels).logits[0].double()
        chosen = logits.log_softmax(-1).gather(1, labels.T)[1:, 0]
        rows.append(chosen)
    return torch.stack(rows)


def test_a_template_scores_the_sum_of_its_log_probabilities_over_the_examples(writer, inputs):
    found = search(writer, inputs, beam=6, longest=5, over="probabilities")
    assert found == sorted(found, key=lambda each: -each.score)
    for each in found:
        expected = likelihoods(writer, inputs, each.tokens).sum()
        assert each.score == pytest.approx(float(expected), abs=1e-3)


def test_the_authors_code_takes_the_mean_of_logits(writer, inputs):
    states, real = beam._encoded(writer, inputs)
    given = next_scores(writer, states, real, (), "logits")
    first = writer.tokenizer.convert_tokens_to_ids("<extra_id_0>")
    start = torch.tensor([[writer.config.decoder_start_token_id, first]])
    with torch.no_grad():
        logits = [
            writer.model(input_ids=torch.tensor([ids]), decoder_input_ids=start).logits[0, -1]
            for ids in inputs
        ]
    expected = torch.stack(logits).mean(0).double().log_softmax(-1)
    assert torch.allclose(given, expected, atol=1e-4)


def test_the_beam_keeps_the_best_and_ends_spans_in_turn(writer, inputs, monkeypatch):
    """A table of probabilities in the place of T5: what is finished competes with what goes on."""
    vocabulary = writer.tokenizer.get_vocab()
    it, was = vocabulary["\u2581it"], vocabulary["\u2581was"]
    second, end = vocabulary["<extra_id_1>"], vocabulary["</s>"]
    table = {
        (): {it: 0.5, second: 0.3, end: 0.9, was: 0.1},
        (it,): {was: 0.9, second: 0.1},
        (second,): {end: 0.5, was: 0.4, second: 0.9},
        (it, was): {second: 0.8, it: 0.1},
        (second, was): {end: 0.9},
        (it, was, second): {end: 0.9},
    }

    def scores(writer, states, real, tokens, over):
        row = torch.full((writer.config.vocab_size,), 1e-9, dtype=torch.double)
        for token, share in table.get(tuple(tokens), {}).items():
            row[token] = share
        return row.log()

    monkeypatch.setattr(beam, "next_scores", scores)
    found = search(writer, inputs, beam=2, longest=4, over="probabilities")
    # After one token: it (.5), <1> (.3). After two: it was (.45), <1></s> (.15); <1> was (.12) falls.
    assert [each.tokens for each in found] == [(it, was, second, end), (second, end)]
    probabilities = [torch.tensor(each.score).exp().item() for each in found]
    assert probabilities == pytest.approx([0.5 * 0.9 * 0.8 * 0.9, 0.3 * 0.5])


def test_what_no_template_may_have_is_not_written(writer, inputs):
    vocabulary = writer.tokenizer.get_vocab()
    dot = vocabulary["."]
    for each in search(writer, inputs, beam=30, longest=6, over="probabilities"):
        assert vocabulary["\u2581"] not in each.tokens and vocabulary["<pad>"] not in each.tokens
        assert max(each.tokens) < len(writer.tokenizer)
        assert (dot, dot) not in zip(each.tokens, each.tokens[1:], strict=False)
        assert each.tokens.count(vocabulary["<extra_id_1>"]) == 1
        assert each.tokens[-1] == vocabulary["</s>"]


def test_an_answer_becomes_a_template(writer):
    vocabulary = writer.tokenizer.get_vocab()
    names = ["\u2581it", "\u2581was", "<extra_id_1>", ".", "</s>"]
    written = Hypothesis(tuple(vocabulary[name] for name in names), 2, -1.0)
    templates = [beam.template_of(writer, form, written) for form in (*SINGLE, *PAIR)]
    assert templates == [
        "{0} it was {mask}.",
        "it was {mask}. {0}",
        "{0|cut} it was {mask}. {1|lower}",
    ]


@pytest.mark.parametrize("choose", ["tuned", "zero-shot"])
def test_the_best_on_dev_is_trained(tiny_model, tiny_t5, models, choose):
    settings = {"generator": named_model(str(tiny_t5)), "beam": 4, "longest": 6, "choose": choose}
    job = toy_job(METHOD, tiny_model, settings=settings)
    record, _ = carry_out(job, models, 1)
    assert record.status == "ok", record.error
    scored = [dev for _, dev in record.details["templates"]]
    assert scored == sorted(scored, reverse=True) and len(scored) > 1
    assert record.details["template"] == record.details["templates"][0][0]
    assert record.run.settings["generator"].startswith("tiny-t5")


def test_a_missing_generator_and_one_that_fills_no_spans_are_refused(tiny_model, models):
    with pytest.raises(BenchError, match="needs a T5") as caught:
        ask_method(toy_job(METHOD, tiny_model), models)
    assert "generator=FOLDER" in caught.value.fix
    settings = {"generator": named_model(str(tiny_model))}
    with pytest.raises(BenchError, match="is of the kind masked"):
        ask_method(toy_job(METHOD, tiny_model, settings=settings), models)


def test_another_generator_is_another_run(tiny_model, tiny_t5):
    jobs = [
        toy_job(METHOD, tiny_model, settings={"generator": named_model(str(folder))})
        for folder in (tiny_t5, tiny_model)
    ]
    assert jobs[0].key != jobs[1].key
    assert str(tiny_t5) not in repr(jobs[0].run.settings)
