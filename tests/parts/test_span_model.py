"""The head for spans: windows, places of answers, losses, the best span, no answer, a teacher."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from fewbench.data.metrics import score_on
from fewbench.data.spans import item_scores, text_of
from fewbench.errors import BenchError
from fewbench.nn import span_model
from fewbench.nn.distil import soft_loss
from fewbench.nn.fit_context import Models
from fewbench.nn.serialize import pack, unpack
from fewbench.nn.span_distil import SpanTargets, span_targets
from fewbench.nn.span_model import (
    NEVER,
    SpanModel,
    best_spans,
    best_threshold,
    check_span_reader,
    window_starts,
)
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_rows, toy_task
from fewbench.types import Example

LONG = " ".join(f"the cat was good and a dog {n} was bad ." for n in range(12))
"""Far longer than 48 tokens."""


@pytest.fixture
def spans(tiny):
    def make(family="bert", *, seed=0, **changes):
        torch.manual_seed(seed)
        ref = find_model(str(tiny(family)))
        backbone = Models(torch.device("cpu")).fresh(ref)
        model = SpanModel(backbone, toy_task("span", **changes)).eval()
        torch.nn.init.normal_(model.output.weight)  # large, so that differences show
        return model

    return make


def question(answer: str, passage: str = LONG) -> Example:
    start = passage.index(answer) if answer else 0
    found = ((start, start + len(answer)),) if answer else ()
    return Example("q", (passage, "was it good ?"), 0 if answer else 1, answers=found)


def tokens_of(model, window) -> list[str]:
    return model.backbone.tokenizer.convert_ids_to_tokens(window.ids)


def test_a_question_stands_before_its_passage(spans):
    model = spans()
    (encoded,) = model.encode([question("cat", "the cat was good .")])
    (window,) = encoded.sequences
    shown = "[CLS] was it good ? [SEP] the cat was good . [SEP]"
    assert " ".join(tokens_of(model, window)) == shown
    assert window.segments == (0,) * 6 + (1,) * 6
    places = [tuple(span) for span in window.spans.tolist()]
    assert places == [(0, 0)] * 6 + [(0, 3), (4, 7), (8, 11), (12, 16), (17, 18), (0, 0)]
    assert model.collate([encoded]).labels.tolist() == [7, 7]


@pytest.mark.parametrize(
    ("length", "room", "overlap"), [(0, 5, 2), (5, 5, 2), (6, 5, 2), (40, 7, 3)]
)
def test_windows_cover_a_passage_and_overlap(length, room, overlap):
    starts = window_starts(length, room, overlap)
    read = [set(range(start, min(start + room, length))) for start in starts]
    assert set().union(*read) == set(range(length))
    assert all(len(one & next_one) == overlap for one, next_one in pairwise(read))
    assert all(later - start == room - overlap for start, later in pairwise(starts))
    assert starts[-1] + room >= length and (len(starts) == 1 or starts[-2] + room < length)


@pytest.mark.parametrize("answer", ["a dog 7", "good and a dog 3 was", "the cat", "8"])
def test_windows_point_at_the_answer_where_it_is_whole(spans, answer):
    model, example = spans(), question(answer)
    (encoded,) = model.encode([example])
    assert len(encoded.sequences) > 2 and encoded.length == model.task.max_length
    targets = model.collate([encoded]).labels.view(-1, 2).tolist()
    begin, end = example.answers[0]
    found = 0
    for window, (first, last) in zip(encoded.sequences, targets, strict=True):
        held = window.spans[window.spans[:, 0] < window.spans[:, 1]]
        if held[0, 0] <= begin and end <= held[-1, 1]:
            assert (window.spans[first, 0], window.spans[last, 1]) == (begin, end)
            found += 1
        else:
            assert (first, last) == (0, 0)
    assert 1 <= found < len(encoded.sequences)


def test_no_answer_is_at_the_first_token_and_no_label_nowhere(spans):
    model = spans()
    encoded = model.encode([question("")])
    assert set(model.collate(encoded).labels.tolist()) == {0}
    assert not len(model.collate(model.encode([question("8").without_label()])).labels)


def test_a_long_question_is_cut_and_counted(spans):
    model = spans()
    (encoded,) = model.encode([Example("q", ("the cat .", "was it good " * 30), 1)])
    assert encoded.sequences[0].ids[13] == model.backbone.tokenizer.sep_token_id
    assert encoded.truncated == 90 - 12
    assert model.describe()["truncated"]["examples"] == 1


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert"])
def test_scores_and_loss_by_the_models_own_pass(spans, family):
    """Devlin et al., 2019, 4.2: softmax over the window of S h_i, and of E h_j."""
    model = spans(family)
    examples = [question("a dog 7"), question("cat", "the cat was good ."), question("")]
    encoded = model.encode(examples)
    batch = model.collate(encoded)
    scores, losses, row = model(batch), [], 0
    for example in encoded:
        for window in example.sequences:
            ids, segments = torch.tensor([window.ids]), torch.tensor([window.segments])
            known = {"token_type_ids": segments} if family in ("bert", "albert") else {}
            with torch.no_grad():
                own = model.backbone.model(ids, output_hidden_states=True, **known)
            logits = own.hidden_states[-1][0] @ model.output.weight.T + model.output.bias
            for side in (0, 1):
                torch.testing.assert_close(
                    scores[row, : len(window.ids)], logits[:, side], atol=1e-4, rtol=1e-4
                )
                assert (scores[row, len(window.ids) :] == NEVER).all()
                right = batch.labels[row]
                losses.append(-logits[:, side].log_softmax(0)[right])
                row += 1
    torch.testing.assert_close(model.loss(batch), torch.stack(losses).mean(), atol=1e-4, rtol=1e-4)


def test_the_best_span_is_that_of_all_pairs(monkeypatch):
    monkeypatch.setattr(span_model, "LONGEST_ANSWER", 3)
    torch.manual_seed(0)
    scores = torch.randn(20, 2, 9)
    for window, found in zip(scores, best_spans(scores), strict=True):
        pairs = [(i, j) for i, j in product(range(9), repeat=2) if i <= j < i + 3]
        want = max(pairs, key=lambda pair: float(window[0, pair[0]] + window[1, pair[1]]))
        assert (found.first, found.last) == want
        assert found.score == pytest.approx(float(window[0, want[0]] + window[1, want[1]]))


def by_hand(model, example):
    """Return the best span of an example's characters, its score, and that of no answer."""
    (encoded,) = model.encode([example.without_label()])
    best, nulls = ((0, 0), -np.inf), []
    for window in encoded.sequences:
        alone = encoded._replace(sequences=(window,))
        first, last = model(model.collate([alone])).detach()
        nulls.append(float(first[0] + last[0]))
        inside = [n for n, (start, end) in enumerate(window.spans.tolist()) if start < end]
        for i, j in product(inside, repeat=2):
            if i <= j < i + 30 and float(first[i] + last[j]) > best[1]:
                chars = (int(window.spans[i, 0]), int(window.spans[j, 1]))
                best = (chars, float(first[i] + last[j]))
    return *best, min(nulls)


