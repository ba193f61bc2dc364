"""Soft prompts: [P; f(x)] against transformers' own forward pass on embeddings, what is trained,
how they start.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fewbench.data.task_prompts import with_prompt
from fewbench.data.template import without_words
from fewbench.errors import BenchError
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.soft_prompt import SoftPromptModel, behind, initial_prompt
from fewbench.nn.verbalizer import word_ids
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.registry.protocols import get_protocol
from fewbench.testing import toy_job, toy_rows, toy_task

CPU = torch.device("cpu")
P = 7


@pytest.fixture(params=["bert", "albert", "t5"])
def folder(request, tiny, tiny_t5):
    return tiny_t5 if request.param == "t5" else tiny(request.param)


@pytest.fixture
def make(folder):
    def make(kind="single", prompt=None, tokens=P, **changes) -> SoftPromptModel:
        backbone = Models(CPU).fresh(find_model(str(folder)))
        width = backbone.model.get_input_embeddings().embedding_dim
        if prompt is None:
            prompt = torch.randn(tokens, width, generator=torch.Generator().manual_seed(2))
        return SoftPromptModel(backbone, toy_task(kind, **changes), prompt).eval()

    return make


def naive_scores(soft, words, model, ids, read, tokenizer):
    """Return the label words' logits for [P; f(x)], by embeddings put one before the other."""
    given = torch.cat([soft, F.embedding(torch.tensor(ids), words)])[None]
    if model.config.is_encoder_decoder:
        said = torch.tensor([[model.config.decoder_start_token_id, tokenizer.mask_token_id]])
        return model(inputs_embeds=given, decoder_inputs_embeds=F.embedding(said, words)).logits[
            0, 1
        ]
    return model(inputs_embeds=given).logits[0, len(soft) + read]


@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_scores_and_the_prompts_gradient_equal_the_naive_ones(make, kind):
    model = make(kind)
    backbone, tokenizer = model.backbone, model.backbone.tokenizer
    examples = toy_rows(model.task).train[:4]
    scores = model(model.collate(model.encode(examples)))
    words = [token for group in word_ids(model.task, tokenizer) for token in group]
    matrix = backbone.model.get_input_embeddings().words.weight
    soft = model.soft.detach().clone().requires_grad_()
    naive = []
    for example in model.hard.encode(examples):
        (tokens,) = example.sequences
        naive.append(
            naive_scores(soft, matrix, backbone.model, tokens.ids, tokens.read, tokenizer)[words]
        )
    naive = torch.stack(naive)
    torch.testing.assert_close(scores, naive, atol=1e-5, rtol=1e-5)
    scores.square().sum().backward()
    naive.square().sum().backward()
    torch.testing.assert_close(model.soft.grad, soft.grad, atol=1e-5, rtol=1e-4)
    assert soft.grad.abs().min(1).values.sum() > 0


@pytest.mark.parametrize("kind", ["single", "pair"])
def test_the_loss_over_the_vocabulary_is_equation_2(make, kind):
    """-log p(<X> = v(y)) of each example over all tokens; of two words, the mean of theirs."""
    words = (("terrible", "bad"), ("okay",), ("great",)) if kind == "single" else None
    model = make(kind, **({"words": words} if words else {}))
    model.over = "vocabulary"
    backbone, tokenizer = model.backbone, model.backbone.tokenizer
    examples = toy_rows(model.task).train[:4]
    matrix = backbone.model.get_input_embeddings().words.weight
    groups, by_hand = word_ids(model.task, tokenizer), []
    for example, encoded in zip(examples, model.hard.encode(examples), strict=True):
        (tokens,) = encoded.sequences
        logits = naive_scores(
            model.soft, matrix, backbone.model, tokens.ids, tokens.read, tokenizer
        )
        log_p = (logits.double().exp() / logits.double().exp().sum()).log()
        by_hand.append(
            -sum(log_p[token] for token in groups[example.label]) / len(groups[example.label])
        )
    batch = model.collate(model.encode(examples))
    over_vocabulary = model.loss(batch).item()
    assert over_vocabulary == pytest.approx(sum(by_hand).item() / 4, rel=1e-4)
    scores, _ = model.scores_and_loss(batch)
    torch.testing.assert_close(scores, model(batch), atol=1e-5, rtol=1e-5)
    model.over = "words"
    assert model.loss(batch).item() < over_vocabulary - 0.5  # other tokens take their share


