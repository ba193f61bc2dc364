"""A model with exits: the joint loss, layers that are not run, and one answer however examples are
batched.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.nn.classifier import HeadModel
from fewbench.nn.encoder import look_ahead, run_layer, run_layer_at, run_rest
from fewbench.nn.exit_rules import (
    Confidence,
    Depth,
    Entropy,
    Patience,
    SpeedUps,
    at_exits,
    exit_layers,
)
from fewbench.nn.exits import choose_rule, head_exits
from fewbench.nn.fit_context import Models
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task
from fewbench.types import USUAL_KINDS

FAMILIES = ["bert", "roberta", "distilbert", "albert", "electra"]
LAYERS = 6


@pytest.fixture
def exits(tiny):
    """A maker of models of six layers: the tiny models' two, three times over."""

    def make(kind="single", family="bert"):
        torch.manual_seed(0)
        backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny(family))))
        inner = getattr(backbone.model, backbone.model.base_model_prefix)
        inner.config.num_hidden_layers = LAYERS
        if family != "albert":
            stack = inner.transformer if family == "distilbert" else inner.encoder
            stack.layer = torch.nn.ModuleList([*stack.layer] * 3)
        for parameter in backbone.parameters():  # far from trivial, so that the layers disagree
            parameter.data += 0.3 * torch.randn_like(parameter)
        model = head_exits(backbone, toy_task(kind)).eval()
        assert len(model.classifiers) == LAYERS
        for classifier in model.classifiers:
            torch.nn.init.normal_(classifier[1].weight)
        return model

    return make


def rules_for(kind):
    taus = (0.5, 2.0) if kind == "regression" else (0.1,)
    patient = [Patience(t, tau) for t in range(LAYERS + 1) for tau in taus]
    fixed = [Depth(d) for d in range(1, LAYERS + 1)]
    return patient + fixed + ([] if kind == "regression" else [Entropy(0.4), Confidence(0.8)])


@contextmanager
def counting(model):
    """Yield a list with the tokens that pass each layer that is run; of the last layer, only those
    that are read.
    """
    seen: list[int] = []
    layers = {id(layer.attention_norm): layer.attention_norm for layer in model.backbone.layers}
    hooks = [
        norm.register_forward_hook(lambda m, given, out: seen.append(len(out)))
        for norm in layers.values()
    ]
    yield seen
    for hook in hooks:
        hook.remove()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
def test_every_classifier_reads_its_layers_first_token(exits, kind):
    model = exits(kind)
    encoded = model.encode(toy_rows(model.task).train[:4])
    scores = model(model.collate(encoded))
    sequences = [tokens for example in encoded for tokens in example.sequences]
    for row, tokens in enumerate(sequences):
        given = {
            "input_ids": torch.tensor([tokens.ids]),
            "token_type_ids": torch.tensor([tokens.segments]),
        }
        states = model.backbone.model(**given, output_hidden_states=True).hidden_states[1:]
        for layer, (state, classifier) in enumerate(zip(states, model.classifiers, strict=True)):
            expected = classifier[1].weight @ state[0, 0] + classifier[1].bias
            got = scores[layer].view(len(sequences), -1)[row]
            torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["single", "choice"])
def test_the_joint_loss_of_classification(exits, kind):
    """Eq. 3.4 and 3.6 with weights 1 to 6, which add up to 21."""
    model = exits(kind)
    batch = model.collate(model.encode(toy_rows(model.task).train[:5]))
    each = [F.cross_entropy(scores, batch.labels) for scores in model(batch)]
    expected = sum(j * loss for j, loss in enumerate(each, 1)) / 21
    torch.testing.assert_close(model.loss(batch), expected)


def test_the_joint_loss_of_regression(exits):
    """Eq. 3.5 on values scaled from 0..5 to 0..1."""
    model = exits("regression")
    batch = model.collate(model.encode(toy_rows(model.task).train[:5]))
    each = [((scores[:, 0] - batch.labels / 5) ** 2).mean() for scores in model(batch)]
    torch.testing.assert_close(
        model.loss(batch), sum(j * loss for j, loss in enumerate(each, 1)) / 21
    )


def test_every_classifier_and_layer_is_trained(exits):
    model = exits()
    model.loss(model.collate(model.encode(toy_rows(model.task).train[:5]))).backward()
    for classifier in model.classifiers:
        assert classifier[1].weight.grad.abs().sum() > 0
    assert model.backbone.layers[0].query.weight.grad.abs().sum() > 0


def test_weights_of_one_depth_train_nothing_above_it(exits):
    model = exits()
    model.weights = F.one_hot(torch.tensor(1), LAYERS)
    batch = model.collate(model.encode(toy_rows(model.task).train[:5]))
    torch.testing.assert_close(model.loss(batch), F.cross_entropy(model(batch)[1], batch.labels))
    model.loss(batch).backward()
    grads = [float(classifier[1].weight.grad.abs().sum()) for classifier in model.classifiers]
    assert grads[1] > 0 and sum(grads) == grads[1]


