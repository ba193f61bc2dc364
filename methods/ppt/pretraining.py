"""Soft prompts pre-trained once for a kind of tasks, on a corpus, with the model frozen: ppt,
section 3.

Axes: n sentences, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import isfinite
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from fewbench.data.documents import Document
from fewbench.errors import BenchError
from fewbench.nn.losses import cross_entropy
from fewbench.nn.prompt import PromptModel
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.types import Example

from .formats import option_rooms
from .next_sentence import examples, next_sentences, selection, sentences

LABELLED_AT_ONCE = 512
SUREST = 0.5


def draw(
    kind: str, read: Callable[[], Iterable[Document]], most: int, seed: int
) -> Iterator[Example]:
    """Yield what a kind of pre-training draws from a corpus, for ever; sentences of `single` have
    no label yet.

    Args:
        kind: `pair`, `choice`, `single` or `unified`.
        read: gives the corpus's documents from the start.
        most: options of a choice.
        seed: of what is drawn.

    Raises:
        BenchError: the corpus is too small.
    """
    rng = Random(seed)
    if kind == "single":
        return (
            Example(f"corpus-{n}", (sentence,)) for n, sentence in enumerate(sentences(read, rng))
        )
    if kind == "pair":
        return examples(read, next_sentences, rng, fewest=2, apart=1)
    if kind == "choice":
        return examples(read, selection(lambda rng: most), rng, fewest=5, apart=1)
    return examples(read, selection(lambda rng: rng.randint(2, most)), rng, fewest=5, apart=3)


def stream(
    kind: str, drawn: Iterator[Example], model: PromptModel, annotator: PromptModel | None
) -> Iterator[Example]:
    """Yield what was drawn as it is trained on: options cut to the room there is, and sentences
    with pseudo labels.

    Args:
        kind: as `draw` has it.
        drawn: by `draw`.
        model: asks in the kind's form.
        annotator: labels sentences, for `single`.

    Raises:
        BenchError: no room for options, or a corpus too small.
    """
    if annotator is not None:
        return pseudo_labelled(drawn, annotator)
    if model.task.format == "pair":
        return drawn
    rooms = option_rooms(kind, model)
    return (replace(example, options=_cut(model, example.options, rooms)) for example in drawn)


def pseudo_labelled(drawn: Iterator[Example], annotator: PromptModel) -> Iterator[Example]:
    """Yield single sentences with the labels that a model gives them when it is asked: ppt, section
    3.2.3.

    The surest half of each label is kept, of some hundred sentences at a time.
    """
    while True:
        asked = list(islice(drawn, LABELLED_AT_ONCE))
        probabilities = torch.from_numpy(annotator.predict(asked).array)
        annotator.forget()
        for row, label in surest(probabilities.clamp(min=1e-30).log(), SUREST):
            yield replace(asked[row], label=label)


def surest(scores: Tensor, share: float) -> list[tuple[int, int]]:
    """Return the rows whose label is surest, a share of each label (at least one), and their
    labels; rows in order.

    A row's label is that of its largest probability after each label's mean over the rows is taken
    from it: a model that likes one word best would give it to all.

    Args:
        scores: [n, C], log-probabilities.
        share: of each label's rows that is kept.
    """
    best, labels = (scores - scores.mean(0)).softmax(-1).max(-1)
    kept = []
    for label in sorted(set(labels.tolist())):
        rows = (labels == label).nonzero()[:, 0]
        order = best[rows].argsort(descending=True, stable=True)
        kept += [(row, label) for row in rows[order[: max(1, int(share * len(rows)))]].tolist()]
    return sorted(kept)


def pretrain(
    model: SoftPromptModel, drawn: Iterator[Example], *, updates: int, batch_size: int, lr: float
) -> dict[str, Any]:
    """Train a soft prompt on a stream of examples, and return how it went: loss and accuracy of
    each tenth.

    As the paper's code does it: Adam with weight decay 0.01, gradients clipped at 1, and the
    learning rate lr / sqrt(t) at update t, which is Noam's schedule without warm-up.

    Args:
        model: its prompt alone is trained.
        drawn: labelled examples; each counts in the accuracy before it is trained on.
        updates: how many.
        batch_size: examples an update.
        lr: of the first update.

    Raises:
        BenchError: the loss is not finite.
    """
    optimizer = torch.optim.AdamW([model.soft], lr=lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: (done + 1) ** -0.5)
    model.train()
    seen: list[tuple[float, float]] = []
    for update in range(1, updates + 1):
        batch = model.collate(model.encode(list(islice(drawn, batch_size))))
        model.forget()
        scores = model(batch)
        loss = cross_entropy(scores, batch.labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([model.soft], 1.0)
        optimizer.step()
        scheduler.step()
        value = loss.item()
        if not isfinite(value):
            raise BenchError(
                f"the loss is {value} at update {update}", fix="a smaller learning rate"
            )
        seen.append((value, (scores.argmax(-1) == batch.labels).float().mean().item()))
    model.eval()
    parts = min(10, updates)
    tenths = [
        seen[updates * part // parts : updates * (part + 1) // parts] for part in range(parts)
    ]
    losses, right = (
        [round(sum(row[which] for row in part) / len(part), 4) for part in tenths]
        for which in (0, 1)
    )
    return {"updates": updates, "losses": losses, "accuracies": right}


def _cut(model: PromptModel, options: Sequence[str], rooms: Mapping[int, int]) -> tuple[str, ...]:
    """Return options cut to so many tokens as there is room for."""
    read = model.backbone.tokenizer(
        list(options),
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=True,
        max_length=rooms[len(options)],
    )
    return tuple(
        text[: spans[-1][1]] for text, spans in zip(options, read["offset_mapping"], strict=True)
    )
