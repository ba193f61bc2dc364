"""Facts: their declaration, reading them strictly, and what commands for tasks say of them."""

from __future__ import annotations

import json

import pytest

from fewbench.data.fact_files import read_facts
from fewbench.data.facts import Fact, Relation
from fewbench.data.task_file import declared, load_file
from fewbench.errors import BenchError, DataError
from fewbench.registry.methods import task_files
from fewbench.registry.tasks import choose_facts, choose_tasks

DECLARED = """
[known]
kind = "facts"
title = "What is known?"
paper = "none: a test"
licence = "Apache-2.0"
version = 2
path = "known"
relations = "relations.jsonl"
facts = "facts.jsonl"
"""

BORN = {
    "relation": "P19",
    "template": "[X] was born in [Y] .",
    "label": "place of birth",
    "type": "N-1",
}
OWNS = {"relation": "P127", "template": "[Y] owns [X] .", "label": "owned by", "type": "N-1"}
FACTS = [
    {"relation": "P19", "subject": "Ada", "object": "London"},
    {
        "relation": "P127",
        "subject": "the shop",
        "object": "Ada",
        "evidence": "more keys are no matter",
    },
    {"relation": "P19", "subject": "Ada", "object": "London"},
    {"relation": "P19", "subject": "Kurt", "object": "Brno"},
]


@pytest.fixture
def known(tmp_path):
    """Write a set of facts and return what reads it."""

    def known(relations=(BORN, OWNS), facts=tuple(FACTS), raw=None):
        folder = tmp_path / "known"
        folder.mkdir(exist_ok=True)
        for name, rows in (("relations.jsonl", relations), ("facts.jsonl", facts)):
            folder.joinpath(name).write_bytes(
                "".join(json.dumps(row) + "\n" for row in rows).encode()
            )
        for name, content in (raw or {}).items():
            folder.joinpath(name).write_bytes(content)
        return read_facts(load_file(declaration(tmp_path)).facts["known"], tmp_path)

    return known


def declaration(folder, text=DECLARED, name="some.toml"):
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_facts_are_read_in_order_with_repetitions_counted(known):
    read = known()
    assert (read.name, read.version, read.duplicates) == ("known", 2, 1)
    assert read.relations[0] == Relation("P19", "[X] was born in [Y] .", "place of birth", "N-1")
    assert read.facts == tuple(
        Fact(row["relation"], row["subject"], row["object"]) for row in FACTS
    )
    assert [(file["file"], file["rows"]) for file in read.files] == [
        ("known/relations.jsonl", 2),
        ("known/facts.jsonl", 4),
    ]
    assert all(len(file["sha256"]) == 64 for file in read.files)


def test_what_is_filled_in_is_not_looked_at_again():
    relation = Relation("P1", "[Y] or [X] .", "either", "N-M")
    assert relation.fill(r"[Y] \1 [X]", "[X]") == r"[X] or [Y] \1 [X] ."


@pytest.mark.parametrize("key", ["relation", "template", "label", "type"])
def test_a_key_missing_from_a_relation(key, known):
    with pytest.raises(DataError, match=f"the key '{key}' is missing") as caught:
        known(relations=(BORN, {name: value for name, value in OWNS.items() if name != key}))
    assert caught.value.where.endswith("relations.jsonl, line 2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subject": None}, "'subject' is None"),
        ({"subject": " "}, "'subject' is empty"),
        ({"object": ""}, "'object' is empty"),
        ({"object": 1952}, "'object' is 1952"),
        ({"object": "\ud800"}, "'object' is '\\ud800'"),
        ({"relation": "P91"}, "unknown relation 'P91'"),
    ],
)
def test_a_fact_that_is_wrong(change, said, known):
    with pytest.raises(DataError) as caught:
        known(facts=(FACTS[0], FACTS[1], FACTS[2] | change))
    assert said in caught.value.problem and caught.value.where.endswith("facts.jsonl, line 3")


