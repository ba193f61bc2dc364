"""Prompt tuning's Top-1000 start and LM adaptation (ppt, Tables 2 and 4; Lester et al., 2021)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from random import Random

import pytest
import torch
from safetensors.torch import load

from fewbench.data.corpora import corpus_ref
from fewbench.errors import BenchError
from fewbench.methods.prompt_tuning.adaptation import Halves, adapt, language_model_loss, passages
from fewbench.methods.prompt_tuning.frequent import frequent_tokens
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.registry.needs import needing
from fewbench.registry.pretrained import find_model
from fewbench.runner.jobs import Plan
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job, toy_task

CPU = torch.device("cpu")
TUNING = methods()["prompt-tuning"]
TEXTS = [["the film was dull", "the plot was good"], ["the film was bad, the music good"]]


def backbone_of(folder):
    return Models(CPU).fresh(find_model(str(folder)))


class TestTop1000:
    def test_words_by_their_count_in_the_corpus(self, tiny_model):
        tokenizer = backbone_of(tiny_model).tokenizer
        found = frequent_tokens([*TEXTS, ["The qwertyuiop!", "The qwertyuiop!"]], tokenizer)
        said = tokenizer.convert_ids_to_tokens(found)
        # 5 "the" and "The"; 3 "was"; no word of several tokens, and no mark
        assert said[0] == "the" and said[1] == "was"
        assert "film" in said and "," not in said and "!" not in said
        assert not [word for word in said if "##" in word or "[" in word]
        assert frequent_tokens(TEXTS, tokenizer, 2) == found[:2]

    def test_the_prompt_is_made_of_them(self, tiny_model, tmp_path):
        corpus = tmp_path / "texts.jsonl"
        corpus.write_text("".join(json.dumps({"sentences": text}) + "\n" for text in TEXTS))
        job = toy_job(TUNING, tiny_model, settings={"start": "top-1000"})
        kit = FitContext(
            job.task,
            job.split,
            job.protocol,
            13,
            Models(CPU),
            job.run.student,
            corpus=corpus_ref(str(corpus)),
        )
        settings = {"start": "top-1000", "tokens": 50, "prompt_lr": 0.0}
        model = TUNING.module().fit(job.task, job.split, kit, **settings)
        matrix = model.backbone.model.get_input_embeddings().words.weight
        rows = {int((matrix == row).all(1).nonzero()[0, 0]) for row in model.soft.detach()}
        tokenizer = model.backbone.tokenizer
        assert rows == set(frequent_tokens(TEXTS, tokenizer))

    def test_the_corpus_is_in_the_identity_of_this_start_alone(self, tiny_model):
        starts = {
            start: toy_job(TUNING, tiny_model, settings={"start": start}).run
            for start in ("vocabulary", "top-1000")
        }
        assert starts["vocabulary"].corpus is None
        assert starts["top-1000"].corpus == corpus_ref(None)
        assert "corpus" not in needing(TUNING, {}).needs
        with pytest.raises(BenchError, match="asks for 'corpus if start=top-1000'"):
            needing(replace(TUNING, settings={}), {})


class TestAdaptation:
    def test_passages_are_cut_in_two_anywhere_and_end_in_an_end(self, tiny_t5):
        tokenizer = backbone_of(tiny_t5).tokenizer
        text = "the film was dull and the plot was good"
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        drawn = list(islice(passages(lambda: [[text]], tokenizer, Random(1), length=6), 400))
        cuts: dict[int, list[int]] = {}
        for start, rest in drawn:
            assert start[-1] == rest[-1] == tokenizer.eos_token_id
            ids = [*start[:-1], *rest[:-1]]
            assert ids in (whole[:6], whole[6:12], whole[12:])
            cuts.setdefault(len(ids), []).append(len(start) - 1)
        assert set(cuts[6]) == {1, 2, 3, 4, 5}
        assert sum(cuts[6]) / len(cuts[6]) == pytest.approx(3, abs=0.3)  # half

    def test_a_corpus_without_a_passage(self, tiny_t5):
        with pytest.raises(BenchError, match="no document of this corpus has two tokens"):
            next(passages(lambda: [[""]], backbone_of(tiny_t5).tokenizer, Random(1)))

    def test_the_loss_is_that_of_the_rest_token_by_token(self, tiny_t5):
        backbone = backbone_of(tiny_t5)
        batch = [Halves([5, 9, 1], [7, 1]), Halves([8, 1], [6, 11, 12, 1])]
        terms = []
        for start, rest in batch:
            said = [backbone.config.decoder_start_token_id]
            for token in rest:
                logits = backbone.model(
                    input_ids=torch.tensor([start]), decoder_input_ids=torch.tensor([said])
                ).logits[0, -1]
                terms.append(-logits.log_softmax(-1)[token])
                said.append(token)
        by_hand = torch.stack(terms).mean()
        torch.testing.assert_close(language_model_loss(backbone, batch), by_hand)

    def test_it_learns_and_is_deterministic(self, tiny_t5):
        found = []
        for _ in range(2):
            backbone = backbone_of(tiny_t5)
            drawn = passages(lambda: TEXTS, backbone.tokenizer, Random(0))
            found.append(adapt(backbone, drawn, updates=30, batch_size=4, lr=1e-3))
        assert found[0] == found[1] and found[0]["last_loss"] < found[0]["first_loss"] - 0.2

    def test_the_model_is_adapted_once_for_all_tasks_and_tuning_starts_there(
        self, tiny_t5, tmp_path
    ):
        settings = {"lm_adapted": True, "tokens": 3, "pretrain_steps": 3, "pretrain_batch": 2}
        artifacts = Artifacts(tmp_path)
        jobs = [
            toy_job(TUNING, tiny_t5, toy_task(kind, name=kind), settings=settings)
            for kind in ("single", "pair")
        ]
        preparing, _ = Plan(tuple(jobs), {}, artifacts).stages(jobs)
        assert [work.title for work in preparing] == [
            "prepare prompt-tuning language-model pretrain_batch=2 pretrain_steps=3 on demo-corpus"
        ]
        records = [run_job(job, artifacts)[0] for job in jobs]
        assert [record.error for record in records] == [None, None]
        assert len(list(tmp_path.iterdir())) == 1
        assert records[0].details["prepared"]["pretraining"]["updates"] == 3
        assert jobs[0].run.corpus == corpus_ref(None)

        kit = FitContext(
            jobs[0].task,
            jobs[0].split,
            jobs[0].protocol,
            13,
            Models(CPU),
            jobs[0].run.student,
            None,
            jobs[0].run.corpus,
            jobs[0].supplies,
            artifacts,
        )
        model = TUNING.module().fit(
            jobs[0].task, jobs[0].split, kit, lm_adapted=True, tokens=3, prompt_lr=0.0
        )
        tensors = load(artifacts.read(jobs[0].preparation.key)[1])
        after = {
            name.replace(".words.", "."): weight
            for name, weight in model.backbone.model.named_parameters()
        }
        original = dict(Models(CPU).fresh(jobs[0].run.student).model.named_parameters())
        trained = {name: weight for name, weight in after.items() if name in tensors}
        assert trained and all(torch.equal(trained[name], tensors[name]) for name in trained)
        assert any(not torch.equal(trained[name], original[name]) for name in trained)

    def test_a_masked_model_is_refused_before_anything_runs(self, tiny_model):
        job = toy_job(TUNING, tiny_model, settings={"lm_adapted": True, "tokens": 3})
        with pytest.raises(BenchError, match="whose words are masked") as caught:
            ask_method(job, Models(CPU))
        assert "encoder-decoder" in caught.value.fix

    def test_the_papers_steps(self):
        assert TUNING.settings["pretrain_steps"] == 10_000
        assert TUNING.presets["lm-adapted"] == {"lm_adapted": True}
        assert TUNING.presets["top-1000-start"] == {"start": "top-1000"}
