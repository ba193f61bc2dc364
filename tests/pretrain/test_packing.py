"""Packing: every token once, no padding, held-out text apart, encoded once."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoTokenizer

from fewbench.data.documents import documents, is_held_out
from fewbench.errors import DataError
from fewbench.pretrain import packing


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def test_rows_hold_the_documents_in_order(corpus, tokenizer, tmp_path):
    packed = packing.pack(str(corpus), tokenizer, 32, tmp_path)
    for rows, held in ((packed.train, False), (packed.held_out, True)):
        wanted = []
        for number, document in enumerate(documents(str(corpus))):
            if is_held_out(number) == held:
                wanted += [*tokenizer(" ".join(document), add_special_tokens=False)["input_ids"], 3]
        assert rows.shape == (len(wanted) // 30, 32)
        assert (rows[:, 0] == 2).all()
        assert (rows[:, -1] == 3).all()
        assert rows[:, 1:-1].ravel().tolist() == wanted[: rows.shape[0] * 30]
    assert packed.train.dtype == np.uint16


@pytest.mark.parametrize(
    "stored",
    [
        lambda backend: backend.enable_truncation(8),
        lambda backend: backend.enable_padding(length=64),
        lambda backend: (backend.enable_truncation(8, stride=2), backend.enable_padding(length=8)),
    ],
    ids=["truncation", "padding", "both"],
)
def test_what_a_tokenizer_was_saved_to_cut_and_pad_is_not_done(
    corpus, tiny_model, tmp_path, stored
):
    plain = AutoTokenizer.from_pretrained(tiny_model)
    stored(plain.backend_tokenizer)
    plain.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    for name in ("tokenizer_config.json", "vocab.txt"):
        if (tiny_model / name).exists():
            (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    cutting = AutoTokenizer.from_pretrained(tmp_path)
    assert cutting.backend_tokenizer.truncation or cutting.backend_tokenizer.padding
    before = cutting.backend_tokenizer.to_str()
    whole = packing.pack(
        str(corpus), AutoTokenizer.from_pretrained(tiny_model), 32, tmp_path / "whole"
    )
    packed = packing.pack(str(corpus), cutting, 32, tmp_path / "cut")
    assert np.array_equal(packed.train, whole.train) and np.array_equal(
        packed.held_out, whole.held_out
    )
    assert cutting.backend_tokenizer.to_str() == before


def test_a_corpus_is_encoded_once(corpus, tokenizer, tmp_path, monkeypatch):
    first = packing.pack(str(corpus), tokenizer, 32, tmp_path)
    monkeypatch.setattr(packing, "_pack", None)
    again = packing.pack(str(corpus), tokenizer, 32, tmp_path)
    assert np.array_equal(first.train, again.train)
    with pytest.raises(TypeError):
        packing.pack(str(corpus), tokenizer, 16, tmp_path)


def test_special_tokens_written_in_a_text_are_text(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text(
        "\n\n".join("the cat [MASK] sat [SEP] on the mat [PAD]" for _ in range(100))
    )
    rows = packing.pack(str(tmp_path), tokenizer, 16, tmp_path / "work").train
    assert not (rows == tokenizer.mask_token_id).any()
    assert not (rows == tokenizer.pad_token_id).any()
    assert tokenizer("[MASK]", add_special_tokens=False)["input_ids"] == [tokenizer.mask_token_id]


def test_too_little_text(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("the cat sat")
    with pytest.raises(DataError, match="too little text"):
        packing.pack(str(tmp_path), tokenizer, 32, tmp_path / "work")


def test_what_is_measured_is_the_same_share_of_each_corpus():
    large, small = (packing.Packed(np.zeros((0, 4)), np.full((n, 4), n)) for n in (5000, 300))
    rows = packing.held_out_rows([large, small])
    assert (rows == 5000).all(1).sum() == packing.HELD_OUT_ROWS // 2
    assert (rows == 300).all(1).sum() == 300
