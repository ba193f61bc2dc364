"""The training loop: checkpoints, steps, schedule, micro-batches, and updates against an
independent trainer.
"""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from fewbench.data.split import make_split
from fewbench.errors import BenchError
from fewbench.nn import trainer
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.prompt import PromptModel
from fewbench.nn.trainer import train
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_protocol, toy_rows, toy_task

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def still(tiny_model, tmp_path_factory) -> Path:
    """The tiny model without dropout."""
    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("still") / "model"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def fresh(folder, kind="single", of=PromptModel):
    torch.manual_seed(0)
    return of(Models(CPU).fresh(find_model(str(folder))), toy_task(kind))


def parameters(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def run(model, protocol=None, *, scores=(), lr=1e-3, batch_size=4, seed=7, watch=None, **options):
    """Train on twelve toy examples; `evaluate` gives `scores` in turn, then 0, and `watch` hears of
    each call.
    """
    script = iter(scores)

    def evaluate() -> float:
        if watch:
            watch(model)
        return next(script, 0.0)

    protocol = protocol or toy_protocol()
    examples = model.encode(toy_rows(model.task).train[:12])
    return train(
        model,
        examples,
        evaluate=evaluate,
        protocol=protocol,
        lr=lr,
        batch_size=batch_size,
        seed=seed,
        **options,
    )


def protocol_of(steps, every, **changes):
    from dataclasses import replace

    return replace(toy_protocol(**changes), max_steps=steps, eval_every=every)


def words(model) -> torch.Tensor:
    return model.backbone.model.get_input_embeddings().weight.detach().clone()


@pytest.mark.parametrize(
    ("tie", "scores", "best"),
    [
        ("first", [0.1, 0.5, 0.3, 0.5, 0.4], 2),
        ("last", [0.1, 0.5, 0.3, 0.5, 0.4], 4),
        ("first", [0.2] * 5, 1),
        ("last", [0.2] * 5, 5),
        ("first", [-0.3, -0.2, -0.4, -0.9, -0.5], 2),
        ("first", [0.1, 0.2, 0.3, 0.4, 0.5], 5),
    ],
)
def test_the_best_checkpoint_is_restored(tiny_model, tie, scores, best):
    model = fresh(tiny_model)
    seen = []
    layers = "backbone.model.bert.encoder.layer.0.output.dense.weight"
    history = run(
        model,
        protocol_of(10, 2, checkpoint_tie=tie),
        scores=scores,
        watch=lambda model: seen.append((parameters(model)[layers], words(model))),
    )
    assert (history.best_step, history.best_score) == (2 * best, scores[best - 1])
    assert history.curve == [(2 * (i + 1), score) for i, score in enumerate(scores)]
    assert all(not torch.equal(a, b) for (a, _), (b, _) in pairwise(seen))
    assert torch.equal(parameters(model)[layers], seen[best - 1][0])
    used = {t for e in model.encode(toy_rows(model.task).train[:12]) for t in e.sequences[0].ids}
    token = sorted(used)[5]
    assert not torch.equal(words(model)[token], words(fresh(tiny_model))[token])
    assert not model.training


@pytest.mark.parametrize(
    ("steps", "every", "evaluated"),
    [(10, 5, [5, 10]), (7, 3, [3, 6, 7]), (2, 100, [2]), (3, 1, [1, 2, 3])],
)
def test_the_number_of_updates_and_evaluations(tiny_model, monkeypatch, steps, every, evaluated):
    updates = []
    update = trainer.MicroBatches.gradient
    monkeypatch.setattr(
        trainer.MicroBatches,
        "gradient",
        lambda *given, **named: updates.append(len(given[3])) or update(*given, **named),
    )
    history = run(fresh(tiny_model), protocol_of(steps, every), batch_size=5)
    assert updates == ([5, 5, 2] * 4)[:steps]
    assert [step for step, _ in history.curve] == evaluated
    assert len(history.losses) == len(evaluated)


def test_updates_are_made_in_training_mode_with_dropout(tiny_model):
    model, modes = fresh(tiny_model), []

    def loss(batch):
        modes.append(model.training and model.backbone.training)
        return model.loss(batch)

    run(model, loss=loss, watch=lambda model: model.predict(toy_rows(model.task).train[:12]))
    assert modes == [True] * 3


@pytest.mark.parametrize(
    ("changes", "factors"),
    [
        ({}, [1.0, 0.75, 0.5, 0.25]),
        ({"warmup_steps": 2}, [0.0, 0.5, 1.0, 0.5]),
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "constant", "warmup_steps": 2}, [0.0, 0.5, 1.0, 1.0]),
    ],
)
def test_the_learning_rate_of_each_update(tiny_model, monkeypatch, changes, factors):
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *a: rates.append(self.param_groups[0]["lr"]) or step(self, *a),
    )
    run(fresh(tiny_model), protocol_of(4, 4, **changes), lr=0.01)
    assert rates == pytest.approx([0.01 * factor for factor in factors])


