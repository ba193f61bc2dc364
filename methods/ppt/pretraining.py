"""Pre-train a soft prompt on a corpus for a kind of tasks, the model frozen: ppt, section 3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from random import Random

import torch
from torch import Tensor, nn

from fewbench.data.documents import Document
from fewbench.nn.batch import Encoded
from fewbench.nn.loss_log import LossLog
from fewbench.nn.micro_batch import MicroBatches
from fewbench.nn.prompt import PromptModel
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.types import Example, Json

from .annotator import Annotator, pseudo_labelled
from .formats import option_rooms
from .next_sentence import examples, next_sentences, selection, sentences


def draw(
    kind: str, read: Callable[[], Iterable[Document]], most: int, seed: int
) -> Iterator[Example]:
    """Yield the examples of a kind of pre-training for ever; those of `single` have no label yet.

    Args:
        kind: `pair`, `choice`, `single` or `unified`.
        read: gives the corpus's documents from the start.
        most: options of a choice.
        seed: of the draws.

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
    kind: str, drawn: Iterator[Example], model: PromptModel, annotator: Annotator | None
) -> Iterator[Example]:
    """Yield drawn examples as they are trained on: options cut to fit, sentences labelled.

    Args:
        kind: as `draw` has it.
        drawn: the examples of `draw`.
        model: asks in the kind's form.
        annotator: labels sentences, for `single`.

    Raises:
        BenchError: there is no room for options, or the corpus is too small.
    """
    if annotator is not None:
        return pseudo_labelled(drawn, annotator)
    if model.task.format == "pair":
        return drawn
    rooms = option_rooms(kind, model)
    return (replace(example, options=_cut(model, example.options, rooms)) for example in drawn)


def pretrain(
    model: SoftPromptModel, drawn: Iterator[Example], *, updates: int, batch_size: int, lr: float
) -> Json:
    """Train a soft prompt on a stream of examples; return the loss and accuracy of each tenth.

    As in the paper's code: Adam with weight decay 0.01, gradients clipped at 1, and the
    learning rate lr / sqrt(t) at update t, which is Noam's schedule without warm-up.

    Args:
        model: only its prompt is trained.
        drawn: labelled examples; each counts in the accuracy before it is trained on.
        updates: the number of updates.
        batch_size: examples per update.
        lr: of the first update.

    Raises:
        BenchError: the loss is not finite, or memory is too small.
    """
    optimizer = torch.optim.AdamW([model.soft], lr=lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: (done + 1) ** -0.5)
    model.train()
    losses, parts = LossLog(), MicroBatches()
    hits: list[Tensor] = []
    right: list[Tensor] = []

    def loss_of(rows: Sequence[Encoded]) -> Tensor:
        batch = model.collate(rows)
        scores, loss = model.scores_and_loss(batch)
        right.append(scores.argmax(-1) == batch.labels)
        return loss

    for update in range(1, updates + 1):
        encoded = model.encode(list(islice(drawn, batch_size)))
        model.forget()
        optimizer.zero_grad()
        loss = parts.gradient(
            model, loss_of, encoded, [model.soft], update=update, undo=right.clear
        )
        nn.utils.clip_grad_norm_([model.soft], 1.0)
        optimizer.step()
        scheduler.step()
        losses.note(loss)
        hits.append(torch.cat(right).float().mean())
        right.clear()
    model.eval()
    parts.warn()
    accuracies = torch.stack(hits).tolist()
    return {
        "updates": updates,
        "losses": _tenths(losses.values()),
        "accuracies": _tenths(accuracies),
        **parts.notes(),
    }


def _tenths(values: Sequence[float]) -> list[float]:
    """Return the mean of each tenth of the values, or the values where there are fewer than ten."""
    parts = min(10, len(values))
    bounds = [len(values) * part // parts for part in range(parts + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(bounds)]
    return [round(mean, 4) for mean in means]


def _cut(model: PromptModel, options: Sequence[str], rooms: Mapping[int, int]) -> tuple[str, ...]:
    """Cut options to the tokens that there is room for."""
    read = model.backbone.tokenizer(
        list(options),
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=True,
        max_length=rooms[len(options)],
    )
    ends = [spans[-1][1] for spans in read["offset_mapping"]]
    return tuple(text[:end] for text, end in zip(options, ends, strict=True))
