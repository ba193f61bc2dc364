"""Batches: packed against padded by hand, and every example once."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from fewbench.nn import task_model
from fewbench.nn.batch import Encoded, Shuffled, Tokens, by_length, collate, narrow
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.prompt import PromptModel
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task

CPU = torch.device("cpu")


def test_packed_against_padded_by_hand():
    examples = [
        Encoded((Tokens((5, 6, 7), (0, 0, 1), 2), Tokens((8,), (0,), 0)), 1),
        Encoded((Tokens((9, 10), (0, 1), 1), Tokens((11, 12, 13, 14), (1, 1, 0, 0), 3)), 0),
    ]
    batch = collate(examples, CPU)
    padded = torch.tensor([[5, 6, 7, 0], [8, 0, 0, 0], [9, 10, 0, 0], [11, 12, 13, 14]])
    segments = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]])
    assert torch.equal(batch.real, padded > 0)
    assert batch.numbers == tuple(batch.rows.tolist())
    assert torch.equal(batch.ids[batch.grid] * batch.real, padded)
    assert torch.equal(batch.segments[batch.grid] * batch.real, segments)
    assert batch.positions.tolist() == [0, 1, 2, 0, 0, 1, 0, 1, 2, 3]
    assert torch.equal(batch.grid.flatten()[batch.place], torch.arange(10))
    assert batch.ids[batch.read].tolist() == [7, 8, 10, 14]
    assert batch.labels.tolist() == [1, 0]
    assert (batch.grid[~batch.real] == 0).all()


@pytest.mark.parametrize("keep", [[0], [2], [0, 2], [1, 3], [0, 1, 2, 3]])
def test_a_narrowed_batch_is_that_of_the_examples_left(keep):
    examples = [
        Encoded((Tokens((5, 6, 7), (0, 0, 1), 2),), 1),
        Encoded((Tokens((9, 10), (0, 1), 1),), 0),
        Encoded((Tokens((8,), (0,), 0),), 1),
        Encoded((Tokens((11, 12, 13, 14), (1, 1, 0, 0), 3),), 0),
    ]
    batch = collate(examples, CPU)
    left, tokens = narrow(batch, torch.tensor([row in keep for row in range(4)]))
    expected = collate([examples[row]._replace(label=None) for row in keep], CPU)
    for name in ("ids", "segments", "positions", "grid", "real", "place", "read"):
        assert torch.equal(getattr(left, name), getattr(expected, name)), name
    assert left.labels.numel() == 0
    assert torch.equal(batch.ids[tokens], left.ids)


def test_labels_are_empty_where_withheld_and_real_numbers_for_regression():
    tokens = (Tokens((5,), (0,)),)
    assert collate([Encoded(tokens, None)], CPU).labels.numel() == 0
    assert collate([Encoded(tokens, 1), Encoded(tokens, 0)], CPU).labels.dtype == torch.int64
    assert collate([Encoded(tokens, 1.5), Encoded(tokens, 0.0)], CPU).labels.dtype == torch.float32


@pytest.mark.parametrize("budget", [1, 10, 40, 10_000])
@pytest.mark.parametrize("options", [1, 3])
def test_by_length_covers_each_once_within_the_budget(budget, options):
    generator = np.random.default_rng(1)
    lengths = generator.integers(1, 15, 50).tolist()
    examples = [Encoded((Tokens((5,) * n, (0,) * n),) * options, None) for n in lengths]
    batches = list(by_length(examples, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(50))
    for batch in batches:
        longest = max(examples[i].length for i in batch)
        assert len(batch) == 1 or longest * options * len(batch) <= budget
    walked = [lengths[index] for batch in batches for index in batch]
    assert walked == sorted(lengths, reverse=True)
    if budget == 10_000:
        assert len(batches) == 1
    assert list(by_length([], budget)) == []


@pytest.mark.parametrize(("n", "size"), [(8, 4), (7, 3), (2, 5)])
def test_shuffled_covers_each_epoch(n, size):
    batches = Shuffled(n, size, 3)
    per_epoch = -(-n // size)
    epochs = [[i for batch in islice(batches, per_epoch) for i in batch] for _ in range(6)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert n < 3 or len({tuple(epoch) for epoch in epochs}) > 1
    again = Shuffled(n, size, 3)
    assert [i for batch in islice(again, per_epoch) for i in batch] == epochs[0]


def test_batches_of_like_length_cover_each_epoch():
    lengths = [(7 * i) % 23 for i in range(50)]
    batches = Shuffled(50, 4, 3, lengths, window=5)
    epochs = [[list(batch) for batch in islice(batches, 13)] for _ in range(3)]
    plain = [list(batch) for batch in islice(Shuffled(50, 4, 3), 13)]
    for epoch in epochs:
        assert sorted(i for batch in epoch for i in batch) == list(range(50))
        assert [len(batch) for batch in epoch] == [4] * 12 + [2]

    def padding(epoch):
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in epoch)

    assert epochs[0] != epochs[1] and padding(epochs[0]) < 0.8 * padding(plain)
    state = batches.state_dict()
    rest = list(islice(batches, 20))
    again = Shuffled(50, 4, 3, lengths, window=5)
    again.load_state_dict(state)
    assert list(islice(again, 20)) == rest


@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
@pytest.mark.parametrize("of", [PromptModel, HeadModel])
def test_predictions_do_not_depend_on_the_batch_or_the_order(tiny_model, monkeypatch, kind, of):
    model = of(Models(CPU).fresh(find_model(str(tiny_model))), toy_task(kind))
    rows = toy_rows(model.task, test=24).test
    together = model.predict(rows)
    assert together.ids == tuple(row.id for row in rows)
    assert len(np.unique(together.array, axis=0)) > 6
    monkeypatch.setattr(task_model, "TOKENS_A_BATCH", 1)
    alone = model.predict(rows)
    monkeypatch.setattr(task_model, "TOKENS_A_BATCH", 100)
    turned = model.predict(rows[::-1])
    np.testing.assert_allclose(alone.array, together.array, atol=1e-5)
    np.testing.assert_allclose(turned.array[::-1], together.array, atol=1e-5)


def test_predicting_leaves_the_mode_and_the_random_numbers_alone(tiny_model):
    model = PromptModel(Models(CPU).fresh(find_model(str(tiny_model))), toy_task("single"))
    rows = toy_rows(model.task).test
    model.train()
    state = torch.get_rng_state()
    first = model.predict(rows).array
    assert model.training and model.backbone.model.training
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(first, model.predict(rows).array)  # dropout is off
    model.eval().predict(rows)
    assert not model.training
