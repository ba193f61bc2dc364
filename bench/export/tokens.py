"""A trained model's texts as token ids, for readers without this project.

The tokenizer is saved as it reads here: special tokens in a text are text, one separator stands
between two texts, and `truncation=True` cuts at the task's length. A prompt is a list of token ids
and texts in a JSON file.
"""

from __future__ import annotations

import copy
import json
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fewbench.data.template import Piece, piece_text
from fewbench.errors import BenchError
from fewbench.io.files import parse_json
from fewbench.nn.classifier import PAIR_SPECIALS
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prompt_pieces import puts_boundary, tokenise
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Json

PROMPT_FILE = "prompt.json"


def write_tokenizer(model: TaskModel, inputs: list[str], folder: Path) -> None:
    """Write the tokenizer of a model, for transformers 4 and 5; `inputs` are what the model takes.

    Its class is the one that reads `tokenizer.json` as it is, by the name that both versions know.
    """
    to_tokenizer(model, inputs).save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    content = parse_json(file.read_text("utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def to_tokenizer(model: TaskModel, inputs: list[str]) -> Any:
    """Return the tokenizer of a model as transformers' own; `inputs` are what the model takes."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = model.backbone.tokenizer
    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    if tokenizer.num_special_tokens_to_add(pair=True) > PAIR_SPECIALS:
        backend.post_processor = _one_separator(tokenizer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=model.task.max_length,
        padding_side="right",
        truncation_side="right",
        model_input_names=inputs,
        split_special_tokens=True,
        **tokenizer.special_tokens_map,
    )


def _one_separator(tokenizer: Any) -> Any:
    """Return a tokenizer's frame of one text or two, with a single separator between them."""
    from tokenizers.processors import TemplateProcessing

    first, end = tokenizer.cls_token, tokenizer.sep_token
    return TemplateProcessing(
        single=f"{first} $A {end}",
        pair=f"{first} $A {end} $B {end}",
        special_tokens=[(first, tokenizer.cls_token_id), (end, tokenizer.sep_token_id)],
    )


class TextPiece(NamedTuple):
    """A text of the task in a prompt, counted from 0: after a space, and what is changed in it."""

    text: int
    space: bool
    modifier: str


def prompt_pieces(model: PromptModel) -> list[list[int] | TextPiece]:
    """Return a prompt from its first to its last token: token ids, and texts to be tokenised.

    Raises:
        BenchError: a template of options, or a text right behind something else with a tokenizer
            that puts word boundaries by itself.
    """
    tokenizer = model.backbone.tokenizer
    pieces: list[list[int] | TextPiece] = [[tokenizer.cls_token_id]]
    for before, piece in pairwise((Piece("mask", ""), *model.pieces)):
        if piece.kind == "mask":
            pieces.append([tokenizer.mask_token_id])
            continue
        goes_on = before.kind != "mask"
        if piece.kind == "literal":
            text = piece_text(piece, before, Example("", ()))
            pieces += tokenise(tokenizer, [text], goes_on=goes_on)
            continue
        space = before.kind == "literal" and before.value.endswith(" ")
        _check_text(model, piece, glued=goes_on and not space)
        space = space and not puts_boundary(tokenizer)
        pieces.append(TextPiece(piece.index, space, piece.modifier))
    return _joined([*pieces, [tokenizer.sep_token_id]])


def _check_text(model: PromptModel, piece: Piece, *, glued: bool) -> None:
    if piece.kind == "options":
        raise BenchError(
            f"the template '{model.task.template}' lists options, which stand in no prompt file",
            fix="a run with a template without {options}",
        )
    if glued and puts_boundary(model.backbone.tokenizer):
        raise BenchError(
            f"in the template '{model.task.template}' a text begins without a space, "
            "which this tokenizer cannot say",
            fix="a run with a template that has a space there",
        )


def _joined(pieces: list[list[int] | TextPiece]) -> list[list[int] | TextPiece]:
    """Join token ids that follow each other."""
    joined: list[list[int] | TextPiece] = []
    for piece in pieces:
        if isinstance(piece, list) and joined and isinstance(joined[-1], list):
            joined[-1] = [*joined[-1], *piece]
        else:
            joined.append(piece)
    return joined


def write_prompt(model: PromptModel, file: Path, *, scores_of_words: bool) -> None:
    """Write a model's prompt and label words as JSON.

    Args:
        model: gives template, label words and lengths.
        file: to be written.
        scores_of_words: the deployed model scores the vocabulary, and not the labels by themselves.

    Raises:
        BenchError: a prompt that has no such form.
    """
    task = model.task
    content: Json = {
        "template": task.template,
        "pieces": [
            {"ids": piece} if isinstance(piece, list) else piece._asdict()
            for piece in prompt_pieces(model)
        ],
        "max_length": task.max_length,
        "labels": task.labels,
        "words": task.words,
    }
    if scores_of_words:
        content["word_ids"] = word_ids_of(model)
    if task.bounds is not None:
        content["bounds"] = task.bounds
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def word_ids_of(model: PromptModel) -> list[list[int]]:
    """Return the token ids of each class's label words."""
    ids: list[int] = model.verbalizer.words.tolist()
    ends = accumulate(map(len, model.task.words), initial=0)
    return [ids[start:end] for start, end in pairwise(ends)]
