"""WARP: its class scores by hand, what is trained, and where it starts."""

from __future__ import annotations

import pytest
import torch

from fewbench.methods.warp import class_vectors
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.testing import toy_job, toy_rows, toy_task

CPU = torch.device("cpu")
WARP = methods()["warp"]


@pytest.fixture
def fit(tiny):
    def run(family="bert", kind="single", task=None, **settings):
        job = toy_job(WARP, tiny(family), task or toy_task(kind))
        kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
        torch.manual_seed(13)
        return WARP.module().fit(job.task, job.split, kit, **settings), kit

    return run


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
@pytest.mark.parametrize("start", ["template", "mask"])
def test_scores_are_the_equation(fit, family, start):
    """p(y|x) = exp(v_y . h) / sum_c exp(v_c . h), with h before the vocabulary's projection."""
    model, _kit = fit(family, start=start, tokens=2, prompt_lr=0.01)
    examples = toy_rows(model.task).train[:3]
    backbone, words = model.backbone, model.backbone.model.get_input_embeddings().weight
    decoder = backbone.model.get_output_embeddings()
    seen = []
    hook = decoder.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    predicted = model.predict(examples).probabilities
    for row, example in zip(predicted, model.encode(examples), strict=True):
        (tokens,) = example.sequences
        own = backbone.prompt.values
        given = torch.stack([own[t] if t < 0 else words[t] for t in tokens.ids])
        with torch.no_grad():
            backbone.model(inputs_embeds=given[None])
        h = seen[-1][0, tokens.read]
        weights = torch.stack([(v * h).sum().exp() for v in model.classes])
        torch.testing.assert_close(torch.tensor(row), weights / weights.sum(), atol=1e-5, rtol=1e-4)
    hook.remove()


def test_only_prompt_and_class_vectors_are_trained(fit):
    model, kit = fit(start="template", prompt_lr=0.01)
    before = kit.backbone("student").model.state_dict()
    after = model.backbone.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"classes", "backbone.prompt.values"}
    start = kit.backbone("student").model.get_input_embeddings().weight
    words = model.backbone.tokenizer.convert_tokens_to_ids(["it", "was", "."])
    moved = (model.backbone.prompt.values - start[words]).abs()
    assert 0 < moved.max() < 0.05  # three updates from the template's words
    assert model.describe()["prompt"] == {"tokens": 3, "trained_parameters": (3 + 3) * 16}


def test_the_start_of_the_glue_systems(fit):
    model, kit = fit(start="mask", classes="random", tokens=5, prompt_lr=1e-9)
    assert model.places.before == (5, 0, 5, 5) and model.task.template == "{0} {mask}"
    words = kit.backbone("student").model.get_input_embeddings().weight
    mask = words[model.backbone.tokenizer.mask_token_id]
    torch.testing.assert_close(model.backbone.prompt.values.detach(), mask.expand(15, -1).detach())
    assert 0.01 < model.classes.std() < 0.03
    bare, _ = fit(start="mask", classes="random", tokens=0)
    assert bare.backbone.prompt is None and bare.describe()["prompt"]["tokens"] == 0


def test_class_vectors_are_the_means_of_their_words(tiny_model, fit):
    task = toy_task("single", words=(("terrible", "bad"), ("okay",), ("great",)))
    _model, kit = fit(task=task)
    backbone = kit.backbone("student")
    rows = backbone.model.get_output_embeddings().weight
    ids = backbone.tokenizer.convert_tokens_to_ids(["terrible", "bad", "okay", "great"])
    wanted = torch.stack([rows[ids[:2]].mean(0), rows[ids[2]], rows[ids[3]]])
    torch.testing.assert_close(class_vectors(backbone, task, "words"), wanted.detach())