@pytest.mark.parametrize("kind", ["single", "regression"])
@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_give_the_whole_batchs_updates(still, kind, micro_batch):
    after = []
    for size in (None, micro_batch):
        model = fresh(still, kind, HeadModel)
        history = run(model, batch_size=8, micro_batch=size)
        after.append((parameters(model), history.losses))
    for name, value in after[0][0].items():
        if not name.endswith("key.bias"):  # gradient zero but for rounding, which Adam blows up
            torch.testing.assert_close(after[1][0][name], value, atol=1e-5, rtol=1e-4, msg=name)
    assert after[0][1] == pytest.approx(after[1][1], abs=1e-5)


class Calls:
    """A loss of the model's own that counts how often it is called."""

    def __init__(self, model):
        self.model, self.sizes = model, []

    def __call__(self, batch):
        self.sizes.append(len(batch.labels))
        return self.model.loss(batch)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(("carried", "sizes"), [(True, [4] * 3), (False, [1] * 12)])
def test_a_loss_that_counts_its_calls_is_called_once_an_update(tiny_model, carried, sizes):
    """By the protocol's micro-batches its schedule would run ahead of the training."""
    model = fresh(tiny_model)
    loss = Calls(model)
    carries = [loss] if carried else ()
    run(model, protocol_of(3, 3, micro_batch=1), loss=loss, carries=carries)
    assert loss.sizes == sizes


@pytest.mark.parametrize("lr", [1e20, float("inf")])
def test_a_diverging_loss_is_an_error(tiny_model, lr):
    with pytest.raises(BenchError, match=r"training diverged: the loss is (nan|inf) at step 4"):
        run(fresh(tiny_model), protocol_of(4, 4), lr=lr)


def test_the_backbone_is_whole_again_after_an_error(tiny_model):
    model = fresh(tiny_model)
    with pytest.raises(BenchError):
        run(model, protocol_of(4, 4), lr=float("inf"))
    assert type(model.backbone.model.get_input_embeddings()) is torch.nn.Embedding


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tiny_model):
    after = []
    for seed in (7, 7, 8):
        model = fresh(tiny_model)
        torch.manual_seed(seed)
        run(model, seed=seed)
        after.append(parameters(model))
    assert same(after[0], after[1])
    assert not same(after[0], after[2])


def test_clipping(still):
    """Plain clipping by the norm of all gradients: a tiny bound changes Adam's first update through
    its epsilon.
    """
    norms = []

    def after(bound):
        model = fresh(still)
        run(model, protocol_of(1, 1, max_grad_norm=bound))
        return parameters(model)

    clip = torch.nn.utils.clip_grad_norm_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch.nn.utils,
            "clip_grad_norm_",
            lambda p, bound: norms.append((float(clip(p, bound)), bound)),
        )
        wide, narrow = after(1e9), after(1e-8)
    assert [bound for _, bound in norms] == [1e9, 1e-8] and norms[0][0] > 0
    assert not same(wide, narrow)


