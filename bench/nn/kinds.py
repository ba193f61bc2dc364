"""The kind of a language model, by its configuration, decides how it is loaded and prompted.

A new kind is one line of `VIEWS` and a module that sees it as `Backbone` does. Masked models of the
families that are run here (`fewbench.nn.families`) have a packed view, the fast one; all others
have a view over their own forward pass.
"""

from __future__ import annotations

from typing import NamedTuple

from fewbench.data.tokenizer_check import read_as_text
from fewbench.nn.backbone import Backbone
from fewbench.nn.causal import CausalBackbone, CausalPromptModel
from fewbench.nn.families import FAMILIES
from fewbench.nn.general import GeneralBackbone
from fewbench.nn.infilling import InfillingBackbone
from fewbench.nn.load import load_headless
from fewbench.nn.prompt import PromptModel
from fewbench.nn.seq2seq import Seq2SeqBackbone, Seq2SeqPromptModel
from fewbench.registry.pretrained import SENTINELS, backbone_kind, model_type
from fewbench.types import BackboneKind, ModelRef, Task


class View(NamedTuple):
    """The class of transformers that loads a kind of model, our view of it, and its prompts."""

    auto: str
    backbone: type[Backbone]
    prompt: type[PromptModel]


VIEWS: dict[BackboneKind, View] = {
    "masked": View("AutoModelForMaskedLM", GeneralBackbone, PromptModel),
    "causal": View("AutoModelForCausalLM", CausalBackbone, CausalPromptModel),
    "encoder-decoder": View("AutoModelForSeq2SeqLM", InfillingBackbone, PromptModel),
}
"""By kind, the view of any model of it."""
PACKED = VIEWS["masked"]._replace(backbone=Backbone)
SPANS = View("AutoModelForSeq2SeqLM", Seq2SeqBackbone, Seq2SeqPromptModel)
"""The view of T5 and its like, whose masks are sentinels."""


def view_of(ref: ModelRef) -> View:
    """Return the view of a model: that of its family, or else that of its kind."""
    kind, family = backbone_kind(ref), model_type(ref)
    if kind == "masked" and family in FAMILIES:
        return PACKED
    return SPANS if kind == "encoder-decoder" and family in SENTINELS else VIEWS[kind]


def open_backbone(ref: ModelRef) -> Backbone:
    """Load a model and return the view of its kind.

    Raises:
        ModelError: a model that cannot be loaded whole, or that its kind's view does not know.
    """
    view = view_of(ref)
    masked = view.prompt is PromptModel
    headless = backbone_kind(ref) == "masked"
    read, has_head = load_headless(ref, view.auto, masked=masked, headless=headless)
    read.tokenizer.split_special_tokens = True  # "[MASK]" in a row is text
    if read.tokenizer.is_fast:
        read_as_text(read.tokenizer.backend_tokenizer)
    backbone = view.backbone(read.model, read.tokenizer, ref, has_head=has_head)
    if isinstance(backbone, GeneralBackbone):
        backbone.check()
    return backbone


def prompt_model(backbone: Backbone, task: Task) -> PromptModel:
    """Return a task's prompt as the backbone's kind reads it.

    Raises:
        BenchError: label words or a template that the model cannot read, or no language head.
    """
    backbone.check_head()
    return view_of(backbone.ref).prompt(backbone, task)
