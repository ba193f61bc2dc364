"""Label words of several tokens: scores by hand, one-token words as before, and who takes them."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError, ModelError
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.nn.long_words import MaskedWordsModel, SpokenWordsModel, check_short, words_model
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.registry.pretrained import find_model
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example

(SHORT,) = choose_tasks(["demo-sentiment"])
LONG = replace(SHORT, words=(("bad film", "terrible"), ("great acting plot", "good movie")))
ROWS = [
    Example("a-0", ("the film was dull.",), 0),
    Example("a-1", ("lovely acting, this is a wonderful movie.",), 1),
    Example("a-2", ("boring waste.",), 0),
]


def open_model(folder):
    return Models(torch.device("cpu")).fresh(find_model(str(folder), offline=True))


def by_hand(backbone, prefix, suffix, row, words, masks):
    """Return a word's log-probability, by the model's own forward pass on a prompt written out."""
    tokenizer = backbone.tokenizer
    pieces = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prefix, suffix)]
    ids = [2, *pieces[0], *[tokenizer.mask_token_id] * masks, *pieces[1], 3]
    logits = backbone.model(input_ids=torch.tensor([ids])).logits[0]
    scores = logits[1 + len(pieces[0]) :].log_softmax(-1)
    tokens = tokenizer(words, add_special_tokens=False)["input_ids"]
    return sum(float(scores[place, token]) for place, token in enumerate(tokens))


@torch.no_grad()
@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
def test_a_class_scores_the_mean_of_its_words_summed_log_probabilities(family, tiny):
    model = words_model(open_model(tiny(family)), LONG).eval()
    assert type(model) is MaskedWordsModel and model.longest == 3
    encoded = model.encode(ROWS)
    scores = model(model.collate(encoded))
    for row, found, tokens in zip(ROWS, scores, encoded, strict=True):
        prefix = f"{row.texts[0]} It was"
        (sequence,) = tokens.sequences
        mask = model.backbone.tokenizer.mask_token_id
        assert list(sequence.ids).count(mask) == 3 and sequence.ids[sequence.read] == mask
        expected = [
            np.mean([by_hand(model.backbone, prefix, ".", row, word, 3) for word in several])
            for several in LONG.words
        ]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
    answers = model.predict(ROWS).probabilities
    np.testing.assert_allclose(answers, scores.softmax(-1).numpy(), rtol=1e-4)


@torch.no_grad()
def test_t5_says_a_word_token_by_token(tiny_t5):
    model = words_model(open_model(tiny_t5), LONG).eval()
    assert type(model) is SpokenWordsModel
    batch = model.collate(model.encode(ROWS[:1]))
    (found,) = model.word_scores(batch)
    own, ids = model.backbone.model, batch.ids[None]
    for tokens, score in zip(chain(*model.words), found, strict=True):
        said = [model.backbone.config.decoder_start_token_id, int(batch.ids[batch.read])]
        expected = 0.0
        for token in tokens:
            logits = own(input_ids=ids, decoder_input_ids=torch.tensor([said])).logits[0, -1]
            expected += float(logits.log_softmax(-1)[token])
            said.append(token)
        assert float(score) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_words_of_one_token_are_read_as_ever(family, tiny, tiny_t5):
    backbone = open_model(tiny_t5 if family == "t5" else tiny(family))
    ours, theirs = words_model(backbone, SHORT), prompt_model(backbone, SHORT)
    assert type(ours) is type(theirs)
    np.testing.assert_array_equal(ours.predict(ROWS).array, theirs.predict(ROWS).array)
    assert ours.describe() == theirs.describe()


@torch.no_grad()
def test_the_general_score_agrees_with_that_of_one_token(tiny):
    """Without what the softmax cancels: so the two are one definition."""
    backbone = open_model(tiny())
    general, plain = MaskedWordsModel(backbone, SHORT).eval(), prompt_model(backbone, SHORT).eval()
    ours, theirs = general.predict(ROWS).array, plain.predict(ROWS).array
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_training_some_embeddings_is_training_all(family, tiny, tiny_t5):
    """The rows that are trained apart are read, as words and as the vocabulary's rows."""
    found = []
    for focus in (False, True):
        backbone = open_model(tiny_t5 if family == "t5" else tiny(family))
        model = words_model(backbone, LONG).eval()
        batch = model.collate(model.encode(ROWS))
        if focus:
            with backbone.focused(model.extra_tokens()):
                model.loss(batch).backward()
                grad = backbone.model.get_input_embeddings().weight.grad
                with torch.no_grad():  # moved here, it moves the scores too
                    before = model(batch)
                    backbone.model.get_input_embeddings().weight.mul_(1.5)
                    assert not torch.allclose(model(batch), before)
        else:
            model.loss(batch).backward()
            grad = backbone.model.get_input_embeddings().weight.grad
        found.append(grad.clone())
    whole, apart = found
    pad = slice(1, None)  # padding has no gradient of its own
    torch.testing.assert_close(whole[pad], apart[pad], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_soft_prompt_reads_the_masks_behind_it(tiny):
    backbone = open_model(tiny())
    hard = words_model(backbone, LONG)
    soft = SoftPromptModel(backbone, LONG, torch.zeros(4, 16), "vocabulary").eval()
    (encoded,) = soft.encode(ROWS[:1])
    (sequence,) = encoded.sequences
    ids = sequence.ids[sequence.read :]
    assert ids[:3] == (backbone.tokenizer.mask_token_id,) * 3 and sequence.ids[:4] == (
        -4,
        -3,
        -2,
        -1,
    )
    scores, loss = soft.scores_and_loss(soft.collate([encoded]))
    assert float(loss) == pytest.approx(-float(scores[0, 0]))  # ppt, equation 2
    assert hard.extra_tokens() == tuple(range(backbone.config.vocab_size))


def test_what_cannot_be_read_is_refused(tiny):
    backbone = open_model(tiny())
    unknown = replace(SHORT, words=(("bad",), ("好看",)))
    with pytest.raises(BenchError, match="lacks a piece of the label word"):
        words_model(backbone, unknown)
    same = replace(SHORT, words=(("bad film",), ("Bad  film",)))
    with pytest.raises(BenchError, match="share the tokens 'bad film'"):
        words_model(backbone, same)
    with pytest.raises(ModelError, match="label words of several tokens"):
        words_model(open_model(tiny("gpt2")), LONG)
    with pytest.raises(
        BenchError, match=r"'bad film' is 2 tokens .* \(bad film\), and amulap reads one"
    ):
        check_short(LONG, backbone.tokenizer, "amulap")
    check_short(SHORT, backbone.tokenizer, "amulap")
