"""T5 writes templates: a beam search for what is likeliest around all examples' label words.

Gao, Fisch and Chen, 2021, section 5.2. An input is `S1 <X> M(y) <Y>` or `<X> M(y) <Y> S1`, and
`S1 <X> M(y) <Y> S2` of a pair; T5 answers `<X> t1 … <Y> t2 … <Z>`. A template's score is the sum
over training examples of log P(t | input), token by token. `over=logits` is the authors' code: the
softmax of the mean logits.

Where the paper is silent, its code decides: single texts begin with a capital letter; of a pair,
the first loses its full stop and the second its capital; each of the two inputs of single texts
gives half of the beam; tokens that are a bare space or four dots, and a dot after a dot, are
forbidden. The second sentinel ends the first span, the third one or </s> the second. What reaches
the greatest length is ended there, where the code leaves it unfinished.

Axes: n examples, T tokens of the longest input, L tokens written, V vocabulary, H hypotheses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewbench.data.template import parse_template
from fewbench.data.tokenizer_check import BOUNDARY
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.types import Example, Task

FIRST, SECOND, THIRD = (f"<extra_id_{number}>" for number in range(3))
ROWS = 256
"""Sequences that the decoder reads at once."""
MARGIN = 3
"""Tokens more than the beam is wide that continue a hypothesis, as in the authors' code."""


class SpanInput(NamedTuple):
    """An input of T5's and the template that its answer makes, around `t1 {mask} t2`."""

    before: str
    after: str


SINGLE = (SpanInput("{0}", ""), SpanInput("", "{0}"))
PAIR = (SpanInput("{0|cut}", "{1|lower}"),)


class Hypothesis(NamedTuple):
    """Tokens written after the first sentinel, the span they are in (2: done), and their score."""

    tokens: tuple[int, ...]
    span: int
    score: float


class WrittenTemplate(NamedTuple):
    """A template and its log-likelihood for all training examples."""

    text: str
    score: float


