"""A GPU gives the answers of a processor: untrained, trained in float32, and nearly so in bfloat16."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.nn import trainer
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.prompt import PromptModel
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_protocol, toy_rows, toy_task

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
def test_in_float32(still, of, updates, monkeypatch):
    monkeypatch.setattr(trainer, "_mixed_precision", lambda model: nullcontext())
    found, wanted = (answers(still, of, device, updates) for device in ("cuda", "cpu"))
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("of", [HeadModel, PromptModel])
def test_in_bfloat16(still, of):
    found, wanted, untrained = (
        answers(still, of, *how) for how in (("cuda", 20), ("cpu", 20), ("cpu", 0))
    )
    assert np.abs(found - wanted).max() < 0.1 * max(0.1, np.abs(wanted - untrained).max())
