"""The unified view: any classification as a multiple choice, in the form of ppt's equation 4 and
appendix B.
"""

from __future__ import annotations

import pytest

from fewbench.data.task_file import declared
from fewbench.data.task_prompts import with_prompt
from fewbench.data.template import render
from fewbench.errors import BenchError
from fewbench.registry.methods import task_files
from fewbench.registry.tasks import choose_tasks
from fewbench.types import Example

TASKS = declared(task_files()).tasks


def read(name: str, example: Example) -> str:
    return render(with_prompt(TASKS[name], "unified").template, example, "[MASK]")


def words(name: str) -> dict[str, str]:
    task = with_prompt(TASKS[name], "unified")
    return {label: word for label, (word,) in zip(task.labels, task.words, strict=True)}


PAIR, SINGLE = Example("test-0", ("first", "second")), Example("test-0", ("text",))

RENDERED = {  # by hand: "s_q? A. s_1 … F. s_6. Answer is X." and "s_q？一、s_1 … 六、s_6。答案是X。"
    "rte": (PAIR, "first second? A. no B. yes. Answer is [MASK].", "B A"),
    "cb": (PAIR, "first second? A. no B. maybe C. yes. Answer is [MASK].", "C A B"),
    "mnli": (PAIR, "first second? A. no B. maybe C. yes. Answer is [MASK].", "C B A"),
    "sts-b": (PAIR, "first second? A. no B. yes. Answer is [MASK].", "A B"),
    "sst-2": (SINGLE, "text? A. negative B. positive. Answer is [MASK].", "A B"),
    "sst-5": (
        SINGLE,
        "text? A. very negative B. negative C. neutral D. positive E. very positive. Answer is [MASK].",
        "A B C D E",
    ),
    "ag-news": (
        SINGLE,
        "text? A. world B. sports C. business D. technology. Answer is [MASK].",
        "A B C D",
    ),
    "race-middle": (
        Example("test-0", ("passage", "question"), options=("w", "x", "y", "z")),
        "passage question? A. w B. x C. y D. z. Answer is [MASK].",
        "A B C D",
    ),
    "cmnli": (PAIR, "first second？一、矛盾 二、中立 三、相似。答案是[MASK]。", "二 三 一"),
    "lcqmc": (PAIR, "first second？一、矛盾 二、相似。答案是[MASK]。", "一 二"),
    "chnsenticorp": (SINGLE, "text？一、差 二、好。答案是[MASK]。", "一 二"),
    "amazon-zh": (
        SINGLE,
        "text？一、差 二、不好 三、一般 四、好 五、赞。答案是[MASK]。",
        "一 二 三 四 五",
    ),
    "tnews": (  # fifteen: more than the Chinese numerals of one character
        SINGLE,
        "text？A. 故事 B. 文化 C. 娱乐 D. 体育 E. 财经 F. 房产 G. 汽车 H. 教育 I. 科技 J. 军事 K. 旅游 L. 国际 "
        "M. 股票 N. 农业 O. 游戏。答案是[MASK]。",
        "A B C D E F G H I J K L M N O",
    ),
    "ccpm": (
        Example("test-0", ("诗", ""), options=("甲", "乙", "丙", "丁")),
        "诗？一、甲 二、乙 三、丙 四、丁。答案是[MASK]。",
        "一 二 三 四",
    ),
}


@pytest.mark.parametrize("name", RENDERED)
def test_a_task_as_a_choice(name):
    example, shown, letters = RENDERED[name]
    assert read(name, example) == shown
    assert list(words(name).values()) == letters.split()


def test_the_letter_of_a_class_stands_before_its_label():
    assert words("cb") == {"entailment": "C", "contradiction": "A", "neutral": "B"}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_up_to_sixteen_labels_has_the_view(name):
    assert ("unified" in {prompt.name for prompt in TASKS[name].prompts}) == (
        len(TASKS[name].labels) <= 16 and TASKS[name].format != "span"
    )


def test_a_choice_in_the_view_is_what_its_prompts_are_pretrained_in():
    for task in choose_tasks(["race", "c3", "ccpm", "chid"]):
        prompts = {prompt.name: prompt for prompt in task.prompts}
        assert prompts["unified"][1:] == prompts["ppt"][1:]


OWN = """
[kinds]
title = "Kinds"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["a", "b"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { a = "one", b = "two" }
max_length = 64
names = { a = "first kind", b = "second kind" }

[[kinds.source]]
name = "files"
folder = "."
path = "kinds"
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""


@pytest.fixture
def declare(tmp_path):
    def declare(old: str = "", new: str = "", more: str = ""):
        assert old in OWN
        file = tmp_path / "kinds.toml"
        file.write_text(OWN.replace(old, new, 1) + more)
        return declared([file]).tasks["kinds"]

    return declare


def unified_of(task):
    return {prompt.name: prompt for prompt in task.prompts}.get("unified")


def test_a_task_names_its_options(declare):
    assert unified_of(declare()).template == "{0}? A. first kind B. second kind. Answer is {mask}."
    without = declare('names = { a = "first kind", b = "second kind" }')
    assert unified_of(without).template == "{0}? A. a B. b. Answer is {mask}."


def test_a_template_of_that_name_takes_its_place(declare):
    task = declare(more='\n[kinds.templates.unified]\ntemplate = "{mask}: {0}"\n')
    assert [prompt.name for prompt in task.prompts] == ["unified"]
    assert unified_of(task).template == "{mask}: {0}" and unified_of(task).words == (
        ("one",),
        ("two",),
    )


def test_labels_that_no_template_can_hold_have_no_view(declare):
    plain = 'names = { a = "first kind", b = "second kind" }'
    assert unified_of(declare(plain, "")) is not None
    odd = OWN.replace(plain, "").replace('"a"', '"{a}"').replace("a = ", '"{a}" = ')
    assert "{a}" in odd
    task = declare(OWN, odd)
    assert unified_of(task) is None
    with pytest.raises(BenchError, match="has no template 'unified'"):
        with_prompt(task, "unified")


MISTAKES = {
    "an unknown label": ("{ a = \"first", "{ c = \"x\", a = \"first", "a name for an unknown label 'c'"),
    "a label without a name": (', b = "second kind"', "", "the label 'b' has no name"),
    "a name twice": ("second kind", "first kind", "two labels have the same name"),
    "a brace": ("second kind", "second {kind}", "a text without braces"),
    "a blank": ("second kind", " ", "a text without braces"),
    "a number": ('"second kind"', "2", "the name of 'b' is 2"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_where_it_stands(mistake, declare):
    old, new, message = MISTAKES[mistake]
    with pytest.raises(BenchError) as caught:
        declare(old, new)
    assert message in str(caught.value) and "[kinds] names" in str(caught.value), str(caught.value)


def test_validate_shows_it(bench, tmp_path):
    (tmp_path / "kinds").mkdir()
    for split in ("train", "test"):
        rows = "".join(f'{{"text": "{split} {n}", "label": {n % 2}}}\n' for n in range(4))
        (tmp_path / "kinds" / f"{split}.jsonl").write_text(rows)
    (tmp_path / "kinds.toml").write_text(OWN)
    shown = bench("validate", tmp_path / "kinds.toml", "--k", 1).stdout
    assert "+unified words: a=A (a), b=B (b)" in shown
    assert "+unified: train 0? A. first kind B. second kind. Answer is [A | B]." in shown