@pytest.mark.parametrize("kind", USUAL_KINDS)
def test_one_answer_alone_in_batches_and_from_all_layers(exits, kind):
    model = exits(kind)
    examples = toy_rows(model.task).train
    answers = model.answers(examples)
    spread = set()
    for model.rule in rules_for(kind):
        layers = exit_layers(model.rule, answers)
        spread |= set(layers.tolist())
        expected = at_exits(answers, layers).numpy()
        for tokens in (1, 200, 4096):
            got = model.predict(examples, tokens=tokens)
            assert got.extras["exits"].tolist() == layers.tolist() == model.exits.tolist()
            np.testing.assert_allclose(got.array, expected, atol=5e-5, rtol=1e-5)
    assert spread == set(range(1, LAYERS + 1))  # or the test would show nothing


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(exits, family):
    model = exits(family=family)
    examples = toy_rows(model.task).train
    answers = model.answers(examples)
    for model.rule in (Patience(1), Patience(3), Confidence(0.8)):
        layers = exit_layers(model.rule, answers)
        got = model.predict(examples)
        assert got.extras["exits"].tolist() == layers.tolist()
        np.testing.assert_allclose(got.array, at_exits(answers, layers).numpy(), atol=5e-5)


@pytest.mark.parametrize("kind", ["single", "choice"])
def test_layers_above_the_exit_are_not_run(exits, kind):
    """One by one each example costs the layers up to its exit; in a batch each layer sees those
    still there.
    """
    model = exits(kind)
    examples = toy_rows(model.task).train
    model.rule = Patience(1)
    each = 3 if kind == "choice" else 1
    tokens = [sum(len(s.ids) for s in one.sequences) for one in model.encode(examples)]

    def expected(lengths, layers):
        """Layer 1 in full; then a look at the tokens that are read, and the rest for those that
        stay.
        """
        passed = [sum(lengths)]
        for layer in range(2, LAYERS + 1):
            passed.append(each * sum(left >= layer for left in layers))
            passed.append(sum(n for n, left in zip(lengths, layers, strict=True) if left > layer))
        return [count for count in passed if count]

    with counting(model) as batched:
        layers = model.predict(examples).extras["exits"].tolist()
    assert len(set(layers)) > 1
    assert batched == expected(tokens, layers)
    for example, length, left in zip(examples, tokens, layers, strict=True):
        with counting(model) as alone:
            model.predict([example])
        assert alone == expected([length], [left])
        assert alone.count(length) == left - 1  # in full only those before the exit


def test_a_batch_that_leaves_early_stops(exits):
    model = exits()
    model.rule = Depth(2)
    with counting(model) as seen:
        model.predict(toy_rows(model.task).train)
    assert len(seen) == 2


def test_all_layers_is_plain_fine_tuning(exits):
    """Without a rule the last classifier answers, as a head on the last layer does."""
    model = exits()
    head = HeadModel(model.backbone, model.task).eval()
    head.output = model.classifiers[-1][1]
    examples = toy_rows(model.task).train
    np.testing.assert_allclose(
        model.predict(examples).array, head.predict(examples).array, atol=1e-6
    )


def test_describe_tells_of_the_last_prediction(exits):
    model = exits()
    model.rule = Depth(3)
    model.predict(toy_rows(model.task).train[:4])
    assert model.describe()["exits"] == {
        "rule": "Depth(layers=3)",
        "layers": 6,
        "left_by": [0, 0, 4, 0, 0, 0],
        "mean_layers": 3.0,
        "speed_up": 2.0,
        "saving": 0.5,
    }
    assert model.describe()["truncated"]["of"] == 4


def test_the_rule_is_the_best_on_dev_and_of_equal_ones_the_fastest(exits):
    model = exits()
    dev = toy_rows(model.task).train
    rules = [Patience(t) for t in range(LAYERS, -1, -1)]
    table = choose_rule(model, rules, dev)
    chosen, labels, found = model.rule, [e.label for e in dev], []
    for model.rule in rules:
        predictions = model.predict(dev)
        found.append(
            (
                score(model.task, labels, predictions)["accuracy"],
                -predictions.extras["exits"].mean(),
            )
        )
    assert chosen == rules[found.index(max(found))]
    assert [(row["accuracy"], row["mean_layers"]) for row in table] == [
        (pytest.approx(value, abs=1e-6), pytest.approx(-mean, abs=1e-4)) for value, mean in found
    ]


@pytest.mark.parametrize(("least", "most"), [(1.3, 1.96), (2.5, None), (None, 1.1), (5.5, 5.9)])
def test_a_rule_is_chosen_within_speed_ups(exits, least, most):
    """The best dev score of those in the range; where none is in it, the nearest to it."""
    model = exits()
    dev = toy_rows(model.task).train
    rules = [Depth(layer) for layer in range(1, LAYERS + 1)]  # 6, 3, 2, 1.5, 1.2, 1
    table = choose_rule(model, rules, dev, SpeedUps(least, most))
    accuracy = [row["accuracy"] for row in table]
    expected = {
        (1.3, 1.96): Depth(4),
        (2.5, None): Depth(1) if accuracy[0] >= accuracy[1] else Depth(2),
        (None, 1.1): Depth(6),
        (5.5, 5.9): Depth(1),
    }
    assert model.rule == expected[least, most]


def test_a_range_of_speed_ups():
    assert [SpeedUps(1.3, 1.96).distance(s) for s in (1, 1.5, 2)] == pytest.approx([0.3, 0, 0.04])
    assert [SpeedUps().distance(s) for s in (1, 6)] == [0, 0]
    with pytest.raises(BenchError, match="min_speed_up=2 is above max_speed_up=1"):
        SpeedUps(2, 1).check()


@torch.no_grad()
def test_a_layer_in_two_steps_is_the_layer(exits):
    model = exits("single")
    batch = model.collate(model.encode(toy_rows(model.task).train))
    layer, states = model.backbone.layers[0], model.backbone.embed(batch)
    read, ahead = look_ahead(layer, states, batch, False)
    torch.testing.assert_close(read, run_layer_at(layer, states, batch, False))
    torch.testing.assert_close(
        run_rest(layer, states, ahead, batch, False), run_layer(layer, states, batch, False)
    )
