"""Prompts: rendering, the mask, truncation, label words, and scores against the model's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.prompt import PromptModel
from fewbench.nn.verbalizer import word_ids
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task
from fewbench.types import Example


@pytest.fixture
def models():
    return Models(torch.device("cpu"))


@pytest.fixture
def prompt(models, tiny_model):
    ref = find_model(str(tiny_model))
    return lambda kind="single", **changes: PromptModel(
        models.fresh(ref), toy_task(kind, **changes)
    ).eval()


def shown(model, example) -> str:
    """Return a prompt as the tokenizer's pieces."""
    (tokens,) = model.encode([example])[0].sequences
    return " ".join(model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids))


@pytest.mark.parametrize(
    ("kind", "template", "expected"),
    [
        ("single", "{0} It was {mask}.", "[CLS] the film . it was [MASK] . [SEP]"),
        ("single", "{mask} : {0}", "[CLS] [MASK] : the film . [SEP]"),
        ("single", "{0|cut}, {mask}", "[CLS] the film , [MASK] [SEP]"),
        ("single", "{0} a {0} {mask}", "[CLS] the film . a the film . [MASK] [SEP]"),
        ("pair", "{0|cut} ? {mask} , {1|lower}", "[CLS] the film ? [MASK] , the cat . [SEP]"),
        ("pair", "{1} {mask} {0}", "[CLS] the cat . [MASK] the film . [SEP]"),
        (
            "choice",
            "{0} {1} {options} answer : {mask}",
            "[CLS] the film . the cat . a . good b . bad c . okay answer : [MASK] [SEP]",
        ),
    ],
)
def test_rendering(prompt, kind, template, expected):
    texts = ("The film.", "The cat.")[: 1 if kind == "single" else 2]
    example = Example("x", texts, options=("good", "bad", "okay") if kind == "choice" else ())
    assert shown(prompt(kind, template=template), example) == expected


def test_the_modifier_lower_touches_the_first_letter_alone(models, tmp_path, tiny_model):
    """The tiny model's tokenizer lower-cases all, so ask the renderer itself."""
    from fewbench.data.template import parse_template, piece_text

    plain, lower, cut = (
        parse_template("{0}{0|lower}{mask}{0|cut}")[0:4:1][0:2]
        + parse_template("{0|cut}{mask}")[:1]
    )
    example = Example("x", ("The BBC.",))
    assert [piece_text(piece, lower, example) for piece in (plain, lower, cut)] == [
        "The BBC.",
        "the BBC.",
        "The BBC",
    ]
    assert piece_text(lower, plain, Example("x", ("",))) == ""


@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_the_mask_is_where_it_is_read(prompt, kind):
    model = prompt(kind)
    for encoded in model.encode(toy_rows(model.task).train):
        (tokens,) = encoded.sequences
        mask = model.backbone.tokenizer.mask_token_id
        assert [place for place, token in enumerate(tokens.ids) if token == mask] == [tokens.read]
        assert encoded.truncated == 0 and set(tokens.segments) == {0}


@pytest.mark.parametrize(
    "template", ["{mask} : {0} ? {1}", "{0|cut} ? {mask} , {1}", "{0} {1} It was {mask} ."]
)
def test_truncation_cuts_texts_alone_and_counts(prompt, template):
    model = prompt("pair", template=template, max_length=14)
    tokenizer = model.backbone.tokenizer
    long = Example("long", (" ".join("abcd"[i % 4] for i in range(30)), "cat dog mat"))
    short = Example("short", ("cat", "dog"))
    encoded = model.encode([long, short])
    (tokens,) = encoded[0].sequences
    whole = prompt("pair", template=template, max_length=60)
    (all_tokens,) = whole.encode([long])[0].sequences
    assert len(tokens.ids) == 14
    assert encoded[0].truncated == len(all_tokens.ids) - 14 > 0
    assert encoded[1].truncated == 0
    assert tokens.ids[tokens.read] == tokenizer.mask_token_id
    pieces = tokenizer.convert_ids_to_tokens(tokens.ids)
    kept = [piece for piece in pieces if piece not in "abcd"]
    uncut = [
        piece for piece in tokenizer.convert_ids_to_tokens(all_tokens.ids) if piece not in "abcd"
    ]
    assert (
        kept == uncut
    )  # the longer text lost tokens; the shorter, the template and the mask lost none
    start = pieces.index("a")
    assert pieces[start : start + 3] == ["a", "b", "c"]  # cut from its end
    assert model.describe()["truncated"] == {"examples": 1, "tokens": encoded[0].truncated, "of": 2}


def test_texts_of_one_length_are_cut_alike(prompt):
    model = prompt("pair", template="{0} {mask} {1}", max_length=9)
    assert shown(model, Example("x", ("a " * 20, "b " * 20))) == "[CLS] a a a [MASK] b b b [SEP]"