def test_weight_decay_moves_matrices_and_no_biases(still):
    """With a loss that is nothing, only decay moves a weight."""
    model = fresh(still)
    before = parameters(model)
    loss = lambda batch: 0.0 * sum(p.sum() for p in model.parameters())  # noqa: E731
    run(
        model,
        protocol_of(1, 1, weight_decay=0.5, schedule="constant"),
        lr=0.1,
        loss=loss,
        whole_vocabulary=True,
    )
    for name, value in parameters(model).items():
        torch.testing.assert_close(
            value, before[name] * (1 - 0.05 if value.ndim > 1 else 1), msg=name
        )


@pytest.mark.parametrize("kind", ["single", "regression"])
def test_prompt_fine_tuning_against_an_independent_loop(still, kind):
    """Fifteen lines with transformers' own forward pass, padding and the whole vocabulary; dropout
    is zero.
    """
    steps, lr, size, seed = 6, 1e-3, 4, 13
    model = fresh(still, kind)
    rows = toy_rows(model.task).train[:12]
    protocol = protocol_of(steps, steps)
    history = run(model, protocol, lr=lr, batch_size=size, seed=seed)

    pretrained = Models(CPU).fresh(find_model(str(still)))
    own, tokenizer = pretrained.model.train(), pretrained.tokenizer
    words = tokenizer.convert_tokens_to_ids([w[0] for w in model.task.words])
    optimizer = torch.optim.AdamW(own.parameters(), lr=lr, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    order = [i for _ in range(2) for i in torch.randperm(12, generator=generator).tolist()]
    losses = []
    for step in range(steps):
        chosen = [rows[i] for i in order[step * size : step * size + size]]
        prompts = [f"{e.texts[0]} It was [MASK]." for e in chosen]
        given = tokenizer(prompts, return_tensors="pt", padding=True, split_special_tokens=False)
        logits = own(**given).logits[given["input_ids"] == tokenizer.mask_token_id][:, words]
        gold = torch.tensor([e.label for e in chosen])
        loss = F.cross_entropy(logits, gold) if kind == "single" else own_kl(logits, gold / 5)
        losses.append(float(loss.detach()))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()

    assert history.losses == pytest.approx([sum(losses) / steps], abs=1e-5)
    ours = dict(model.backbone.model.named_parameters())
    start = dict(fresh(still, kind).backbone.model.named_parameters())
    moved = 0
    for name, theirs in own.named_parameters():
        if name.endswith("key.bias"):  # gradient zero but for rounding, which Adam blows up
            continue
        apart = (ours[name] - theirs).abs()
        # Adam makes a full step of a gradient that is zero but for rounding: a few single weights
        # may differ so.
        assert (apart > 1e-5).float().mean() <= 0.1 and apart.max() <= lr * steps, (name, apart)
        moved += not torch.allclose(start[name], theirs, atol=1e-4)
    assert moved > 20


def own_kl(logits, share):
    gold, log_p = torch.stack([1 - share, share], 1), logits.log_softmax(1)
    return (torch.special.xlogy(gold, gold) - gold * log_p).sum(1).mean()


def test_the_kit_trains_by_dev_score_and_notes_it(tiny_model):
    task = toy_task("single")
    split = make_split(task, toy_rows(task), 2, 13)
    ref = find_model(str(tiny_model))
    kit = FitContext(task, split, protocol_of(4, 2), 13, Models(CPU), ref)
    model = PromptModel(kit.backbone("student"), task)
    history = kit.train(model, lr=1e-3, batch_size=4)
    assert [step for step, _ in history.curve] == [2, 4]
    assert kit.notes["best_step"] == history.best_step
    assert kit.notes["curve"] == [[step, round(score, 6)] for step, score in history.curve]
    answers = model.predict(split.dev).answers
    assert (
        history.best_score == sum(a == e.label for a, e in zip(answers, split.dev, strict=True)) / 6
    )
    with pytest.raises(BenchError, match="asked for a teacher it does not name"):
        kit.backbone("teacher")


def test_backbones_of_two_trials_share_no_weights(tiny_model):
    ref, models = find_model(str(tiny_model)), Models(CPU)
    first = PromptModel(models.fresh(ref), toy_task("single"))
    before = parameters(models.fresh(ref))
    run(first)
    assert same(before, parameters(models.fresh(ref)))
