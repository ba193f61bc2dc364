"""What prompted models would say at the mask: their likeliest tokens, by the last layer and by
those below.

Axes: n examples, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from fewbench.nn.distil import read_states
from fewbench.nn.fit_context import FitContext
from fewbench.nn.kinds import prompt_model
from fewbench.nn.layer_probes import prompt_teacher
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example


@torch.no_grad()
def layer_tokens(
    model: PromptModel, examples: Sequence[Example], count: int
) -> list[list[list[str]]]:
    """Return the tokens with the highest scores at the mask of each example [n], by layer [L], the
    likeliest first.

    A layer's hidden state is read by the model's language head, which a probe of that layer starts
    from.
    """
    bare = [example.without_label() for example in examples]
    tokenizer = model.backbone.tokenizer
    vocabulary = torch.arange(len(tokenizer), device=model.backbone.device)
    rows, bias = model.backbone.word_rows(vocabulary)
    scores = F.linear(model.backbone.projected(read_states(model, bare)[:, 0]), rows, bias)
    best = scores.topk(count).indices.tolist()
    return [
        [[tokenizer.decode([token]).strip() for token in layer] for layer in example]
        for example in best
    ]


def top_tokens(model: PromptModel, examples: Sequence[Example], count: int) -> list[list[str]]:
    """Return the tokens with the highest scores at the mask of each example by the last layer."""
    return [layers[-1] for layers in layer_tokens(model, examples, count)]


def token_study(
    models: Mapping[str, PromptModel], examples: Sequence[Example], *, first: int = 3
) -> dict[str, object]:
    """Return the five likeliest tokens at the mask of the first examples by each model, as
    prompt-distiller, Table 4.

    Examples go by their ids: a record holds no texts.
    """
    shown = examples[:first]
    tokens = {name: top_tokens(model, shown, 5) for name, model in models.items()}
    return {
        f"top_tokens {e.id}": {name: tokens[name][row] for name in models}
        for row, e in enumerate(shown)
    }


def study(
    model: TaskModel, kit: FitContext, examples: Sequence[Example], top: int
) -> list[dict[str, str]]:
    """Return rows on what a student, its trained teacher and the pretrained one say;
    prompt-distiller, Table 4.

    For each example and model there is a row a layer, the last one first: that is the answer. The
    layers below are those that are probed.

    Raises:
        BenchError: a model that reads no mask.
    """
    pretrained = prompt_model(kit.backbone("teacher"), model.task)
    models = {"trained teacher": kit.teacher(), "pretrained teacher": pretrained, "student": model}
    found = {
        name: layer_tokens(prompt_teacher(each, name), examples, top)
        for name, each in models.items()
    }
    return [
        {
            "text": " / ".join(example.texts),
            "model": name,
            "layer": f"{layer}, the answer" if layer == len(layers[row]) else str(layer),
            "tokens": ", ".join(layers[row][layer - 1]),
        }
        for row, example in enumerate(examples)
        for name, layers in found.items()
        for layer in range(len(layers[row]), 0, -1)
    ]
