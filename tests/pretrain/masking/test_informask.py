"""InforMask against the loops of its Algorithm 2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import CORPUS, IDS, SEEDS, SIZE, VOCABULARY, generator
from scipy.sparse import csr_array

from fewbench.pretrain.masking import informask
from fewbench.pretrain.pmi import count_pairs, pmi


def algorithm_2(sequence, candidates, table):
    """Return the scores F of the candidates of one sequence by the loops of Algorithm 2."""
    scores = []
    for mask in candidates:
        masked = [w for w, m in zip(sequence, mask, strict=True) if m]
        unmasked = [
            w for w, m in zip(sequence, mask, strict=True) if not m and not VOCABULARY.special[w]
        ]
        score = 0.0
        for w1 in masked:
            for w2 in unmasked:
                score += table[w1, w2]
        scores.append(score)
    return scores


@pytest.mark.parametrize("dense", [0, SIZE])
def test_informask_is_algorithm_2(dense, monkeypatch):
    monkeypatch.setattr(informask, "BATCH", 16)
    monkeypatch.setattr(informask.pair_lookup, "__defaults__", (dense,))
    ids = CORPUS[-48:]
    table = pmi(count_pairs(CORPUS, VOCABULARY.special))
    chosen = informask.choose_by(table, VOCABULARY, 0.2, 6)(ids, generator(4))
    rng = generator(4)
    for start in range(0, len(ids), 16):
        part = ids[start : start + 16]
        candidates = informask.draw_candidates(~VOCABULARY.special[part], 0.2, 6, rng)
        for row, sequence in enumerate(part):
            scores = algorithm_2(sequence, candidates[row], table.toarray())
            of_chosen = algorithm_2(sequence, [chosen[start + row]], table.toarray())[0]
            assert of_chosen == pytest.approx(max(scores), abs=1e-4)
            assert any((chosen[start + row] == mask).all() for mask in candidates[row])


def test_scores_by_hand():
    """The reasoning of Figure 7.2: with PMI ab = 2, bc = 1 and ac = -1, masking b scores 3."""
    pairs = np.array([[[0, 2, -1, 9], [2, 0, 1, 9], [-1, 1, 0, 9], [9, 9, 9, 9]]], dtype=np.float32)
    masks = np.eye(4, dtype=bool)[None, :3]
    allowed = np.array([[True, True, True, False]])
    assert informask.scores(masks, pairs, allowed).tolist() == [[1, 3, 0]]


def test_more_candidates_find_higher_scores():
    table = pmi(count_pairs(CORPUS, VOCABULARY.special))
    ids, lookup = CORPUS[:200], informask.pair_lookup(table)

    def mean_score(candidates):
        mask = informask.choose_by(table, VOCABULARY, 0.15, candidates)(ids, generator(2))
        return informask.scores(mask[:, None], lookup(ids), ~VOCABULARY.special[ids]).mean()

    assert mean_score(1) < mean_score(5) < mean_score(40)


@settings(deadline=None, max_examples=50)
@given(ids=IDS, rate=st.floats(0, 1), candidates=st.integers(1, 5), seed=SEEDS)
def test_candidates_of_a_sequence_have_as_many_masks(ids, rate, candidates, seed):
    allowed = ~VOCABULARY.special[ids]
    masks = informask.draw_candidates(allowed, rate, candidates, generator(seed))
    counts, exact = masks.sum(axis=2), rate * allowed.sum(axis=1)
    assert (counts == counts[:, :1]).all() and not (masks & ~allowed[:, None]).any()
    assert (np.abs(counts[:, 0] - exact) < 1 + 1e-9).all()


def test_candidates_are_uniform_over_places():
    allowed = np.array([[False, *[True] * 5, False, *[True] * 5]])
    masks = informask.draw_candidates(allowed, 0.3, 30_000, generator())[0]
    shares = masks.mean(axis=0) / masks.mean() * len(masks[0]) ** -1
    assert shares[~allowed[0]].tolist() == [0, 0]
    assert shares[allowed[0]] == pytest.approx(0.1, abs=0.003)


@given(ids=IDS)
@settings(deadline=None, max_examples=30)
def test_dense_and_sparse_look_ups_agree(ids):
    table = csr_array(
        np.where(generator(1).random((SIZE, SIZE)) < 0.3, generator(2).random((SIZE, SIZE)), 0)
    )
    dense, sparse = informask.pair_lookup(table), informask.pair_lookup(table, dense=0)
    assert (dense(ids) == sparse(ids)).all()
    assert (dense(ids)[0] == table.toarray()[np.ix_(ids[0], ids[0])]).all()
