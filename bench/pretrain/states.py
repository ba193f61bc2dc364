"""Distils the hidden states of a teacher whose tokenizer and width may differ from the student's.

Every word of the text is a target, not the masked ones alone: after each layer of the student, a
learned map of the mean of a word's states must give the mean of its states in a layer of the
teacher (TinyBERT's loss of hidden states, Jiao et al., 2020, section 3.1, on words in the place of
tokens). The student reads the text with masks and the teacher reads it without (data2vec, Baevski
et al., 2022). Ours is that each dimension of the targets is standardised: else a few wide ones are
the loss.

Axes: n rows, L places of the student, T of the teacher, W words of a row, P pieces of a word,
d and e the widths of student and teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fewbench.nn.families import family_of
from fewbench.pretrain.masking import Vocabulary
from fewbench.pretrain.objective import (
    Masked,
    Objective,
    cross_entropy,
    hidden_states,
    vocabulary_scores,
)
from fewbench.pretrain.packing import Rows
from fewbench.pretrain.recipe import Recipe

PIECES = 12
"""The pieces of a word that count: of a longer word, student and teacher read its first ones."""
ROWS_AT_ONCE = 4096
MEASURED_ROWS = 512
"""Rows of each corpus on which mean and spread of the teacher's states are measured."""
MEASURED_AT_ONCE = 64


class Layout(NamedTuple):
    """The same rows for teacher and student, word by word.

    `ids` [n, T] is what the teacher reads, `read` [n, T] which of its places hold a token. `ours`
    [n, L] and `theirs` [n, T] number the word of each place; word 0 is what is no whole word.
    """

    ids: Tensor
    read: Tensor
    ours: Tensor
    theirs: Tensor


