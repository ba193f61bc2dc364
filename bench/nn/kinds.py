"""The kind of a language model, by its configuration, decides how it is loaded and prompted.

A new kind is one line of `VIEWS` and a module that sees it as `Backbone` does.
"""

from __future__ import annotations

from typing import NamedTuple

from fewbench.data.tokenizer_check import read_as_text
from fewbench.nn.backbone import Backbone
from fewbench.nn.causal import CausalBackbone, CausalPromptModel
from fewbench.nn.load import load_headless
from fewbench.nn.prompt import PromptModel
from fewbench.nn.seq2seq import Seq2SeqBackbone, Seq2SeqPromptModel
from fewbench.registry.pretrained import backbone_kind
from fewbench.types import BackboneKind, ModelRef, Task


class View(NamedTuple):
    """The class of transformers that loads a kind of model, our view of it, and its prompts."""

    auto: str
    backbone: type[Backbone]
    prompt: type[PromptModel]


VIEWS: dict[BackboneKind, View] = {
    "masked": View("AutoModelForMaskedLM", Backbone, PromptModel),
    "causal": View("AutoModelForCausalLM", CausalBackbone, CausalPromptModel),
    "encoder-decoder": View("AutoModelForSeq2SeqLM", Seq2SeqBackbone, Seq2SeqPromptModel),
}


def open_backbone(ref: ModelRef) -> Backbone:
    """Load a model and return the view of its kind.

    Raises:
        ModelError: a model that cannot be loaded whole, or that its kind's view does not know.
    """
    kind = backbone_kind(ref)
    view = VIEWS[kind]
    masked = kind == "masked"
    read, has_head = load_headless(ref, view.auto, masked=masked, headless=masked)
    read.tokenizer.split_special_tokens = True  # "[MASK]" in a row is text
    if read.tokenizer.is_fast:
        read_as_text(read.tokenizer.backend_tokenizer)
    return view.backbone(read.model, read.tokenizer, ref, has_head=has_head)


def prompt_model(backbone: Backbone, task: Task) -> PromptModel:
    """Return a task's prompt as the backbone's kind reads it.

    Raises:
        BenchError: label words or a template that the model cannot read, or no language head.
    """
    backbone.check_head()
    return VIEWS[backbone_kind(backbone.ref)].prompt(backbone, task)
