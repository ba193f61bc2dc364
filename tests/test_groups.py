"""Groups of methods: what they hold, and where their names are taken."""

from __future__ import annotations

import json

import pytest

from fewbench.errors import BenchError
from fewbench.registry.groups import method_groups
from fewbench.registry.methods import methods
from fewbench.registry.settings import choose_methods
from fewbench.report.query import labels_of, method_order


def test_every_member_is_a_method_and_every_method_but_steps_is_a_member():
    members = {
        part
        for name in method_groups()
        for chosen in choose_methods([name])
        for part in chosen.method.name.split("+")
    }
    assert members == set(methods())


@pytest.mark.parametrize("name", method_groups())
def test_a_group_is_its_members_in_their_order_and_none_is_named(name):
    chosen = choose_methods([name])
    assert [choice[:2] for choice in chosen] == [
        choice[:2] for choice in choose_methods(method_groups()[name].methods)
    ]
    assert not any(choice.named for choice in chosen)
    assert name not in methods()


def test_a_member_that_is_named_too_is_named():
    chosen = {choice.method.name: choice.named for choice in choose_methods(["early-exit", "ft"])}
    assert chosen == {"ft": True, "pabee": False}


def test_a_group_has_no_settings_and_a_near_name_is_given():
    with pytest.raises(BenchError, match="unknown method 'few-shot'"):
        choose_methods(["few-shot:lr=1"])
    with pytest.raises(BenchError) as wrong:
        choose_methods(["fewshot"])
    assert "nearest: few-shot" in str(wrong.value)


def test_tables_take_groups(bench, tmp_path):
    results = tmp_path / "r"
    for name in ("majority", "zero-shot"):
        done = bench(
            *("run", "--methods", name, "--tasks", "demo-sentiment", "--seeds", 13),
            *("--offline", "--results", results),
        )
        assert done.returncode == 0, done.stderr
    shown = bench("table", "--methods", "few-shot", "--json", "--results", results)
    assert [row["method"] for row in json.loads(shown.stdout)] == ["majority", "zero-shot"]
    none = bench("table", "--methods", "compression", "--results", results)
    assert none.returncode == 2 and "no stored run has the method 'compression'" in none.stderr
    assert method_order(["compression,ft"]) == [*labels_of("compression"), "ft"]


def test_the_groups_are_listed(bench):
    rows = json.loads(bench("ls", "groups", "--json").stdout)
    assert [row["name"] for row in rows] == list(method_groups())
    assert all(row["title"] and row["methods"] for row in rows)
