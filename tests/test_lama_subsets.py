"""Facts with sentences of their own and relations declared by the table: LAMA's other subsets."""

from __future__ import annotations

import json

import pytest

from fewbench.data.fact_files import read_facts
from fewbench.data.facts import Fact
from fewbench.data.task_file import load_file
from fewbench.errors import BenchError, DataError
from fewbench.measure.fact_probe import probe
from fewbench.nn.load import load
from fewbench.registry.pretrained import find_model
from fewbench.registry.tasks import choose_facts

SENTENCES = [
    {"masked_sentences": ["the cat was [MASK] ."], "obj_label": "good", "sub_label": "x"},
    {"masked_sentences": ["[MASK] was good ."], "obj_label": "it"},
    {"masked_sentences": ["[MASK] was [MASK] ."], "obj_label": "it"},
    {"masked_sentences": ["the dog [X] was [MASK] ."], "obj_label": "bad"},
]
PEOPLE = [
    {"sub_label": "it", "obj_label": "good", "judgments": [{"judgment": "yes"}]},
    {"sub_label": "a cat", "obj_label": "bad", "judgments": [{"judgment": "no"}]},
    {"sub_label": "a dog", "obj_label": "bad"},
    {
        "sub_label": "the film",
        "obj_label": "bad",
        "judgments": [{"judgment": "yes"}, {"judgment": "no"}],
    },
]


@pytest.fixture
def lama(tmp_path):
    """Write files of LAMA's archive, and read a subset of them."""

    def read(name, **changed):
        files = {
            "ConceptNet/test.jsonl": SENTENCES,
            "Squad/test.jsonl": SENTENCES[:1],
            **{
                f"Google_RE/{relation}_test.jsonl": PEOPLE
                for relation in ("place_of_birth", "date_of_birth", "place_of_death")
            },
        } | changed
        for file, rows in files.items():
            path = tmp_path / "lama" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return read_facts(choose_facts(name), tmp_path)

    return read


def test_sentences_are_asked_as_they_are(lama):
    facts = lama("lama-conceptnet")
    assert facts.facts[0] == Fact("ConceptNet", "", "good", "the cat was [MASK] .")
    assert (len(facts.facts), facts.unasked, len(facts.relations)) == (3, 1, 1)
    assert list(facts.texts("?")) == ["the cat was ? .", "? was good .", "the dog [X] was ? ."]
    assert list(facts.texts())[1] == "it was good ."
    assert len(lama("lama-squad").facts) == 1
    assert [file["rows"] for file in facts.files] == [4]


def test_facts_that_most_people_judged_wrong_are_left_out(lama):
    facts = lama("lama-google-re")
    assert [relation.id for relation in facts.relations][1] == "date_of_birth"
    assert (len(facts.facts), facts.unasked) == (9, 3)
    assert list(facts.texts("?"))[:4] == [
        "it was born in ? .",
        "a dog was born in ? .",
        "the film was born in ? .",
        "it (born ?).",
    ]


def test_a_model_is_asked_in_each_sentence(lama, tiny_model):
    model, tokenizer = load(find_model(str(tiny_model)))
    facts = lama("lama-conceptnet")
    result = probe(model, tokenizer, facts)
    assert result.recalls.micro.n == 3
    ids = tokenizer("the cat was [MASK] .", return_tensors="pt")["input_ids"]
    scores = model(ids).logits[0, ids[0].tolist().index(tokenizer.mask_token_id)]
    good = tokenizer.convert_tokens_to_ids("good")
    assert result.ranks[0] == 1 + int((scores > scores[good]).sum())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"masked_sentences": [], "obj_label": "a"}, "'masked_sentences' is []"),
        ({"masked_sentences": "a [MASK]", "obj_label": "a"}, "'masked_sentences' is 'a [MASK]'"),
        ({"masked_sentences": ["a [MASK]"]}, "the key 'obj_label' is missing"),
    ],
)
def test_faults_are_named(lama, row, said):
    with pytest.raises(DataError) as error:
        lama("lama-squad", **{"Squad/test.jsonl": [SENTENCES[0], row]})
    assert said in str(error.value) and "test.jsonl, line 2" in str(error.value)
    with pytest.raises(DataError, match="no facts to ask"):
        lama("lama-squad", **{"Squad/test.jsonl": [SENTENCES[2]]})
    with pytest.raises(DataError, match="'judgments' is 'no'"):
        lama(
            "lama-google-re",
            **{"Google_RE/date_of_birth_test.jsonl": [PEOPLE[0] | {"judgments": "no"}]},
        )


DECLARED = """
[own]
kind = "facts"
title = "Own"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
path = "own"
columns = { object = "o" }
[[own.relation]]
id = "r"
label = "r"
type = "N-1"
template = "[X] is [Y] ."
file = "r.jsonl"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[X] is [Y] .", "[X] is .", "the template '[X] is .'"),
        ('object = "o"', 'object = "o", sentences = "s"', "sentences of their own"),
        ('object = "o"', 'thing = "o"', "unknown key 'thing'"),
        ('file = "r.jsonl"', 'file = "../r.jsonl"', "leads outside"),
        ('path = "own"', 'path = "own"\nfacts = "f.jsonl"', "unknown key 'facts'"),
    ],
)
def test_mistakes_in_a_declaration(tmp_path, old, new, said):
    file = tmp_path / "own.toml"
    file.write_text(DECLARED, "utf-8")
    assert load_file(file).facts["own"].files == ("r.jsonl",)
    file.write_text(DECLARED.replace(old, new), "utf-8")
    with pytest.raises(BenchError) as error:
        load_file(file)
    assert said in str(error.value)
