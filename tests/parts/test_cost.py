"""Costs against closed forms worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fewbench.measure import cost
from fewbench.measure.cost import Live, interleaved, layers_run, parameters, peak_memory, products
from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.exit_rules import Depth
from fewbench.nn.exits import head_exits
from fewbench.nn.fit_context import Models
from fewbench.nn.prune import prune_heads
from fewbench.nn.quantize import quantize
from fewbench.nn.serialize import duplicate
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.testing import toy_task
from fewbench.types import Example


@pytest.fixture
def models() -> Models:
    return Models(torch.device("cpu"))


@pytest.fixture
def model(models, tiny_model) -> HeadModel:
    from fewbench.registry.pretrained import find_model

    torch.manual_seed(1)
    return HeadModel(
        models.fresh(find_model(str(tiny_model), offline=True)), toy_task("single")
    ).eval()


EXAMPLES = [
    Example("a", ("the film was great",)),
    Example("b", ("the plot of this movie was dull and boring .",)),
]


def shape(backbone: Backbone) -> tuple[int, int, int]:
    config = backbone.config
    return config.num_hidden_layers, config.hidden_size, config.intermediate_size


def layer(tokens: int, width: int, inner: int, mixed: int | None = None) -> int:
    """Return the products of a layer: query, key, value and output; scores and mixture; both
    feed-forward maps.
    """
    mixed = mixed or width
    return tokens * (4 * width * mixed + 2 * width * inner) + 2 * tokens * tokens * mixed


def last_layer(tokens: int, width: int, inner: int) -> int:
    """Return those of a layer that is read at one position: keys and values of all tokens, the rest
    of one.
    """
    return tokens * 2 * width * width + (2 * width * width + 2 * width * inner) + 2 * tokens * width


def lengths(model: HeadModel) -> list[int]:
    return [encoded.length for encoded in model.encode(EXAMPLES)]


class TestProducts:
    def test_of_a_transformer(self, model):
        count, width, inner = shape(model.backbone)
        head = width * len(model.task.labels)
        by_hand = [
            (count - 1) * layer(t, width, inner) + last_layer(t, width, inner) + head
            for t in lengths(model)
        ]
        assert len(set(by_hand)) == 2
        assert products(model, EXAMPLES) == (sum(by_hand) / 2, 0)

    def test_int8_products_are_counted_and_told_apart(self, model):
        small = duplicate(model).eval()
        quantize(small.backbone)
        count, width, _ = shape(model.backbone)
        attention = [(count - 1) * 2 * t * t * width + 2 * t * width for t in lengths(model)]
        head = width * len(model.task.labels)
        whole = products(model, EXAMPLES).total
        found = products(small, EXAMPLES)
        assert found == (whole, whole - sum(attention) / 2 - head)

    def test_pruned_heads_are_not_computed(self, model):
        count, width, inner = shape(model.backbone)
        heads = model.backbone.layers[0].heads
        before = products(model, EXAMPLES).total
        prune_heads(model.backbone, {0: list(range(heads // 2))})
        saved = [
            layer(t, width, inner) - layer(t, width, inner, width // 2) for t in lengths(model)
        ]
        assert count > 1
        assert before - products(model, EXAMPLES).total == sum(saved) / 2

    def test_layers_above_an_exit_are_not_computed(self, model):
        exits = head_exits(model.backbone, model.task).eval()
        exits.rule = Depth(1)
        _, width, inner = shape(model.backbone)
        head = width * len(model.task.labels)
        assert (
            products(exits, EXAMPLES).total
            == sum(last_layer(t, width, inner) + head for t in lengths(model)) / 2
        )
        assert layers_run(exits, EXAMPLES) == 1
        assert layers_run(model, EXAMPLES) == shape(model.backbone)[0]


class TestParameters:
    def test_of_a_model_fresh_from_its_backbone(self, model, models):
        whole = sum(
            parameter.numel() for parameter in model.parameters()
        )  # tied embeddings come once
        head = sum(parameter.numel() for parameter in model.output.parameters())
        found = parameters(model, models)
        assert (found.total, found.soft) == (whole, 0)
        assert found.trained == head

    def test_trained_are_tensors_that_changed(self, model, models):
        before = parameters(model, models).trained
        with torch.no_grad():
            model.backbone.layers[0].up.weight[0, 0] += 1
        assert (
            parameters(model, models).trained - before == model.backbone.layers[0].up.weight.numel()
        )

    def test_removing_heads_trains_nothing(self, model, models):
        before = parameters(model, models)
        _, width, _ = shape(model.backbone)
        size = width // model.backbone.layers[0].heads
        prune_heads(model.backbone, {0: [0]})
        after = parameters(model, models)
        assert after.trained == before.trained
        assert (
            before.total - after.total == 4 * width * size + 3 * size
        )  # rows and biases of three, columns of one

    def test_int8_counts_each_weight_once_and_no_scale(self, model, models):
        before = parameters(model, models)
        quantize(model.backbone)
        assert parameters(model, models) == before

    def test_soft_prompts(self, model, models):
        width = model.backbone.model.get_input_embeddings().embedding_dim
        soft = SoftPromptModel(model.backbone, toy_task("single"), torch.ones(5, width))
        found = parameters(soft, models)
        assert found.soft == found.trained == 5 * width


class TestMemory:
    def test_tensors_alive_at_a_time(self):
        weight = torch.randn(100, 100)
        with torch.no_grad(), Live([weight]) as live:
            states = torch.ones(1000, 100)  # 400,000 bytes
            mapped = states @ weight.t()  # a view of what was there is not new
            del states
            mapped = mapped.relu()
            view = mapped[:10]
            assert (live.now, live.peak) == (400_000, 800_000)
            del mapped, view
            assert live.now == 0

    def test_of_a_model_more_than_its_weights(self, model):
        weights = sum(parameter.nbytes for parameter in model.parameters()) / cost.MIB
        assert peak_memory(model, EXAMPLES) > weights
        assert peak_memory(model, EXAMPLES * 8) > peak_memory(model, EXAMPLES)


class Clocked(nn.Module):
    """A model that takes as many seconds a call as it is told, by a clock of its own."""

    now = 0.0

    def __init__(self, name: str, seconds: list[float], calls: list[str]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.name, self.seconds, self.calls = name, iter([0.0, 0.0, *seconds]), calls

    def predict(self, examples):
        self.calls.append(self.name)
        Clocked.now += next(self.seconds)


def test_times_are_taken_in_turn_and_ratios_within_a_round(monkeypatch):
    monkeypatch.setattr(cost.time, "perf_counter", lambda: Clocked.now)
    monkeypatch.setattr(cost.time, "process_time", lambda: 2 * Clocked.now)
    calls: list[str] = []
    # two batches a round: the teacher's rounds take 8, 4 and 12 seconds, the student's 2, 2 and 2
    teacher, student = Clocked("t", [4, 4, 2, 2, 6, 6], calls), Clocked("s", [1.0] * 6, calls)
    timings, ratios = interleaved({"t": teacher, "s": student}, EXAMPLES, batch=1, rounds=3)
    assert "".join(calls) == "ttss" + "tsst" + "stts" + "tsst"
    assert timings["t"].median == pytest.approx(8 / 2 * 1000)  # of 4, 8 and 12, for two examples
    assert (timings["t"].low, timings["t"].high) == (pytest.approx(3000), pytest.approx(5000))
    assert timings["t"].processor == pytest.approx(8000)
    assert ratios["s"].median == pytest.approx(4)  # of 4, 2 and 6
    assert (ratios["s"].low, ratios["s"].high) == (pytest.approx(3), pytest.approx(5))
    assert ratios["t"].median == 1
    assert math.isclose(timings["s"].median, 1000)
