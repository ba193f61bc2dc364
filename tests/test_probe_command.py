"""`bench probe` as a user meets it: its table, its report, and what it refuses."""

from __future__ import annotations

import json
import warnings

import pytest
from known import FACTS, KNOWN

from fewbench.measure.fact_probe import probe
from fewbench.nn.load import load
from fewbench.registry.pretrained import find_model

DECLARED = """
[known]
kind = "facts"
title = "What is known?"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
path = "known"
relations = "relations.jsonl"
facts = "facts.jsonl"
folder = "."
"""


@pytest.fixture
def task(tmp_path):
    """The same facts as files."""
    (tmp_path / "known").mkdir()
    relations = [
        {"relation": r.id, "template": r.template, "label": r.label, "type": r.type}
        for r in KNOWN.relations
    ]
    facts = [
        {"relation": fact.relation, "subject": fact.subject, "object": fact.object}
        for fact in FACTS
    ]
    for name, rows in (("relations", relations), ("facts", facts)):
        (tmp_path / "known" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    file = tmp_path / "known.toml"
    file.write_text(DECLARED)
    return file


def test_bench_probe_of_one_model(bench, task, tiny_model, tmp_path):
    file = tmp_path / "out" / "probe.json"
    done = bench(
        "probe",
        task,
        "--student",
        tiny_model,
        "--device",
        "cpu",
        "--offline",
        "--json",
        "--out",
        file,
    )
    assert done.returncode == 0, done.stderr
    assert file.read_text("utf-8") == done.stdout
    report = json.loads(done.stdout)
    result = probe(*load(find_model(str(tiny_model))), KNOWN)
    model = report["models"][0]
    assert (report["task"], report["facts"], report["duplicates"], report["limit"]) == (
        "known",
        10,
        1,
        None,
    )
    assert (report["comparable"], model["common"], model["too_long"]) == (True, None, 0)
    assert model["macro"]["mrr"] == round(result.recalls.macro.mrr, 6)
    assert model["micro"]["p10"] == round(result.recalls.micro.p10, 6)
    assert [(row["relation"], row["n"], row["left_out"]) for row in model["relations"]] == [
        ("P1", 4, 1),
        ("P2", 3, 2),
    ]
    assert list(report["timing"]) == [tiny_model.name]


@pytest.fixture
def probing():
    """The command as a function: a process of its own takes seconds to load torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # typer and click of their own import
        from fewbench.cli.probe import probe
    return probe


def test_bench_probe_of_one_model_as_a_table(probing, task, tiny_model, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    probing(str(task), student=[str(tiny_model)], device="cpu")
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 80
    rows = {line.split()[0]: line.split() for line in shown if line.split()}
    result = probe(*load(find_model(str(tiny_model))), KNOWN).recalls
    assert rows["P1"][1:5] == ["was", "4", "1", f"{result.relations['P1'].mrr:.3f}"]
    assert rows["macro"][-6:-3] == ["7", "3", f"{result.macro.mrr:.3f}"]
    assert rows["micro"][-4:] == [
        f"{getattr(result.micro, name):.3f}" for name in ("mrr", "p1", "p10", "prior")
    ]


def test_bench_probe_of_two_vocabularies(probing, task, tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    reports = []
    for _ in range(2):
        probing(
            str(task),
            student=[str(tiny_model), "fewbench-micro"],
            limit=4,
            device="cpu",
            out=tmp_path / "probe.json",
        )
        reports.append(json.loads((tmp_path / "probe.json").read_text("utf-8")))
    shown = capsys.readouterr().out
    assert (
        "NOT comparable" in shown
        and "fewbench-micro*" in shown
        and max(map(len, shown.splitlines())) <= 80
    )
    report, again = reports
    assert report.pop("timing").keys() == again.pop("timing").keys()
    assert json.dumps(report) == json.dumps(again)
    assert (report["comparable"], report["limit"], report["seed"]) == (False, 4, 0)
    common = [model["common"]["micro"]["n"] for model in report["models"]]
    assert common[0] == common[1] <= min(model["micro"]["n"] for model in report["models"])


def test_bench_probe_of_one_vocabulary(probing, task, tiny, capsys):
    probing(
        str(task),
        student=[str(tiny("bert")), str(tiny("albert")), str(tiny("bert"))],
        device="cpu",
        json=True,
    )
    report = json.loads(capsys.readouterr().out)
    assert report["comparable"] and [model["common"] for model in report["models"]] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("known", "--student", "fewbench-tyni/"), "bench ls models"),
        (
            ("lama", "--student", "fewbench-micro"),
            "--data DIR (or FEWBENCH_DATA) with lama/relations.jsonl",
        ),
        (("known", "--out", "."), "--out is a folder"),
    ],
)
def test_bench_probe_refuses(arguments, said, bench, task, tmp_path, monkeypatch):
    monkeypatch.delenv("FEWBENCH_DATA", raising=False)
    name, *more = arguments
    done = bench("probe", task if name == "known" else name, *more, "--offline", cwd=tmp_path)
    assert done.returncode in (2, 4) and said in done.stderr and not done.stdout


def test_examples_are_the_models_likeliest_answers(probing, task, tiny_model, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    probing(str(task), student=[str(tiny_model)], device="cpu", answers=2, json=True)
    examples = json.loads(capsys.readouterr().out)["examples"]
    assert len({example["text"] for example in examples}) == 2
    model, tokenizer = load(find_model(str(tiny_model)))
    for example in examples:
        text = example["text"].replace("[MASK]", tokenizer.mask_token)
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        logits = model(input_ids=ids).logits[0, ids[0].tolist().index(tokenizer.mask_token_id)]
        best = logits[: len(tokenizer)].softmax(-1).topk(3)
        (answers,) = example["answers"].values()
        assert [answer["token"] for answer in answers] == tokenizer.convert_ids_to_tokens(
            best.indices.tolist()
        )
        found = [answer["probability"] for answer in answers]
        assert found == pytest.approx(best.values.tolist(), abs=1e-4)
        for answer in answers:
            assert answer["is_right"] == (answer["token"] == example["object"])
    probing(str(task), student=[str(tiny_model)], device="cpu", answers=2)
    shown = capsys.readouterr().out
    assert all(f"[{example['object']}]" in shown for example in examples)