def test_predictions_are_the_best_spans_of_all_windows(spans):
    model = spans(labels=("answer",))
    examples = [question("8"), question("cat", "the cat was good .")]
    found = model.predict(examples)
    assert found.spans.dtype == np.int32
    assert [tuple(span) for span in found.spans.tolist()] == [
        by_hand(model, e)[0] for e in examples
    ]


def test_no_answer_is_given_up_to_the_threshold(spans):
    model = spans()
    example = question("8")
    span, best, null = by_hand(model, example)
    for threshold, want in ((best - null - 0.01, span), (best - null + 0.01, (0, 0))):
        model.threshold.fill_(threshold)
        assert tuple(model.predict([example]).spans[0]) == want


def test_a_passage_without_tokens_has_no_answer(spans):
    for labels in (("answer",), ("answer", "no-answer")):
        example = Example("q", (" \u200b", "was it ?"))
        assert spans(labels=labels).predict([example]).spans.tolist() == [[0, 0]]


def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(50):
        margins = rng.integers(-3, 4, 8).astype(float)
        given, withheld = rng.random(8).round(1), rng.integers(0, 2, 8).astype(float)

        def total(threshold, margins=margins, given=given, withheld=withheld):
            return np.where(margins > threshold, given, withheld).sum()

        found = best_threshold(margins, given, withheld)
        tried = {threshold: total(threshold) for threshold in np.arange(-4.5, 5, 0.5)}
        best = [
            threshold for threshold, score in tried.items() if score > max(tried.values()) - 1e-9
        ]
        assert total(found) == pytest.approx(max(tried.values()))
        assert (margins > found).sum() == min((margins > threshold).sum() for threshold in best)