def find_templates(
    writer: Backbone,
    task: Task,
    train: Sequence[Example],
    *,
    beam: int,
    longest: int,
    over: str,
) -> list[str]:
    """Write templates for a task, the likeliest first.

    Args:
        writer: a T5.
        task: gives label words and the format.
        train: labelled examples.
        beam: hypotheses that are kept.
        longest: tokens that are written at most, sentinels included.
        over: `probabilities`, or `logits` for the softmax of mean logits.
    """
    forms = SINGLE if task.format == "single" else PAIR
    written: list[WrittenTemplate] = []
    for form in forms:
        inputs = [input_ids(writer, task, example, form) for example in train]
        done = search(writer, inputs, beam=beam, longest=longest, over=over)
        texts = [WrittenTemplate(template_of(writer, form, h), h.score) for h in done]
        known = list(dict.fromkeys(each for each in texts if _is_template(each.text)))
        written += known[: max(1, beam // len(forms))]
    written.sort(key=lambda each: -each.score)
    return list(dict.fromkeys(each.text for each in written))


def input_ids(writer: Backbone, task: Task, example: Example, form: SpanInput) -> list[int]:
    """Return an example as T5 reads it: its texts, and two sentinels around its label word."""
    tokenizer = writer.tokenizer
    room = (task.max_length - 4) // len(example.texts)
    texts = _texts_of(example)

    def tokens(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids[:room]

    word = tokens(" " + task.words[_class_of(task, example)][0])
    around = [
        tokenizer.convert_tokens_to_ids(FIRST),
        *word,
        tokenizer.convert_tokens_to_ids(SECOND),
    ]
    before = tokens(texts[0]) if form.before else []
    after = tokens(texts[-1]) if form.after else []
    return [*before, *around, *after, tokenizer.eos_token_id]


def _texts_of(example: Example) -> tuple[str, ...]:
    if len(example.texts) == 1:
        (text,) = example.texts
        return (text[:1].upper() + text[1:],)
    first, second = example.texts
    return first[:-1], second[:1].lower() + second[1:]


def _class_of(task: Task, example: Example) -> int:
    assert example.label is not None
    if task.bounds:
        return int(example.label > sum(task.bounds) / 2)
    return int(example.label)


@torch.no_grad()
def search(
    writer: Backbone, inputs: Sequence[Sequence[int]], *, beam: int, longest: int, over: str
) -> list[Hypothesis]:
    """Return the hypotheses of a beam search, the best first.

    A finished one competes with those that go on, by its score, without regard to length. One that
    has only room for the ends of its spans has to take them.
    """
    states, real = _encoded(writer, inputs)
    allowed = _Allowed(writer)
    kept = [Hypothesis((), 0, 0.0)]
    for _ in range(longest):
        following = [each for each in kept if each.span == 2]
        for each in kept:
            if each.span < 2:
                scores = next_scores(writer, states, real, each.tokens, over)
                following += _continued(each, allowed.of(each, scores, longest), allowed, beam)
        following.sort(key=lambda each: -each.score)
        kept = following[:beam]
    return kept


class _Allowed:
    """The tokens that may follow a hypothesis."""

    def __init__(self, writer: Backbone) -> None:
        self.ends = _ends(writer)
        self.forbidden = _forbidden(writer)
        self.dot = writer.tokenizer.get_vocab().get(".", -1)

    def of(self, each: Hypothesis, scores: Tensor, longest: int) -> Tensor:
        """Return scores [V] that are -inf for tokens which may not follow."""
        if longest - len(each.tokens) <= 2 - each.span:
            ends = list(self.ends[each.span])
            only = torch.full_like(scores, -torch.inf)
            only[ends] = scores[ends]
            return only
        banned = [*self.forbidden, *self.ends[1 - each.span]]
        if each.tokens[-1:] == (self.dot,):
            banned.append(self.dot)
        scores[banned] = -torch.inf
        return scores


def _continued(each: Hypothesis, scores: Tensor, allowed: _Allowed, beam: int) -> list[Hypothesis]:
    """Return a hypothesis with each of the likeliest next tokens."""
    best = scores.topk(min(beam + MARGIN, len(scores)))
    made = []
    for value, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if value > -torch.inf:
            span = each.span + (token in allowed.ends[each.span])
            made.append(Hypothesis((*each.tokens, token), span, each.score + value))
    return made


def next_scores(
    writer: Backbone, states: Tensor, real: Tensor, tokens: Sequence[int], over: str
) -> Tensor:
    """Score all tokens after some: the sum over examples of log P, or by mean logits, [V].

    Args:
        writer: the T5.
        states: of the encoder, [n, T, d].
        real: tokens that are no padding, [n, T].
        tokens: written so far, after the first sentinel.
        over: see `find_templates`.
    """
    from transformers.modeling_outputs import BaseModelOutput

    first = writer.tokenizer.convert_tokens_to_ids(FIRST)
    said = [writer.config.decoder_start_token_id, first, *tokens]
    logits = []
    model: Any = writer.model
    for start in range(0, len(states), ROWS):
        part = states[start : start + ROWS]
        given = torch.tensor([said] * len(part), device=part.device)
        answer = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=part),
            attention_mask=real[start : start + ROWS].long(),
            decoder_input_ids=given,
            use_cache=False,
        )
        logits.append(answer.logits[:, -1].double())
    scores = torch.cat(logits)
    if over == "logits":
        return scores.mean(0).log_softmax(-1)
    return scores.log_softmax(-1).sum(0)


def _encoded(writer: Backbone, inputs: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return the encoder's states [n, T, d], and which tokens are real [n, T]."""
    length = max(map(len, inputs))
    rows = [[*ids, *[writer.config.pad_token_id] * (length - len(ids))] for ids in inputs]
    lengths = torch.tensor([len(ids) for ids in inputs], device=writer.device)
    real = torch.arange(length, device=writer.device) < lengths[:, None]
    model: Any = writer.model
    encoder = model.get_encoder()
    states = encoder(
        input_ids=torch.tensor(rows, device=writer.device), attention_mask=real.long()
    ).last_hidden_state
    return states, real


def _ends(writer: Backbone) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens that end the first span, and the second."""
    vocabulary = writer.tokenizer.get_vocab()
    third = (vocabulary[THIRD],) if THIRD in vocabulary else ()
    return (vocabulary[SECOND],), (*third, writer.tokenizer.eos_token_id)


def _forbidden(writer: Backbone) -> list[int]:
    """List the tokens that no template has, but for those that end a span."""
    tokenizer = writer.tokenizer
    first_ends, second_ends = _ends(writer)
    special = set(tokenizer.all_special_ids).difference(first_ends, second_ends)
    special |= set(range(len(tokenizer), writer.config.vocab_size))
    for piece, token in tokenizer.get_vocab().items():
        bare = piece.replace(BOUNDARY, "")
        is_sentinel = piece.startswith("<extra_id_") and token not in (*first_ends, *second_ends)
        if not bare or is_sentinel or (len(bare) >= 4 and set(bare) == {"."}):
            special.add(token)
    return sorted(special)


def template_of(writer: Backbone, form: SpanInput, hypothesis: Hypothesis) -> str:
    """Return the template of a finished hypothesis, in this project's form."""
    first_ends, _ = _ends(writer)
    tokens = hypothesis.tokens[:-1]
    place = next(number for number, token in enumerate(tokens) if token in first_ends)
    spans = []
    for part in (tokens[:place], tokens[place + 1 :]):
        pieces = writer.tokenizer.convert_ids_to_tokens(list(part))
        spans.append("".join(pieces).replace(BOUNDARY, " "))
    after = f" {form.after}" if form.after else ""
    return f"{form.before}{spans[0]} {{mask}}{spans[1]}{after}".strip()


def _is_template(text: str) -> bool:
    """True unless the text has a brace of its own."""
    try:
        parse_template(text)
    except BenchError:
        return False
    return True
