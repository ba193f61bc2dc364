"""AutoPrompt: equation 1, the candidates and the exchange by hand, and label tokens."""

from __future__ import annotations

import pytest
import torch

from fewbench.methods.autoprompt import TriggerModel, exchange, find_labels, flips, placed
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.micro_batch import MicroBatches
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_job, toy_protocol, toy_rows, toy_task

CPU = torch.device("cpu")
AUTOPROMPT = methods()["autoprompt"]
LABELS = ((20, 21), (22,), (23, 24))


@pytest.fixture(params=["bert", "albert"])
def model(request, tiny):
    backbone = Models(CPU).fresh(find_model(str(tiny(request.param)))).requires_grad_(False)
    return TriggerModel(backbone, *placed(toy_task("single"), 2), LABELS).eval()


def loss_by_hand(model, examples, own):
    """Return the mean of -log sum_w p(w | prompt) for own embeddings [P, E]."""
    words = model.backbone.model.get_input_embeddings().weight
    losses = []
    for example in model.encode(examples):
        (tokens,) = example.sequences
        given = torch.stack([own[t] if t < 0 else words[t] for t in tokens.ids])
        logits = model.backbone.model(inputs_embeds=given[None]).logits[0, tokens.read]
        losses.append(-logits.softmax(-1)[list(LABELS[example.label])].sum().log())
    return torch.stack(losses).mean()


def test_an_exchange_is_the_best_of_the_steepest_candidates(model):
    examples = toy_rows(model.task).train
    first, second = examples[:4], examples[4:9]
    words = model.backbone.model.get_input_embeddings().weight
    ids = model.prompt.ids.clone()
    own = words[ids].clone().requires_grad_()
    loss = loss_by_hand(model, first, own)
    batch = model.collate(model.encode(first))
    assert -float(model.log_likelihood(batch).detach()) == pytest.approx(
        float(loss.detach()), rel=1e-4
    )
    loss.backward()
    vocabulary = len(model.backbone.tokenizer)
    banned = {0, 1, 2, 3, 4, *(token for group in LABELS for token in group)}
    gains = {
        w: -float(words[w].detach() @ own.grad[1]) for w in range(vocabulary) if w not in banned
    }
    steepest = sorted(gains, key=gains.get, reverse=True)[:5]
    losses = {}
    for token in (int(ids[1]), *steepest):
        rows = words[torch.tensor([int(ids[0]), token])]
        losses[token] = float(loss_by_hand(model, second, rows).detach())
    best = min(losses, key=losses.get)
    given = model.encode(first), model.encode(second)
    changed = exchange(model, *given, 1, 5, MicroBatches(), 1)
    assert model.prompt.ids.tolist() == [int(ids[0]), best]
    assert changed == (best != int(ids[1]))


def test_flips_leave_out_what_is_banned():
    embeddings = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [-2.0, 5.0], [-3.0, 0.0]])
    assert flips(torch.tensor([1.0, 0.0]), embeddings, torch.tensor([3]), 2) == [2, 1]


def test_label_tokens_are_those_the_regression_ascribes(model):
    """Against a regression of its own, its gradient and Adam written out."""
    rows, _ = model.backbone.word_rows(torch.arange(len(model.backbone.tokenizer)))
    gold = torch.tensor([0, 1, 2] * 4)
    states = torch.randn(12, rows.shape[1], generator=torch.Generator().manual_seed(1))
    design = torch.cat([states, torch.ones(12, 1)], 1)
    weights, first, second = torch.zeros(3, 3, design.shape[1]).unbind(0)
    for step in range(1, 501):
        gap = (design @ weights.T).softmax(-1) - torch.eye(3)[gold]
        gradient = gap.T @ design / 12
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
        weights = weights - 3e-4 * first / (1 - 0.9**step) / scale
    shares = (torch.cat([rows, torch.ones(len(rows), 1)], 1) @ weights.T).softmax(-1)
    shares[:5] = -1  # special tokens
    found = find_labels(model, states, gold, 4)
    assert [set(ids) for ids in found] == [set(ids) for ids in shares.topk(4, 0).indices.T.tolist()]


def test_triggers_stand_by_the_mask():
    assert placed(toy_task("single"), 3)[1].before == (0, 0, 3, 0)
    assert placed(toy_task("pair"), 3)[1].before == (0, 0, 0, 3, 0, 0)


def test_the_best_triggers_on_dev_are_kept_and_the_model_is_as_it_was(tiny_model):
    job = toy_job(AUTOPROMPT, tiny_model, protocol=toy_protocol(max_steps=6), k=3)
    kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
    model = AUTOPROMPT.module().fit(job.task, job.split, kit, labels="words", candidates=5)
    dev = model.predict(job.split.dev).answers
    score = sum(a == e.label for a, e in zip(dev, job.split.dev, strict=True)) / len(dev)
    assert score == pytest.approx(max(score for _, score in kit.notes["curve"]), abs=1e-6)
    pretrained = kit.backbone("student").model.state_dict()
    after = model.backbone.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in pretrained.items())
    assert len(model.describe()["triggers"]) == 3
