"""Every family from a folder to records of a real task; run with `-m slow -s`, which prints a table.

The models are random, of two layers of width 16, with the embedded models' tokenizer: so what
counts is that they load, score as transformers does, train and are recorded, not how well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from conftest import make_model
from families import CAUSAL, INFILLING, MASKED

from fewbench import run
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.general import GeneralBackbone
from fewbench.nn.kinds import open_backbone
from fewbench.registry.pretrained import find_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]

PACKED = ("albert", "bert", "distilbert", "electra", "roberta")
LENGTHS = (24, 9, 31, 17, 40, 12, 28, 21)
ROUNDS = 20


class Row(NamedTuple):
    """What was seen of a family."""

    family: str
    view: str
    parity: float
    ft: float
    prompt_ft: float
    ratio: float | None


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    found: list[Row] = []
    yield found
    print("\n\n| family | view | parity | ft | prompt-ft | general / packed |")
    print("|---|---|---|---|---|---|")
    for row in found:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        print(
            f"| {row.family} | {row.view} | {row.parity:.0e} | {row.ft:.1f} | {row.prompt_ft:.1f} "
            f"| {ratio} |"
        )


def batch_of(model: Backbone, family: str) -> tuple[list[Tokens], Any]:
    draw = torch.Generator().manual_seed(1)
    found = []
    for number, length in enumerate(LENGTHS):
        ids = torch.randint(5, 8000, (length,), generator=draw).tolist()
        read = length - 1 if family in CAUSAL else number % 8
        ids[read] = 50 if family in CAUSAL else model.tokenizer.mask_token_id
        found.append(Tokens(tuple(ids), (0,) * length, read))
    return found, collate([Encoded((each,), None) for each in found], torch.device("cpu"))


@torch.no_grad()
def parity(model: Backbone, family: str) -> float:
    """Return the largest difference from transformers' own scores, sequence by sequence."""
    tokens, batch = batch_of(model, family)
    return max(
        float((scores - model.model(torch.tensor([each.ids])).logits[0, each.read]).abs().max())
        for each, scores in zip(tokens, model.vocabulary_scores(batch), strict=True)
    )


def seconds(work: Callable[[], Any]) -> float:
    work()
    began = time.process_time()
    for _ in range(ROUNDS):
        work()
    return time.process_time() - began


def slowness(model: Backbone, family: str) -> float:
    """Return the time of the general view of a packed model, in times of its own view's."""
    general = GeneralBackbone(model.model, model.tokenizer, model.ref)
    _, batch = batch_of(model, family)
    with torch.no_grad():
        return seconds(partial(general.read, batch)) / seconds(partial(model.read, batch))


@pytest.mark.parametrize("family", [*PACKED, *MASKED, *INFILLING, *CAUSAL])
def test_a_family_from_its_folder_to_records(tmp_path, family, rows):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(find_model("fewbench-micro").path)
    folder = make_model(family, tmp_path / family, tokenizer)
    model = open_backbone(find_model(str(folder))).eval()
    view = "general" if isinstance(model, GeneralBackbone) else "packed"
    assert view == ("packed" if family in PACKED else "general")
    difference = parity(model, family)
    assert difference < 2e-5
    records = run(
        ["ft", "prompt-ft"],
        "demo-sentiment",
        student=str(folder),
        results=tmp_path / "results",
        seeds=13,
    )
    assert [record.status for record in records] == ["ok", "ok"]
    scores = {record.run.method: 100 * (record.score or 0.0) for record in records}
    ratio = slowness(model, family) if view == "packed" else None
    rows.append(Row(family, view, difference, scores["ft"], scores["prompt-ft"], ratio))
