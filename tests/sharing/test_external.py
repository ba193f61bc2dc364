"""Results of others are read strictly, and shown beside ours without entering any cell."""

from __future__ import annotations

import json

import pytest
from stores import TASK, add, demo, theirs  # noqa: F401

from fewbench.data.task_file import declared
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files
from fewbench.report.foreign.csv_table import read_csv
from fewbench.report.foreign.lmbff import read_log
from fewbench.report.foreign.rows import checked, file_of, read_external, write_rows
from fewbench.report.foreign.setfit import read_folder

HEAD = "method,task,backbone,K,metric,value,std,n,note\n"
GOOD = "setfit,sst-2@glue,mpnet,8,accuracy,88.2,1.5,10,their own split\n"


@pytest.fixture(scope="module")
def tasks():
    return declared(task_files()).tasks


def table(folder, text):
    file = folder / "scores.csv"
    file.write_text(text, "utf-8")
    return file


def test_a_table_is_kept_as_it_is(tmp_path, tasks):
    text = (
        HEAD
        + GOOD
        + "other:lr=1,sst-2,mpnet,full,accuracy,90,,,\nthird,cola,,32 total,mcc,-3.5,,,\n"
    )
    rows = checked(read_csv(table(tmp_path, text)), tasks)
    file = file_of(tmp_path, "their-paper")
    write_rows(rows, file)
    first, second, third = read_external(tmp_path)
    assert (first.method, first.task, first.task_source, first.k) == (
        "setfit",
        "sst-2",
        "glue",
        "8",
    )
    assert (first.value, first.std, first.n) == (88.2, 1.5, 10)
    assert (second.k, second.std, second.n, third.k, third.value) == (
        "full",
        None,
        None,
        "32 total",
        -3.5,
    )
    assert first.source == "their-paper (imported), setfit mpnet" and first.protocols == ()


