"""PPT: prompt tuning from soft prompts pre-trained on a corpus, once per format of task.

ppt, section 3. Sentence pairs start from next-sentence prediction (eq. 3), choices from selecting
the next of six sentences (eq. 4), single texts from sentences with pseudo labels (eq. 5); tasks are
read in the same form, with its words. `hybrid` reads the hard prompts of appendix D (Table 1)
behind the same soft one, or the one that `--template` names. `unified` casts every task into a
choice among its labels and starts from choices of 2 to 16 sentences (section 3.3). `chinese` has
the forms of appendix B.

Departs from the paper: the backbone itself labels sentences, asked by the hard prompt (each word's
scores less their mean, the surest half of each label), in place of a RoBERTa trained on reviews.
Options are cut where positions are few. Probabilities in the loss are over label words; the preset
`paper` has them over the vocabulary, as equations 1 and 2 and the code do, in pre-training and in
tuning. The random start is prompt-tuning's. Updates are those at which the code takes its prompts,
of a run of 200,000.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext, PrepareContext
from fewbench.nn.soft_prompt import SoftPromptModel, initial_prompt
from fewbench.types import Count, Natural, Positive, Predictor, Split, Task

from .formats import annotator, check_forms, form_task, read_as
from .pretraining import draw, pretrain, stream

PAPER = "Gu, Han, Liu and Huang, 2022 (PPT); ppt, section 3"
NEEDS = ("student", "words", "prompts", "corpus")
BACKBONES = ("masked", "encoder-decoder")
SEARCH = ("prompt_lr", "batch_size")
GRID = {"prompt_lr": (5e-3, 1e-2, 2e-2, 5e-2)}
PREPARES = {"single": "single", "pair": "pair", "choice": "choice", "unified": "unified"}
PRESETS = {
    "paper": {"over": "vocabulary"},
    "hybrid": {"hybrid": True},
    "unified": {"unified": True},
    "chinese": {"chinese": True},
}
UPDATES = {"single": 22_000, "pair": 8_000, "choice": 8_000, "unified": 16_000}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    hybrid: bool = False,
    unified: bool = False,
    chinese: bool = False,
    over: Literal["words", "vocabulary"] = "words",
    prompt_lr: Positive = 1e-2,
    batch_size: Count = 16,
) -> Predictor:
    """Train the pre-trained prompt alone by the protocol."""
    read = read_as(task, hybrid=hybrid, unified=unified, chinese=chinese)
    model = SoftPromptModel(kit.backbone("student"), read, kit.prepared()["prompt"], over)
    # No word's embedding is trained, so the embeddings need not be cut to the words in use.
    kit.train(model, lr=prompt_lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    return model


def prepare(
    kind: str,
    world: PrepareContext,
    *,
    tokens: Count = 100,
    chinese: bool = False,
    over: Literal["words", "vocabulary"] = "words",
    pretrain_steps: Natural = 0,
    pretrain_lr: Positive = 0.1,
    pretrain_batch: Count = 64,
) -> dict[str, Tensor]:
    """Pre-train a prompt for tasks of one format; 0 steps mean the paper's number."""
    backbone = world.backbone("student")
    form = form_task(kind, backbone, tokens, chinese=chinese)
    start = initial_prompt(backbone, form, (), tokens, "normal", world.seed)
    model = SoftPromptModel(backbone, form, start, over)
    labels = None
    if kind == "single":
        labels = annotator(form, world.backbone("student"), chinese=chinese)
    drawn = draw(kind, world.documents, len(form.words), world.seed)
    training = stream(kind, drawn, model.hard, labels)
    updates = pretrain_steps or UPDATES[kind]
    world.notes["pretraining"] = pretrain(
        model, training, updates=updates, batch_size=pretrain_batch, lr=pretrain_lr
    )
    return {"prompt": model.soft}


def check_prepare(kind: str, world: PrepareContext, **settings: Any) -> None:
    """Refuse a corpus whose documents are too few or too short to draw an example from."""
    next(draw(kind, world.documents, 2, world.seed))


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a prompt that does not fit the model or the form, and words the tokenizer lacks."""
    forms = {name: settings[name] for name in ("tokens", "hybrid", "unified", "chinese")}
    check_forms(task, student, **forms)
