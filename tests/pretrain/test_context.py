"""The words around a row: of its own document only, thinned by how frequent they are, within reach."""

from __future__ import annotations

import numpy as np
import pytest

from fewbench.pretrain import context
from fewbench.pretrain.context import Context
from fewbench.pretrain.masking import Vocabulary

CLS, SEP, PIECE = 0, 1, 9
ROWS = np.array(
    [
        [CLS, 2, 3, 2, SEP],  # document A
        [CLS, 4, 5, SEP, SEP],  # ends A
        [CLS, 6, 7, 7, SEP],  # B
        [CLS, 8, PIECE, 3, SEP],  # B
        [CLS, 4, SEP, 5, SEP],  # ends B; C
        [CLS, 6, 6, 2, SEP],  # C
    ],
    np.uint16,
)


@pytest.fixture
def looked_up():
    ids = np.arange(10)
    return Context([ROWS[:2], ROWS], Vocabulary(ids < 2, ids == PIECE), SEP)


def thinned(bag):
    """Return word2vec's distribution, from word: (times around, times in all corpora)."""
    whole = 5 + 14  # words of the first two rows, and of all rows: neither special nor a piece
    wanted = np.zeros(10)
    for word, (around, times) in bag.items():
        wanted[word] = around * min(1, (context.THINNED / (times / whole)) ** 0.5)
    return wanted / max(wanted.sum(), 1e-9)


def test_the_words_of_the_same_document_thinned(looked_up):
    rows = looked_up.around([(1, row) for row in range(6)])
    assert rows.dtype == np.float32
    assert rows[0] == pytest.approx(thinned({4: (1, 3), 5: (1, 3)}), abs=1e-6)
    assert rows[1] == pytest.approx(thinned({2: (2, 5), 3: (1, 3)}), abs=1e-6)
    assert rows[2] == pytest.approx(thinned({8: (1, 1), 3: (1, 3), 4: (1, 3)}), abs=1e-6)
    assert rows[3] == pytest.approx(thinned({6: (1, 3), 7: (2, 2), 4: (1, 3)}), abs=1e-6)
    assert rows[4] == pytest.approx(thinned({6: (2, 3), 2: (1, 5)}), abs=1e-6)
    assert rows[5] == pytest.approx(thinned({5: (1, 3)}), abs=1e-6)


def test_each_corpus_by_its_own_rows(looked_up):
    first, second = looked_up.around([(0, 0), (1, 0)])
    assert np.array_equal(first, second)
    assert np.array_equal(*looked_up.around([(0, 1), (1, 1)]))
    alone = Context([ROWS[5:], ROWS], Vocabulary(np.arange(10) < 2, np.arange(10) == PIECE), SEP)
    assert not alone.around([(0, 0)]).any()


def test_no_further_than_it_reaches(looked_up, monkeypatch):
    monkeypatch.setattr(context, "REACH", 1)
    after, before = looked_up.around([(1, 2), (1, 5)])
    assert after == pytest.approx(np.eye(10)[8])
    assert before == pytest.approx(np.eye(10)[5])
    assert looked_up.around([(1, 3)])[0] == pytest.approx(thinned({7: (1, 2), 4: (1, 3)}), abs=1e-6)
