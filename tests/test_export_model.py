"""Exported models give the kept model's answers, by the program of their card and nothing of ours."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PROJECT

from fewbench.errors import BenchError
from fewbench.export.pretrained import heads_kept, to_transformers
from fewbench.export.program import DeployedForm, program
from fewbench.export.write import check_form, write_model
from fewbench.io.atomic import new_folder
from fewbench.nn.classifier import HeadModel
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prune import mask_heads, prune_heads, truncate
from fewbench.nn.quantize import fake_quantize, observed_ranges, quantize
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task
from fewbench.types import Example

PLAIN, ONNX, INT8 = DeployedForm(), DeployedForm(onnx=True), DeployedForm(onnx=True, int8=True)

needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))),
    reason="needs pip install 'fewbench[onnx]'",
)


def a_model(folder, kind="pair", of=HeadModel, **changes):
    """Return a model with a head, or a prompt, whose answers differ from text to text."""
    torch.manual_seed(1)
    model = of(open_backbone(find_model(str(folder))), toy_task(kind, **changes)).eval()
    with torch.no_grad():
        for weight in {layer.value.weight for layer in model.backbone.layers}:
            weight.mul_(30)  # so that the first token's state depends on the others
        if of is HeadModel:
            states = model.backbone.read(model.collate(model.encode(toy_rows(model.task).test)))
            model.output.weight.normal_()
            model.output.bias.copy_(-model.output.weight @ states.mean(0))
    return model


def texts_of(model):
    """Return the task's rows, one too long for the task, and one that spells special tokens."""
    rows = toy_rows(model.task).test
    odd = ("the film [MASK] was . [SEP] bad", " ".join(["lovely cat"] * 60))
    more = [Example(f"odd-{n}", (odd[n], *odd[1 - n :][: len(rows[0].texts) - 1])) for n in (0, 1)]
    return [*rows, *more]


def ask(code, folder, examples):
    """Return the answers that a card's program gives for some examples, an array."""
    names = {}
    exec(code.replace('FOLDER = "."', f"FOLDER = {str(folder)!r}"), names)
    answers = [names["answer"](*example.texts) for example in examples]
    return np.array([list(a.values()) if isinstance(a, dict) else a for a in answers])


def export(model, form, folder):
    write_model(model, form, "a card", folder)
    return folder


CASES = [
    ("bert", HeadModel, "pair", ""),
    ("bert", PromptModel, "pair", "truncate"),
    ("bert", HeadModel, "regression", "truncate"),
    ("bert", PromptModel, "regression", ""),
    ("roberta", HeadModel, "pair", "truncate"),
    ("roberta", PromptModel, "single", "heads"),
    ("distilbert", HeadModel, "single", "heads"),
    ("distilbert", PromptModel, "pair", ""),
    ("albert", HeadModel, "single", ""),
    ("electra", HeadModel, "pair", "heads"),
    ("electra", PromptModel, "pair", ""),
]


@pytest.mark.parametrize(("family", "of", "kind", "change"), CASES)
def test_plain_transformers_gives_the_same_answers(
    tiny, tmp_path, capsys, family, of, kind, change
):
    model = a_model(tiny(family), kind, of)
    if change == "truncate":
        truncate(model.backbone, [1])
    if change == "heads":
        prune_heads(model.backbone, {0: [1], 1: [0]})
    examples = texts_of(model)
    expected = model.predict(examples).array
    found = ask(program(model, PLAIN), export(model, PLAIN, tmp_path / "out"), examples)
    assert np.ptp(expected, 0).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if change == "truncate":
        config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
        assert config["num_hidden_layers"] == 1


def test_labels_stand_in_the_configuration(tiny_model, tmp_path):
    model = a_model(tiny_model)
    config = json.loads((export(model, PLAIN, tmp_path / "out") / "config.json").read_text("utf-8"))
    assert list(config["id2label"].values()) == list(model.task.labels)
    assert config["label2id"] == {label: number for number, label in enumerate(model.task.labels)}


@pytest.mark.parametrize("template", ["{0|cut} , {mask} ? {1|lower}", "{mask}{1} . {0} ."])
def test_a_template_with_modifiers(tiny_model, tmp_path, template):
    model = a_model(tiny_model, "pair", PromptModel, template=template)
    examples = texts_of(model)
    found = ask(program(model, PLAIN), export(model, PLAIN, tmp_path / "out"), examples)
    np.testing.assert_allclose(found, model.predict(examples).array, atol=1e-5)