def test_the_preset_of_the_paper_reaches_the_model(tiny_model):
    job = toy_job(methods()["prompt-tuning"], tiny_model, settings={"over": "vocabulary"})
    kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
    model = job.method.module().fit(job.task, job.split, kit, tokens=P, **job.run.settings)
    assert model.over == "vocabulary"
    assert methods()["prompt-tuning"].presets["paper"] == {"over": "vocabulary"}
    assert methods()["ppt"].presets["paper"] == {"over": "vocabulary"}


def test_the_model_is_frozen_and_computes_no_weight_gradients(make):
    model = make()
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["soft"]
    model.loss(model.collate(model.encode(toy_rows(model.task).train[:3]))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["soft"]
    assert model.describe()["soft_prompt"] == {
        "tokens": P,
        "trained_parameters": model.soft.numel(),
    }


@pytest.mark.parametrize("protocol", ["quick", "ppt-v1"])
def test_training_moves_the_prompt_alone_and_lowers_the_loss(folder, protocol):
    job = toy_job(methods()["prompt-tuning"], folder)
    constants = replace(
        get_protocol(protocol), epochs=None, max_steps=150, eval_every=50
    )  # ppt-v1 decays weights: the prompt's
    models = Models(CPU)
    before = {
        name: p.clone() for name, p in models.pretrained(job.run.student).model.named_parameters()
    }
    kit = FitContext(job.task, job.split, constants, 13, models, job.run.student)
    torch.manual_seed(13)
    model = job.method.module().fit(
        job.task, job.split, kit, tokens=P, prompt_lr=0.05, batch_size=6
    )
    after = {name.replace(".words.", "."): p for name, p in model.backbone.model.named_parameters()}
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    start = initial_prompt(kit.backbone(), job.task, job.split.train, P, "normal", 13)
    assert (model.soft - start).abs().max() > 0.01
    assert kit.notes["losses"][-1] < kit.notes["losses"][0]


def test_vanilla_reads_texts_and_mask_alone_and_hybrid_the_template(folder):
    job = toy_job(methods()["prompt-tuning"], folder)
    for hybrid, template in ((False, "{0} {mask}"), (True, job.task.template)):
        kit = FitContext(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
        model = job.method.module().fit(job.task, job.split, kit, tokens=P, hybrid=hybrid)
        assert model.describe()["template"] == template


def test_the_unified_view_keeps_its_options_in_vanilla_tuning(tiny_model):
    """PT (MC) of ppt, Table 5: tuning in the form of a choice, with no hard prompt."""
    task = with_prompt(toy_task("single"), "unified")
    job = toy_job(methods()["prompt-tuning"], tiny_model, task)
    kit = FitContext(task, job.split, job.protocol, 13, Models(CPU), job.run.student)
    model = job.method.module().fit(task, job.split, kit, tokens=P)
    assert model.describe()["template"] == "{0}? A. bad B. fair C. good. Answer is {mask}."


@pytest.mark.parametrize(
    ("template", "bare"),
    [
        ("{0} It was {mask}.", "{0} {mask}"),
        ("{0|cut}? {mask}, {1|lower}", "{0} {mask} {1}"),
        ("{0} We ask {1} {options} The answer is {mask}.", "{0} {1} {options} {mask}"),
        ("{mask} : {0}", "{mask} {0}"),
        ("{0}{options|chinese}{mask}", "{0} {options|chinese} {mask}"),
    ],
)
def test_templates_without_words(template, bare):
    assert without_words(template) == bare


class TestStart:
    @pytest.fixture
    def start(self, folder):
        backbone = Models(CPU).fresh(find_model(str(folder)))
        task = toy_task("pair")
        rows = toy_rows(task).train[:2]
        self.words = backbone.model.get_input_embeddings().weight
        self.backbone, self.task, self.rows = backbone, task, rows
        return lambda how, tokens=9, seed=1: initial_prompt(backbone, task, rows, tokens, how, seed)

    def tokens(self, prompt):
        """Return the ids whose embeddings the rows of a prompt are."""
        rows = [(self.words == row).all(1).nonzero()[:, 0].tolist() for row in prompt]
        assert all(rows)
        return [row[0] for row in rows]

    def test_normal_has_the_words_mean_and_deviation(self, start):
        prompt = start("normal", 2000)
        torch.testing.assert_close(prompt.std(), self.words.std(), rtol=0.05, atol=0)
        assert abs(prompt.mean() - self.words.mean()) < 0.05 * self.words.std()

    def test_mask_and_label_repeat_their_embeddings(self, start):
        assert self.tokens(start("mask")) == [self.backbone.tokenizer.mask_token_id] * 9
        labels = [group[0] for group in word_ids(self.task, self.backbone.tokenizer)]
        assert self.tokens(start("label", 7)) == [*labels, *labels, labels[0]]

    def test_vocabulary_and_task_draw_words(self, start):
        tokenizer = self.backbone.tokenizer
        drawn = set(self.tokens(start("vocabulary", 500)))
        assert not drawn & set(tokenizer.all_special_ids) and len(drawn) > 50
        texts = [text for example in self.rows for text in example.texts]
        seen = {
            token
            for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]
            for token in ids
        }
        assert set(self.tokens(start("task", 500))) == seen

    @pytest.mark.parametrize("how", ["normal", "vocabulary", "task"])
    def test_the_seed_decides(self, start, how):
        assert torch.equal(start(how), start(how))
        assert not torch.equal(start(how), start(how, seed=2))

    def test_no_tokens(self, start):
        for tokens in (0, -1):
            with pytest.raises(BenchError, match=f"a soft prompt of {tokens} tokens"):
                behind(self.backbone, self.task, tokens)

    def test_no_words(self, start):
        empty = [replace(row, texts=("", "")) for row in self.rows]
        with pytest.raises(
            BenchError, match="no word to start a soft prompt from: start=task"
        ) as caught:
            initial_prompt(self.backbone, self.task, empty, 9, "task", 1)
        assert caught.value.fix == "start=normal"


def test_prompts_that_do_not_fit(make, tiny, folder):
    with pytest.raises(BenchError, match=r"a soft prompt of shape \[3, 5\]"):
        make(prompt=torch.zeros(3, 5))
    if folder == tiny("bert"):
        with pytest.raises(
            BenchError, match=r"140 soft tokens before up to 48 .* leave 20 of the 160"
        ) as caught:
            make(tokens=140)
        assert caught.value.allowed == "at most 112 soft tokens, so that 48 positions are left"


def test_long_inputs_are_cut_to_the_positions_left(make, tiny, folder):
    model = make(tokens=20, max_length=150)
    row = replace(toy_rows(model.task).train[0], texts=("long " * 300, ""))
    scores = model(model.collate(encoded := model.encode([row])))
    (tokens,) = encoded[0].sequences
    assert len(tokens.ids) == 160 if folder == tiny("bert") else 20 < len(tokens.ids) <= 170
    assert scores.isfinite().all() and model.describe()["truncated"]["examples"] == 1
    if folder == tiny("bert"):  # half of the positions are the input's, or all it asks for
        make(tokens=80, max_length=150)
        with pytest.raises(BenchError, match="81 soft tokens before up to 150") as caught:
            make(tokens=81, max_length=150)
        assert caught.value.allowed == "at most 80 soft tokens, so that 80 positions are left"


def test_it_searches_learning_rates_of_its_own():
    method = methods()["prompt-tuning"]
    searches = {
        "ppt-v1": ([5e-3, 1e-2, 2e-2, 5e-2], [16]),
        "quick": ([5e-3, 5e-2], [8]),
        "lm-bff-v1": ([5e-3, 1e-2, 5e-2], [2, 4, 8]),
    }
    for protocol, (rates, sizes) in searches.items():
        trials = get_protocol(protocol).trials(method.searched({}), {}, method.grid)
        assert sorted({trial["prompt_lr"] for trial in trials}) == rates
        assert sorted({trial["batch_size"] for trial in trials}) == sizes
        assert all(set(trial) == {"prompt_lr", "batch_size"} for trial in trials)