@pytest.mark.parametrize("key", ["relation", "subject", "object"])
def test_a_key_missing_from_a_fact(key, known):
    with pytest.raises(DataError, match=f"the key '{key}' is missing"):
        known(facts=({name: value for name, value in FACTS[0].items() if name != key},))


@pytest.mark.parametrize(
    "template", ["[X] was born", "[Y] .", "[X] [X] [Y]", "[X] [Y] and [Y]", "X was born in Y ."]
)
def test_a_template_has_one_subject_and_one_object(template, known):
    with pytest.raises(DataError, match="exactly one") as caught:
        known(relations=(BORN | {"template": template}, OWNS))
    assert caught.value.where.endswith("relations.jsonl, line 1")


@pytest.mark.parametrize(
    ("content", "said", "line"),
    [
        (b'{"relation": "P19", "subject": "Ada", "object": "Lon', "not a JSON line", 1),
        (
            b'{"relation": "P19", "subject": "Ada", "object": "R"}\n["P19"]\n',
            "a row must be a JSON object",
            2,
        ),
        (
            b'{"relation": "P19", "subject": "Ada", "subject": "Bo", "object": "R"}\n',
            "appears twice",
            1,
        ),
        (
            b'{"relation": "P19", "subject": "Ada", "object": "R"}\n{"relation": "\xff"}\n',
            "not UTF-8",
            2,
        ),
    ],
)
def test_a_file_that_is_no_json_lines(content, said, line, known):
    with pytest.raises(DataError) as caught:
        known(raw={"facts.jsonl": content})
    assert said in caught.value.problem and caught.value.where.endswith(f"facts.jsonl, line {line}")


def test_sets_that_are_not_whole(known):
    with pytest.raises(DataError, match="'P19' appears twice"):
        known(relations=(BORN, BORN, OWNS))
    with pytest.raises(DataError, match="the relation 'P127' has no facts"):
        known(facts=(FACTS[0],))
    with pytest.raises(DataError, match="no rows"):
        known(raw={"facts.jsonl": b""})


def test_no_data_folder_and_no_file(tmp_path):
    task = load_file(declaration(tmp_path)).facts["known"]
    with pytest.raises(DataError, match="no data folder is given") as caught:
        read_facts(task, None)
    assert "--data DIR (or FEWBENCH_DATA) with known/relations.jsonl" in str(caught.value)
    with pytest.raises(DataError, match=r"no file 'relations\.jsonl'") as caught:
        read_facts(task, tmp_path)
    assert caught.value.where == str(tmp_path / "known" / "relations.jsonl")


def test_a_folder_of_its_own_does_without_a_data_folder(known, tmp_path):
    known()
    file = declaration(tmp_path, DECLARED + 'folder = "."\n')
    assert len(read_facts(load_file(file).facts["known"], None).facts) == 4


def test_a_sample_is_even_and_drawn_of_each_relation_by_itself(known):
    places = [{"relation": "P19", "subject": f"S{n}", "object": "Rome"} for n in range(40)]
    owners = [{"relation": "P127", "subject": f"T{n}", "object": "Ada"} for n in range(3)]
    read = known(facts=(*places, *owners))
    sample = read.sample(5)
    assert [fact.relation for fact in sample.facts] == ["P19"] * 5 + ["P127"] * 3
    assert sample == read.sample(5) and sample.facts != read.sample(5, seed=1).facts
    assert (sample.limit, sample.seed, sample.relations) == (5, 0, read.relations)
    rows = [int(fact.subject[1:]) for fact in sample.facts[:5]]
    assert rows == sorted(set(rows))
    alone = known(relations=(BORN,), facts=tuple(places)).sample(5)
    assert alone.facts == sample.facts[:5]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"facts"\ntitle', '"fact"\ntitle', "nearest: facts"),
        ('title = "What is known?"\n', "", "the key 'title' is missing"),
        ("version = 2", "version = 0", "'version' is 0"),
        ('path = "known"', 'path = "../known"', "leads outside its folder"),
        ('"relations.jsonl"', '"/relations.jsonl"', "leads outside its folder"),
        ("version = 2", 'version = 2\nformat = "single"', "unknown key 'format'"),
        ("[known]", "[Known]", "is not a valid task name"),
    ],
)
def test_a_declaration_that_is_wrong(old, new, said, tmp_path):
    assert old in DECLARED
    with pytest.raises(BenchError) as caught:
        load_file(declaration(tmp_path, DECLARED.replace(old, new)))
    assert said in str(caught.value) and "some.toml" in str(caught.value)