def test_shares_become_hundredths(tmp_path, tasks):
    file = table(tmp_path, "method,task,metric,value,std\na,sst-2,accuracy,0.5,0.25\n")
    (row,) = read_csv(file, "share")
    assert (row.value, row.std) == (50, 25)
    with pytest.raises(BenchError, match=r"--unit share"):
        read_csv(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this file is empty"),
        (HEAD, "no result here"),
        ("method;task\n", r"line 1, column 1"),
        (HEAD.replace("note", "K"), r"there twice[\s\S]+line 1, column 9"),
        ("method,task,metric\n", "no column 'value'"),
        (HEAD + GOOD.replace("88.2", "88,2"), r"10 cells, and 9 columns[\s\S]+line 2, column 10"),
        (HEAD + "a,sst-2\n", r"2 cells, and 9 columns[\s\S]+line 2, column 3"),
        (HEAD + GOOD + GOOD.replace("88.2", "x"), r"'x' is not a number[\s\S]+line 3, column 6 \(value\)"),
        (HEAD + GOOD.replace("88.2", "nan"), r"value is 'nan'[\s\S]+line 2, column 6"),
        (HEAD + GOOD.replace("88.2", "100.5"), r"column 6 \(value\)[\s\S]+from 0 to 100"),
        (HEAD + GOOD.replace("1.5", "-1"), r"std is '-1.0'[\s\S]+line 2, column 7"),
        (HEAD + GOOD.replace(",10,", ",0,"), r"n is '0'[\s\S]+column 8"),
        (HEAD + GOOD.replace(",10,", ",1.5,"), r"no.* a number of runs[\s\S]+column 8"),
        (HEAD + GOOD.replace("sst-2@glue", "sst2"), r"no task 'sst2'[\s\S]+column 2[\s\S]+nearest: sst-2"),
        (HEAD + GOOD.replace("@glue", "@nowhere"), r"no source 'nowhere'[\s\S]+column 2"),
        (HEAD + GOOD.replace(",accuracy,", ",f1,"), r"metric is 'f1'[\s\S]+column 5[\s\S]+of sst-2: accuracy"),
        (HEAD + GOOD.replace(",8,", ",eight,"), r"K is 'eight'[\s\S]+column 4"),
        (HEAD + GOOD.replace("setfit", "Set Fit"), r"method is 'Set Fit'[\s\S]+column 1"),
        (HEAD + GOOD + GOOD.replace("88.2", "88.3"), r"two numbers for setfit[\s\S]+line 3, and .+line 2"),
        (HEAD + '"a\n', "this is no CSV"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_by_line_and_column(tmp_path, tasks, text, message):
    with pytest.raises(BenchError, match=message):
        checked(read_csv(table(tmp_path, text)), tasks)


def a_line(seed=13, split=13, dev=0.9, test=0.8, **changes):
    """Return a line as LM-BFF's run.py writes it, with a value that is no literal."""
    facts = {
        "time": "2021-01-01 10:00:00",
        "sst-2_dev_eval_acc": dev,
        "sst-2_dev_eval_loss": 0.3,
        "sst-2_test_eval_acc": test,
        "sst-2_test_eval_loss": 0.4,
        "model_name_or_path": "models/roberta-large",
        "few_shot_type": "prompt",
        "seed": seed,
        "data_dir": f"data/k-shot/SST-2/16-{split}",
        "num_k": 16,
        "task_name": "sst-2",
        "template": "*cls**sent_0*_It_was*mask*.*sep+*",
        "tag": "exp",
        **changes,
    }
    return str(facts).replace("'time'", "'device': device(type='cuda', index=0), 'time'") + "\n"


def log(folder, *lines):
    file = folder / "log"
    file.write_text("".join(lines), "utf-8")
    return file


def test_lm_bffs_log_is_gathered_as_its_own_tool_does(tmp_path, tasks):
    file = log(
        tmp_path,
        a_line(13, 13, dev=0.8, test=0.99),  # not the best on dev
        a_line(13, 13, dev=0.9, test=0.80),
        a_line(13, 13, dev=0.9, test=0.10),  # equal on dev: the first stays
        a_line(21, 21, dev=0.7, test=0.90),
        a_line(few_shot_type="prompt-demo", test=0.95),
        a_line(few_shot_type="prompt", no_train=True, test=0.5),
    )
    by_method = {row.method: row for row in checked(read_log(file, tasks, {}), tasks)}
    assert sorted(by_method) == ["lm-bff", "prompt-ft", "zero-shot"]
    row = by_method["prompt-ft"]
    # by hand: the mean of 80 and 90, and half their distance (ddof 0)
    assert (row.value, row.std, row.n) == pytest.approx((85, 5, 2))
    assert (row.task, row.backbone, row.k, row.metric) == (
        "sst-2@lm-bff", "roberta-large", "16", "accuracy",
    )  # fmt: skip
    assert "best of 4 trials" in row.note and "It_was" in row.note
    assert (by_method["lm-bff"].value, by_method["zero-shot"].k) == (pytest.approx(95), "")


def test_mnlis_second_test_set_goes_by_mnlis_dev(tmp_path, tasks):
    scores = {
        "mnli_dev_eval_mnli/acc": 0.7,
        "mnli_test_eval_mnli/acc": 0.6,
        "mnli-mm_test_eval_mnli-mm/acc": 0.65,
    }
    line = a_line(task_name="mnli", **scores).replace("'sst-2_", "'x_").replace("x_test_eval", "y")
    rows = checked(read_log(log(tmp_path, line), tasks, {}), tasks)
    assert {row.task.partition("@")[0]: round(row.value) for row in rows} == {
        "mnli": 60,
        "mnli-mm": 65,
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{'a': 1\n"], r"no dictionary of Python[\s\S]+line 1, column 1"),
        (["\n", "[1, 2]\n"], r"no dictionary of Python[\s\S]+line 2, column 1"),
        ([a_line(), "{'seed': 1}\n"], r"no 'task_name'[\s\S]+line 2"),
        ([a_line(few_shot_type="magic")], r"few_shot_type is 'magic'"),
        ([a_line(), a_line(tag="again")], r"several experiments[\s\S]+--tag NAME"),
        ([a_line().replace("sst-2", "amazon_stars")], r"--rename amazon_stars="),
        ([a_line(dev="high")], r"is 'high', and no number[\s\S]+line 1"),
        ([a_line().replace("eval_acc", "eval_auc")], "no accuracy of sst-2"),
        (["__import__('os').system('false')\n"], "no dictionary of Python"),
        ([], "no result here"),
    ],
)
def test_a_wrong_log_is_refused(tmp_path, tasks, lines, message):
    file = log(tmp_path, *lines)
    with pytest.raises(BenchError, match=message):
        checked(read_log(file, tasks, {}), tasks)


def test_a_tag_and_renames(tmp_path, tasks):
    file = log(tmp_path, a_line(), a_line(tag="again", test=0.7))
    (row,) = read_log(file, tasks, {"sst-2": "sst-2@glue"}, tag="again")
    assert (row.task, round(row.value)) == ("sst-2@glue", 70)
    assert read_log(file, tasks, {"sst-2": ""}, tag="again") == []


def setfit_results(folder, **scores):
    for place, payload in scores.items():
        dataset, _, split = place.partition("__")
        file = folder / dataset / split.replace("_", "-") / "results.json"
        file.parent.mkdir(parents=True)
        file.write_text(payload if isinstance(payload, str) else json.dumps(payload), "utf-8")
    return folder


MODEL = "paraphrase-mpnet-base-v2-CosineSimilarityLoss-logistic_regression-epochs_20-batch_16"


def test_setfits_results(tmp_path, tasks):
    folder = setfit_results(
        tmp_path / MODEL,
        sst5__train_8_0={"measure": "accuracy", "score": 40.0},
        sst5__train_8_1={"measure": "accuracy", "score": 44.0},
        sst5__train_16_0={"measure": "accuracy", "score": 50.0, "iqr": 1},
        emotion__train_8_0={"measure": "accuracy", "score": 1.0},
    )
    with pytest.raises(BenchError, match=r"no task 'emotion'[\s\S]+--rename emotion="):
        read_folder(folder, tasks, {})
    rows = checked(read_folder(folder, tasks, {"emotion": ""}), tasks)
    by_k = {row.k: row for row in rows}
    # by hand: the mean of 40 and 44, and half their distance (ddof 0)
    assert (by_k["8"].value, by_k["8"].std, by_k["8"].n) == (42, 2, 2)
    assert (by_k["16"].value, by_k["16"].std) == (50, None)
    assert {row.backbone for row in rows} == {"paraphrase-mpnet-base-v2"}
    assert {(row.method, row.task) for row in rows} == {("setfit", "sst-5")}
    renamed = folder.rename(tmp_path / "mine")
    with pytest.raises(BenchError, match="--student"):
        read_folder(renamed, tasks, {"emotion": ""})
    assert read_folder(renamed, tasks, {"emotion": ""}, "m")[0].backbone == "m"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("{", "line 1, column 2"),
        ({"score": "high", "measure": "accuracy"}, "its score is 'high'"),
        ({"score": 1.0, "measure": "auc"}, "its measure is 'auc'"),
        ("[]", "its score is None"),
    ],
)
def test_a_wrong_file_of_setfit_is_refused(tmp_path, tasks, payload, message):
    folder = setfit_results(tmp_path / MODEL, sst5__train_8_0=payload)
    with pytest.raises(BenchError, match=message):
        read_folder(folder, tasks, {})
    with pytest.raises(BenchError, match=r"DATASET/train-K-SPLIT"):
        read_folder(tmp_path / "nothing", tasks, {})


