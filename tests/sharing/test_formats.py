"""Results in other projects' formats fit these projects' own schemas, or readers.

The schemas of Every Eval Ever are read from its package where that is installed
(`pip install --no-deps --ignore-requires-python every-eval-ever`: it asks for Python 3.12, and the
schemas are files); `DOCUMENTED` is a schema of our own of the fields that its README and version
0.2.2 ask for.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from stores import TASK, add, demo, theirs  # noqa: F401

from fewbench.export.eee_samples import _spans
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.testing import toy_task
from fewbench.types import Example, Predictions

jsonschema = pytest.importorskip("jsonschema")

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def an_object(**properties):
    """Return a schema of an object that needs these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


RESULT = an_object(
    evaluation_result_id=TEXT,
    evaluation_name=TEXT,
    source_data={
        "oneOf": [
            an_object(dataset_name=TEXT, source_type={"const": "hf_dataset"}, hf_repo=TEXT),
            an_object(dataset_name=TEXT, source_type={"const": "other"}),
        ]
    },
    metric_config=an_object(
        lower_is_better={"type": "boolean"},
        score_type={"const": "continuous"},
        min_score={"type": "number"},
        max_score={"type": "number"},
    ),
    score_details=an_object(score={"type": "number"}, details=TEXTS),
    generation_config=an_object(generation_args={"type": "object"}, additional_details=TEXTS),
)
SOURCE = an_object(
    source_type={"const": "evaluation_run"},
    source_organization_name=TEXT,
    evaluator_relationship={"const": "first_party"},
)
FILE = an_object(
    schema_version={"const": "0.2.2"},
    evaluation_id=TEXT,
    retrieved_timestamp={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    source_metadata=SOURCE,
    eval_library=an_object(name=TEXT, version=TEXT),
    model_info=an_object(
        name=TEXT, id={**TEXT, "pattern": "^[^/]+/[^/]+$"}, additional_details=TEXTS
    ),
    evaluation_results={"type": "array", "items": RESULT, "minItems": 1},
)
ATTRIBUTION = an_object(
    turn_idx={"const": 0},
    source=TEXT,
    extracted_value=TEXT,
    extraction_method=TEXT,
    is_terminal={"const": True},
)
SAMPLE = an_object(
    schema_version={"const": "instance_level_eval_0.2.2"},
    evaluation_id=TEXT,
    model_id=TEXT,
    evaluation_name=TEXT,
    sample_id=TEXT,
    interaction_type={"const": "single_turn"},
    input=an_object(raw=TEXT, reference={"type": "array", "items": TEXT}),
    output=an_object(raw={"type": "array", "items": TEXT}),
    answer_attribution={"type": "array", "items": ATTRIBUTION},
    evaluation=an_object(score={"type": "number"}, is_correct={"type": "boolean"}),
)
DOCUMENTED = {"eval": FILE, "instance_level_eval": SAMPLE}


def theirs_of(name):
    """Return their own schema; None where their package is not installed."""
    spec = importlib.util.find_spec("every_eval_ever")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)), "schemas")
    return json.loads((folder / f"{name}.schema.json").read_text("utf-8"))


def expect_valid(name, content):
    for schema in filter(None, (DOCUMENTED[name], theirs_of(name))):
        errors = jsonschema.Draft7Validator(schema).iter_errors(content)
        assert [f"{list(error.path)}: {error.message}" for error in errors] == []


def files_of(folder):
    return sorted(folder.rglob("*.json")), sorted(folder.rglob("*.jsonl"))


def test_every_eval_ever_takes_the_files(add, bench, theirs, tmp_path):
    add(13, environment=Environment(submitter="Ada", dirty=False)), add(21, first=1)
    out = tmp_path / "out"
    done = bench("export", "eee", "--samples", "--out", out, "--results", theirs)
    assert done.returncode == 0, done.stderr
    (file,), (samples,) = files_of(out)
    content = json.loads(file.read_text("utf-8"))
    expect_valid("eval", content)
    assert content["source_metadata"]["source_organization_name"] == "Ada"
    (result,) = content["evaluation_results"]
    scores = [record.scores["test"]["accuracy"] for record in Store(theirs).records()]
    assert result["score_details"]["score"] == pytest.approx(np.mean(scores))
    spread = result["score_details"]["uncertainty"]
    # by hand: of two numbers, std (ddof 1) is |a - b| / sqrt 2, and the standard error |a - b| / 2
    assert spread["standard_error"]["value"] == pytest.approx(abs(scores[0] - scores[1]) / 2)
    assert spread["num_samples"] == 2
    assert content["detailed_evaluation_results"]["file_path"] == str(samples.relative_to(out))
    assert samples.name == f"{file.stem}_samples.jsonl"
    assert re.fullmatch(r"data/[^/]+/[^/]+/[^/]+", str(file.parent.relative_to(out)))
    lines = [json.loads(line) for line in samples.read_text("utf-8").splitlines()]
    for line in lines[::7]:
        expect_valid("instance_level_eval", line)
    right = [line["evaluation"]["score"] for line in lines]
    assert np.mean(right) == pytest.approx(np.mean(scores))
    assert {line["evaluation_id"] for line in lines} == {content["evaluation_id"]}
    assert {line["evaluation_result_id"] for line in lines} == {result["evaluation_result_id"]}


