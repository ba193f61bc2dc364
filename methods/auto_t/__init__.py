"""Auto-T: templates that T5 writes for the train texts, the best of them by dev.

Gao, Fisch and Chen, 2021 (LM-BFF), section 5.2. T5 fills the two spans around each example's label
word (`methods/auto_t/beam.py`); a wide beam finds the texts that are likeliest for all training
examples at once. Each template is fine-tuned (rate 1e-5, batches of 8, as Auto-L's assignments) and
they are sorted by dev; `choose=zero-shot` sorts them by the untrained model's answers. The best is
trained by the protocol, as `prompt-ft` trains the task's own.

`generator` names the T5 (the paper's has 3B parameters). Generation sees train alone, the choice
dev alone; of equal dev scores the template that T5 finds likelier wins, which the paper leaves
open. Departs from the paper: its ensemble of 20 templates is left out, and a protocol of fewer than
1,000 updates fine-tunes fewer templates, in proportion. Regression is asked with the lower word up
to the middle of its bounds, the upper one above.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch

from fewbench.data.metrics import score
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.registry.named_inputs import NamedInput
from fewbench.registry.pretrained import backbone_kind
from fewbench.types import Count, ModelName, Positive, Predictor, Split, Task

from .beam import find_templates
from .model import FoundPromptModel

PAPER = "Gao, Fisch and Chen, 2021 (LM-BFF), section 5.2"
NEEDS = ("student", "words")
KINDS = ("single", "pair", "regression")
SEARCH = ("lr", "batch_size")
PRESETS = {"zero-shot": {"choose": "zero-shot"}, "logits": {"over": "logits"}}
TUNED = 100
"""Templates that are fine-tuned, unless it is set."""
LR, BATCH_SIZE = 1e-5, 8
"""The choice fine-tunes with these alone."""
SHOWN = 20
"""Templates that a record lists."""


class Candidate(NamedTuple):
    """A template and its score on dev."""

    template: str
    dev: float


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    generator: ModelName | None = None,
    beam: Count = 100,
    longest: Count = 20,
    over: Literal["probabilities", "logits"] = "probabilities",
    choose: Literal["tuned", "zero-shot"] = "tuned",
    tuned: Count | None = None,
    lr: Positive = 1e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Write templates, choose one by dev, and train with it.

    Raises:
        BenchError: the generator writes no template that the student can read.
    """
    named = _named(generator)
    count = tuned or kit.in_proportion(TUNED, BATCH_SIZE)
    how = f"templates of {named}, {beam} {longest} {over} {choose} {count}"

    def search() -> list[Candidate]:
        with torch.random.fork_rng():  # the first trial searches, and is to draw as the others do
            writer = kit.named_backbone(named).eval()
            found = find_templates(writer, task, split.train, beam=beam, longest=longest, over=over)
            if not found:
                raise BenchError(f"{named.name} writes no template for {task.full_name}")
            chosen = found if choose == "zero-shot" else found[:count]
            scored = [
                Candidate(text, _dev_score(task, split, kit, text, tune=choose == "tuned"))
                for text in chosen
            ]
        return sorted(scored, key=lambda candidate: -candidate.dev)

    found = kit.once(how, search)
    kit.notes["templates"] = [[text, round(dev, 6)] for text, dev in found[:SHOWN]]
    kit.notes["templates_scored"] = len(found)
    model = FoundPromptModel(kit.backbone("student"), task, template=found[0].template)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    return model


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a run without a generator, or with one that fills no spans."""
    named = _named(settings["generator"])
    kind = backbone_kind(named.model)
    if kind != "encoder-decoder":
        raise BenchError(
            f"the generator fills spans, and '{named.name}' is of the kind {kind}",
            allowed="T5",
            fix="--methods auto-t:generator=FOLDER",
        )


def _dev_score(task: Task, split: Split, kit: FitContext, template: str, *, tune: bool) -> float:
    """Score a template on dev: of a model tuned with it its best dev score, or of none."""
    torch.manual_seed(kit.seed)
    model = FoundPromptModel(kit.backbone("student"), task, template=template)
    if not tune:
        labels = [example.label for example in split.dev if example.label is not None]
        texts = [example.without_label() for example in split.dev]
        return score(task, labels, model.eval().predict(texts))[task.metric]
    history = kit.train(model, lr=LR, batch_size=BATCH_SIZE, carries=())
    for name in ("best_step", "curve", "losses"):
        del kit.notes[name]  # they are of the model that is returned in the end
    assert history.best_score is not None
    return history.best_score


def _named(generator: ModelName | None) -> NamedInput:
    if not isinstance(generator, NamedInput):
        raise BenchError(
            "this method needs a T5 that writes templates",
            allowed="a folder or a hub name of T5",
            fix="--methods auto-t:generator=FOLDER",
        )
    return generator
