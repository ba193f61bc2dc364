"""Prompt tuning: train vectors before the input, by the label words at the mask of a frozen model.

Lester et al., 2021, as in ppt, sections 2 and 3.1, equation 2: 100 soft tokens, separate learning
rates (appendix C.2). Vanilla prompt tuning reads the texts, options and mask alone, in the
order of the task's template (Table 1, hard prompt "None"); hybrid reads the whole template, as does
the unified view, for its options stand there (Table 5, "PT (MC)"). Probabilities in the loss are
over the label words; the preset `paper` has them over the vocabulary, as equation 2 and the paper's
code do. Presets with `start` are Table 2's starts from real words, and the one of the paper's code.
`lm-adapted` first trains the whole model on as a language model, for the 10,000 steps of Table 4,
once for all tasks.

Departs from the paper: the random start has the mean and deviation of the model's word embeddings,
where the paper gives no numbers. AdamW takes the place of Adam. Rate and batch of LM adaptation are
not in the paper: the batch is that of T5's pretraining, the rate ours.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Literal

from torch import Tensor

from fewbench.data.template import without_words
from fewbench.data.unified import UNIFIED
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext, PrepareContext
from fewbench.nn.seq2seq import Seq2SeqBackbone
from fewbench.nn.soft_prompt import SoftPromptModel, behind, initial_prompt, sampled_prompt
from fewbench.types import Count, Positive, Predictor, Split, Task

from .adaptation import adapt, passages, weights, with_weights
from .frequent import frequent_tokens

PAPER = "Lester, Al-Rfou and Constant, 2021; ppt, sections 2 and 3.1"
NEEDS = (
    "student",
    "words",
    "long-words",
    "corpus if start=top-1000",
    "corpus if lm_adapted=True",
)
BACKBONES = ("masked", "causal", "encoder-decoder")
SEARCH = ("prompt_lr", "batch_size")
GRID = {"prompt_lr": (5e-3, 1e-2, 2e-2, 5e-2)}
PREPARES = {"lm_adapted": "language-model"}
PRESETS = {
    "paper": {"over": "vocabulary"},
    "hybrid": {"hybrid": True},
    "mask-start": {"start": "mask"},
    "label-start": {"start": "label"},
    "vocabulary-start": {"start": "vocabulary"},
    "task-start": {"start": "task"},
    "top-1000-start": {"start": "top-1000"},
    "lm-adapted": {"lm_adapted": True},
}


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse more soft tokens than the model holds, and LM adaptation of a masked model."""
    behind(student, task, settings["tokens"])
    if settings["lm_adapted"] and not isinstance(student, Seq2SeqBackbone):
        raise BenchError(
            f"LM adaptation of {student.ref.name}, whose words are masked, not said one by one",
            where=student.ref.path,
            allowed="encoder-decoders (T5, mT5)",
            fix="--student with an encoder-decoder, or prompt-tuning without lm_adapted",
        )


def prepare(
    kind: str,
    world: PrepareContext,
    *,
    pretrain_steps: Count = 10_000,
    pretrain_lr: Positive = 1e-4,
    pretrain_batch: Count = 128,
) -> dict[str, Tensor]:
    """Train the student on as a language model and return its weights."""
    student = world.backbone("student")
    drawn = passages(world.documents, student.tokenizer, Random(world.seed))
    world.notes["pretraining"] = adapt(
        student, drawn, updates=pretrain_steps, batch_size=pretrain_batch, lr=pretrain_lr
    )
    return weights(student)


def check_prepare(kind: str, world: PrepareContext, **settings: Any) -> None:
    """Refuse a corpus without a passage."""
    next(passages(world.documents, world.backbone("student").tokenizer, Random(world.seed)))


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tokens: Count = 100,
    hybrid: bool = False,
    start: Literal["normal", "mask", "label", "vocabulary", "task", "top-1000"] = "normal",
    lm_adapted: bool = False,
    over: Literal["words", "vocabulary"] = "words",
    prompt_lr: Positive = 1e-2,
    batch_size: Count = 16,
) -> Predictor:
    """Make a soft prompt and train it alone by the protocol."""
    backbone = kit.backbone("student")
    if lm_adapted:
        with_weights(backbone, kit.prepared())
    if start == "top-1000":
        frequent = kit.once(start, lambda: frequent_tokens(kit.documents(), backbone.tokenizer))
        prompt = sampled_prompt(backbone, task, frequent, tokens, start, kit.seed)
    else:
        prompt = initial_prompt(backbone, task, split.train, tokens, start, kit.seed)
    is_whole = hybrid or task.prompt == UNIFIED
    read = task if is_whole else replace(task, template=without_words(task.template))
    model = SoftPromptModel(backbone, read, prompt, over)
    # No word's embedding is trained, so the embeddings need not be cut to the words in use.
    kit.train(model, lr=prompt_lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    return model