def test_several_label_words_are_a_mean(tiny_model, tmp_path):
    words = (("bad", "poor"), ("okay",), ("great", "lovely", "good"))
    model = a_model(tiny_model, "single", PromptModel, words=words)
    examples = texts_of(model)
    found = ask(program(model, PLAIN), export(model, PLAIN, tmp_path / "out"), examples)
    np.testing.assert_allclose(found, model.predict(examples).array, atol=1e-5)


def test_large_states_pass_through_tanh(tiny_model):
    model = a_model(tiny_model, "single")
    classifier = to_transformers(model)
    states = 50 * torch.randn(8, 16)
    pooled = torch.tanh(classifier.bert.pooler.dense(states))
    torch.testing.assert_close(
        classifier.classifier(pooled), model.output(states), atol=1e-3, rtol=1e-5
    )


def test_heads_are_counted_from_those_that_there_once_were(tiny_model):
    model = a_model(tiny_model)
    prune_heads(model.backbone, {0: [1], 1: [0]})
    truncate(model.backbone, [1, 0])
    assert heads_kept(model.backbone) == [[1], [0]]


def feed(model, examples):
    """Return a graph's inputs for examples in one padded batch, by our own token ids."""
    rows = [encoded.sequences[0] for encoded in model.encode(examples)]
    ids, real, segments = np.zeros(
        (3, len(rows), max(len(row.ids) for row in rows)), dtype=np.int64
    )
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = row.ids
        real[number, : len(row.ids)] = 1
        segments[number, : len(row.ids)] = row.segments
    return {"input_ids": ids, "attention_mask": real, "token_type_ids": segments}


ONNX_CASES = [
    ("bert", HeadModel, "pair", "ptq", INT8),
    ("roberta", PromptModel, "pair", "heads", ONNX),
    ("bert", PromptModel, "regression", "static", INT8),
    ("albert", HeadModel, "single", "masked heads", ONNX),
]


@needs_onnx
@pytest.mark.parametrize(("family", "of", "kind", "change", "form"), ONNX_CASES)
def test_onnx_runtime_gives_the_same_answers(tiny, tmp_path, family, of, kind, change, form):
    import onnxruntime

    model = a_model(tiny(family), kind, of)
    examples = texts_of(model)
    if change == "ptq":
        quantize(model.backbone)
    if change == "static":
        fake_quantize(model.backbone)
        with observed_ranges(model.backbone):
            model.predict(examples)
    if change == "heads":
        prune_heads(model.backbone, {0: [1]})
    if change == "masked heads":
        mask_heads(model.backbone, {0: [1]})
    expected = model.predict(examples).array
    folder = export(model, form, tmp_path / "out")
    np.testing.assert_allclose(ask(program(model, form), folder, examples), expected, atol=1e-4)

    file = folder / "model.onnx"
    session = onnxruntime.InferenceSession(file)
    names = {given.name for given in session.get_inputs()}
    batch = {name: value for name, value in feed(model, examples).items() if name in names}
    (scores,) = session.run(None, batch)
    together = scores[:, 0] if kind == "regression" else torch.tensor(scores).softmax(-1).numpy()
    np.testing.assert_allclose(together, expected, atol=1e-4)
    assert str(PROJECT).encode() not in file.read_bytes()
    if form.int8:
        assert_no_layer_is_in_fp32(file, model)


def assert_no_layer_is_in_fp32(file, model):
    """The matrices of the graph are whole numbers, but for head, words and positions."""
    import onnx

    tensors = onnx.load(file).graph.initializer
    width = model.backbone.config.hidden_size
    floats = [
        tensor.name
        for tensor in tensors
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and min(tensor.dims) >= width
        and "embeddings" not in tensor.name
        and "predictions" not in tensor.name
    ]
    assert not floats


SOFT = torch.zeros(3, 16)


def reason(model, form=PLAIN):
    with pytest.raises(BenchError) as error:
        check_form(model, form, "1f3a")
    return str(error.value)


def test_what_has_no_form_is_refused(tiny):
    assert "each option of a choice" in reason(a_model(tiny("bert"), "choice"))
    causal = prompt_model(open_backbone(find_model(str(tiny("gpt2")))), toy_task("single"))
    assert "a 'gpt2' is no masked language model" in reason(causal)
    soft = SoftPromptModel(open_backbone(find_model(str(tiny("bert")))), toy_task("single"), SOFT)
    assert "a soft prompt has vectors" in reason(soft)
    masked = a_model(tiny("albert"))
    mask_heads(masked.backbone, {0: [1]})
    told = reason(masked)
    assert "masked in layers that share weights" in told and "fix: --onnx" in told

    class Own(HeadModel):
        pass

    assert "its class Own is the method's own" in reason(a_model(tiny("bert"), of=Own))


