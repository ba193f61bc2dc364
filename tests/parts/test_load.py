"""Models that cannot be loaded whole are refused, each with what is wrong and where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fewbench.errors import BenchError, ModelError, NeedsNetwork
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.nn.load import load
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import answer_checks, checks_of, grouped
from fewbench.testing import toy_job, toy_rows, toy_task
from fewbench.types import ModelRef


@pytest.fixture
def folder(tiny_model, tmp_path) -> Path:
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def edit(file: Path, change) -> None:
    data = json.loads(file.read_text("utf-8"))
    change(data)
    file.write_text(json.dumps(data), "utf-8")


@pytest.mark.parametrize("direction", ["Left", "Right"])
def test_a_tokenizer_stored_with_truncation_and_padding_on_reads_texts_whole(
    folder, tiny_model, direction
):
    def cut_and_pad(stored):
        cut = {"direction": direction, "max_length": 4, "strategy": "LongestFirst", "stride": 0}
        side = {
            "direction": direction,
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        }
        stored.update(truncation=cut, padding={"strategy": {"Fixed": 20}, **side})

    edit(folder / "tokenizer.json", cut_and_pad)
    stored, plain = (load(find_model(str(place))).tokenizer for place in (folder, tiny_model))
    text = "the cat sat on the mat and the dog ran"
    backends = [tokenizer.backend_tokenizer for tokenizer in (stored, plain)]
    assert len({tuple(backend.encode(text).ids) for backend in backends}) == 1
    for given in ({}, {"truncation": True, "max_length": 6}):
        assert stored(text, **given)["input_ids"] == plain(text, **given)["input_ids"]


def edit_weights(folder: Path, change) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, {"format": "pt"})


def refused(folder: Path, problem: str) -> str:
    with pytest.raises(ModelError, match=problem) as caught:
        load(ModelRef("damaged", str(folder), "0"))
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_a_whole_model(folder):
    pretrained = load(find_model(str(folder)))
    assert not pretrained.model.training
    assert {p.dtype for p in pretrained.model.parameters()} == {torch.float32}
    assert pretrained.tokenizer.is_fast


def test_half_precision_weights_are_read_as_float32(folder):
    edit_weights(
        folder, lambda weights: weights.update({name: w.half() for name, w in weights.items()})
    )
    edit(
        folder / "config.json", lambda config: config.update(dtype="float16", torch_dtype="float16")
    )
    assert {p.dtype for p in load(find_model(str(folder))).model.parameters()} == {torch.float32}


def test_missing_head_weights(folder):
    edit_weights(
        folder,
        lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("cls.")],
    )
    refused(folder, r"weights are missing, cls\.predictions")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_a_checkpoint_without_a_head_is_read_where_none_is_needed(tiny, tmp_path, family):
    """MiniLM's and TinyBERT's are saved so; with the head in part they are damaged."""
    from transformers import AutoModel

    folder = Path(shutil.copytree(tiny(family), tmp_path / "headless"))
    whole = open_backbone(find_model(str(tiny(family))))
    AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)
    state = torch.random.get_rng_state()
    backbone = open_backbone(find_model(str(folder)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (whole.has_head, backbone.has_head) == (True, False)
    task = toy_task("single")
    texts = toy_rows(task).test
    first, second = (HeadModel(b.eval(), task) for b in (whole, backbone))
    batch = first.collate(first.encode(texts))
    torch.testing.assert_close(first.backbone.read(batch), second.backbone.read(batch))
    with pytest.raises(ModelError, match="no masked language head"):
        prompt_model(backbone, task)
    refused(folder, "weights are missing")


def test_half_a_head_is_a_damaged_model(folder):
    edit_weights(folder, lambda weights: weights.pop("cls.predictions.transform.dense.weight"))
    with pytest.raises(ModelError, match="1 weights are missing"):
        open_backbone(find_model(str(folder)))


@pytest.mark.parametrize("name", ["ft", "vanilla-kd", "prompt-ft", "amulap"])
def test_methods_that_read_a_prompt_refuse_a_checkpoint_without_a_head(folder, name):
    edit_weights(
        folder,
        lambda weights: [weights.pop(name) for name in list(weights) if name.startswith("cls.")],
    )
    job = toy_job(methods()[name], folder)
    found = [answer_checks(checks, Models(torch.device("cpu"))) for checks in asked(job)]
    problems = [fields["problem"] for answers in found for fields in answers if fields]
    assert bool(problems) == (name in ("prompt-ft", "amulap"))
    assert all("has no masked language head" in problem for problem in problems)


def asked(job):
    return grouped(checks_of([job]))


def test_missing_layer(folder):
    edit_weights(
        folder, lambda weights: [weights.pop(name) for name in list(weights) if "layer.1." in name]
    )
    assert "bert.encoder.layer.1." in refused(folder, "16 weights are missing")


def test_weights_that_are_not_finite(folder):
    def spoil(weights):
        weights["bert.encoder.layer.0.output.dense.weight"][1, 2] = float("nan")

    edit_weights(folder, spoil)
    refused(
        folder, r"bert\.encoder\.layer\.0\.output\.dense\.weight holds numbers that are not finite"
    )


def test_pickled_weights_alone(folder):
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"only pickled weights \(pytorch_model\.bin\)") as caught:
        find_model(str(folder))
    assert str(folder) in str(caught.value)
    refused(folder, "cannot be loaded")


def test_truncated_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert str(file) in refused(folder, "damaged weights")


def test_weights_of_another_shape(folder):
    edit(folder / "config.json", lambda config: config.update(intermediate_size=24))
    refused(folder, "shape|size mismatch")


def test_another_number_of_layers(folder):
    edit(folder / "config.json", lambda config: config.update(num_hidden_layers=3))
    assert "bert.encoder.layer.2." in refused(folder, "16 weights are missing")


def test_a_classifiers_checkpoint_is_no_masked_language_model(folder):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    model.save_pretrained(folder, safe_serialization=True)
    refused(folder, "weights are missing, cls")


def test_remote_code(folder):
    edit(
        folder / "config.json",
        lambda config: config.update(auto_map={"AutoModelForMaskedLM": "evil.Model"}),
    )
    (folder / "evil.py").write_text(
        f"open({str(folder / 'ran')!r}, 'w')\nclass Model: ...\n", "utf-8"
    )
    assert "config.json" in refused(folder, "run code of its own")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_files_that_are_not_json(folder, file):
    (folder / file).write_text("{", "utf-8")
    with pytest.raises(ModelError) as caught:
        load(ModelRef("damaged", str(folder), "0"))
    assert str(folder) in str(caught.value)


def test_no_mask_token(folder):
    edit(folder / "tokenizer_config.json", lambda config: config.pop("mask_token"))
    if (folder / "special_tokens_map.json").exists():
        edit(folder / "special_tokens_map.json", lambda tokens: tokens.pop("mask_token"))
    refused(folder, "has no mask token")


def test_a_tokenizer_larger_than_the_embeddings(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = len(tokenizer)
    tokenizer.add_tokens(["brandnew"])
    tokenizer.save_pretrained(folder)
    refused(folder, f"the tokenizer has {size + 1} tokens and the model {size} embeddings")


def test_an_unknown_family(folder):
    edit(folder / "config.json", lambda config: config.update(model_type="mystery"))
    refused(folder, "language models of type 'mystery' are not known here")


def test_folders_that_are_no_model(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        find_model(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(ModelError, match="no weights"):
        find_model(str(tmp_path / "empty"))
    with pytest.raises(BenchError, match="no model folder at"):
        find_model(str(tmp_path / "absent"))


def test_a_hub_name_while_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NeedsNetwork, match="'nobody/nothing' is not on this machine"):
        find_model("nobody/nothing", offline=True)


def test_the_revision_is_the_content(folder, tmp_path):
    before = find_model(str(folder)).revision
    same = find_model(str(shutil.copytree(folder, tmp_path / "elsewhere"))).revision
    edit_weights(folder, lambda weights: weights["cls.predictions.bias"].add_(1e-3))
    assert before == same != find_model(str(folder)).revision


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "spiece.model"]
)
def test_the_revision_is_of_every_file_that_decides_answers(folder, name):
    before = find_model(str(folder)).revision
    (folder / name).write_text(
        (folder / name).read_text("utf-8") + " " if (folder / name).exists() else "{}", "utf-8"
    )
    assert find_model(str(folder)).revision != before


@pytest.mark.parametrize("name", ["README.md", "training.json", "curves.png"])
def test_the_revision_is_not_of_what_lies_beside(folder, name):
    before = find_model(str(folder)).revision
    (folder / name).write_text("{}", "utf-8")
    assert find_model(str(folder)).revision == before
