"""T5: its scores against transformers' own forward pass, prompts at <extra_id_0>, and methods on a
tiny trained one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CLOZE

from fewbench.errors import ModelError
from fewbench.nn.backbone import FocusedEmbedding
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.nn.seq2seq import Seq2SeqBackbone
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.run import carry_out
from fewbench.testing import check_method, toy_job, toy_rows, toy_task
from fewbench.types import Example

CPU = torch.device("cpu")
CATS = " ".join(["cat"] * 20) + "."


@pytest.fixture
def backbone(tiny_t5) -> Seq2SeqBackbone:
    return Models(CPU).fresh(find_model(str(tiny_t5))).eval()


@pytest.fixture(params=["tied", "untied"])
def either(request, tiny_t5, tmp_path) -> Seq2SeqBackbone:
    """T5 as first published, and as of version 1.1: output weights of its own, states not scaled,
    gated layers.
    """
    if request.param == "tied":
        return open_backbone(find_model(str(tiny_t5)))
    import transformers as hf

    folder = shutil.copytree(tiny_t5, tmp_path / "v11")
    config = hf.T5Config.from_pretrained(
        folder, feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1
    )
    torch.manual_seed(1)
    hf.T5ForConditionalGeneration(config).save_pretrained(folder, safe_serialization=True)
    return open_backbone(find_model(str(folder)))


def own_logits(backbone, ids, said):
    """Return transformers' logits [V] after the decoder read its start token and `said`."""
    given = torch.tensor([[backbone.config.decoder_start_token_id, *said]])
    return backbone.model(input_ids=torch.tensor([ids]), decoder_input_ids=given).logits[0, -1]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_label_words_are_scored_as_the_second_generated_token(either, kind):
    model = prompt_model(either, toy_task(kind)).eval()
    encoded = model.encode(toy_rows(model.task).train[:5])
    scores, tokenizer = model(model.collate(encoded)), either.tokenizer
    words = [
        tokenizer.convert_tokens_to_ids("\N{LOWER ONE EIGHTH BLOCK}" + w[0])
        for w in model.task.words
    ]
    sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    for row, example in zip(scores, encoded, strict=True):
        logits = own_logits(either, example.sequences[0].ids, [sentinel])
        torch.testing.assert_close(row, logits[words], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_vocabulary_scores_equal_the_models_own(either):
    model = prompt_model(either, toy_task("pair")).eval()
    encoded = model.encode(toy_rows(model.task).train[:5])
    assert len({example.length for example in encoded}) > 1  # padding is seen, and changes nothing
    for row, example in zip(either.vocabulary_scores(model.collate(encoded)), encoded, strict=True):
        own = own_logits(either, example.sequences[0].ids, [either.tokenizer.mask_token_id])
        torch.testing.assert_close(row, own, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_head_reads_the_decoders_first_state(backbone):
    model = HeadModel(backbone, toy_task("pair")).eval()
    encoded = model.encode(toy_rows(model.task).train[:4])
    start = torch.tensor([[backbone.config.decoder_start_token_id]])
    for row, example in zip(model(model.collate(encoded)), encoded, strict=True):
        done = backbone.model(
            input_ids=torch.tensor([example.sequences[0].ids]),
            decoder_input_ids=start,
            output_hidden_states=True,
        )
        own = done.decoder_hidden_states[-1][:, 0]
        torch.testing.assert_close(row, model.output(own)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_hidden_states_are_the_encoders_without_padding(backbone):
    model = prompt_model(backbone, toy_task("single"))
    encoded = model.encode(toy_rows(model.task).train[:4])
    states = backbone.hidden_states(model.collate(encoded))
    assert len(states) == backbone.config.num_layers + 1
    start = 0
    for example in encoded:
        ids = example.sequences[0].ids
        own = backbone.model.get_encoder()(
            torch.tensor([ids]), output_hidden_states=True
        ).hidden_states
        for ours, theirs in zip(states, own, strict=True):
            torch.testing.assert_close(
                ours[start : start + len(ids)], theirs[0], atol=1e-5, rtol=1e-5
            )
        start += len(ids)


def pieces(model, *texts, options=()) -> str:
    (tokens,) = model.encode([Example("x", texts, options=options)])[0].sequences
    shown = model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids)
    assert shown[tokens.read] == "<extra_id_0>" and shown.count("<extra_id_0>") == 1
    return " ".join(shown).replace("\N{LOWER ONE EIGHTH BLOCK}", "_")


def test_prompts_are_tokenised_as_running_text(backbone):
    pair = prompt_model(backbone, toy_task("pair"))
    assert pieces(pair, "the cat.", "A dog.") == "_the _cat ? <extra_id_0> _ , _a _dog . </s>"
    first = prompt_model(backbone, toy_task("single", template="{mask} : {0}"))
    assert pieces(first, "the cat").startswith("<extra_id_0> ")


@pytest.mark.parametrize("length", [12, 15])
def test_truncation_cuts_texts_alone(backbone, length):
    model = prompt_model(backbone, toy_task("pair", max_length=length))
    whole = pieces(prompt_model(backbone, toy_task("pair")), CATS, "dog").split()
    cut = pieces(model, CATS, "dog").split()
    assert len(cut) == length - 1
    assert [p for p in cut if p != "_cat"] == [p for p in whole if p != "_cat"]
    (encoded,) = model.encode([Example("y", (CATS, "dog"))])
    assert encoded.truncated == len(whole) - len(cut)


def test_it_learnt_in_the_fixture_and_answers_without_training(backbone):
    model = prompt_model(backbone, toy_task("single"))
    examples = [
        Example(f"{label} {word}", (f"this plot was {word} c.",), label)
        for label, words in enumerate(CLOZE.values())
        for word in words
    ]
    right = model.predict(examples).array.argmax(1) == [example.label for example in examples]
    assert right.mean() >= 0.75


def test_focus_changes_nothing_but_the_cost(tiny_t5):
    after = []
    for focus in (False, True):
        backbone = Models(CPU).fresh(find_model(str(tiny_t5))).eval()
        model = prompt_model(backbone, toy_task("single")).eval()
        encoded = model.encode(toy_rows(model.task).train[:6])
        seen = {token for example in encoded for token in example.sequences[0].ids} | set(
            model.extra_tokens()
        )

        def steps(backbone=backbone, model=model, encoded=encoded):
            optimizer = torch.optim.AdamW(
                [p for p in backbone.parameters() if p.requires_grad], 1e-2, weight_decay=0.0
            )
            for _ in range(4):
                optimizer.zero_grad()
                model.loss(model.collate(encoded)).backward()
                optimizer.step()

        if focus:
            with backbone.focused(seen):
                assert isinstance(backbone.model.get_input_embeddings(), FocusedEmbedding)
                steps()
        else:
            steps()
        after.append({name: p.detach().clone() for name, p in backbone.model.named_parameters()})
    assert after[0].keys() == after[1].keys()
    for name in after[0]:
        torch.testing.assert_close(after[1][name], after[0][name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("name", ["ft", "prompt-ft", "zero-shot", "prompt-tuning", "ppt"])
def test_methods_keep_the_contract(tiny_t5, name):
    check_method(methods()[name], tiny_t5)


def test_prompt_ft_learns_the_toy_task(tiny_t5):
    job = toy_job(methods()["prompt-ft"], tiny_t5, settings={"lr": 3e-3, "batch_size": 6})
    job = replace(job, protocol=replace(job.protocol, max_steps=40, eval_every=20))
    record, _ = carry_out(job, Models(CPU), 1)
    assert record.status == "ok", record.error
    assert record.details["losses"][-1] < record.details["losses"][0] < np.log(3) * 1.5
    assert record.scores["test"]["accuracy"] > 1 / 3


def test_a_tokenizer_without_sentinels_is_refused(tiny_t5, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_t5, tmp_path / "bare")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / file, folder / file)
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="no token <extra_id_0>"):
        open_backbone(find_model(str(folder)))


def test_missing_weights_are_refused(tiny_t5, tmp_path):
    folder = shutil.copytree(tiny_t5, tmp_path / "more")
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"num_decoder_layers": 3}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match=r"weights are missing, decoder\.block\.2"):
        open_backbone(find_model(str(folder)))


