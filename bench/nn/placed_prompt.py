"""Prompts with tokens of their own around the texts and the mask: WARP, P-tuning, AutoPrompt.

A soft prompt (`fewbench.nn.soft_prompt`) stands before the whole input; here tokens stand between
the pieces of a template, whose own words may stay or go. An own token is an id from -P to -1, in
the order of reading; its vector is looked up in `Backbone.prompt`. For masked models.

Axes: P own tokens, E width of the word embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from fewbench.data.template import Piece, parse_template, piece_text
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prompt_pieces import tokenise
from fewbench.nn.soft_prompt import behind
from fewbench.types import Example, Json, Task

if TYPE_CHECKING:
    from typing_extensions import Self


class Places(NamedTuple):
    """The numbers of own tokens before each piece of a template, and after the last.

    Without `words` the template's own words are left out.
    """

    before: tuple[int, ...]
    words: bool

    @property
    def total(self) -> int:
        """P, the number of own tokens."""
        return sum(self.before)


def around(template: str, tokens: int, *, words: bool) -> Places:
    """Place so many own tokens before each text, the options and the mask, and at the end."""
    pieces = parse_template(template)
    before = (0 if piece.kind == "literal" else tokens for piece in pieces)
    return Places((*before, tokens), words)


def in_place_of_words(template: str, tokenizer: Any) -> tuple[Places, list[int]]:
    """Place an own token where each token of the template's words stands; return those as well."""
    words = literal_tokens(template, tokenizer)
    return Places((*map(len, words), 0), words=False), list(chain.from_iterable(words))


def literal_tokens(template: str, tokenizer: Any) -> list[list[int]]:
    """Return the token ids of each piece of a template's own words; none of the other pieces."""
    tokens = []
    for before, piece in pairwise((Piece("mask", ""), *parse_template(template))):
        if piece.kind == "literal":
            text = piece_text(piece, before, Example("", ()))
            tokens += tokenise(tokenizer, [text], goes_on=before.kind != "mask")
        else:
            tokens.append([])
    return tokens


class PromptVectors(nn.Module):
    """A prompt whose vectors [P, E] are trained as they are; they are copied."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values.detach().clone())

    def forward(self) -> Tensor:
        """Return the vectors, [P, E]."""
        return self.values


class PlacedPromptModel(PromptModel):
    """Classifies by label words at the mask of a prompt with own tokens.

    Where the model's positions end before own tokens and the task's longest input do, the input is
    cut to what is left.

    Args:
        backbone: a masked model; from now on it reads own tokens too.
        task: gives template and label words.
        places: of the own tokens.
        prompt: returns their vectors, [P, E].

    Raises:
        BenchError: label words that the model cannot read, or more own tokens than it holds.
    """

    def __init__(self, backbone: Backbone, task: Task, places: Places, prompt: nn.Module) -> None:
        backbone.check_head()
        if places.total:
            task = behind(backbone, task, places.total)
            backbone.prompt = prompt.to(backbone.device)
        super().__init__(backbone, task)
        self.places = places
        view = f"{task.full_name} {task.template} {task.max_length} {places}"
        self._encoded = backbone.encodings.setdefault(view, {})

    def blueprint(self) -> Json:
        """Return the places of the own tokens, and the template, which may not be the task's."""
        return {"places": self.places, "template": self.task.template}

    @classmethod
    def rebuild(  # type: ignore[override]
        cls,
        backbone: Backbone,
        task: Task,
        *,
        places: tuple[Sequence[int], bool],
        template: str,
        **more: Any,
    ) -> Self:
        """Return a model with own tokens at these places, their vectors still to be loaded."""
        before, words = places
        read = replace(task, template=template)
        return cls._empty(backbone, read, Places(tuple(before), words), **more)

    @classmethod
    def _empty(cls, backbone: Backbone, task: Task, places: Places) -> Self:
        """Return a model whose vectors are to be loaded; other classes make theirs otherwise."""
        raise NotImplementedError

    def _join(self, parts: list[list[int]]) -> Encoded:
        """Join the pieces of one prompt and the own tokens between them."""
        if not self.places.words:
            kinds = [piece.kind for piece in self.pieces]
            parts = [
                [] if kind == "literal" else part for kind, part in zip(kinds, parts, strict=True)
            ]
        cut = self._cut_to_fit(parts)
        tokenizer = self.backbone.tokenizer
        own = iter(range(-self.places.total, 0))
        ids: list[int] = [tokenizer.cls_token_id]
        mask = 0
        for count, piece, part in zip(self.places.before, self.pieces, parts, strict=False):
            ids += [next(own) for _ in range(count)]
            mask = len(ids) if piece.kind == "mask" else mask
            ids += part
        ids += [*own, tokenizer.sep_token_id]
        return Encoded((Tokens(tuple(ids), (0,) * len(ids), mask),), None, cut)
