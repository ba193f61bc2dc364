"""Distilling hidden states: the teacher's rows and both distances by hand, and a whole pretraining."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import make_tokenizer
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from fewbench.pretrain.objective import Masked, hidden_states, masked_words
from fewbench.pretrain.recipe import Recipe
from fewbench.pretrain.run import PretrainRequest, pretrain, vocabulary_of
from fewbench.pretrain.states import PIECES, Targets, WordPairing, states_objective
from fewbench.registry.pretrained import find_model

PIECES_OF_TEACHER = [
    "[PAD]",
    "[CLS]",
    "[SEP]",
    "[UNK]",
    "[MASK]",
    "film",
    "s",
    "##i",
    "##lms",
    "the",
    "m",
    "##ovie",
]
PIECES_OF_TEACHER += [
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    *"abcdefghijklmnopqrtuvwxyz.,",
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A folder of a wider model of four layers whose tokenizer has other pieces."""
    folder = tmp_path_factory.mktemp("teacher")
    inner = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(PIECES_OF_TEACHER)}, unk_token="[UNK]")
    )
    inner.normalizer, inner.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)
    torch.manual_seed(1)
    config = dict(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=0,
    )
    BertForMaskedLM(BertConfig(vocab_size=len(PIECES_OF_TEACHER), **config)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory, teacher):
    return make_tokenizer(
        tmp_path_factory.mktemp("student")
    ), PreTrainedTokenizerFast.from_pretrained(teacher)


@pytest.fixture(scope="module")
def rows(tokenizers):
    """Two rows: one begins within a word, one holds an unknown sign and the end of a document."""
    student = tokenizers[0]
    texts = (
        ["[CLS]", "##m", "the", "f", "##i", "##l", "##m", "##s", ",", "movie", "[SEP]", "[SEP]"],
    )
    texts += (
        ["[CLS]", "movie", ".", "[SEP]", "[UNK]", "c", "##a", "##t", "the", "film", "s", "[SEP]"],
    )
    return np.array([student.convert_tokens_to_ids(text) for text in texts])


@pytest.fixture(scope="module")
def words(tokenizers, rows):
    return WordPairing([rows], *tokenizers, vocabulary_of(tokenizers[0]))


WANTED = (
    (
        ["[CLS]", "m", "the", "film", "##s", ",", "m", "##ovie", "[SEP]", "[SEP]"],
        [1, 2, 3, 4, 4, 5, 6, 6, 7, 8],
    ),
    (
        [
            "[CLS]",
            "m",
            "##ovie",
            ".",
            "[SEP]",
            "[UNK]",
            "c",
            "##a",
            "##t",
            "the",
            "film",
            "s",
            "[SEP]",
        ],
        [1, 2, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10],
    ),
)


def test_a_row_as_the_teacher_reads_it(tokenizers, rows, words):
    layout = words.layout(torch.from_numpy(rows), 16)
    for row, (pieces, numbers) in enumerate(WANTED):
        read = layout.read[row]
        assert tokenizers[1].convert_ids_to_tokens(layout.ids[row][read].tolist()) == pieces
        # "##m" goes on with a word that the row before holds: here it is one
        assert layout.theirs[row][read].tolist() == numbers
        assert not layout.ids[row][~read].any()
    assert layout.ours.tolist()[1] == [1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10]


def test_a_row_too_long_for_the_teacher_is_cut(rows, words):
    layout = words.layout(torch.from_numpy(rows), 6)
    assert layout.ids.shape == (2, 6)
    assert layout.read.all()
    assert layout.theirs.tolist() == [numbers[:6] for _, numbers in WANTED]


def test_of_a_long_word_the_first_pieces_count(tokenizers):
    student = tokenizers[0]
    word = student.convert_tokens_to_ids(["a", *["##b"] * 20])
    row = np.array([[student.cls_token_id, *word, student.sep_token_id]])
    layout = WordPairing([row], *tokenizers, vocabulary_of(student)).layout(
        torch.from_numpy(row), 40
    )
    assert layout.theirs[0][layout.read[0]].tolist() == [1, *[2] * PIECES, 3]


def test_a_row_of_unknown_words_has_no_targets(tokenizers, rows, words):
    other = torch.from_numpy(rows).clone()
    other[:, 2:5] = tokenizers[0].convert_tokens_to_ids("waste")
    layout = words.layout(other, 16)
    assert set(layout.theirs[0].tolist()) & {3, 4} == set()


