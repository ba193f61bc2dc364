"""Where memory is short, batches are halved: to the bits of smaller parts, and said in the record."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.memory import in_parts, is_lack_of_memory
from fewbench.nn.prompt import PromptModel
from fewbench.nn.trainer import train
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.run import carry_out
from fewbench.runner.toys import toy_job
from fewbench.testing import toy_protocol, toy_rows, toy_task

CPU = torch.device("cpu")


class Short:
    """A loss that draws from all generators, and has no memory for more than `most` examples."""

    def __init__(self, model, most, error=torch.cuda.OutOfMemoryError, late=False):
        self.model, self.most, self.error, self.late = model, most, error, late
        self.sizes = []

    def __call__(self, batch):
        self.sizes.append(len(batch.labels))
        drawn = random.random() + np.random.random()
        value = self.model.loss(batch) * (1 + drawn)
        self.model.seen += 1
        if self.late and len(self.sizes) == 1:  # the first part of the first update fits
            return value
        if len(batch.labels) > self.most:
            raise self.error("CUDA out of memory.")
        return value


def trained(folder, most=99, micro_batch=None, steps=4, late=False, **options):
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    model = PromptModel(Models(CPU).fresh(find_model(str(folder))), toy_task("single"))
    model.register_buffer("seen", torch.zeros(()))
    short = Short(model, most, late=late)
    history = train(
        model,
        model.encode(toy_rows(model.task).train[:12]),
        evaluate=lambda: 0.0,
        protocol=replace(toy_protocol(), max_steps=steps, eval_every=2, checkpoint_tie="last"),
        lr=1e-3,
        batch_size=8,
        seed=7,
        loss=short,
        micro_batch=micro_batch,
        **options,
    )
    return model.state_dict(), history, short.sizes


@pytest.mark.filterwarnings("ignore:memory ran short")
@pytest.mark.parametrize(("most", "size"), [(4, 4), (3, 2), (1, 1)])
def test_a_halved_training_is_that_of_the_smaller_micro_batch(tiny_model, most, size):
    halved, history, sizes = trained(tiny_model, most)
    wanted, whole, others = trained(tiny_model, micro_batch=size)
    assert all(torch.equal(halved[name], wanted[name]) for name in wanted)
    assert history.losses == whole.losses
    assert (history.micro_batches, whole.micro_batches) == ([(1, size)], [])
    assert [n for n in sizes if n <= most] == others


@pytest.mark.filterwarnings("ignore:memory ran short")
def test_what_an_earlier_part_of_the_update_has_done_is_undone(tiny_model):
    halved, history, sizes = trained(tiny_model, 2, micro_batch=4, late=True)
    wanted, _, others = trained(tiny_model, micro_batch=2)
    assert sizes == [4, 4, *others]
    assert all(torch.equal(halved[name], wanted[name]) for name in wanted)
    assert history.micro_batches == [(1, 2)]


def test_a_warning_says_from_where_on(tiny_model):
    with pytest.warns(UserWarning, match="examples at once were 4 from update 1; dropout"):
        trained(tiny_model, 4)


@pytest.mark.parametrize(
    ("options", "most", "match"),
    [
        ({}, 0, "memory is too small for an update by one example"),
        ({"carries": None}, 4, "8 examples at once, and this method's loss changes"),
        ({"carries": [torch.Generator()]}, 4, "8 examples at once, and this method's loss"),
    ],
)
def test_what_cannot_be_halved_is_one_clear_error(tiny_model, options, most, match):
    with pytest.raises(BenchError, match=match) as caught:
        trained(tiny_model, most, **options)
    assert "--workers 1" in str(caught.value)


def test_the_record_says_what_was_done(tiny_model, monkeypatch):
    whole = PromptModel.loss

    def loss(self, batch):
        if len(batch.labels) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return whole(self, batch)

    monkeypatch.setattr(PromptModel, "loss", loss)
    record, _ = carry_out(toy_job(methods()["prompt-ft"], tiny_model), Models(CPU), 1)
    assert (record.status, record.details["micro_batches"]) == ("ok", [[1, 1]])
    assert any("examples at once were 1 from update 1" in line for line in record.warnings)


def test_memory_that_ends_elsewhere_is_a_failure_with_a_fix(tiny_model, monkeypatch):
    def step(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("fewbench.nn.optimizer.Optimizer.step", step)
    record, _ = carry_out(toy_job(methods()["prompt-ft"], tiny_model), Models(CPU), 1)
    assert record.status == "failed"
    assert record.error.startswith("memory is too small: OutOfMemoryError: CUDA")
    assert "--workers 1" in record.error


def test_scoring_halves_too_and_no_answer_moves(tiny_model, monkeypatch):
    torch.manual_seed(0)
    model = PromptModel(Models(CPU).fresh(find_model(str(tiny_model))), toy_task("single"))
    rows = toy_rows(model.task).test
    wanted = model.predict(rows)
    whole, sizes = model.forward, []

    def forward(batch):
        sizes.append(len(batch.rows))
        if len(batch.rows) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return whole(batch)

    monkeypatch.setattr(model, "forward", forward)
    found = model.predict(rows)
    assert found.ids == wanted.ids
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-5)
    assert max(sizes) == len(rows)


def test_parts_come_in_order_and_other_errors_pass():
    def ask(part):
        if len(part) > 2:
            raise RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
            )
        return sum(part)

    assert list(in_parts([[1, 2, 3, 4, 5], [6]], ask)) == [
        ([1, 2], 3),
        ([3], 3),
        ([4, 5], 9),
        ([6], 6),
    ]
    with pytest.raises(ZeroDivisionError):
        list(in_parts([[1, 2]], lambda part: 1 // 0))
    assert not is_lack_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