class WordPairing(nn.Module):
    """Knows how the teacher's tokenizer writes each word of the corpora.

    A word is the run of pieces that the student's tokenizer makes of it, so a row of the student's
    ids is enough to write the teacher's row, on any device.

    Args:
        corpora: rows [N, L] of the student's ids.
        student, teacher: fast tokenizers; [CLS], [SEP] and [UNK] stand for each other.
        vocabulary: which of the student's ids continue a word.
        device: where rows will be.
    """

    continues: Tensor
    special: Tensor
    powers: Tensor
    keys: Tensor
    pieces: Tensor

    def __init__(
        self,
        corpora: Iterable[Rows],
        student: Any,
        teacher: Any,
        vocabulary: Vocabulary,
        device: Any = "cpu",
    ) -> None:
        super().__init__()
        powers = np.random.default_rng(0).integers(1 << 20, 1 << 62, PIECES) | 1
        self.register_buffer("continues", torch.from_numpy(vocabulary.continues))
        self.register_buffer("special", torch.from_numpy(vocabulary.special))
        self.register_buffer("powers", torch.from_numpy(powers))
        self.pad = int(teacher.pad_token_id)
        found: dict[int, tuple[int, ...]] = {}
        self.to(device)
        for rows in corpora:
            for first in range(0, len(rows), ROWS_AT_ONCE):
                self._collect(
                    torch.from_numpy(np.asarray(rows[first : first + ROWS_AT_ONCE], np.int64)),
                    found,
                )
        keys = sorted(found)
        pieces = _teacher_pieces([found[key] for key in keys], student, teacher)
        self.register_buffer("keys", torch.tensor(keys, device=device))
        self.register_buffer("pieces", torch.from_numpy(pieces).to(device))

    def _collect(self, ids: Tensor, found: dict[int, tuple[int, ...]]) -> None:
        """Add the words of rows to `found`, by their key."""
        begins, number, keys = self._keys(ids.to(self.powers.device))
        starts = begins.flatten().nonzero()[:, 0]
        seen, inverse = torch.unique(keys.gather(1, number).flatten()[starts], return_inverse=True)
        first = torch.full_like(seen, len(starts)).scatter_reduce_(
            0, inverse, torch.arange(len(starts), device=seen.device), "amin"
        )
        flat = ids.numpy().ravel()
        ends = np.append(starts.cpu().numpy(), ids.numel())
        for key, place in zip(seen.tolist(), first.tolist(), strict=True):
            if key not in found:
                start = ends[place]
                found[key] = tuple(flat[start : min(ends[place + 1], start + PIECES)].tolist())

    def _keys(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return word starts [n, L], the word of each place [n, L], and word keys [n, L + 1].

        A piece that continues a word begins one where there is none before it: at a row's start.
        """
        begins = ~self.continues[ids]
        begins[:, 1:] |= self.special[ids[:, :-1]]
        number = begins.cumsum(1)
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        inside = places - torch.where(begins, places, 0).cummax(1).values
        powers = torch.where(inside < PIECES, self.powers[inside.clamp(max=PIECES - 1)], 0)
        keys = torch.zeros(len(ids), ids.shape[1] + 1, dtype=torch.int64, device=ids.device)
        return begins, number, keys.scatter_add_(1, number, (ids + 1) * powers)

    def layout(self, ids: Tensor, longest: int) -> Layout:
        """Return unmasked student ids [n, L] in the teacher's tokens: at most `longest` per row."""
        _, number, keys = self._keys(ids)
        index = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        known = (self.keys[index] == keys) & (keys != 0)
        known[:, 0] = False
        pieces = self.pieces[index].long()  # [n, W, P]
        wanted = ((pieces >= 0) & known[:, :, None]).flatten(1)
        place = wanted.cumsum(1) - 1
        target = torch.where(wanted & (place < longest), place, longest)
        words = (
            torch.arange(keys.shape[1], device=ids.device)[:, None]
            .expand(-1, PIECES)
            .flatten()
            .expand_as(target)
        )
        teacher = torch.full((len(ids), longest + 1), self.pad, device=ids.device)
        theirs = torch.zeros_like(teacher)
        teacher.scatter_(1, target, pieces.flatten(1))
        theirs.scatter_(1, target, words)
        count = (target < longest).sum(1)
        read = torch.arange(longest, device=ids.device) < count[:, None]
        return Layout(
            torch.where(read, teacher[:, :-1], self.pad),
            read,
            number,
            torch.where(read, theirs[:, :-1], 0),
        )


class Targets(nn.Module):
    """The teacher's layers, their mean and spread, and the maps that the student learns to them.

    Args:
        teacher: an encoder of transformers; it is not trained.
        words: how the teacher writes the student's words.
        student: its layers and its width.
        longest: tokens of a row that the teacher reads.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, teacher: Any, words: WordPairing, student: Any, longest: int) -> None:
        super().__init__()
        self.teacher, self.words, self.longest = teacher, words, longest
        ours, theirs = len(family_of(student).layers(student)), teacher.config.num_hidden_layers
        self.pairs = [(layer, -(-layer * theirs // ours)) for layer in range(1, ours + 1)]
        wide = teacher.config.hidden_size
        self.maps = nn.ModuleList(nn.Linear(student.config.hidden_size, wide) for _ in self.pairs)
        self.register_buffer("mean", torch.zeros(len(self.pairs), wide))
        self.register_buffer("spread", torch.ones(len(self.pairs), wide))

    @torch.no_grad()
    def measure(self, corpora: Sequence[Rows]) -> None:
        """Measure mean and spread of the teacher's states, which are taken off the targets."""
        device = self.mean.device
        sums, squares, count = torch.zeros_like(self.mean), torch.zeros_like(self.mean), 0.0
        for rows in corpora:
            for first in range(0, min(len(rows), MEASURED_ROWS), MEASURED_AT_ONCE):
                ids = torch.from_numpy(
                    np.asarray(rows[first : first + MEASURED_AT_ONCE], np.int64)
                ).to(device)
                layout = self.words.layout(ids, self.longest)
                states, weight = self._read(layout)
                sums += torch.stack([(layer * weight).sum((0, 1)) for layer in states])
                squares += torch.stack([(layer.square() * weight).sum((0, 1)) for layer in states])
                count += float(weight.sum())
        self.mean.copy_(sums / count)
        variance = squares / count - (sums / count).square()
        self.spread.copy_(variance.clamp(min=1e-6).sqrt())

    def _read(self, layout: Layout) -> tuple[list[Tensor], Tensor]:
        """Return the teacher's word states, [n, W, e] per layer, and the words read [n, W, 1]."""
        said = self.teacher(
            layout.ids, attention_mask=layout.read.long(), output_hidden_states=True
        ).hidden_states
        words = layout.ours.shape[1] + 1
        counted = _counts(layout.theirs, words)
        states = [_means(said[layer], layout.theirs, counted) for _, layer in self.pairs]
        return states, (counted > 0) * _no_first(counted)

    def losses(self, states: Sequence[Tensor], ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean squared distances of words and of rows, each over layers and dimensions.

        Args:
            states: of the student, [n, L, d] after the embeddings and after each layer.
            ids: the text [n, L] in the student's ids, unmasked.
        """
        layout = self.words.layout(ids, self.longest)
        with torch.no_grad():
            wanted, read = self._read(layout)
        counted = _counts(layout.ours, read.shape[1])
        weight = read * (counted > 0)
        total, per_row = weight.sum(), weight.sum(1).clamp(min=1)
        by_word, by_row = [], []
        for number, (layer, _) in enumerate(self.pairs):
            ours = self.maps[number](_means(states[layer], layout.ours, counted))
            theirs = (wanted[number] - self.mean[number]) / self.spread[number]
            off = (ours.float() - theirs) * weight
            by_word.append(off.square().mean(-1).sum() / total)
            by_row.append((off.sum(1) / per_row).square().mean())
        return torch.stack(by_word).mean(), torch.stack(by_row).mean()


def states_objective(targets: Targets, recipe: Recipe) -> Objective:
    """Return the loss hidden * words + pooled * rows + hard * masked words.

    Words and rows are the distances of `Targets.losses`; the last is the cross-entropy at the
    masked places.
    """

    def loss(model: Any, rows: Masked) -> tuple[Tensor, dict[str, float]]:
        states = hidden_states(model, rows.ids)
        scores = vocabulary_scores(model, states[-1].flatten(0, 1).index_select(0, rows.places))
        hard, terms = cross_entropy(scores, rows)
        ids = rows.ids.flatten().index_copy(0, rows.places, rows.answers).view_as(rows.ids)
        words, pooled = targets.losses(states, ids)
        terms |= {"words": float(words.detach()), "rows": float(pooled.detach())}
        return recipe.hard * hard + recipe.hidden * words + recipe.pooled * pooled, terms

    return loss


def _teacher_pieces(
    words: Sequence[tuple[int, ...]], student: Any, teacher: Any
) -> NDArray[np.int32]:
    """Return the teacher's pieces of words in student ids: [words, P], -1 after the last piece."""
    same = {
        getattr(student, f"{name}_token_id"): getattr(teacher, f"{name}_token_id")
        for name in ("cls", "sep", "unk")
    }
    texts = [" " + _text(word, student) for word in words]
    encoded = teacher(texts, add_special_tokens=False, truncation=False)["input_ids"]
    table = np.full((len(words), PIECES), -1, np.int32)
    for row, (word, pieces) in enumerate(zip(words, encoded, strict=True)):
        written = pieces[:PIECES]
        if len(word) == 1 and word[0] in same:
            written = [same[word[0]]]
        table[row, : len(written)] = written
    return table


def _text(word: tuple[int, ...], tokenizer: Any) -> str:
    """Return the text of a word's pieces, without the marks of pieces that continue it."""
    pieces = tokenizer.convert_ids_to_tokens(list(word))
    if any(piece.startswith(("Ġ", "▁")) for piece in pieces):
        return str(tokenizer.decode(list(word), clean_up_tokenization_spaces=False)).strip()
    return "".join(piece.removeprefix("##") for piece in pieces)


def _counts(word: Tensor, words: int) -> Tensor:
    """Count the places of each word, [n, W, 1]."""
    ones = torch.ones_like(word, dtype=torch.float32)
    counts = torch.zeros(len(word), words, device=word.device).scatter_add_(1, word, ones)
    return counts[:, :, None]


def _means(states: Tensor, word: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of states [n, places, d] over the places of each word, [n, W, d]."""
    rows, words = counted.shape[:2]
    first = torch.arange(rows, device=word.device)[:, None] * words
    flat = torch.zeros(rows * words, states.shape[-1], device=states.device)
    flat = flat.index_add(0, (word + first).flatten(), states.float().flatten(0, 1))
    return flat.view(rows, words, -1) / counted.clamp(min=1)


def _no_first(counted: Tensor) -> Tensor:
    """Return 1 for every word but the first, which gathers what is no word."""
    kept = torch.ones_like(counted)
    kept[:, 0] = 0
    return kept
