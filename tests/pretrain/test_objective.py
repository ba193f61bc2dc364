"""The losses against the model's own forward pass and DistilBERT's equation written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import make_model
from transformers import AutoModelForMaskedLM

from fewbench.errors import ModelError
from fewbench.pretrain.objective import Masked, check_teacher, distillation, masked_words, states_at
from fewbench.pretrain.recipe import Recipe


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(5, 40, (3, 12)))
    places = torch.tensor([1, 7, 13, 30, 35])
    return Masked(ids, places, torch.tensor([9, 8, 7, 6, 5]))


@pytest.fixture(params=["bert", "roberta", "distilbert", "albert", "electra"])
def model(request, tiny):
    return AutoModelForMaskedLM.from_pretrained(tiny(request.param)).eval()


def own_outputs(model, rows):
    outputs = model(rows.ids, output_hidden_states=True)
    return (
        tensor.flatten(0, 1)[rows.places] for tensor in (outputs.hidden_states[-1], outputs.logits)
    )


def test_masked_words_is_the_models_own_loss_and_gradient(model, rows):
    states, scores = own_outputs(model, rows)
    assert torch.allclose(states_at(model, rows), states, atol=1e-5)
    wanted = torch.nn.functional.cross_entropy(scores, rows.answers)
    wanted_gradients = torch.autograd.grad(wanted, list(model.parameters()), allow_unused=True)
    loss, terms = masked_words(model, rows)
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert terms["loss"] == pytest.approx(wanted.item(), abs=1e-5)
    for gradient, expected in zip(gradients, wanted_gradients, strict=True):
        if expected is not None and gradient is not None:
            assert torch.allclose(gradient, expected, atol=1e-5)
        else:
            assert gradient is None or not gradient.any()
            assert expected is None or not expected.any()


def test_words_around_have_their_share_of_each_answer_by_hand(tiny, rows):
    model = AutoModelForMaskedLM.from_pretrained(tiny("bert")).eval()
    vocabulary = model.config.vocab_size
    around = torch.zeros(3, vocabulary)
    around[0, [20, 21]] = torch.tensor([0.1, 0.3])  # the second row has no words around it
    around[2, 22] = 0.4
    with torch.no_grad():
        loss, terms = masked_words(model, rows._replace(around=around))
        log = list(own_outputs(model, rows))[1].log_softmax(-1).numpy()
    words = [-log[i, answer] for i, answer in enumerate(rows.answers.tolist())]
    first = [0.6 * words[i] - 0.1 * log[i, 20] - 0.3 * log[i, 21] for i in (0, 1)]  # places 1, 7
    last = [0.6 * words[i] - 0.4 * log[i, 22] for i in (3, 4)]  # places 30, 35
    assert float(loss) == pytest.approx((sum(first) + words[2] + sum(last)) / 5, rel=1e-5)
    assert terms == pytest.approx({"loss": np.mean(words), "answers": float(loss)}, rel=1e-5)


def test_distilberts_three_losses_by_hand(tiny, tmp_path, rows):
    student = AutoModelForMaskedLM.from_pretrained(tiny("bert")).eval()
    teacher = AutoModelForMaskedLM.from_pretrained(make_model("bert", tmp_path)).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.1)
        recipe = Recipe(temperature=2.0, soft=5.0, hard=2.0, hidden=1.0)
        total, terms = distillation(teacher, recipe)(student, rows)
        h_s, z_s = own_outputs(student, rows)
        h_t, z_t = own_outputs(teacher, rows)
    soft = hard = hidden = 0.0
    for i, answer in enumerate(rows.answers):
        p = torch.exp(z_t[i] / 2) / torch.exp(z_t[i] / 2).sum()
        q = torch.exp(z_s[i] / 2) / torch.exp(z_s[i] / 2).sum()
        soft += float((p * (p / q).log()).sum()) * 4 / 5
        hard += float(-(torch.exp(z_s[i, answer]) / torch.exp(z_s[i]).sum()).log()) / 5
        hidden += float(1 - (h_s[i] @ h_t[i]) / h_s[i].norm() / h_t[i].norm()) / 5
    assert terms == pytest.approx(
        {"loss": hard, "soft": soft, "hidden": hidden}, rel=1e-4, abs=1e-6
    )
    assert float(total) == pytest.approx(5 * soft + 2 * hard + hidden, rel=1e-4)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_teachers_that_do_not_fit(tiny):
    student, teacher = (AutoModelForMaskedLM.from_pretrained(tiny("bert")) for _ in range(2))
    check_teacher(teacher, student, Recipe())
    teacher.config.hidden_size = 32
    with pytest.raises(ModelError, match="32 wide and the student 16"):
        check_teacher(teacher, student, Recipe())
    check_teacher(teacher, student, Recipe(hidden=0.0))
    teacher.cls.predictions.decoder.out_features = 7
    with pytest.raises(ModelError, match="vocabulary has 7 tokens"):
        check_teacher(teacher, student, Recipe(hidden=0.0))
