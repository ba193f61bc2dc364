"""Token counts and label words of `bench validate`, held against what a prompted model does."""

from __future__ import annotations

import re
import sys

import pytest

from fewbench.data.reader import read_rows
from fewbench.data.task_file import declared
from fewbench.data.tokenizer_check import check_words, label_words, load_tokenizer, prompt_lengths
from fewbench.errors import BenchError, ModelError
from fewbench.registry.methods import task_files
from fewbench.registry.pretrained import find_model
from fewbench.runner.plan import STUDENT
from fewbench.types import ModelRef

TASK = """
[mood]
title = "A mood"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["low", "high"]
metric = "accuracy"
template = "{{0}} It was {{mask}}."
words = {{ low = "{low}", high = "{high}" }}
max_length = 16
[[mood.source]]
name = "files"
folder = "."
path = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""


def write(folder, low="bad", high="good", text="fine"):
    (folder / "mood").mkdir()
    row = '{"text": "%s", "label": %d}\n'
    for split in ("train", "test"):
        both = row % (text, 0) + row % ("fine " * 20, 1)
        (folder / "mood" / f"{split}.jsonl").write_text(
            both * (2 if split == "train" else 1), "utf-8"
        )
    file = folder / "mood.toml"
    file.write_text(TASK.format(low=low, high=high), "utf-8")
    return file


@pytest.fixture(scope="module")
def embedded():
    from fewbench.nn.load import load

    ref = find_model(STUDENT)
    return load_tokenizer(ref), load(ref)


@pytest.mark.parametrize("name", ["demo-sentiment", "demo-choice"])
def test_words_and_lengths_are_those_of_a_prompted_model(name, embedded):
    from fewbench.nn.backbone import Backbone
    from fewbench.nn.prompt import PromptModel

    ours, theirs = embedded
    task = declared(task_files([])).tasks[name]
    model = PromptModel(Backbone(theirs.model, theirs.tokenizer, find_model(STUDENT)), task)
    rows = read_rows(task, None, offline=True).train[:50]
    whole = [found.length + found.truncated for found in model.encode(rows)]
    assert prompt_lengths(task, rows, ours) == whole
    pieces = [word.pieces[0] for word in label_words(task, ours)]
    assert pieces == theirs.tokenizer.convert_ids_to_tokens(model.verbalizer.words.tolist())


def test_every_declared_word_has_the_loaders_pieces(embedded):
    from fewbench.nn.verbalizer import word_ids

    ours, theirs = embedded
    for task in declared(task_files([])).tasks.values():
        words = label_words(task, ours)
        if any(word.chinese for word in words):
            continue
        for check in (
            lambda task=task: word_ids(task, theirs.tokenizer),
            lambda t=task, w=words: check_words(t, w),
        ):
            fits = all(word.fits for word in words)
            if fits:
                check()
            else:
                with pytest.raises(BenchError, match="pieces with this tokenizer"):
                    check()


def test_validate_counts_tokens_and_what_would_be_cut(bench, tmp_path):
    shown = bench("validate", write(tmp_path), "--k", 1).stdout
    assert "words: low=bad (bad), high=good (good)" in shown
    assert "at most 16, so 3 of 6 prompts would be cut" in shown


def test_a_word_of_several_pieces_is_counted_and_its_readers_are_named(bench, tmp_path):
    file = write(tmp_path, low="xylophonist")
    for student in ((), ("--student", STUDENT)):
        shown = bench("validate", file, "--k", 1, *student)
        assert shown.returncode == 0
        (pieces,) = re.findall(r"low=xylophonist \(([^)]*)\) (\d) TOKENS", shown.stdout)
        assert len(pieces[0].split()) == int(pieces[1]) > 1
        assert "read by pet, ppt, prompt-ft" in shown.stdout


def test_a_word_with_a_piece_that_no_vocabulary_has_is_refused_for_a_student(bench, tmp_path):
    file = write(tmp_path, low="\u0bb5")
    assert "UNKNOWN" in bench("validate", file, "--k", 1).stdout
    refused = bench("validate", file, "--student", STUDENT, "--k", 1)
    assert refused.returncode == 2 and "mood.toml [mood] words" in refused.stdout


def test_words_that_differ_in_case_alone_are_refused(bench, tmp_path):
    refused = bench("validate", write(tmp_path, low="Good"), "--student", STUDENT)
    assert refused.returncode == 2 and "share the token 'good'" in refused.stdout


def test_chinese_words_are_shown_and_pass(bench, tmp_path):
    shown = bench("validate", write(tmp_path, low="差", high="好"), "--student", STUDENT, "--k", 1)
    assert shown.returncode == 0 and "low=差 ([UNK]) UNKNOWN" in shown.stdout


def test_no_torch_is_imported(tmp_path):
    import subprocess

    code = "import sys; from fewbench.cli.validate import validate; from pathlib import Path; "
    code += f"validate([Path({str(write(tmp_path))!r})], k='1'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        load_tokenizer(ModelRef("x", str(tmp_path), "0"))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_tokenizer(ModelRef("x", str(tmp_path), "0"))
