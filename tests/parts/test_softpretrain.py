"""Pre-training of soft prompts: the labels, the loss and the updates by hand, and the model that
does not move.
"""

from __future__ import annotations

import math
from itertools import cycle, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.ppt import annotator
from fewbench.methods.ppt.annotator import Annotator, itself, pseudo_labelled, surest
from fewbench.methods.ppt.formats import form_task, option_rooms
from fewbench.methods.ppt.pretraining import draw, pretrain, stream
from fewbench.nn.fit_context import Models
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.registry.pretrained import find_model
from fewbench.types import Example

P = 5


@pytest.fixture(params=["bert", "t5"])
def backbone(request, tiny):
    folder = request.getfixturevalue("tiny_t5") if request.param == "t5" else tiny(request.param)
    return Models(torch.device("cpu")).fresh(find_model(str(folder)))


@pytest.fixture
def model(backbone):
    width = backbone.model.get_input_embeddings().embedding_dim
    prompt = torch.randn(P, width, generator=torch.Generator().manual_seed(2))
    return SoftPromptModel(backbone, form_task("pair", backbone, P), prompt)


PAIRS = [Example(f"{n}", (f"the cat sat {'abc'[n]}", "a dog was bad"), n) for n in range(3)]


@pytest.fixture
def still(model, monkeypatch):
    """The model without dropout, so that its loss can be computed again."""
    model.eval()
    monkeypatch.setattr(model, "train", lambda *_: model)
    return model


def test_two_updates_by_hand(still):
    """Equation 2: -log p of the label word; clipped Adam with decay 0.01 at lr and lr / sqrt(2)."""
    model = still
    value, lr = model.soft.detach().clone(), 0.1
    first, second = torch.zeros_like(value), torch.zeros_like(value)
    losses = []
    for update in (1, 2):
        model.soft.data.copy_(value)
        model.soft.grad = None
        scores = model(model.collate(model.encode(PAIRS)))
        rows = [
            -math.log(math.exp(row[label]) / sum(map(math.exp, row)))
            for label, row in enumerate(scores.tolist())
        ]
        losses.append(sum(rows) / 3)
        (sum(row.exp().sum().log() - row[label] for label, row in enumerate(scores)) / 3).backward()
        slope = model.soft.grad * min(1.0, 1 / (float(model.soft.grad.norm()) + 1e-6))
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        step = (first / (1 - 0.9**update)) / ((second / (1 - 0.999**update)).sqrt() + 1e-8)
        value = value * (1 - lr / math.sqrt(update) * 0.01) - lr / math.sqrt(update) * step
    model.soft.data.copy_(torch.randn(model.soft.shape, generator=torch.Generator().manual_seed(2)))
    told = pretrain(model, cycle(PAIRS), updates=2, batch_size=3, lr=lr)
    torch.testing.assert_close(model.soft.data, value, atol=2e-5, rtol=1e-4)
    assert told["losses"] == pytest.approx(losses, abs=1e-4)


def test_the_prompt_alone_moves_and_the_loss_falls(still):
    before = {name: p.clone() for name, p in still.named_parameters()}
    told = pretrain(still, cycle(PAIRS[1:2]), updates=40, batch_size=4, lr=0.1)
    moved = [name for name, p in still.named_parameters() if not torch.equal(p, before[name])]
    assert moved == ["soft"]
    assert told["updates"] == 40 and len(told["losses"]) == len(told["accuracies"]) == 10
    assert told["losses"][-1] < told["losses"][0]


def test_pretraining_drops_out_and_tuning_starts_without(model):
    modes = []
    model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    pretrain(model, cycle(PAIRS), updates=2, batch_size=3, lr=0.1)
    assert modes == [True, True] and not model.training


def test_a_loss_that_is_no_number_stops_it(model):
    with pytest.raises(BenchError, match="at update 1"):
        model.soft.data.fill_(float("nan"))
        pretrain(model, cycle(PAIRS), updates=2, batch_size=3, lr=0.1)


