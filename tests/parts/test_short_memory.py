"""Loops of their own halve the parts of a batch where memory is short, and give its gradient."""

from __future__ import annotations

import json
import shutil
from functools import partial
from itertools import cycle
from random import Random

import pytest
import torch
from conftest import make_t5

from fewbench.errors import BenchError
from fewbench.methods import autoprompt
from fewbench.methods.ppt import pretraining
from fewbench.methods.ppt.formats import form_task
from fewbench.methods.prompt_tuning import adaptation
from fewbench.nn import labelled_context
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.micro_batch import MicroBatches
from fewbench.nn.prompt import PromptModel
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_protocol, toy_rows, toy_task

CPU = torch.device("cpu")
BATCH, UPDATES = 6, 3


class Limited:
    """A function of some examples that has no memory for more than `most`."""

    def __init__(self, function, most, size=len):
        self.function, self.most, self.size, self.sizes = function, most, size, []

    def __call__(self, *given):
        self.sizes.append(self.size(given[-1]))
        if self.sizes[-1] > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.function(*given)


@pytest.fixture(scope="module")
def still(tiny_model, tmp_path_factory):
    """The tiny model without dropout."""
    folder = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return make_t5(tmp_path_factory.mktemp("t5"), steps=0)


def examples_of(batch):
    return len(batch.labels)


def labelled(folder, most, patch):
    """Train on labelled rows of another task; return what was trained, the notes, and the sizes."""
    ref = find_model(str(folder))
    world = labelled_context.LabelledContext(Models(CPU), toy_protocol(), 0, ref, ref)
    model = HeadModel(world.backbone("teacher"), toy_task("single"))
    limited = Limited(model.loss, most, examples_of)
    patch.setattr(model, "loss", limited)
    rows = toy_rows(model.task).train
    loss = world.train(model, rows, updates=UPDATES, batch_size=BATCH, lr=1e-3)
    return dict(model.named_parameters()), loss, world.notes, limited.sizes


def soft_prompt(folder, most, patch):
    """Pre-train a soft prompt."""
    backbone = Models(CPU).fresh(find_model(str(folder)))
    width = backbone.model.get_input_embeddings().embedding_dim
    model = SoftPromptModel(backbone, form_task("pair", backbone, 5), 0.02 * torch.randn(5, width))
    limited = Limited(model.scores_and_loss, most, examples_of)
    patch.setattr(model, "scores_and_loss", limited)
    rows = cycle(toy_rows(toy_task("pair")).train)
    told = pretraining.pretrain(model, rows, updates=UPDATES, batch_size=BATCH, lr=0.1)
    return {"soft": model.soft}, told["losses"] + told["accuracies"], told, limited.sizes


def language_model(folder, most, patch):
    """Train an encoder-decoder on as a language model."""
    backbone = Models(CPU).fresh(find_model(str(folder)))
    limited = Limited(adaptation.language_model_loss, most)
    patch.setattr(adaptation, "language_model_loss", limited)
    texts = [["the film was dull", "the plot was good"], ["a bad film , the acting good"]]
    drawn = adaptation.passages(lambda: texts, backbone.tokenizer, Random(0), length=7)
    told = adaptation.adapt(backbone, drawn, updates=UPDATES, batch_size=BATCH, lr=1e-3)
    losses = (told["first_loss"], told["last_loss"])
    return adaptation.weights(backbone), losses, told, limited.sizes


LOOPS = {labelled: labelled_context, soft_prompt: pretraining, language_model: adaptation}


def ran(loop, folder, most=99, size=None):
    """Run a loop from its start, with parts of a size; return also the first update's gradient."""
    gradients = []

    class Spied(MicroBatches):
        def gradient(self, model, loss, chosen, weights, **named):
            value = super().gradient(model, loss, chosen, weights, **named)
            gradients.append([None if w.grad is None else w.grad.clone() for w in weights])
            return value

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LOOPS[loop], "MicroBatches", lambda: Spied(size))
        trained, losses, told, sizes = loop(folder, most, patch)
    return {n: w.detach().clone() for n, w in trained.items()}, losses, told, sizes, gradients


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("most", "size"), [(3, 3), (2, 1)])
def test_a_halved_batch_has_the_gradient_of_the_whole(loop, most, size, still, t5):
    folder = t5 if loop is language_model else still
    with pytest.warns(UserWarning, match=f"examples at once were {size} from update 1; dropout"):
        halved, losses, told, sizes, gradients = ran(loop, folder, most)
    assert told["micro_batches"] == [[1, size]]
    wanted, smaller, plain, others, _ = ran(loop, folder, size=size)
    assert all(torch.equal(halved[name], wanted[name]) for name in wanted)
    assert losses == smaller
    assert "micro_batches" not in plain
    assert [n for n in sizes if n <= most] == others
    _, whole_losses, _, _, whole = ran(loop, folder)
    steepest = max(float(slope.abs().max()) for slope in whole[0] if slope is not None)
    assert steepest > 1e-6
    for slope, expected in zip(gradients[0], whole[0], strict=True):
        torch.testing.assert_close(slope, expected, rtol=0, atol=1e-3 * steepest)
    assert losses == pytest.approx(whole_losses, abs=1e-3)


