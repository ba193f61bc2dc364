"""A model card from a training report: nothing in it is typed by hand."""

from __future__ import annotations

from typing import Any

from fewbench.types import Json


def card(name: str, config: Any, report: Json) -> str:
    """Return the card of a pretrained model as Markdown."""
    recipe, curve = report["recipe"], report["curve"]
    first, last = curve[0], curve[-1]
    environment = report["environment"]
    rows = {
        "architecture": f"{config.model_type}, {config.num_hidden_layers} layers, "
        f"{config.hidden_size} wide, {config.num_attention_heads} heads: "
        f"{report['parameters'] / 1e6:.2f}M parameters, stored in float16",
        "tokenizer": f"{config.vocab_size} tokens",
        "text": f"{', '.join(recipe['corpora'])}: {report['corpus_tokens'] / 1e6:.1f}M tokens, "
        "the same share of each in every update; every fiftieth document held out",
        "started from": recipe["start"]
        or f"random weights ({recipe['embeddings']} word embeddings)",
        "objective": _objective(recipe),
        "training": f"{report['updates']} updates of {recipe['batch']} rows "
        f"of {recipe['length']} tokens: {report['tokens'] / 1e6:.1f}M tokens "
        f"in {report['seconds'] / 60:.0f} minutes on {environment['device']}, "
        f"{environment['threads']} threads, {report['precision']}; "
        f"AdamW, peak learning rate {recipe['lr']:g}",
        "held-out loss": f"{last['held_out_loss']:.3f} nats per masked token "
        f"({100 * last['held_out_accuracy']:.1f}% right); "
        f"{first['held_out_loss']:.3f} at the start",
    }
    lines = [
        f"# {name}",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {key} | {value} |" for key, value in rows.items()),
        "",
    ]
    lines += [
        "| tokens | training loss | held-out loss | held-out accuracy |",
        "| ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {point['tokens'] / 1e6:.2f}M | {_number(point['train_loss'])} "
        f"| {point['held_out_loss']:.3f} | {100 * point['held_out_accuracy']:.1f}% |"
        for point in _thinned(curve)
    ]
    return "\n".join([*lines, ""])


def _objective(recipe: Json) -> str:
    text = f"{recipe['objective']}, masking {recipe['masking']}"
    if recipe["context"]:
        text += f", {recipe['context']:g} of each answer for the words around"
    if recipe["teacher"]:
        text += f", teacher {recipe['teacher']}"
    return text


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _thinned(curve: list[Json], most: int = 12) -> list[Json]:
    step = -(-len(curve) // most)
    return [point for number, point in enumerate(curve) if number % step == 0 or point is curve[-1]]