def test_examples_are_forgotten(model):
    pretrain(
        model,
        (Example(f"{n}", (f"cat {n}", "dog"), 0) for n in range(100)),
        updates=3,
        batch_size=4,
        lr=0.1,
    )
    assert not any(model.backbone.encodings.values())


def test_the_surest_of_each_label_by_hand():
    """Log-odds 0.405, 2.197, 0.847, 1.386, their mean 1.209: rows 1 and 3 are of label 0, rows 0
    and 2 of label 1.
    """
    scores = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [0.8, 0.2]]).log()
    assert surest(scores, 1.0) == [(0, 1), (1, 0), (2, 1), (3, 0)]
    assert surest(scores, 0.5) == [(0, 1), (1, 0)]
    assert surest(scores, 0.1) == [(0, 1), (1, 0)]  # one at least
    assert surest(scores[:1], 1.0) == [(0, 0)]


def test_pseudo_labels_are_the_annotators(monkeypatch):
    monkeypatch.setattr(annotator, "LABELLED_AT_ONCE", 4)
    shares = {"a": (0.6, 0.4), "b": (0.9, 0.1), "c": (0.7, 0.3), "d": (0.8, 0.2)}
    forgot = []

    class Asked:
        def predict(self, examples):
            return SimpleNamespace(
                array=np.array([shares[e.texts[0]] for e in examples], np.float32)
            )

        def forget(self):
            forgot.append(True)

    def halves(probabilities):
        return surest(probabilities.log(), 0.5)

    drawn = (Example(f"{n}", (text,)) for n, text in enumerate(cycle("abcd")))
    made = list(islice(pseudo_labelled(drawn, Annotator(Asked(), halves)), 4))
    assert [(e.id, e.texts[0], e.label) for e in made] == [
        ("0", "a", 1),
        ("1", "b", 0),
        ("4", "a", 1),
        ("5", "b", 0),
    ]
    assert len(forgot) == 2


def test_the_annotator_is_asked_by_the_hard_prompt(backbone):
    model = itself(form_task("single", backbone, P), backbone).model
    assert model.task.template == "{0} It was {mask}." and not model.training
    assert [words[0] for words in model.task.words] == ["terrible", "bad", "maybe", "good", "great"]


def documents():
    return [
        [f"the cat sat on the mat {s} {d} and the dog was very bad" for s in range(8)]
        for d in range(6)
    ]


@pytest.mark.parametrize("kind", ["choice", "unified"])
def test_options_are_cut_to_their_room(backbone, kind):
    width = backbone.model.get_input_embeddings().embedding_dim
    model = SoftPromptModel(backbone, form_task(kind, backbone, 100), torch.zeros(100, width))
    most = len(model.task.labels)
    rooms = option_rooms(kind, model.hard)
    whole = islice(draw(kind, documents, most, 1), 20)
    cut = list(islice(stream(kind, draw(kind, documents, most, 1), model.hard, None), 20))
    for before, after in zip(whole, cut, strict=True):
        assert (before.id, before.texts, before.label) == (after.id, after.texts, after.label)
        for long, short in zip(before.options, after.options, strict=True):
            assert long.startswith(short) and short
            tokens = len(backbone.tokenizer(short, add_special_tokens=False)["input_ids"])
            assert 1 <= tokens <= rooms[len(after.options)]
    assert all(e.length <= model.task.max_length for e in model.hard.encode(cut))


def test_what_each_kind_draws():
    assert next(draw("pair", documents, 3, 1)).label in (0, 1, 2)
    assert len(next(draw("choice", documents, 6, 1)).options) == 6
    assert {len(e.options) for e in islice(draw("unified", documents, 16, 1), 300)} == set(
        range(2, 17)
    )
    single = next(draw("single", documents, 5, 1))
    assert len(single.texts) == 1 and single.label is None