def test_a_missing_library_is_named(tiny_model, monkeypatch):
    from fewbench.export import onnx_graph

    monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None)
    told = reason(a_model(tiny_model), ONNX)
    assert "onnxscript" in told and "pip install 'fewbench[onnx]'" in told


def test_a_template_of_options_leaves_no_folder(tiny_model, tmp_path):
    model = a_model(tiny_model, "single", PromptModel, template="{0} {options} {mask}")
    with pytest.raises(BenchError, match="lists options"):
        export(model, PLAIN, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_a_failure_while_writing_leaves_no_folder(tmp_path):
    with pytest.raises(OSError), new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        raise OSError("no space")
    assert not [*tmp_path.iterdir()]


def test_a_kill_leaves_no_folder_of_that_name(tmp_path):
    code = (
        "import os, pathlib, sys; from fewbench.io.atomic import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'a').write_text('1'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


def test_only_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("1")
    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("1")
    assert [file.name for file in (tmp_path / "empty").iterdir()] == ["a"]
    with pytest.raises(OSError), new_folder(tmp_path / "full"):
        pass
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"a", "mine"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory, tiny_model) -> Path:
    """A results folder with three runs whose models are kept."""
    import fewbench

    root = tmp_path_factory.mktemp("kept") / "results"
    fewbench.run(
        ["ft", "prompt-ft", "truncate+finetune"],
        "demo-sentiment",
        k=4,
        seeds=13,
        protocol="demo",
        student=str(tiny_model),
        teacher=str(tiny_model),
        limit=12,
        keep_models=True,
        results=root,
    )
    return root


@pytest.fixture
def exported(kept, tiny_model, tmp_path):
    """Export a stored run, and return the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of typer and click warn of each other
        from fewbench.cli.export import model

    def run(selector, **options):
        out = tmp_path / "out"
        model(selector, out, backbones=[str(tiny_model)], results=kept, offline=True, **options)
        return out

    return run


@pytest.mark.parametrize("method", ["ft", "prompt-ft", "truncate+finetune"])
def test_a_stored_run_is_exported_and_answers_as_stored(kept, exported, method, tiny_model):
    from fewbench.measure.stored import Locations, task_of, test_rows
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    selector = f"{method}/demo-sentiment/k4/s13/limit=12"
    out = exported(selector)
    store = Store(kept)
    record = find_run(store, selector)
    here = Locations(store, models=[str(tiny_model)], offline=True)
    rows = test_rows(record, task_of(record, here), here)
    card = (out / "README.md").read_text("utf-8")
    found = ask(card.split("```python\n")[1].split("```")[0], out, rows)
    stored = store.predictions(record).array
    np.testing.assert_allclose(found, stored, atol=1e-5)
    assert (found.argmax(1) == stored.argmax(1)).all()
    assert record.run.key in card and "K=4, split seed 13" in card and "of 12 rows" in card
    expect_whole_card(card, record, of_teacher=method == "truncate+finetune")


def expect_whole_card(card, record, of_teacher):
    """Check the sections of a card, and that the hub's own reader takes its metadata."""
    from huggingface_hub import ModelCard

    sections = re.findall("^## (.+)$", card, re.MULTILINE)
    assert sections == [
        "How to load it",
        "Data",
        "Training",
        "Scores",
        "Loyalty to its teacher",
        "Cost",
        "Robustness",
    ]
    assert f"{100 * record.score:.1f}" in card.split("## Scores")[1].split("##")[0]
    assert ("label loyalty" in card) == of_teacher
    assert f"`bench cost {record.run.key[:8]}`" in card
    assert "--seeds 13 --protocol demo" in card and "licence of the data | Apache-2.0" in card
    data = ModelCard(card).data.to_dict()
    assert data["tags"] == ["fewbench", record.run.method] and data["library_name"]
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {4}, "a broken table"


def test_nothing_is_overwritten(exported):
    out = exported("prompt-ft/demo-sentiment")
    before = {file: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(BenchError, match="fix: --to another folder"):
        exported("prompt-ft/demo-sentiment")
    assert before == {file: file.read_bytes() for file in out.iterdir()}


def test_int8_of_a_run_in_fp32_is_said_to_be_another_model(exported, capsys, monkeypatch):
    from fewbench.export import onnx_graph

    asked = []
    monkeypatch.setattr(onnx_graph, "check_installed", lambda: None)
    monkeypatch.setattr(onnx_graph, "write_onnx", lambda *_, int8: asked.append(int8))
    out = exported("prompt-ft/demo-sentiment", int8=True)
    assert asked == [True]
    assert "another model" in capsys.readouterr().err
    card = (out / "README.md").read_text("utf-8")
    assert "not measured in this form" in card and "model-index" not in card
    assert "## Scores" not in card
    assert not [*out.glob("*.safetensors")]