def test_the_threshold_is_chosen_on_dev_and_kept_with_the_weights(spans):
    model = spans()
    dev = toy_rows(model.task).train
    model.settle(dev)
    chosen = float(model.threshold)
    score = score_on(model.task, dev, model.predict(dev))["token_f1"]
    for threshold in np.linspace(-30, 30, 61):
        model.threshold.fill_(threshold)
        assert score_on(model.task, dev, model.predict(dev))["token_f1"] <= score + 1e-9
    model.threshold.fill_(chosen)
    ref = model.backbone.ref
    read = unpack(*pack(model, {}), model.task, ref, Models(torch.device("cpu")), {})
    assert float(read.threshold) == pytest.approx(chosen)
    alone = spans(labels=("answer",))
    alone.settle(dev)
    assert float(alone.threshold) == 0 and "threshold" not in alone.describe()


def test_a_teachers_scores_belong_to_their_examples(spans):
    teacher, student = spans(seed=1), spans()
    examples = [question("cat", "the cat was good ."), question("8"), question("", "it was bad .")]
    wanted = span_targets(teacher, examples)
    encoded = [e._replace(row=row) for row, e in enumerate(student.encode(examples))]
    for chosen in ([0, 1, 2], [2, 0], [1]):
        batch = student.collate([encoded[row] for row in chosen])
        rows = wanted.of(batch)
        torch.testing.assert_close(rows, teacher(batch).detach(), atol=1e-4, rtol=1e-4)
        scores = student(batch)
        by_row = []
        for mine, theirs in zip(scores, rows, strict=True):
            p, q = (theirs / 2).softmax(-1), (mine / 2).log_softmax(-1)
            real = theirs > NEVER
            by_row.append(4 * (p[real] * (p[real].log() - q[real])).sum())
        loss = soft_loss(student, scores, rows, 2.0)
        torch.testing.assert_close(loss, torch.stack(by_row).mean(), atol=1e-4, rtol=1e-4)
    two = replace(batch, numbers=(0, 1))
    padded = SpanTargets([torch.zeros(2, 3), torch.zeros(4, 5)]).of(two)
    assert padded.shape == (6, 5) and (padded[:2, 3:] == NEVER).all()


def test_an_update_does_not_read_row_numbers_off_the_device(tiny_model, tmp_path, monkeypatch):
    """A GPU would be waited for; numbers that have no values show that none is read."""
    job = toy_job(methods()["vanilla-kd"], tiny_model, toy_task("span"))
    wanted, answers = run_job(job, Artifacts(tmp_path))
    whole = SpanModel.collate

    def collate(self, examples):
        batch = whole(self, examples)
        return replace(batch, rows=batch.rows.to("meta"))

    monkeypatch.setattr(SpanModel, "collate", collate)
    record, again = run_job(job, Artifacts(tmp_path))
    assert (record.error, record.details) == (None, wanted.details)
    assert np.array_equal(again.array, answers.array)


def test_a_model_of_another_kind_is_no_teacher_and_no_reader(spans, tiny_t5):
    from fewbench.nn.classifier import HeadModel

    model = spans()
    with pytest.raises(BenchError, match="does not answer by spans"):
        span_targets(HeadModel(model.backbone, toy_task("single")), [])
    check_span_reader(model.backbone)
    t5 = Models(torch.device("cpu")).pretrained(find_model(str(tiny_t5)))
    with pytest.raises(BenchError, match="cannot answer by a span"):
        check_span_reader(t5)


def test_it_learns(spans):
    model = spans()
    torch.nn.init.normal_(model.output.weight, std=0.02)
    examples = toy_rows(model.task).train
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    encoded = model.encode(examples)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(model.collate(encoded)).backward()
        optimizer.step()
    model.settle(examples)
    found = model.predict(examples)
    scores = item_scores(model.task, examples, found.spans.tolist(), "exact_match")
    assert scores.mean() > 0.9, [text_of(e, s) for e, s in zip(examples, found.spans, strict=True)]
