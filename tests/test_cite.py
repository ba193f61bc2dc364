"""`bench cite`: BibTeX of the project and of the papers behind methods and tasks."""

from __future__ import annotations

import re

import pytest
from conftest import PROJECT

from fewbench.report.citations import of_methods, of_project, of_tasks


def keys(papers):
    return [paper.key for paper in papers]


def test_the_project_is_cited_as_in_its_own_file():
    text = of_project()
    cff = (PROJECT / "CITATION.cff").read_text("utf-8")
    for field in ("title", "version"):
        (value,) = re.findall(rf'^{field}: "?([^"\n]+)', cff, re.MULTILINE)
        assert f"{{{value}}}" in text
    (author,) = re.findall(r'- name: "(.+)"', cff)
    assert f"author  = {{{{{author}}}}}" in text


def test_papers_of_methods_pipelines_and_groups():
    assert keys(of_methods(["pkd"])[0]) == ["sun2019patient", "xu2024efficient"]
    assert "hinton2015distilling" in keys(of_methods(["truncate+kd:kd.temperature=2"])[0])
    assert len(of_methods(["few-shot"])[0]) > 10


def test_papers_of_tasks():
    papers, without = of_tasks(["rte", "demo-sentiment"])
    assert keys(papers)[0] == "dagan2005pascal" and len(papers) == 4
    assert without == ["demo-sentiment"]


def test_each_paper_is_printed_once(bench):
    done = bench("cite", "pkd,kd", "theseus", "--tasks", "sst-2,demo-choice")
    assert done.returncode == 0
    entries = re.findall(r"^@\w+\{(\w+),$", done.stdout, re.MULTILINE)
    assert entries[0] == "fewbench" and entries[-1] == "socher2013recursive"
    assert len(entries) == len(set(entries)) == 6
    assert done.stderr == "demo-choice names no paper\n"


@pytest.mark.parametrize("words", [("pkdd",), ("--tasks", "sst-22")])
def test_an_unknown_name_is_one_error(bench, words):
    done = bench("cite", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown")
    assert "nearest: " in done.stderr
