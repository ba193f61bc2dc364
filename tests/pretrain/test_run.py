"""A whole pretraining: killed and gone on with it ends in the same bits; and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

from fewbench.errors import BenchError, ModelError, StoreDamaged
from fewbench.pretrain import objective
from fewbench.pretrain.batches import Order, mask
from fewbench.pretrain.masking import Vocabulary
from fewbench.pretrain.recipe import Recipe, read_recipe
from fewbench.pretrain.run import PretrainRequest, check_request, pretrain, vocabulary_of
from fewbench.pretrain.train import Precision, learning_rate
from fewbench.registry.pretrained import find_model

SMALL = dict(
    tokens=40 * 8 * 16,
    batch=8,
    length=16,
    lr=3e-3,
    layers=2,
    width=16,
    heads=2,
    vocabulary=1000,
    words=("great", "terrible"),
    evaluate_every=20,
    checkpoint_every=5,
    precision="float32",
)


class Killed(Exception):
    """The process ends here."""


def request(corpus, out, tokenizer=None, **recipe):
    return PretrainRequest(Recipe(**{**SMALL, **recipe}), [str(corpus)], out, tokenizer=tokenizer)


def quiet(text):
    pass


@pytest.mark.parametrize("masking", ["random", "informask", "token-rates"])
def test_killed_and_gone_on_with_it_ends_in_the_same_bits(corpus, tmp_path, tiny_model, masking):
    # One tokenizer for both: two learned from one text may differ where pieces are equally
    # frequent.
    tokenizer = find_model(str(tiny_model))
    whole = pretrain(request(corpus, tmp_path / "whole", tokenizer, masking=masking), quiet)

    def die(at):
        def on_update(update, terms):
            if update == at:
                raise Killed

        return on_update

    for at in (1, 13, 29):  # before the first checkpoint, and between later ones
        with pytest.raises(Killed):
            pretrain(request(corpus, tmp_path / "cut", tokenizer, masking=masking), quiet, die(at))
    seen = []
    cut = pretrain(
        request(corpus, tmp_path / "cut", tokenizer, masking=masking),
        quiet,
        lambda update, terms: seen.append(update),
    )
    assert seen == list(range(26, 41))
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    strip = [
        [{k: v for k, v in point.items() if k != "seconds"} for point in r["curve"]]
        for r in (whole, cut)
    ]
    assert strip[0] == strip[1]
    assert [point["update"] for point in whole["curve"]] == [0, 20, 40]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_alike_and_goes_on_alike(corpus, tmp_path, tiny_model, precision):
    tokenizer = find_model(str(tiny_model))
    exact = pretrain(request(corpus, tmp_path / "exact", tokenizer), quiet)
    mixed = pretrain(request(corpus, tmp_path / "mixed", tokenizer, precision=precision), quiet)
    # Of 40 updates float16 leaves out the first few, until its gradients' scale fits.
    assert mixed["curve"][-1]["held_out_loss"] == pytest.approx(
        exact["curve"][-1]["held_out_loss"], abs=0.2
    )
    assert mixed["curve"][-1]["held_out_loss"] < mixed["curve"][0]["held_out_loss"]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("exact", "mixed"))
    assert not all(torch.equal(a[name], b[name]) for name in a)

    def die(update, terms):
        if update == 23:
            raise Killed

    with pytest.raises(Killed):
        pretrain(request(corpus, tmp_path / "cut", tokenizer, precision=precision), quiet, die)
    cut = pretrain(request(corpus, tmp_path / "cut", tokenizer, precision=precision), quiet)
    assert cut["curve"][-1]["held_out_loss"] == mixed["curve"][-1]["held_out_loss"]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("mixed", "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_words_around_are_learned_and_gone_on_with(corpus, tmp_path, tiny_model, precision):
    tokenizer = find_model(str(tiny_model))
    chosen = {"context": 0.5, "precision": precision}
    whole = pretrain(request(corpus, tmp_path / "whole", tokenizer, **chosen), quiet)
    answers = []

    def die(update, terms):
        answers.append(terms["answers"])
        if update == 23:
            raise Killed

    with pytest.raises(Killed):
        pretrain(request(corpus, tmp_path / "cut", tokenizer, **chosen), quiet, die)
    assert np.mean(answers[-5:]) < np.mean(answers[:5])
    pretrain(request(corpus, tmp_path / "cut", tokenizer, **chosen), quiet)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert whole["recipe"]["context"] == 0.5


def test_a_lack_of_memory_halves_the_parts_to_the_bits_of_smaller_ones(
    corpus, tmp_path, tiny_model, monkeypatch
):
    """Also over a kill, after which there is more memory: it goes on with the smaller parts."""
    tokenizer, chosen = find_model(str(tiny_model)), {"tokens": 12 * 128, "context": 0.3}
    wanted = pretrain(request(corpus, tmp_path / "four", tokenizer, **chosen, accumulate=4), quiet)
    whole = objective.states_at

    def short(model, rows):
        if len(rows.ids) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return whole(model, rows)

    def die(update, terms):
        if update == 7:
            raise Killed

    asked = request(corpus, tmp_path / "short", tokenizer, **chosen)
    with monkeypatch.context() as patch:
        patch.setattr(objective, "states_at", short)
        with pytest.raises(Killed):
            pretrain(asked, quiet, die)
    with pytest.warns(UserWarning, match="examples at once were 2 from update 1"):
        halved = pretrain(asked, quiet)
    assert halved["micro_batches"] == [(1, 2)]
    assert "micro_batches" not in wanted
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("four", "short"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    for point, other in zip(halved["curve"], wanted["curve"], strict=True):
        assert point | {"seconds": 0} == other | {"seconds": 0}


@pytest.mark.parametrize("context", [0.0, 0.3])
def test_a_batch_in_two_parts_has_the_gradient_of_the_whole(corpus, tmp_path, tiny_model, context):
    tokenizer = find_model(str(tiny_model))
    chosen = {"tokens": 3 * 128, "context": context}
    one = pretrain(request(corpus, tmp_path / "one", tokenizer, **chosen), quiet)
    two = pretrain(request(corpus, tmp_path / "two", tokenizer, **chosen, accumulate=2), quiet)
    assert one["curve"][-1]["held_out_loss"] == pytest.approx(
        two["curve"][-1]["held_out_loss"], abs=2e-3
    )
    assert one["curve"][-1]["train_loss"] == pytest.approx(two["curve"][-1]["train_loss"], abs=2e-3)


def test_it_learns_and_the_folder_is_a_model(corpus, tmp_path):
    report = pretrain(
        request(corpus, tmp_path / "m", tokens=400 * 128, embeddings="pmi", evaluate_every=200),
        quiet,
    )
    first, last = report["curve"][0], report["curve"][-1]
    assert last["held_out_loss"] < first["held_out_loss"] - 0.05
    ref = find_model(str(tmp_path / "m"))
    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(ref.path),
        AutoTokenizer.from_pretrained(ref.path),
    )
    assert (
        next(iter(load_file(tmp_path / "m" / "model.safetensors").values())).dtype == torch.float16
    )
    assert len(tokenizer("great terrible", add_special_tokens=False)["input_ids"]) == 2
    assert model.config.hidden_dropout_prob == 0.1
    card = (tmp_path / "m" / "README.md").read_text("utf-8")
    assert f"{last['held_out_loss']:.3f}" in card
    said = []
    assert pretrain(
        request(corpus, tmp_path / "m", tokens=400 * 128, embeddings="pmi", evaluate_every=200),
        said.append,
    )
    assert said == ["nothing to do: this model is finished"]


def test_a_student_from_a_teachers_layers(corpus, tmp_path, tiny_model):
    ref = find_model(str(tiny_model))
    recipe = Recipe(**{**SMALL, "objective": "distil", "keep": (1,)})
    report = pretrain(
        PretrainRequest(recipe, [str(corpus)], tmp_path / "s", start=ref, teacher=ref), quiet
    )
    student = AutoModelForMaskedLM.from_pretrained(tmp_path / "s")
    assert student.config.num_hidden_layers == 1
    assert report["curve"][-1]["held_out_loss"] < report["curve"][0]["held_out_loss"]


def test_another_recipe_is_refused_and_named(corpus, tmp_path):
    pretrain(request(corpus, tmp_path / "m", tokens=256), quiet)
    with pytest.raises(BenchError, match=r"lr = 0.003, not 0.001"):
        pretrain(request(corpus, tmp_path / "m", tokens=256, lr=1e-3), quiet)


def test_a_damaged_checkpoint_is_named(corpus, tmp_path):
    with pytest.raises(Killed):
        pretrain(
            request(corpus, tmp_path / "m"),
            quiet,
            lambda update, terms: (_ for _ in ()).throw(Killed) if update == 7 else None,
        )
    file = tmp_path / "m" / "work" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(StoreDamaged, match="damaged checkpoint"):
        pretrain(request(corpus, tmp_path / "m"), quiet)


def test_what_does_not_fit_together(corpus, tmp_path, tiny_model):
    ref = find_model(str(tiny_model))

    def make(recipe=None, **more):
        settings = {**SMALL, **(recipe or {})}
        return PretrainRequest(Recipe(**settings), [str(corpus)], tmp_path, **more)

    for wrong, said in (
        (make({"objective": "distil"}), "needs a teacher"),
        (make(teacher=ref), "takes no teacher"),
        (make({"keep": (0,)}), "keeps layers"),
        (PretrainRequest(Recipe(), [], tmp_path), "no corpus"),
    ):
        with pytest.raises(BenchError, match=said):
            check_request(wrong)
    with pytest.raises(ModelError, match="no layer 5"):
        pretrain(
            PretrainRequest(Recipe(**SMALL, keep=(5,)), [str(corpus)], tmp_path / "a", start=ref),
            quiet,
        )
    with pytest.raises(BenchError, match="model in this folder already"):
        pretrain(PretrainRequest(Recipe(**SMALL), [str(corpus)], tiny_model), quiet)


def test_recipes_are_read_strictly(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('lr = 1\nkeep = [0, 2]\nwords = ["great"]\n')
    recipe = read_recipe(file, {"tokens": 5, "batch": None})
    assert (recipe.lr, recipe.keep, recipe.words, recipe.tokens, recipe.batch) == (
        1.0,
        (0, 2),
        ("great",),
        5,
        32,
    )
    for content, said in (
        ("learning_rate = 1", "unknown key"),
        ('lr = "high"', "'lr' is 'high'"),
        ('objective = "mlmm"', "objective is 'mlmm'"),
        ("accumulate = 5", "accumulate is 5"),
        ("warmup = 1.5", "warmup is 1.5"),
        ("width = 30\nheads = 4", "heads is 4"),
        ("batch = 0", "batch is 0"),
    ):
        file.write_text(content)
        with pytest.raises(BenchError, match=said):
            read_recipe(file, {})


def test_the_learning_rate_rises_and_falls():
    recipe = Recipe(tokens=100 * 32 * 128, warmup=0.1, lr=1.0)
    rates = [learning_rate(recipe, update) for update in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1.0
    assert rates[-1] == pytest.approx(1 / 90)


def test_every_row_once_a_pass_and_corpora_in_equal_shares():
    corpora = [np.arange(10).reshape(10, 1), 100 + np.arange(4).reshape(4, 1)]
    order = Order(corpora, 4, seed=1)
    drawn = np.concatenate([order.rows(update) for update in range(5)]).ravel()
    assert sorted(drawn[drawn < 100]) == list(range(10))
    small = drawn[drawn >= 100] - 100
    assert sorted(small[:4]) == sorted(small[4:8]) == [0, 1, 2, 3]
    assert np.array_equal(Order(corpora, 4, seed=1).rows(3), order.rows(3))


def test_masks_noise_and_kept_words_in_berts_shares():
    special = np.zeros(50, bool)
    special[:5] = True
    ids = np.random.default_rng(0).integers(5, 50, (400, 100))
    seen, chosen = mask(
        ids,
        lambda ids, rng: rng.random(ids.shape) < 0.15,
        Vocabulary(special, special),
        4,
        np.random.default_rng(1),
    )
    assert np.array_equal(seen[~chosen], ids[~chosen])
    masked, kept = seen[chosen] == 4, seen[chosen] == ids[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=0.02)
    assert kept.mean() == pytest.approx(0.1 + 0.1 / 45, abs=0.015)
    assert not np.isin(seen[chosen], [0, 1, 2, 3]).any()


def test_what_a_vocabulary_is(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    vocabulary = vocabulary_of(tokenizer)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert [p for p, s in zip(pieces, vocabulary.special, strict=True) if s] == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
    ]  # fmt: skip
    assert all(
        p.startswith("##") == bool(c) for p, c in zip(pieces, vocabulary.continues, strict=True)
    )


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.slow
def test_the_command_line_killed_by_the_system(corpus, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        "\n".join(f"{k} = {list(v) if isinstance(v, tuple) else v!r}" for k, v in SMALL.items())
    )
    command = [
        sys.executable,
        "-m",
        "fewbench",
        "pretrain",
        "--corpus",
        str(corpus),
        "--recipe",
        str(recipe),
    ]
    command += ["--out", str(tmp_path / "m"), "--threads", "1", "--tokens", str(200 * 128)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "m" / "work" / "checkpoint.safetensors"
    for _ in range(3000):
        if checkpoint.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] == 200
    assert (tmp_path / "m" / "curves.png").stat().st_size > 5000
    bad = subprocess.run([*command, "--lr", "9"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "lr = 0.003, not 9.0" in bad.stderr


@pytest.mark.parametrize(
    ("found", "name"), [({"avx512_bf16": True}, "bfloat16"), ({"avx2": True}, "float32")]
)
def test_auto_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, found, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert Precision("auto", torch.nn.Linear(1, 1)).name == name
    assert Precision("float32", torch.nn.Linear(1, 1)).name == "float32"
