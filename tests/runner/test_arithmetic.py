"""Runs in bfloat16 and with eager attention: near the usual numbers, and never in one cell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

import fewbench
from fewbench.errors import BenchError
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.refs import USUAL
from fewbench.registry.arithmetic import arithmetic_of
from fewbench.registry.pretrained import find_model
from fewbench.report.tables.blocks import build
from fewbench.runner.products import computing
from fewbench.runner.toys import toy_task
from fewbench.store.selector import find_run
from fewbench.store.store import Store
from fewbench.types import Arithmetic, Example

HALF = Arithmetic("bfloat16")
EXAMPLES = [
    Example("a", ("the movie was dull and boring",), 0),
    Example("b", ("wonderful acting",), 1),
]


@pytest.mark.parametrize("how", [HALF, Arithmetic(attention="eager")])
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_both_views_compute_nearly_the_same(tiny, family: str, how: Arithmetic):
    model = prompt_model(open_backbone(find_model(str(tiny(family)))), toy_task("single")).eval()
    found = []
    for arithmetic in (USUAL, how):
        model.zero_grad()
        with computing(arithmetic):
            scores = model(model.collate(model.encode(EXAMPLES)))
            F.cross_entropy(scores, torch.tensor([0, 1])).backward()
        gradient = torch.cat(list(_gradients(model)))
        assert scores.dtype == gradient.dtype == torch.float32
        found.append((scores.detach(), gradient))
    (scores, gradient), (near, near_gradient) = found
    tolerance = 2e-2 if how == HALF else 1e-4
    torch.testing.assert_close(near, scores, rtol=tolerance, atol=tolerance)
    assert F.cosine_similarity(near_gradient, gradient, dim=0) > 0.999
    assert how != HALF or not torch.equal(near, scores)


def _gradients(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    return (each.grad.flatten() for each in model.parameters() if each.grad is not None)


def test_products_are_those_of_rounded_numbers():
    inputs, weight = torch.randn(3, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    with computing(HALF):
        product = F.linear(inputs, weight)
        product.sum().backward()
    exact = inputs.bfloat16().double() @ weight.bfloat16().double().T
    torch.testing.assert_close(product.double(), exact.bfloat16().double(), rtol=1e-2, atol=1e-2)
    assert product.dtype == weight.grad.dtype == torch.float32
    torch.testing.assert_close(F.linear(inputs, weight), inputs @ weight.T)  # and no longer


def test_a_run_states_its_arithmetic_and_has_a_cell_of_its_own(tmp_path, tiny_model):
    results = tmp_path / "results"
    given = {"student": str(tiny_model), "results": results, "offline": True, "k": 2, "seeds": 13}
    for how in ({}, {"dtype": "bfloat16"}, {"dtype": "bfloat16", "attention": "eager"}):
        (record,) = fewbench.run("ft:lr=1e-3,batch_size=2", "demo-sentiment", **given, **how)
        assert record.status == "ok", record.error
        assert record.run.arithmetic == Arithmetic(**how)
    records = list(Store(results).summaries())
    assert len({record.run.key for record in records}) == 3
    names = ["", "bfloat16", "bfloat16, eager attention"]
    blocks = build(records, {}, {})
    assert [block.terms.arithmetic for block in blocks] == names
    assert [cell.n for block in blocks for cell in block.cells.values()] == [1, 1, 1]
    frame = fewbench.results(results)
    with pytest.raises(BenchError, match="arithmetic"):
        fewbench.table(frame)
    store = Store(results)
    assert find_run(store, "ft/demo-sentiment").run.arithmetic == USUAL
    assert find_run(store, "ft/dtype=bfloat16/attention=sdpa").run.arithmetic == HALF


@pytest.mark.parametrize(("dtype", "attention"), [("float16", "sdpa"), ("float32", "flash")])
def test_an_arithmetic_that_is_none_is_refused(dtype: str, attention: str):
    with pytest.raises(BenchError, match=r"--(dtype|attention) is '(float16|flash)'") as caught:
        arithmetic_of(dtype, attention)
    assert "bfloat16" in str(caught.value) or "eager" in str(caught.value)