def test_a_template_longer_than_the_maximum_is_an_error(prompt):
    with pytest.raises(BenchError, match="alone exceed 6 tokens"):
        prompt("single", template="{0} It was a good film . {mask}", max_length=6).encode(
            [Example("x", ("cat",))]
        )


def test_options_are_never_cut(prompt):
    model = prompt("choice", max_length=20)
    example = Example("x", ("a " * 40, "was it ?"), options=("good", "bad", "okay"))
    assert shown(model, example).endswith("a . good b . bad c . okay answer : [MASK] [SEP]")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            (("terrible",), ("okay",), ("greatest",)),
            "'greatest' is .* pieces with this tokenizer: great ##e",
        ),
        (
            (("terrible",), ("okay",), ("\N{SNOWMAN}",)),
            "'\N{SNOWMAN}' is 1 pieces with this tokenizer: .UNK.",
        ),
        ((("Yes",), ("okay",), ("yes",)), "'bad' and 'good' share the token 'yes'"),
        (
            (("terrible",), ("okay", "great"), ("great",)),
            "'fair' and 'good' share the token 'great'",
        ),
    ],
)
def test_label_words_that_cannot_be_used(prompt, words, problem):
    with pytest.raises(BenchError, match=problem):
        prompt(words=words)


def test_a_word_twice_in_one_class_and_punctuation_are_no_error(prompt):
    tokenizer = prompt().backbone.tokenizer
    words = (("great", "Great"), ("bad",), (".",))
    ids = word_ids(toy_task("single", words=words), tokenizer)
    assert [tokenizer.convert_ids_to_tokens(list(w)) for w in ids] == [
        ["great", "great"],
        ["bad"],
        ["."],
    ]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_scores_are_the_models_own_logits_at_the_mask(prompt, kind):
    model = prompt(kind)
    tokenizer, own = model.backbone.tokenizer, model.backbone.model
    rows = toy_rows(model.task).train[:5]
    encoded = model.encode(rows)
    scores = model(model.collate(encoded))
    for row, example in zip(scores, encoded, strict=True):
        ids = torch.tensor([example.sequences[0].ids])
        at = ids[0].tolist().index(tokenizer.mask_token_id)
        logits = own(input_ids=ids).logits[0, at]
        words = tokenizer.convert_tokens_to_ids([words[0].lower() for words in model.task.words])
        torch.testing.assert_close(row, logits[words], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_several_words_a_class_are_averaged(prompt):
    many = prompt(words=(("terrible", "bad", "boring"), ("okay",), ("great", "good")))
    batch = many.collate(many.encode(toy_rows(many.task).train[:4]))
    ids = many.backbone.tokenizer.convert_tokens_to_ids(
        ["terrible", "bad", "boring", "okay", "great", "good"]
    )
    logits = many.backbone.vocabulary_scores(batch)[:, ids]
    expected = torch.stack([logits[:, :3].mean(1), logits[:, 3], logits[:, 4:].mean(1)], 1)
    torch.testing.assert_close(many(batch), expected)


@torch.no_grad()
def test_regression_answers_lie_within_the_bounds(prompt):
    model = prompt("regression", bounds=(1.0, 5.0))
    scores = torch.tensor([[0.0, 0.0], [50.0, -50.0], [-50.0, 50.0], [0.0, 1.0986123]])
    torch.testing.assert_close(model.answer(scores), torch.tensor([3.0, 1.0, 5.0, 4.0]))
    values = model.predict(toy_rows(model.task).test).values
    assert values.shape == (9,) and (values >= 1).all() and (values <= 5).all()


def test_another_text_under_the_same_id_is_encoded_anew(prompt):
    """An attack or an augmentation changes the text of an example, and not its id."""
    model = prompt()
    first, second = (
        model.encode([Example("x", ("good film",))]),
        model.encode([Example("x", ("bad film",))]),
    )
    assert first[0].sequences != second[0].sequences
    choice = prompt("choice")
    options = [
        choice.encode([Example("x", ("a", "b"), options=o)])
        for o in (("c", "d", "a"), ("d", "c", "a"))
    ]
    assert options[0] != options[1]


def test_trials_share_encodings_and_not_labels(models, tiny_model):
    ref, task = find_model(str(Path(tiny_model))), toy_task("single")
    first, second = (PromptModel(models.fresh(ref), task) for _ in range(2))
    assert first.encode([Example("x", ("cat",), 2)])[0].label == 2
    second._encode_new = lambda examples: pytest.fail("tokenised again") if examples else []
    assert second.encode([Example("x", ("cat",), 1)])[0].label == 1
    assert second.encode([Example("x", ("cat",))])[0].label is None
