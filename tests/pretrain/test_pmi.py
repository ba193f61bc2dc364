"""Co-occurrence counts and eq. 7.1, written out by hand and against the literal loops."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewbench.pretrain.pmi import count_pairs, pmi

SPECIAL = np.array([True, False, False, False, False])
CORPUS = np.array([[1, 2, 1, 3, 0]])
COUNTS = [  # window 3, so at most 2 places apart: 1-2, 1-1, 2-1, 2-3, 1-3, each in both directions
    [0, 0, 0, 0, 0],
    [0, 2, 2, 1, 0],
    [0, 2, 0, 1, 0],
    [0, 1, 1, 0, 0],
    [0, 0, 0, 0, 0],
]  # in all 10; the rows of 1, 2, 3 sum to 5, 3, 2


def test_counts_by_hand():
    assert count_pairs(CORPUS, SPECIAL, window=3).toarray().tolist() == COUNTS


def test_a_window_of_two_counts_neighbours_only():
    counts = count_pairs(CORPUS, SPECIAL, window=2).toarray()
    assert (
        counts[1, 2] == counts[2, 1] == 2
        and counts[1, 3] == counts[3, 1] == 1
        and counts.sum() == 6
    )


def test_a_window_of_eleven_reaches_ten_places():
    row = np.array([[1, *[0] * 9, 2, 3]])  # 2 is 10 places from 1, 3 is 11
    counts = count_pairs(row, SPECIAL, window=11).toarray()
    assert counts[1].tolist() == [0, 0, 1, 0, 0]


def test_pairs_do_not_cross_sequences_and_special_tokens_take_up_a_place():
    assert count_pairs(np.array([[1], [2]]), SPECIAL, window=11).nnz == 0
    assert count_pairs(np.array([[1, 0, 2]]), SPECIAL, window=2).nnz == 0
    assert count_pairs(np.array([[1, 0, 2]]), SPECIAL, window=3).nnz == 2


def test_pmi_by_hand():
    table = pmi(count_pairs(CORPUS, SPECIAL, window=3)).toarray()
    assert table[1, 2] == pytest.approx(log(0.2 / (0.5 * 0.3)))
    assert table[1, 1] == pytest.approx(log(0.2 / (0.5 * 0.5)))
    assert table[2, 3] == pytest.approx(log(0.1 / (0.3 * 0.2)))
    assert table[1, 3] == pytest.approx(log(0.1 / (0.5 * 0.2)), abs=1e-6)  # 0: as if independent
    assert table[2, 2] == table[4, 4] == 0  # never seen together: not stored
    assert (table == table.T).all() and table.dtype == np.float32


def test_positive_pmi_keeps_what_is_above_zero():
    counts = count_pairs(CORPUS, SPECIAL, window=3)  # pmi(1, 1) is below 0
    table, positive = pmi(counts), pmi(counts, positive=True)
    assert (positive.toarray() == np.maximum(table.toarray(), 0)).all()
    assert (positive.data > 0).all() and positive.nnz < table.nnz


@pytest.mark.parametrize("shape", [(0, 8), (3, 0), (2, 5)])
def test_nothing_to_count(shape):
    counts = count_pairs(np.zeros(shape, dtype=np.int64), SPECIAL)
    assert counts.shape == (5, 5) and counts.nnz == 0 and pmi(counts).nnz == 0


IDS = arrays(
    np.uint16, st.tuples(st.integers(1, 6), st.integers(1, 14)), elements=st.integers(0, 4)
)


@settings(deadline=None)
@given(ids=IDS, window=st.integers(2, 12), block=st.integers(1, 40))
def test_counts_are_those_of_the_definition_whatever_the_blocks(ids, window, block):
    expected = np.zeros((5, 5), dtype=np.int64)
    for row in ids:
        for i, left in enumerate(row):
            for j, right in enumerate(row):
                if i != j and abs(i - j) < window and left and right:
                    expected[left, right] += 1
    assert (count_pairs(ids, SPECIAL, window=window, block=block).toarray() == expected).all()


def test_a_vocabulary_beyond_32_bit_pairs():
    special = np.zeros(70_000, dtype=bool)
    counts = count_pairs(np.array([[69_999, 3, 69_999]]), special, window=3)
    assert counts[3, 69_999] == counts[69_999, 3] == counts[69_999, 69_999] == 2 and counts.nnz == 3


def test_a_mapped_file_counts_as_the_array(tmp_path):
    ids = np.random.default_rng(1).integers(0, 5, (40, 9)).astype(np.uint16)
    np.save(tmp_path / "ids.npy", ids)
    mapped = np.load(tmp_path / "ids.npy", mmap_mode="r")
    assert (count_pairs(mapped, SPECIAL, block=50) != count_pairs(ids, SPECIAL)).nnz == 0
    mapped._mmap.close()