def test_one_example_too_many_is_one_clear_error(still):
    with pytest.raises(BenchError, match="memory is too small for an update by one example"):
        ran(soft_prompt, still, most=0)


def test_a_part_that_counts_for_nothing_is_left_out():
    parts, seen = MicroBatches(2), []

    def part(rows, share):
        seen.append((rows, share))
        return torch.tensor(share)

    total = parts.total(part, "abcdef", update=1, counts=[1, 0, 0, 0, 2, 1])
    assert (float(total), seen) == (1.0, [("ab", 0.25), ("ef", 0.75)])


def test_autoprompt_exchanges_the_same_triggers_in_parts(still, monkeypatch):
    found, rows = [], toy_rows(toy_task("single")).train
    whole = autoprompt.TriggerModel.log_likelihood
    for most in (99, 2):
        limited = Limited(whole, most, examples_of)
        backbone = Models(CPU).fresh(find_model(str(still))).requires_grad_(False)
        placed = autoprompt.placed(toy_task("single"), 3)
        model = autoprompt.TriggerModel(backbone, *placed, ((20, 21), (22,), (23,))).eval()
        parts, encoded = MicroBatches(), model.encode(rows)
        with monkeypatch.context() as patch:
            patch.setattr(model, "log_likelihood", partial(limited, model))
            for step in (1, 2, 3):
                first, second = encoded[step : step + 7], encoded[step + 7 : step + 15]
                autoprompt.exchange(model, first, second, step - 1, 5, parts, step)
        found.append(model.prompt.ids.tolist())
    assert found[0] == found[1] != [backbone.tokenizer.mask_token_id] * 3
    assert parts.changes == [(1, 1)] and limited.sizes[:3] == [7, 3, 1]


def test_autoprompt_tells_of_its_parts(still, monkeypatch):
    job = toy_job(methods()["autoprompt"], still, settings={"labels": "words", "batch_size": 8})
    limited = Limited(autoprompt.TriggerModel.log_likelihood, 4, examples_of)
    monkeypatch.setattr(autoprompt.TriggerModel, "log_likelihood", lambda *given: limited(*given))
    record, _ = run_job(job, None)
    assert (record.error, record.details["micro_batches"]) == (None, [[1, 3]])
    assert any("examples at once were 3 from update 1" in line for line in record.warnings)


def test_a_search_of_label_words_halves_its_trainings(still, tmp_path, monkeypatch):
    job = toy_job(methods()["auto-l"], still, settings={"tuned": 1, "tune": True, "batch_size": 4})
    whole = PromptModel.loss
    limited = Limited(whole, 3, examples_of)
    monkeypatch.setattr(PromptModel, "loss", lambda *given: limited(*given))
    record, _ = run_job(job, Artifacts(tmp_path))
    assert record.error is None
    assert record.details["micro_batches"] == [[1, 2]]
    assert len([line for line in record.warnings if "examples at once were" in line]) == 2


def test_trainings_of_what_trials_share_keep_no_checkpoint(still):
    """A trial that finds the outcome must count the same trainings as the one that computes it."""
    job = toy_job(methods()["prompt-ft"], still)
    kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
    kit._checkpoints = checkpoints = NoneKept()

    def train():
        model = PromptModel(kit.backbone("student"), job.task)
        return kit.train(model, lr=1e-3, batch_size=4, carries=())

    assert kit.once("a training", train).best_step
    assert kit._checkpoints is checkpoints
    with pytest.raises(NotImplementedError):
        train()


class NoneKept:
    """Checkpoints of a run that nothing may ask for."""

    def next_training(self):
        raise NotImplementedError
