"""A GPU gives the answers of a processor in the arithmetic asked for, and goes on where memory ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.nn import trainer
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.prompt import PromptModel
from fewbench.registry.pretrained import find_model
from fewbench.runner.products import computing
from fewbench.testing import toy_protocol, toy_rows, toy_task
from fewbench.types import Arithmetic

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU that torch can use"
)
FAMILIES = ["bert", "roberta", "distilbert", "albert", "electra"]


@pytest.fixture(params=FAMILIES)
def still(request, tiny, tmp_path):
    """A tiny model without dropout, whose masks are drawn by each device's own generator."""
    folder = shutil.copytree(tiny(request.param), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {
        name: 0.0 for name in config if "dropout" in name and isinstance(config[name], float)
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return find_model(str(folder))


def answers(ref, of, device, updates):
    torch.manual_seed(0)
    head = of(Models(torch.device("cpu")).fresh(ref), toy_task("single")).state_dict()
    model = of(Models(torch.device(device)).fresh(ref), toy_task("single"))
    model.load_state_dict(head)
    rows = toy_rows(model.task)
    protocol = replace(toy_protocol(), max_steps=max(1, updates), eval_every=max(1, updates))
    if updates:
        examples = model.encode(rows.train[:12])
        trainer.train(
            model, examples, evaluate=lambda: 0.0, protocol=protocol, lr=1e-3, batch_size=4, seed=7
        )
    model.eval()
    return np.asarray(model.predict(rows.test).probabilities)


@pytest.mark.parametrize("of", [HeadModel, PromptModel])
@pytest.mark.parametrize("updates", [0, 20])
def test_in_float32(still, of, updates):
    found, wanted = (answers(still, of, device, updates) for device in ("cuda", "cpu"))
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("of", [HeadModel, PromptModel])
def test_in_bfloat16(still, of):
    with computing(Arithmetic("bfloat16")):
        found = answers(still, of, "cuda", 20)
    wanted, untrained = (answers(still, of, "cpu", updates) for updates in (20, 0))
    assert np.abs(found - wanted).max() < 0.1 * max(0.1, np.abs(wanted - untrained).max())
    assert not np.array_equal(found, answers(still, of, "cuda", 20))


@pytest.mark.filterwarnings("ignore:memory ran short")
def test_where_memory_ends_batches_are_halved(still):
    model = PromptModel(Models(torch.device("cuda")).fresh(still), toy_task("single"))
    examples = model.encode(toy_rows(model.task).train[:8])
    many = [example for example in examples for _ in range(256)]

    def loss(batch):  # a MiB for each example, and 2,048 of them at first
        ballast = torch.ones(len(batch.labels), 1 << 18, device="cuda", requires_grad=True)
        return model.loss(batch) + 0 * (ballast * ballast).sum()

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((1 << 30) / total)
    try:
        history = trainer.train(
            model,
            many,
            evaluate=lambda: 0.0,
            protocol=replace(toy_protocol(), max_steps=2, eval_every=2),
            lr=1e-3,
            batch_size=len(many),
            seed=7,
            loss=loss,
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    ((step, size),) = history.micro_batches
    assert (step, size < 1024) == (1, True)
