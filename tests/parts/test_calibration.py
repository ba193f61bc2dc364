"""Calibration of zero-shot answers: both equations by hand, and what is asked without content."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewbench.data.template import render
from fewbench.nn.calibration import CalibratedPrompt, calibrated, content_free
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.registry.settings import bind
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_rows, toy_task

PRIOR = torch.tensor([0.8, 0.2])
P = torch.tensor([[0.6, 0.4], [0.9, 0.1]])


def test_contextual_calibration_by_hand():
    # W p: .6 / .8 = .75 and .4 / .2 = 2; .9 / .8 = 1.125 and .1 / .2 = .5
    expected = torch.tensor([[0.75, 2.0], [1.125, 0.5]])
    torch.testing.assert_close(calibrated(P.log(), PRIOR, "contextual"), expected)


def test_pointwise_mutual_information_by_hand():
    expected = torch.tensor([[0.6 / 0.8, 0.4 / 0.2], [0.9 / 0.8, 0.1 / 0.2]]).log()
    torch.testing.assert_close(calibrated(P.log() + 3.0, PRIOR, "pmi"), expected)


def test_an_answer_like_that_to_no_content_is_even():
    for rule in ("contextual", "pmi"):
        shares = calibrated(PRIOR[None].log(), PRIOR, rule).softmax(-1)
        torch.testing.assert_close(shares, torch.full((1, 2), 0.5))


@pytest.mark.parametrize("rule", ["contextual", "pmi"])
@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_the_prior_is_the_mean_answer_to_inputs_without_content(tiny_model, rule, kind):
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny_model)))
    task = toy_task(kind)
    model = CalibratedPrompt(backbone, task, rule).eval()
    prompt = prompt_model(backbone, task).eval()
    examples = content_free(task, rule)
    with torch.no_grad():
        shares = torch.cat(
            [prompt(prompt.collate(prompt.encode([e]))).softmax(-1) for e in examples]
        )
    torch.testing.assert_close(model.prior, shares.mean(0))
    rows = toy_rows(task).test
    assert model.describe()["truncated"]["of"] == 0
    assert len(model.predict(rows).array) == len(rows)


def test_content_free_inputs_stand_where_the_texts_do():
    pair = toy_task("pair")
    shown = [render(pair.template, example, "_") for example in content_free(pair, "contextual")]
    assert shown == ["N/? _, n/A", "? _, ", "[MASK? _, [MASK]"]
    single = toy_task("single")
    assert [render(single.template, e, "_") for e in content_free(single, "pmi")] == [" It was _."]


@pytest.mark.parametrize("preset", ["calibrated", "pmi"])
@pytest.mark.parametrize("model", ["tiny_model", "tiny_t5"])
def test_runs_calibrate_and_say_by_what(request, model, preset):
    method, folder = methods()["zero-shot"], request.getfixturevalue(model)
    plain = carry_out(toy_job(method, folder), Models(torch.device("cpu")), 1)[1]
    job = toy_job(method, folder, settings=bind(method, [preset]))
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    prior = np.array(record.details["content_free"])
    assert prior.sum() == pytest.approx(1, abs=1e-5)
    ratio = plain.probabilities / prior
    assert (predictions.probabilities.argmax(1) == ratio.argmax(1)).all()


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_demonstrations_stand_before_no_content_too(tiny, family):
    method = methods()["in-context"]
    given = {"demonstrations": 3}
    plain = carry_out(toy_job(method, tiny(family), settings=given), Models(torch.device("cpu")), 1)
    job = toy_job(method, tiny(family), settings=given | bind(method, ["calibrated"]))
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    prior = torch.tensor(record.details["content_free"])
    expected = (torch.tensor(plain[1].probabilities) / prior).softmax(-1)
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-4)
    bare = carry_out(
        toy_job(methods()["zero-shot"], tiny("bert"), settings={"calibration": "contextual"}),
        Models(torch.device("cpu")),
        1,
    )
    assert bare[0].details["content_free"] != record.details["content_free"]
