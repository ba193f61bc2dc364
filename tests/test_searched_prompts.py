"""Prompts that LM-BFF's search has found, read as prompts of a task."""

from __future__ import annotations

import json

import pytest

from fewbench.data.searched_prompts import read_mapping, read_template
from fewbench.errors import BenchError
from fewbench.registry.tasks import choose_tasks
from fewbench.runner.plan import Request, make_plan
from fewbench.store.store import Store

LABELS = ("entailment", "not-entailment")
TEMPLATES = (
    "*cls**sent_0*_So_it_is*mask*.*sep+*\n\n"
    "0.96875 *cls*_Quite*mask*.*+sent_0**sep+*\n"
    "*cls**sent_0*_One*mask*_day_out!*sep+*\n"
)
WORDS = "{'0':'dull','1':'fun'}\n" + '0.9 {"1": "lovely", "0": "boring"}\n'


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("*cls**sent_0*_It_was*mask*.*sep+*", "{0} It was {mask}."),
        ("*cls*_Not*mask*.*+sent_0**sep+*", "Not {mask}. {0}"),
        ("*cls**mask*:*+sent_0**sep+*", "{mask}: {0}"),
        ("*cls**sent_0*_A*mask*_piece_of_work.*sep+*", "{0} A {mask} piece of work."),
        ("*cls**sent_0**mask*,*+sentl_1**sep+*", "{0} {mask}, {1|lower}"),
        ("*cls**sent-_0*?*mask*,*+sentl_1**sep+*", "{0|cut}? {mask}, {1|lower}"),
        (
            "*cls**sent-_0*.*mask*,_it's_true*+sentl_1**sep+*",
            "{0|cut}. {mask}, it's true {1|lower}",
        ),
    ],
)
def test_a_template_is_translated(theirs, ours):
    assert read_template(theirs) == ours


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("It was {mask}.", "a brace"),
        ("It was great.", "is no template"),
        ("*cls**sent_0*_It_was*mask", "is no template"),
        ("*cls**sentu_0*_It_was*mask*.*sep+*", "no counterpart"),
        ("*cls**sent_0**sep+*_It_was*mask*.*sep+*", "no counterpart"),
        ("*cls**sent_2*_It_was*mask*.*sep+*", "no counterpart"),
    ],
)
def test_a_template_that_has_no_counterpart_is_refused(text, problem):
    with pytest.raises(BenchError, match=problem):
        read_template(text)