@pytest.fixture
def pair(tiny_model, teacher, words, rows):
    student = AutoModelForMaskedLM.from_pretrained(tiny_model).eval()
    told = AutoModelForMaskedLM.from_pretrained(teacher).eval()
    torch.manual_seed(0)
    targets = Targets(told.base_model, words, student, 16)
    return student, told, targets


def by_hand(student, told, targets, tokenizers, seen, rows):
    """Both distances with loops over rows, layers and words."""
    ours = student(torch.from_numpy(seen), output_hidden_states=True).hidden_states
    distances, of_rows = [], []
    for layer, (mine, its) in enumerate([(1, 2), (2, 4)]):
        for row, (pieces, numbers) in enumerate(WANTED):
            ids = torch.tensor([tokenizers[1].convert_tokens_to_ids(pieces)])
            theirs = told(ids, output_hidden_states=True).hidden_states[its][0].detach().numpy()
            places = targets.words.layout(torch.from_numpy(rows), 16).ours[row].numpy()
            off = []
            for word in sorted(set(numbers)):
                state = ours[mine][row][torch.from_numpy(places == word)].mean(0)
                wanted = theirs[np.array(numbers) == word].mean(0)
                wanted = (wanted - targets.mean[layer].numpy()) / targets.spread[layer].numpy()
                off.append(targets.maps[layer](state).detach().numpy() - wanted)
            distances += [np.mean(one**2) for one in off]
            of_rows.append(np.mean(np.mean(off, 0) ** 2))
    return np.mean(distances), np.mean(of_rows)


@pytest.mark.parametrize("measured", [False, True])
def test_both_distances_by_hand(pair, tokenizers, rows, measured):
    student, told, targets = pair
    if measured:
        targets.measure([rows])
        assert targets.spread.min() > 0.01
    seen = rows.copy()
    seen[0, 8] = seen[1, 1] = tokenizers[0].mask_token_id
    with torch.no_grad():
        states = hidden_states(student, torch.from_numpy(seen))
        found = [float(part) for part in targets.losses(states, torch.from_numpy(rows))]
        wanted = by_hand(student, told, targets, tokenizers, seen, rows)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_measured_states_have_mean_0_and_spread_1(pair, rows):
    targets = pair[2]
    targets.measure([rows])
    states, read = targets._read(targets.words.layout(torch.from_numpy(rows), 16))
    for layer, mean, spread in zip(states, targets.mean, targets.spread, strict=True):
        kept = ((layer - mean) / spread)[read[:, :, 0] > 0].detach()
        assert kept.mean(0).abs().max() < 1e-4
        assert (kept.std(0, correction=0) - 1).abs().max() < 1e-3


def test_the_loss_is_the_weighted_sum(pair, tokenizers, rows):
    student, _, targets = pair
    seen = torch.from_numpy(rows).clone()
    places = torch.tensor([8, 13])
    answers = seen.flatten()[places]
    seen.view(-1)[places] = tokenizers[0].mask_token_id
    masked = Masked(seen, places, answers)
    recipe = Recipe(objective="states", hard=3.0, hidden=2.0, pooled=5.0)
    with torch.no_grad():
        total, terms = states_objective(targets, recipe)(student, masked)
        words, of_rows = targets.losses(hidden_states(student, seen), torch.from_numpy(rows))
        hard = masked_words(student, masked)[0]
    assert float(total) == pytest.approx(float(3 * hard + 2 * words + 5 * of_rows), rel=1e-5)
    assert terms == pytest.approx(
        {"loss": float(hard), "words": float(words), "rows": float(of_rows)}, rel=1e-4
    )


def test_a_whole_pretraining_killed_and_gone_on_with(corpus, tmp_path, tiny_model, teacher):
    small = dict(
        tokens=30 * 8 * 16, batch=8, length=16, lr=3e-3, evaluate_every=10, checkpoint_every=4
    )
    recipe = Recipe(objective="states", precision="float32", hidden=4.0, pooled=4.0, **small)
    found = find_model(str(tiny_model))

    def asked(out):
        return PretrainRequest(
            recipe, [str(corpus)], tmp_path / out, start=found, teacher=find_model(str(teacher))
        )

    told = []
    whole = pretrain(asked("whole"), lambda text: None, lambda update, terms: told.append(terms))
    assert np.mean([one["words"] for one in told[-5:]]) < 0.9 * np.mean(
        [one["words"] for one in told[:5]]
    )

    def die(update, terms):
        if update == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(asked("cut"), lambda text: None, die)
    cut = pretrain(asked("cut"), lambda text: None)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert a.keys() == load_file(tiny_model / "model.safetensors").keys()
    assert whole["parameters"] == cut["parameters"]
    AutoModelForMaskedLM.from_pretrained(tmp_path / "cut")
