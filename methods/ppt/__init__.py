"""PPT: prompt tuning from soft prompts pre-trained on a corpus, once per format of task.

ppt, section 3. Sentence pairs start from next-sentence prediction (eq. 3), choices from selecting
the next of six sentences (eq. 4), single texts from sentences with pseudo labels (eq. 5); tasks are
read in the same form, with its words. `hybrid` reads the hard prompts of appendix D (Table 1)
behind the same soft one, or the one that `--template` names. `unified` casts every task into a
choice among its labels and starts from choices of 2 to 16 sentences (section 3.3). `chinese` has
the forms of appendix B.

`reviews` labels the sentences as the paper does: `--teacher` (RoBERTa-base there) is trained on the
rows of the setting `rows`, reviews of five stars, and labels that it is sure of are kept, by the
bounds of the paper's code. Its updates and batches are as many and as large as the prompt's.

Departs from the paper: without `reviews` the backbone itself labels sentences, asked by the hard
prompt (each word's scores less their mean, the surest half of each label). Options are cut where
positions are few. Probabilities in the loss are over label words; the preset `paper` has them over
the vocabulary, as equations 1 and 2 and the code do, in pre-training and in tuning. The random
start is prompt-tuning's. Updates are those at which the code takes its prompts, of a run of
200,000.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext, PrepareContext
from fewbench.nn.soft_prompt import SoftPromptModel, initial_prompt
from fewbench.types import Count, Natural, Positive, Predictor, Split, Task

from .annotator import check_rows, itself, trained
from .formats import check_forms, form_task, read_as
from .pretraining import draw, pretrain, stream

PAPER = "Gu, Han, Liu and Huang, 2022 (PPT); ppt, section 3"
NEEDS = (
    "student",
    "words",
    "long-words",
    "prompts",
    "corpus",
    "teacher if annotator=reviews",
    "rows if annotator=reviews",
)
BACKBONES = ("masked", "encoder-decoder")
SEARCH = ("prompt_lr", "batch_size")
GRID = {"prompt_lr": (5e-3, 1e-2, 2e-2, 5e-2)}
PREPARES = {"single": "single", "pair": "pair", "choice": "choice", "unified": "unified"}
PRESETS = {
    "paper": {"over": "vocabulary"},
    "hybrid": {"hybrid": True},
    "unified": {"unified": True},
    "reviews": {"annotator": "reviews"},
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
    annotator: Literal["itself", "reviews"] = "itself",
    rows: str = "yelp-review-full",
    pretrain_steps: Natural = 0,
    pretrain_lr: Positive = 0.1,
    pretrain_batch: Count = 64,
) -> dict[str, Tensor]:
    """Pre-train a prompt for tasks of one format; 0 steps mean the paper's number."""
    backbone = world.backbone("student")
    form = form_task(kind, backbone, tokens, chinese=chinese)
    start = initial_prompt(backbone, form, (), tokens, "normal", world.seed)
    model = SoftPromptModel(backbone, form, start, over)
    updates = pretrain_steps or UPDATES[kind]
    labels = None
    if kind == "single" and annotator == "reviews":
        labels = trained(form, world, updates=updates, batch_size=pretrain_batch)
    elif kind == "single":
        labels = itself(form, world.backbone("student"), chinese=chinese)
    drawn = draw(kind, world.documents, len(form.words), world.seed)
    training = stream(kind, drawn, model.hard, labels)
    world.notes["pretraining"] = pretrain(
        model, training, updates=updates, batch_size=pretrain_batch, lr=pretrain_lr
    )
    return {"prompt": model.soft}


def check_prepare(kind: str, world: PrepareContext, **settings: Any) -> None:
    """Refuse a corpus without an example, and rows that the annotator cannot learn from."""
    next(draw(kind, world.documents, 2, world.seed))
    if kind == "single" and settings["annotator"] == "reviews":
        tokens, chinese = settings["tokens"], settings["chinese"]
        check_rows(form_task(kind, world.backbone("student"), tokens, chinese=chinese), world)


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse a prompt that does not fit the model or the form, and words the tokenizer lacks."""
    forms = {name: settings[name] for name in ("tokens", "hybrid", "unified", "chinese")}
    check_forms(task, student, **forms)
