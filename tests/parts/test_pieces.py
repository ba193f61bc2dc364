"""Prompts of tokenizers of several kinds: word boundaries, long texts, and what is spelt like a
special token.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_t5_tokenizer

from fewbench.data.tokenizer_check import BOUNDARY, read_as_text
from fewbench.errors import BenchError, ModelError
from fewbench.nn.batch import Shuffled
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.prompt import PromptModel, shortened
from fewbench.nn.prompt_pieces import tokenise, word_pieces
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_task
from fewbench.types import Example, ModelRef


def sentencepiece(prepend="always"):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ("a", "good", "film", "It", "was", "x")
    known = [("<unk>", 0.0), *(("\u2581" + word, -3.0) for word in words), ("\u2581", -8.0)]
    known += [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyzI.?,"]
    tokenizer = Tokenizer(models.Unigram(known, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def llama():
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    words = ("a", "good", "film", "It", "was")
    signs = [*"agodfilmItws.?", "\u2581"]
    merges, pieces = [], dict.fromkeys(["<unk>", *signs])
    for word in words:
        built = "\u2581"
        for letter in word:
            merges.append((built, letter))
            built += letter
            pieces[built] = None
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges)), unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize("make", [sentencepiece, llama])
def test_a_boundary_stands_for_a_space_and_for_nothing_else(make):
    tokenizer = make()

    def pieces(text, goes_on):
        (ids,) = tokenise(tokenizer, [text], goes_on=goes_on)
        return tokenizer.convert_ids_to_tokens(ids)

    assert pieces("a good film", False) == ["\u2581a", "\u2581good", "\u2581film"]
    assert pieces(" It was", True) == ["\u2581It", "\u2581was"]
    assert pieces("?", True) == ["?"] and pieces("", True) == []
    assert tokenizer.convert_ids_to_tokens(word_pieces(tokenizer, "good")) == ["\u2581good"]


def test_other_tokenizers_are_asked_as_they_were(tiny_model):
    tokenizer = Models(torch.device("cpu")).fresh(find_model(str(tiny_model))).tokenizer
    assert (
        tokenise(tokenizer, [" it was", "?"], goes_on=True)
        == tokenizer([" it was", "?"], add_special_tokens=False)["input_ids"]
    )


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_what_a_row_spells_like_a_special_token_is_text(tiny, family):
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny(family))))
    prompt = PromptModel(backbone, replace(toy_task("single"), max_length=60))
    special = backbone.tokenizer.all_special_ids
    for text in ("a [MASK] b", "[CLS] [SEP] good", "[PAD][PAD]", "good [UNK]"):
        (encoded,) = prompt.encode([Example(text, (text,))])
        (tokens,) = encoded.sequences
        inner = [token for place, token in enumerate(tokens.ids[1:-1], 1) if place != tokens.read]
        assert not set(inner) & set(special) - {backbone.tokenizer.unk_token_id}
        assert tokens.ids[tokens.read] == backbone.tokenizer.mask_token_id


def test_so_it_is_for_pieces_that_the_vocabulary_holds():
    """XLM-R's, ALBERT's and T5's vocabularies hold "</s>" and "<mask>" as pieces like any other."""
    from tokenizers import AddedToken, models

    tokenizer = sentencepiece().backend_tokenizer
    known = [
        ("<unk>", 0.0),
        *((piece, 0.0) for piece in ("<s>", "</s>", "<mask>", "[CLS]")),
        ("\u2581a", -3.0),
    ]
    known += [(letter, -9.0) for letter in "\u2581abcdefghijklmnopqrstuvwxyz<>/[]CLS "]
    tokenizer.model = models.Unigram(known, unk_id=0, byte_fallback=False)
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece, _ in known[:5]])
    read_as_text(tokenizer)
    for text in ("a </s> b", "a</s>b", "<mask>", "<s><s>", "[CLS] a <mask>."):
        assert not set(tokenizer.encode(text, add_special_tokens=False).ids) & {1, 2, 3, 4}, text
    assert tokenizer.encode("a < a", add_special_tokens=False).tokens == [
        "\u2581a",
        "\u2581",
        "<",
        "\u2581a",
    ]