def test_labels_go_by_name_or_by_number():
    named = '{"not_entailment": "Later", "entailment": "indeed"}'
    words = {"not-entailment": "Later", "entailment": "indeed"}
    assert read_mapping(named, LABELS, ()) == words
    assert read_mapping("{1: 'Later', 0: 'indeed'}", LABELS, LABELS) == words
    assert read_mapping("{0: 'Later', 1: 'indeed'}", LABELS, LABELS[::-1]) == words


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{'0': open('/etc/passwd'), '1': 'b'}", "no mapping"),
        ("{'0': 'a', '1'}", "no mapping"),
        ("{'0': 'a'}", "'not-entailment' has no word"),
        ("{'0': 'a', '1': ['b']}", "has not one word"),
        ("{'0': 'a', 'entailment': 'b', '1': 'c'}", "has not one word"),
        ("{'0': 'a', '2': 'b'}", "unknown label '2'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(text, problem):
    with pytest.raises(BenchError, match=problem):
        read_mapping(text, LABELS, LABELS)


@pytest.fixture
def searched(tmp_path):
    """Write files of searched prompts, and a file that has them for a task."""
    (tmp_path / "t.txt").write_text(TEMPLATES)
    (tmp_path / "l.txt").write_text(WORDS)

    def write(body: str, task: str = "sst-2"):
        file = tmp_path / "mine.toml"
        file.write_text(f"[{task}.templates.auto]\n{body}\n")
        return str(file)

    return write


def prompts_of(file, *others):
    (task,) = choose_tasks([file, *others])
    return {
        prompt.name: (prompt.template, prompt.words)
        for prompt in task.prompts
        if prompt.name.startswith("auto") and "auto-l" not in prompt.name
    }


def test_the_best_lines_of_a_file_are_prompts_of_the_task(searched):
    file = searched('searched = "t.txt"\nbest = 2')
    own = (("terrible",), ("great",))
    assert prompts_of(file) == {
        "auto-1": ("{0} So it is {mask}.", own),
        "auto-2": ("Quite {mask}. {0}", own),
    }
    assert prompts_of(file, "sst-2@glue") == prompts_of(file)
    assert choose_tasks([file])[0].full_name == "sst-2@lm-bff"
    assert choose_tasks([file, "sst-2@glue"])[0].full_name == "sst-2@glue"


def test_templates_and_words_come_from_two_files_or_from_one(searched, tmp_path):
    both = {"auto": ("{0} So it is {mask}.", (("dull",), ("fun",)))}
    assert prompts_of(searched('searched = ["t.txt", "l.txt"]')) == both
    line = TEMPLATES.splitlines()[0] + "\t" + WORDS.splitlines()[0]
    (tmp_path / "both.txt").write_text(line)
    assert prompts_of(searched('searched = "both.txt"')) == both
    with pytest.raises(BenchError, match="two give label words"):
        prompts_of(searched('searched = ["l.txt", "both.txt"]'))


def test_each_bad_line_is_named_with_its_file_and_number(searched, tmp_path):
    file = tmp_path / "t.txt"
    file.write_text(TEMPLATES + "*cls*_It_was*mask*.*sep+*\n")
    with pytest.raises(BenchError, match="does not use exactly") as caught:
        prompts_of(searched('searched = "t.txt"\nbest = 4'))
    assert caught.value.where == f"{file}, line 5"
    file.write_text("*cls**sent_0*_It_was*sep+*\n\n*cls*mask\n")
    with pytest.raises(BenchError, match="2 lines are no prompts") as caught:
        prompts_of(searched('searched = "t.txt"\nbest = 2'))
    assert "line 1: " in caught.value.problem and "no masks" in caught.value.problem
    assert "line 3: " in caught.value.problem and caught.value.where == str(file)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('searched = "none.txt"', "no such file"),
        ('searched = "t.txt"\nbest = 9', "has 3 prompts, and 9 are asked for"),
        ('searched = "t.txt"\nbest = 0', "'best' is 0"),
        ('searched = "l.txt"\nnumbers = ["positive"]', "'numbers' is"),
        ('searched = "t.txt"\ntemplate = "{0} {mask}"', "unknown key 'template'"),
    ],
)
def test_a_mistake_in_the_table_is_named(searched, body, problem):
    with pytest.raises(BenchError, match=problem):
        prompts_of(searched(body))


def test_numbers_are_asked_for_where_the_task_does_not_tell_them(searched):
    with pytest.raises(BenchError, match="unknown label '0'") as caught:
        prompts_of(searched('searched = "l.txt"', "subj"))
    assert 'numbers = ["objective", "subjective"]' in caught.value.fix
    body = 'searched = "l.txt"\nnumbers = ["subjective", "objective"]'
    assert prompts_of(searched(body, "subj"))["auto"][1] == (("fun",), ("dull",))


def test_validate_shows_them(searched, bench):
    shown = bench("validate", searched('searched = ["t.txt", "l.txt"]\nbest = 2')).stdout
    assert "sst-2: 2 more prompts" in shown
    assert "+auto-2: Quite {mask}. {0}" in shown and "negative=boring" in shown
    assert "man-1" not in shown


def test_prompts_for_no_task_or_under_a_name_that_is_taken_are_refused(searched, tmp_path):
    with pytest.raises(BenchError, match="prompts for an unknown task 'sst-9'"):
        choose_tasks([searched('searched = "t.txt"', "sst-9")])
    (tmp_path / "taken.toml").write_text('[sst-2.templates.man-1]\nsearched = "t.txt"\n')
    with pytest.raises(BenchError, match="has a template 'man-1' already"):
        choose_tasks([str(tmp_path / "taken.toml")])


def test_a_searched_prompt_is_in_the_identity_of_a_run(searched, tmp_path):
    """The words of the best line change under one name: another run, another task definition."""
    store = Store(tmp_path / "results")

    body = 'numbers = ["negative", "positive"]'
    file = tmp_path / "mine.toml"
    file.write_text(f'[demo-sentiment.templates.auto]\nsearched = "l.txt"\n{body}\n')
    request = Request(
        methods=("zero-shot",), tasks=(str(file),), templates=("auto",), k=(2,), seeds=(13,)
    )
    (first,) = make_plan(request, store).jobs
    assert first.task.words == (("dull",), ("fun",)) and first.run.template == "auto"
    (tmp_path / "l.txt").write_text(json.dumps({"negative": "bad", "positive": "good"}))
    (second,) = make_plan(request, store).jobs
    assert second.task.words == (("bad",), ("good",))
    assert second.key != first.key and second.run.inputs.task != first.run.inputs.task
    assert second.run.inputs.split == first.run.inputs.split