def test_the_command_and_the_table(add, bench, theirs, tmp_path):
    add(13), add(21)
    text = f"method,task,metric,value,K\nsetfit,{TASK}@demo,accuracy,99.9,4\nmajority,{TASK}@demo,accuracy,12.3,4\n"
    file = table(tmp_path, text)
    ours = bench("table", "--results", theirs, "--json").stdout
    dry = bench("external", "add", "their-table", file, "--dry-run", "--results", theirs)
    assert dry.returncode == 0 and "99.9" in dry.stdout and not (theirs / "external").exists()
    assert bench("external", "add", "their-table", file, "--results", theirs).returncode == 0
    again = bench("external", "add", "their-table", file, "--results", theirs)
    assert again.returncode == 2 and "--force" in again.stderr
    assert bench("external", "ls", "--results", theirs).stdout.split()[-2:] == ["their-table", "2"]
    assert bench("table", "--results", theirs, "--json").stdout == ours, "our cells are as before"
    shown = bench("table", "--published", "--results", theirs, "--format", "markdown").stdout
    assert "99.9" in shown and "12.3" in shown and "their-table (imported)" in shown
    assert "**99.9" not in shown and "another protocol" in shown
    assert bench("fsck", "--results", theirs).returncode == 0
    for name in ("smash", "../x", "A"):
        wrong = bench("external", "add", name, file, "--results", theirs)
        assert wrong.returncode == 2 and "the source is called" in wrong.stderr
    assert bench("external", "add", "x", file, "--as", "xml", "--results", theirs).returncode == 2
