"""The likeliest tokens of prompted models at the mask, by the last layer and by those below.

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
from fewbench.types import Example, Json


@torch.no_grad()
def layer_tokens(
    model: PromptModel, examples: Sequence[Example], count: int
) -> list[list[list[str]]]:
    """Return the likeliest tokens at the mask of each example [n], by layer [L].

    A layer's hidden state is read by the model's language head, which a probe of that layer starts
    from.
    """
    bare = [example.without_label() for example in examples]
    tokenizer = model.backbone.tokenizer
    vocabulary = torch.arange(len(tokenizer), device=model.backbone.device)
    rows, bias = model.backbone.word_rows(vocabulary)
    scores = F.linear(model.backbone.projected(read_states(model, bare)[:, 0]), rows, bias)
    by_example = []
    for example in scores.topk(count).indices.tolist():
        layers = []
        for tokens in example:
            layers.append([tokenizer.decode([token]).strip() for token in tokens])
        by_example.append(layers)
    return by_example


def top_tokens(model: PromptModel, examples: Sequence[Example], count: int) -> list[list[str]]:
    """Return the tokens with the highest scores at the mask of each example by the last layer."""
    return [layers[-1] for layers in layer_tokens(model, examples, count)]


def token_study(
    models: Mapping[str, PromptModel], examples: Sequence[Example], *, first: int = 3
) -> Json:
    """Return each model's five likeliest tokens at the mask, as in prompt-distiller, Table 4.

    Examples go by their ids: a record holds no texts.
    """
    shown = examples[:first]
    tokens = {name: top_tokens(model, shown, 5) for name, model in models.items()}
    tables = {}
    for row, example in enumerate(shown):
        tables[f"top_tokens {example.id}"] = {name: tokens[name][row] for name in models}
    return tables


def study(
    model: TaskModel, kit: FitContext, examples: Sequence[Example], top: int
) -> list[dict[str, str]]:
    """Compare a student, its trained teacher and the pretrained one; prompt-distiller, Table 4.

    For each example and model there is a row a layer, the last one first: that is the answer. The
    layers below are those that are probed.

    Raises:
        BenchError: a model that reads no mask.
    """
    pretrained = prompt_model(kit.backbone("teacher"), model.task)
    models = {"trained teacher": kit.teacher(), "pretrained teacher": pretrained, "student": model}
    tokens = {
        name: layer_tokens(prompt_teacher(each, name), examples, top)
        for name, each in models.items()
    }
    rows = []
    for number, example in enumerate(examples):
        for name, by_example in tokens.items():
            layers = by_example[number]
            for layer in range(len(layers), 0, -1):
                row = {
                    "text": " / ".join(example.texts),
                    "model": name,
                    "layer": f"{layer}, the answer" if layer == len(layers) else str(layer),
                    "tokens": ", ".join(layers[layer - 1]),
                }
                rows.append(row)
    return rows
