"""A view of any language model of transformers: its own forward pass, and its head where one reads.

The families of `fewbench.nn.families` are run layer by layer, on packed batches
(`fewbench.nn.encoder`); for all others the library's own forward pass runs, padded on the right.
Nothing here names a family. A language model is a base model and a head: the base gives hidden
states, and the head is whatever else the model does with them (transforms, projection, caps,
scales). So `head` runs the model with hidden states in the place of its base, of the tokens that
are read alone.

Axes: S sequences, T positions, N tokens, M states, d width, W words, V vocabulary, E width of the
word embeddings.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.errors import ModelError
from fewbench.nn.backbone import Backbone, FocusedEmbedding, SoftEmbedding
from fewbench.nn.batch import Batch, Encoded, Tokens, collate
from fewbench.nn.families import FAMILIES, Family, Layer

Given = dict[str, Tensor | bool]
"""Arguments of a model's forward pass by name."""
LONG, CLOSE, CLOSE_IN_HALF = 24, 1e-4, 0.1
"""Tokens of the longest sequence that a model is checked on, and how far from its own its scores
may be, of the largest, in single and in half precision.
"""


class GeneralBackbone(Backbone):
    """A masked language model of any family, run by transformers.

    It has no layers to be cut, replaced or probed; it has states, a head and embeddings.

    Raises:
        ModelError: a model without a base of its own, or one that takes no attention mask.
    """

    def _adapt(self) -> None:
        """Find the base model: the part whose states the head reads."""
        for name in _bases(self.model):
            self._base_name = name
            if "attention_mask" in _arguments(self._base) and self._is_used(self._base):
                return
        raise ModelError(
            f"language models of type '{self.config.model_type}' cannot be read in batches",
            where=self.ref.path,
            allowed="a base model that takes an attention mask",
        )

    @property
    def _base(self) -> Any:
        return self.model.get_submodule(self._base_name)

    @torch.no_grad()
    def check(self) -> None:
        """Compare the scores of a padded batch with the model's own for each sequence alone.

        Raises:
            ModelError: they differ: what stands beside a text would change its answer.
        """
        special = set(self.tokenizer.all_special_ids)
        known = sorted(set(self.tokenizer.get_vocab().values()) - special)[:LONG]
        sequences = [
            Tokens(tuple(ids), (0,) * len(ids), len(ids) - 1) for ids in (known, known[:9])
        ]
        batch = collate([Encoded((tokens,), None) for tokens in sequences], self.device)
        for scores, tokens in zip(self.vocabulary_scores(batch), sequences, strict=True):
            alone = torch.tensor([tokens.ids], device=self.device)
            own = self._whole(alone)[0, tokens.read]
            apart = float((scores - own).abs().max() / own.abs().max().clamp(min=1))
            if apart > (CLOSE if own.dtype == torch.float32 else CLOSE_IN_HALF):
                raise ModelError(
                    f"the scores of a '{self.config.model_type}' depend on what else is in a batch",
                    where=self.ref.path,
                    allowed="models that do not see padding",
                    fix="another model (bench ls models)",
                )

    @property
    def places(self) -> int:
        """The number of positions that the model has for the tokens of one sequence."""
        count = getattr(self.config, "max_position_embeddings", None)
        if count is None or count < 1:  # relative positions without an end
            return sys.maxsize
        for name, module in self.model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                first = 0 if module.padding_idx is None else module.padding_idx + 1
                return module.num_embeddings - first
        return int(count)

    @property
    def depth(self) -> int:
        """The number of layers whose states are read."""
        return int(self.config.num_hidden_layers)

    def check_layers(self) -> None:
        """Refuse the model: its layers cannot be taken apart.

        Raises:
            ModelError: always.
        """
        self._refuse()

    @property
    def layers(self) -> list[Layer]:
        """Nothing: raises a ModelError, for no layer can be cut out."""
        self._refuse()

    @property
    def _family(self) -> Family:  # type: ignore[override]
        self._refuse()

    def _refuse(self) -> NoReturn:
        kind = self.config.model_type
        raise ModelError(
            f"layers of a '{kind}' cannot be chosen or taken apart",
            where=self.ref.path,
            allowed=FAMILIES,
            given=kind,
            fix="a method that needs no layers: ft, prompt-ft, vanilla-kd, ptq",
        )

    def embedded(self) -> list[nn.Module]:
        """List the word embeddings alone."""
        return [self.model.get_input_embeddings()]  # type: ignore[operator]

    def linears(self) -> dict[str, nn.Linear]:
        """Return the linear layers of the base model by their names in the model."""
        return base_linears(self.model, self._base)

    def read(self, batch: Batch) -> Tensor:
        """Return the last hidden state of the token that is read in each sequence, [S, d]."""
        return self._at(self._run(batch).last_hidden_state, batch)

    def reads(self, batch: Batch) -> list[Tensor]:
        """Return every layer's hidden state of each sequence's read token, [S, d] each."""
        return [self._at(states, batch) for states in self._states(batch)[1:]]

    def hidden_states(self, batch: Batch) -> list[Tensor]:
        """Return the embeddings' and every layer's hidden states of all tokens, [N, d] each."""
        return [states.flatten(0, 1)[batch.place].float() for states in self._states(batch)]

    def _states(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the states [S, T, d] of embeddings and layers that the head's are the last of."""
        run = self._run(batch, output_hidden_states=True)
        return (*run.hidden_states[:-1], run.last_hidden_state)

    def _run(self, batch: Batch, **more: bool) -> Any:
        """Run the base model on a batch, and return its output."""
        return self._base(**self._given(batch), **self._taken(use_cache=False), **more)

    def _given(self, batch: Batch) -> Given:
        """Return the base model's arguments: ids or embeddings, mask, and segments if it has any.

        The first token stands in padding, where nothing sees it.
        """
        given = self._input(batch.ids[batch.grid])
        given["attention_mask"] = batch.real.long()
        known = getattr(self.config, "type_vocab_size", 0) or 0
        if known > 1:
            segments = batch.segments[batch.grid]
            given |= self._taken(token_type_ids=segments * (segments < known))
        return given

    def _input(self, ids: Tensor, prefix: str = "") -> Given:
        """Return ids [S, T] as an argument, or their embeddings where ids below 0 are vectors."""
        words = self.model.get_input_embeddings()  # type: ignore[operator]
        if self.prompt is not None:
            words = SoftEmbedding(words, self.prompt())
        if not isinstance(words, SoftEmbedding):
            return {f"{prefix}input_ids": ids}
        if f"{prefix}inputs_embeds" not in _arguments(self._base):
            raise ModelError(
                f"a '{self.config.model_type}' takes no vectors in the place of tokens",
                where=self.ref.path,
                fix="a method without a soft prompt: prompt-ft",
            )
        return {f"{prefix}inputs_embeds": words(ids)}

    def _taken(self, **arguments: Tensor | bool) -> Given:
        """Return those of some arguments that the base model takes."""
        known = _arguments(self._base)
        return {name: value for name, value in arguments.items() if name in known}

    def _at(self, states: Tensor, batch: Batch) -> Tensor:
        """Return those of the states [S, T, d] that are read, in float32: [S, d]."""
        return states.flatten(0, 1)[self._read_places(batch)].float()

    def _read_places(self, batch: Batch) -> Tensor:
        """Return the place of each sequence's read token in the flattened grid, [S]."""
        return batch.place[batch.read]

    def head(self, states: Tensor) -> Tensor:
        """Return the scores of the vocabulary for last hidden states [M, d]: logits, [M, V]."""
        weights = next(self._base.parameters())
        given = states.to(weights.dtype) if weights.dtype != torch.float32 else states
        with _replaced(self._base, partial(_output, given[:, None])):
            ids = torch.zeros(len(states), 1, dtype=torch.long, device=states.device)
            return self._whole(ids)[:, 0].float()

    def _whole(self, ids: Tensor) -> Tensor:
        """Return the model's own scores of ids [S, T] that are no padding, [S, T, V]."""
        scores: Tensor = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return scores

    def vocabulary_scores(self, batch: Batch) -> Tensor:
        """Score the whole vocabulary at the token that is read: logits, [S, V]."""
        return self.head(self.read(batch))

    def vocabulary_scores_of(self, states: Tensor) -> Tensor:
        """Score the whole vocabulary for last hidden states [M, d]: logits, [M, V]."""
        return self.head(states)

    def word_scores(self, batch: Batch, words: Tensor) -> Tensor:
        """Score words `words` [W] (token ids) at the token that is read: logits, [S, W].

        Only their rows of the projection are multiplied, where the model has one.
        """
        decoder = self._decoder()
        some = nullcontext() if decoder is None else self._some_rows(decoder, words)
        states = self.read(batch)
        with some:
            return self.head(states)[:, words]

    @contextmanager
    def _some_rows(self, decoder: nn.Linear, words: Tensor) -> Iterator[None]:
        """Let the projection score some words alone inside; the others have 0."""
        kept = torch.unique(words)
        rows, bias = self.word_rows(kept)

        def project(states: Tensor) -> Tensor:
            scores = F.linear(states, rows, None if decoder.bias is None else bias)
            whole = scores.new_zeros(*scores.shape[:-1], decoder.out_features)
            return whole.index_copy(-1, kept, scores)

        with _replaced(decoder, project):
            yield

    def word_rows(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows and biases of words `words` [W] in the projection to the vocabulary.

        Raises:
            ModelError: a head that ends in another thing than a projection.
        """
        decoder = self._projection()
        embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        focused = (
            isinstance(embedding, FocusedEmbedding) and embedding.full.weight is decoder.weight
        )
        rows: Tensor = embedding(words) if focused else decoder.weight[words]
        bias = rows.new_zeros(len(words)) if decoder.bias is None else decoder.bias[words]
        return rows, bias

    def projected(self, states: Tensor) -> Tensor:
        """Apply the language head to hidden states [..., d], without the last projection.

        Raises:
            ModelError: as in `word_rows`.
        """
        decoder, seen = self._projection(), list[Tensor]()

        def look(given: Tensor) -> Tensor:
            seen.append(given)
            return given.new_zeros(*given.shape[:-1], decoder.out_features)

        with _replaced(decoder, look):
            self.head(states.flatten(0, -2))
        return seen[0][:, 0].float().view(*states.shape[:-1], -1)

    def _projection(self) -> nn.Linear:
        decoder = self._decoder()
        if decoder is None:
            raise ModelError(
                f"the head of a '{self.config.model_type}' ends in no projection of its own",
                where=self.ref.path,
                fix="another model (bench ls models)",
            )
        return decoder

    def _decoder(self) -> nn.Linear | None:
        """Return the projection to the vocabulary; None where the head has no plain one."""
        decoder = self.model.get_output_embeddings()  # type: ignore[operator]
        embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        if isinstance(embedding, SoftEmbedding):
            embedding = embedding.words
        rows = len(
            embedding.row_of if isinstance(embedding, FocusedEmbedding) else embedding.weight
        )
        return decoder if isinstance(decoder, nn.Linear) and decoder.out_features >= rows else None

    @contextmanager
    def focused(self, tokens: Iterable[int]) -> Iterator[None]:
        """Train only the embedding rows of `tokens` inside, as the packed view does.

        Embeddings that compute more than a look-up, or whose weights the head reads in a way of its
        own, are trained whole.
        """
        full = self.model.get_input_embeddings()  # type: ignore[operator]
        if type(full) is not nn.Embedding or not self._is_projected():
            yield
            return
        with super().focused({*tokens, 0}):  # `SoftEmbedding` looks 0 up where a vector stands
            yield

    def _is_projected(self) -> bool:
        """True if the head ends in its output embeddings, called as a layer."""
        decoder = self._decoder()
        return decoder is not None and self._is_used(decoder)

    @torch.no_grad()
    def _is_used(self, part: nn.Module) -> bool:
        """True if the model calls a part for the scores of a token."""
        called: list[bool] = []
        handle = part.register_forward_pre_hook(lambda *_: called.append(True))
        try:
            self._whole(torch.zeros(1, 1, dtype=torch.long, device=self.device))
        finally:
            handle.remove()
        return bool(called)


def _bases(model: Any) -> list[str]:
    """Return the names of the parts that may be a language model's base, the likeliest first."""
    names = {id(module): name for name, module in model.named_modules() if name}
    likely = (model.base_model, getattr(model, "model", None), model.get_decoder())
    return list(dict.fromkeys(names[id(part)] for part in likely if id(part) in names))


def last_places(batch: Batch) -> Tensor:
    """Return the place of each sequence's last token in the flattened grid, [S]."""
    starts = torch.arange(len(batch.real), device=batch.real.device) * batch.real.shape[1]
    return starts + batch.real.sum(1) - 1


def base_linears(model: Any, base: nn.Module) -> dict[str, nn.Linear]:
    """Return the linear layers of a base model by their names in the model, but for the output.

    GPT-2's are stored transposed; they become plain ones first.
    """
    names = {id(module): name for name, module in model.named_modules()}
    for module in list(base.modules()):
        if type(module).__name__ == "Conv1D":
            model.set_submodule(names[id(module)], _plain(module))
    output = model.get_output_embeddings()
    inside = {id(module) for module in base.modules()}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inside and module is not output
    }


def _plain(transposed: Any) -> nn.Linear:
    """Return a linear layer with the weights of transformers' Conv1D, which has them as [i, o]."""
    inputs, outputs = transposed.weight.shape
    linear = nn.Linear(inputs, outputs, device="meta")
    linear.weight = nn.Parameter(transposed.weight.detach().t().contiguous())
    linear.bias = transposed.bias
    return linear


def _arguments(module: nn.Module) -> frozenset[str]:
    """Return the names of the arguments that a module's class takes in its forward pass."""
    return frozenset(inspect.signature(type(module).forward).parameters)


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    """Let a module compute something else inside."""
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]


class _BaseOutput(tuple[Tensor]):
    """Last hidden states [M, 1, d] as a base model returns them; all else it may return is None."""

    def __getattr__(self, name: str) -> Tensor | None:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[0] if name == "last_hidden_state" else None


def _output(states: Tensor, *_: object, **__: object) -> _BaseOutput:
    return _BaseOutput((states,))