def test_facts_are_in_no_suite_and_make_none(tmp_path):
    known = declared([*task_files(), declaration(tmp_path)])
    assert {"lama", "known"} <= set(known.facts) and not {"lama", "known"} & {
        *known.tasks,
        *known.suites,
    }
    suite = declaration(tmp_path, '[suite]\nname = "all"\ntasks = ["known"]\n', "suite.toml")
    with pytest.raises(BenchError, match="unknown task 'known'"):
        declared([declaration(tmp_path), suite])


def test_a_name_belongs_to_a_task_or_to_facts(tmp_path):
    files = [declaration(tmp_path), declaration(tmp_path, name="others.toml")]
    with pytest.raises(BenchError, match="two tasks are called 'known'") as caught:
        declared(files)
    assert "some.toml" in str(caught.value) and "others.toml" in str(caught.value)
    with pytest.raises(BenchError, match="two tasks are called 'sst-2'"):
        declared([*task_files(), declaration(tmp_path, DECLARED.replace("[known]", "[sst-2]"))])


def test_methods_are_not_run_on_facts(tmp_path):
    file = declaration(tmp_path)
    for name, said in (("lama", "lama"), ("lama@hub", "lama"), (str(file), "known")):
        with pytest.raises(BenchError) as caught:
            choose_tasks([name])
        assert caught.value.fix == f"bench probe {said} --student MODEL"
    assert not {"lama", "known"} & {task.name for task in choose_tasks(["all"])}


def test_facts_are_chosen_by_name_or_file(tmp_path):
    assert choose_facts("lama").path == "lama"
    assert choose_facts(str(declaration(tmp_path))).name == "known"
    two = declaration(tmp_path, DECLARED + DECLARED.replace("[known]", "[more]"), "two.toml")
    for name, said in (
        ("lamma", "nearest: lama"),
        ("sst-2", "bench run --tasks sst-2"),
        ("glue", "bench run --tasks glue"),
        (str(two), "declares 2 sets of facts"),
        ("none.toml", "no such task file"),
    ):
        with pytest.raises(BenchError) as caught:
            choose_facts(name)
        assert said in str(caught.value)


def test_ls_and_validate_show_facts(known, bench, tmp_path):
    rows = {row["name"]: row for row in json.loads(bench("ls", "tasks", "--json").stdout)}
    assert list(rows) == sorted(rows)
    assert (rows["lama"]["format"], rows["lama"]["metric"], rows["lama"]["classes"]) == (
        "facts",
        "mrr",
        None,
    )
    assert all(row.keys() == rows["sst-2"].keys() for row in rows.values())
    known()
    shown = bench("validate", declaration(tmp_path), "--data", tmp_path).stdout
    assert (
        "4 facts of 2 relations, 1 of them repeated" in shown
        and "Ada was born in [London] ." in shown
    )


def test_lama_is_what_it_says(shared):
    read = read_facts(choose_facts("lama"), shared / "data")
    assert (len(read.facts), len(read.relations), read.duplicates) == (22881, 28, 14)
    assert len({(fact.relation, fact.subject) for fact in read.facts}) == 22436
    assert len(read.sample(10).facts) == 280