def test_a_sample_of_a_span_is_its_text_and_has_the_score_of_its_words():
    passage = "The tower is in Paris ."
    answer = (passage.index("Paris"), passage.index("Paris") + len("Paris"))
    task = toy_task("span")
    rows = [
        Example("0", (passage, "Where is it?"), 0, answers=(answer,)),
        Example("1", (passage, "Where is it?"), 0, answers=(answer,)),
        Example("2", (passage, "Who built it?"), 1),
    ]
    given = np.array([answer, (answer[0] - len("in "), answer[1]), (0, 0)], np.int32)
    said = [*_spans(task, rows, Predictions(("0", "1", "2"), spans=given))]
    assert [(one.given, one.is_correct) for one in said] == [
        ("Paris", True), ("in Paris", False), ("", True),
    ]  # fmt: skip
    assert [one.score for one in said] == pytest.approx([1, 2 / 3, 1])
    assert [one.rights for one in said] == [["Paris"], ["Paris"], [""]]


def test_the_same_results_are_the_same_file_and_one_seed_has_a_binomial_error(
    add, bench, theirs, tmp_path
):
    from dataclasses import replace

    from fewbench.store.parts import SplitFacts

    file = add(13)
    from stores import change

    change(file, split=replace(SplitFacts(), n_test=100))
    for _ in range(2):
        assert bench("export", "eee", "--out", tmp_path, "--results", theirs).returncode == 0
    (written,), samples = files_of(tmp_path / "data")
    assert not samples
    content = json.loads(written.read_text("utf-8"))
    expect_valid("eval", content)
    details = content["evaluation_results"][0]["score_details"]
    p = details["score"]
    error = details["uncertainty"]["standard_error"]
    assert error["value"] == pytest.approx((p * (1 - p) / 100) ** 0.5)
    assert content["source_metadata"]["source_organization_name"] == "not named"


def test_runs_without_samples_are_counted_and_nothing_at_all_is_an_error(
    add, bench, theirs, tmp_path
):
    add(13, task="sst-2", source="glue")
    done = bench(
        "export",
        "eee",
        "--samples",
        "--offline",
        "--data",
        tmp_path,
        "--out",
        tmp_path / "o",
        "--results",
        theirs,
    )
    assert done.returncode == 0 and "1 run without samples" in done.stderr
    (file,), samples = files_of(tmp_path / "o")
    content = json.loads(file.read_text("utf-8"))
    expect_valid("eval", content)
    assert not samples and "detailed_evaluation_results" not in content
    source = content["evaluation_results"][0]["source_data"]
    assert (source["source_type"], source["additional_details"]["config"]) == ("hf_dataset", "sst2")
    none = bench("export", "eee", "--k", "7", "--out", tmp_path / "p", "--results", theirs)
    assert none.returncode == 2 and "fix:" in none.stderr and not (tmp_path / "p").exists()


def test_the_hub_reads_eval_results(add, bench, theirs, tmp_path):
    import huggingface_hub
    import yaml

    add(13, task="sst-2", source="glue"), add(21, task="sst-2", source="glue"), add(13)
    done = bench(
        "export",
        "eval-results",
        "majority",
        "--url",
        "https://example.org",
        "--out",
        tmp_path,
        "--results",
        theirs,
    )
    assert done.returncode == 0, done.stderr
    assert f"left out: the rows of {TASK}@demo are not on the hub" in done.stderr
    (file,) = (tmp_path / ".eval_results").iterdir()
    (entry,) = yaml.safe_load(file.read_text("utf-8"))
    assert entry["dataset"]["task_id"] == "sst2" and entry["dataset"]["id"].endswith("glue")
    assert 0 < entry["value"] < 1 and "mean of 2 split seeds" in entry["notes"]
    assert entry["source"] == {"url": "https://example.org", "name": "fewbench"}
    if hasattr(huggingface_hub, "parse_eval_result_entries"):  # from huggingface_hub 1 on
        parsed = huggingface_hub.parse_eval_result_entries([entry])
        assert huggingface_hub.eval_result_entries_to_yaml(parsed) == [entry]
    nothing = bench(
        "export",
        "eval-results",
        "majority",
        "--tasks",
        TASK,
        "--out",
        tmp_path,
        "--results",
        theirs,
    )
    assert nothing.returncode == 2 and "data set of the hub" in nothing.stderr