def test_it_has_no_end_of_positions(backbone):
    assert backbone.places > 10**6


TOYS = """
[suite]
title = "Toys"

[toys]
title = "A toy"
paper = "none: written for this test"
licence = "CC0-1.0"
version = 1
format = "single"
labels = ["bad", "fair", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { bad = "terrible", fair = "okay", good = "great" }
max_length = 48

[[toys.source]]
name = "own"
folder = "."
path = "rows"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""


def test_by_command_line(bench, tiny_t5, tmp_path):
    (tmp_path / "toys.toml").write_text(TOYS, "utf-8")
    (tmp_path / "rows").mkdir()
    rows = toy_rows(toy_task("single"))
    for part, examples in (("train", rows.train), ("test", rows.test)):
        lines = [json.dumps({"text": e.texts[0], "label": int(e.label)}) for e in examples]
        (tmp_path / "rows" / f"{part}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    arguments = ["--tasks", tmp_path / "toys.toml", "--student", tiny_t5, "--k", 4, "--seeds", 13]
    names = "zero-shot,ft,prompt-ft,prompt-tuning:hybrid,tokens=5"
    done = bench("run", "--methods", names, *arguments, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr + done.stdout
    records = [
        json.loads(file.read_text("utf-8"))
        for file in (tmp_path / "results" / "runs").rglob("*.json")
    ]
    assert sorted(record["run"]["method"] for record in records) == [
        "ft",
        "prompt-ft",
        "prompt-tuning",
        "zero-shot",
    ]
    assert {record["status"] for record in records} == {"ok"}