def test_so_it_is_for_a_sentinel(tiny_t5):
    from fewbench.nn.kinds import prompt_model

    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny_t5)))
    prompt = prompt_model(backbone, replace(toy_task("single"), max_length=60))
    (encoded,) = prompt.encode([Example("e", ("a <extra_id_0> b </s> <extra_id_1>",))])
    (tokens,) = encoded.sequences
    assert [
        place for place, token in enumerate(tokens.ids) if token == backbone.tokenizer.mask_token_id
    ] == [tokens.read]
    assert tokens.ids.count(backbone.tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("lengths", [[5], [0, 3], [7, 7], [2, 9], [9, 2], [4, 4, 9], [1, 8, 8]])
def test_cutting_at_once_is_cutting_one_by_one(lengths):
    slow = list(lengths)
    for cut in range(sum(lengths) + 1):
        assert shortened(lengths, cut) == slow
        if cut < sum(lengths):
            slow[max(range(len(slow)), key=lambda index: slow[index])] -= 1


def test_batches_of_no_examples_are_refused():
    with pytest.raises(ValueError, match="batches of -1"):
        Shuffled(3, -1, 1)


def test_pairs_of_two_segments_are_one_to_a_model_of_one(tiny):
    from fewbench.nn.classifier import HeadModel

    backbone = Models(torch.device("cpu")).fresh(
        find_model(str(tiny("roberta")))
    )  # BERT's tokenizer: segments 0 and 1
    task = toy_task("pair")
    model = HeadModel(backbone, task).eval()
    (encoded,) = model.encode([Example("p", ("a cat", "a dog"))])
    assert set(encoded.sequences[0].segments) == {0, 1}
    assert model.predict([Example("p", ("a cat", "a dog"))]).array.shape == (1, 3)


def saved(tokenizer_of, folder: Path, **changes) -> Path:
    import json
    import shutil

    shutil.copytree(tokenizer_of, folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    for name, value in changes.items():
        config.pop(name) if value is None else config.update({name: value})
    file.write_text(json.dumps(config))
    special = folder / "special_tokens_map.json"
    if special.is_file():
        special.write_text(
            json.dumps(
                {k: v for k, v in json.loads(special.read_text()).items() if k not in changes}
            )
        )
    return folder


@pytest.mark.parametrize("token", ["cls", "sep", "mask", "pad"])
def test_a_masked_models_tokenizer_names_its_tokens(tiny_model, tmp_path, token):
    folder = saved(tiny_model, tmp_path / "model", **{f"{token}_token": None})
    with pytest.raises(ModelError, match=f"no {token} token"):
        Models(torch.device("cpu")).pretrained(find_model(str(folder)))


@pytest.mark.parametrize("kind", ["clip", "made-up"])
def test_an_unknown_type_is_told_which_are_known(tiny_model, tmp_path, kind):
    import json

    folder = saved(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": kind}))
    with pytest.raises(BenchError) as refused:
        Models(torch.device("cpu")).pretrained(find_model(str(folder)))
    assert f"'{kind}' are not known" in str(refused.value) and "masked: " in str(refused.value)
    assert "AutoModel" not in str(refused.value)


PIPE = pytest.param(
    None, marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
)


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, "null", '{"model_type": NaN}', "\xff", PIPE]
)
def test_a_configuration_that_is_none_is_one_error(tiny_model, tmp_path, text):
    from fewbench.registry.pretrained import backbone_kind, describe

    folder = saved(tiny_model, tmp_path / "model")
    file = folder / "config.json"
    file.unlink()
    os.mkfifo(file) if text is None else file.write_text(text, "latin-1")
    ref = ModelRef("own", str(folder), "0")
    with pytest.raises(ModelError, match=r"config\.json (cannot be read|holds no object)"):
        Models(torch.device("cpu")).pretrained(ref)
    with pytest.raises(ModelError, match=r"config\.json"):
        describe(folder)
    assert backbone_kind(ref) == "masked"


def test_layers_that_the_configuration_cuts_are_refused(tiny_model, tmp_path):
    import json

    folder = saved(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(
        ModelError, match=r"16 weights are of layers that config.json does not count, .*layer\.1\."
    ):
        Models(torch.device("cpu")).pretrained(find_model(str(folder)))


def roberta_like():
    """A tokenizer that puts two separators between the texts of a pair, as RoBERTa's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefgh"]
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        cls_token="<s>",
        sep_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


@pytest.mark.parametrize("length", [20, 7, 6])
def test_one_separator_stands_between_two_texts(tiny, length):
    """<s>x1</s>x2</s> (smash, section 3.1), whatever the tokenizer does with a pair."""
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny("bert"))))
    backbone.tokenizer = roberta_like()
    model = HeadModel(backbone, replace(toy_task("pair"), max_length=length))
    (encoded,) = model.encode([Example("e", ("a b", "c d"))])
    (tokens,) = encoded.sequences
    words = backbone.tokenizer.convert_ids_to_tokens(list(tokens.ids))
    letters = [word for word in words if word in "abcd"]
    assert len(words) == min(length, 7) and encoded.truncated == 7 - len(words)
    assert words.count("</s>") == 2 and words[-1] == "</s>" != words[-2]
    assert letters == (["a", "b", "c", "d"] if length >= 7 else letters)
    assert words.index("</s>") == words.index("c") - 1
    assert len(tokens.segments) == len(tokens.ids)


def test_a_label_word_may_be_written_with_its_boundary_and_lose_one_that_stands_alone():
    tokenizer = make_t5_tokenizer()
    assert word_pieces(tokenizer, BOUNDARY + "great") == word_pieces(tokenizer, "great")
    assert len(word_pieces(tokenizer, "great")) == 1
    (comma,) = word_pieces(tokenizer, ",")
    assert tokenizer.convert_ids_to_tokens(comma) == ","
