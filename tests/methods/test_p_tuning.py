"""P-tuning: the encoder by its equations, worked by hand, and what is trained at which rate."""

from __future__ import annotations

import pytest
import torch

from fewbench.methods.p_tuning import PromptEncoder
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.testing import toy_job, toy_protocol

CPU = torch.device("cpu")
P_TUNING = methods()["p-tuning"]


def lstm_by_hand(inputs, weights, suffix):
    """Run one direction of one layer over [P, E], gate by gate."""
    wi, wh, bi, bh = (
        weights[f"{n}{suffix}"] for n in ("weight_ih_", "weight_hh_", "bias_ih_", "bias_hh_")
    )
    h = c = torch.zeros(wh.shape[1])
    states = []
    for row in inputs:
        i, f, g, o = (wi @ row + bi + wh @ h + bh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def test_the_encoder_is_equations_5_and_6():
    torch.manual_seed(0)
    encoder = PromptEncoder(4, 6)
    weights = dict(encoder.lstm.named_parameters())
    states = encoder.inputs
    for layer in ("l0", "l1"):
        forward = lstm_by_hand(states, weights, layer)
        backward = lstm_by_hand(states.flip(0), weights, f"{layer}_reverse").flip(0)
        states = torch.cat([forward, backward], 1)
    first, _, second = encoder.mlp
    by_hand = (states @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    torch.testing.assert_close(encoder(), by_hand, atol=1e-5, rtol=1e-4)


@pytest.fixture
def fit(tiny_model):
    def run(**settings):
        job = toy_job(P_TUNING, tiny_model, protocol=toy_protocol(max_steps=1, eval_every=1))
        kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
        torch.manual_seed(13)
        model = P_TUNING.module().fit(job.task, job.split, kit, **settings)
        torch.manual_seed(13)
        start = PromptEncoder(model.places.total, 16)
        return model, start, kit.backbone("student")

    return run


def largest_step(module, start):
    """Return how far the parameter that moved most has moved."""
    pairs = zip(module.parameters(), start.parameters(), strict=True)
    return max(float((now - then).detach().abs().max()) for now, then in pairs)


def test_the_encoder_is_trained_at_a_rate_of_its_own(fit):
    """Adam's first step is the learning rate."""
    model, start, pretrained = fit(lr=1e-4, prompt_rate=10.0)
    assert largest_step(model.encoder, start) == pytest.approx(1e-3, rel=1e-2)
    assert largest_step(model.backbone.model, pretrained.model) == pytest.approx(1e-4, rel=1e-2)
    assert model.places.before == (1, 0, 1, 0, 1) and model.task.template == "{0} It was {mask}."


def test_a_frozen_model_and_a_prompt_without_anchors(fit):
    model, start, pretrained = fit(tune=False, anchors=False, tokens=3)
    assert largest_step(model.encoder, start) > 0
    assert largest_step(model.backbone.model, pretrained.model) == 0
    assert model.places.before == (3, 0, 3, 3) and model.task.template == "{0} {mask}"
