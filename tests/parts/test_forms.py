"""The forms of pre-training: equations 3 to 5 of ppt and its appendix B by hand, and what does not
fit them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewbench.data.task_file import declared
from fewbench.data.task_prompts import with_prompt
from fewbench.data.template import render
from fewbench.errors import BenchError
from fewbench.methods.ppt.formats import (
    CHINESE,
    ENGLISH,
    check_forms,
    form_task,
    option_rooms,
    read_as,
)
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.registry.methods import task_files
from fewbench.registry.pretrained import find_model
from fewbench.registry.tasks import choose_tasks
from fewbench.testing import toy_task
from fewbench.types import Example

PLAIN = {"hybrid": False, "unified": False, "chinese": False}
SIX = Example("six", ("s_q", ""), options=tuple(f"s_{n}" for n in range(1, 7)))


@pytest.fixture(params=["bert", "t5"])
def backbone(request, tiny):
    folder = request.getfixturevalue("tiny_t5") if request.param == "t5" else tiny(request.param)
    return Models(torch.device("cpu")).fresh(find_model(str(folder)))


@pytest.mark.parametrize(
    ("forms", "kind", "example", "shown", "words"),
    [
        (ENGLISH, "pair", Example("x", ("s_1", "s_2")), "s_1 <X>. s_2", "no maybe yes"),
        (
            ENGLISH,
            "choice",
            SIX,
            "s_q? A. s_1 B. s_2 C. s_3 D. s_4 E. s_5 F. s_6. Answer is <X>.",
            "A B C D E F",
        ),
        (ENGLISH, "single", Example("x", ("s",)), "s. <X>.", "terrible bad maybe good great"),
        (
            ENGLISH,
            "unified",
            SIX,
            "s_q? A. s_1 B. s_2 C. s_3 D. s_4 E. s_5 F. s_6. Answer is <X>.",
            None,
        ),
        (CHINESE, "pair", Example("x", ("s_1", "s_2")), "s_1<X>。s_2", "矛盾 中立 相似"),
        (
            CHINESE,
            "choice",
            SIX,
            "s_q？一、s_1 二、s_2 三、s_3 四、s_4 五、s_5 六、s_6。答案是<X>。",
            "一 二 三 四 五 六",
        ),
        (CHINESE, "single", Example("x", ("s",)), "s。<X>。", "差 不好 一般 好 赞"),
        (
            CHINESE,
            "unified",
            SIX,
            "s_q？一、s_1 二、s_2 三、s_3 四、s_4 五、s_5 六、s_6。答案是<X>。",
            None,
        ),
    ],
)
def test_forms_as_printed(forms, kind, example, shown, words):
    assert render(forms[kind].template, example, "<X>") == shown
    if words:
        assert " ".join(forms[kind].words) == words


def test_the_unified_form_has_up_to_sixteen_options():
    assert ENGLISH["unified"].words == tuple("ABCDEFGHIJKLMNOP")
    assert CHINESE["unified"].words == tuple(
        "一二三四五六七八九十"
    )  # beyond it numerals are no one character


def test_soft_tokens_count_in_the_length(backbone):
    places = min(512, backbone.places)
    assert form_task("pair", backbone, 100).max_length == places - 100
    assert form_task("unified", backbone, 20).max_length == min(768, backbone.places) - 20


class TestReadAs:
    def test_pairs_and_singles_take_the_form_and_keep_their_words(self):
        task = toy_task("pair", words=(("No", "Never"), ("Maybe",), ("yes",)))
        read = read_as(task, **PLAIN)
        assert (read.template, read.words) == (
            "{0} {mask}. {1}",
            (("no", "Never"), ("maybe",), ("yes",)),
        )
        single = read_as(toy_task("single"), **PLAIN)
        form = (("terrible",), ("maybe",), ("great",))  # not the task's okay
        assert (single.template, single.words) == ("{0}. {mask}.", form)
        value = read_as(toy_task("regression"), **PLAIN)
        assert (value.template, value.bounds) == ("{0}. {mask}.", (0.0, 5.0))

    def test_a_choice_takes_equation_4(self):
        template = "{0} {1}? {options}. Answer is {mask}."
        assert read_as(toy_task("choice"), **PLAIN).template == template

    @pytest.mark.parametrize(
        ("kind", "chinese", "template"),
        [
            ("single", False, "{0}. It was {mask}."),
            ("pair", False, "Question: {0}? {mask}. {1}"),
            ("choice", False, "We ask {0} {1}? {options}. The answer is {mask}."),
            ("single", True, "{0}。这很{mask}。"),
            ("pair", True, "问题：{0}？{mask}。{1}"),
        ],
    )
    def test_hybrid_reads_the_hard_prompts_of_appendix_d(self, kind, chinese, template):
        settings = PLAIN | {"hybrid": True, "chinese": chinese}
        read = read_as(toy_task(kind), **settings)
        assert read.template == template
        if kind == "pair" and not chinese:
            assert read.words == (("no",), ("maybe",), ("yes",))

    def test_hybrid_reads_a_prompt_that_was_asked_for(self):
        task = declared(task_files()).tasks["sst-2"]
        asked = with_prompt(task, "man-2")
        assert read_as(asked, **(PLAIN | {"hybrid": True})) == asked

    @pytest.mark.parametrize("name", ["boolq", "cb", "race-middle", "race-high", "rte", "sst-5"])
    def test_declared_hybrid_prompts_agree(self, name):
        task = declared(task_files()).tasks[name]
        names = [prompt.name for prompt in task.prompts]
        declared_prompt = with_prompt(task, "ppt-hybrid" if "ppt-hybrid" in names else "own")
        read = read_as(task, **(PLAIN | {"hybrid": True}))
        assert (read.template, read.words) == (declared_prompt.template, declared_prompt.words)

    @pytest.mark.parametrize("suite", ["ppt-en", "ppt-zh"])
    def test_every_task_of_the_paper_is_read_by_table_1_of_appendix_d(self, suite):
        """Its three formats in two languages, behind the soft prompt P; tnews is read unified."""
        printed = {
            ("ppt-en", "pair"): "Question: {0}? {mask}. {1}",
            ("ppt-en", "choice"): "We ask {0} {1}? {options}. The answer is {mask}.",
            ("ppt-en", "single"): "{0}. It was {mask}.",
            ("ppt-zh", "pair"): "问题：{0}？{mask}。{1}",
            ("ppt-zh", "choice"): "问题：{0} {1}？{options|chinese}。答案是：{mask}。",
            ("ppt-zh", "single"): "{0}。这很{mask}。",
        }
        settings = PLAIN | {"hybrid": True, "chinese": suite == "ppt-zh"}
        for task in choose_tasks([suite]):
            template = printed[suite, task.format]
            if len(task.source.texts) == 1:  # a query without a passage
                template = template.replace("{0} {1}", "{0}")
            assert read_as(task, **settings).template == template, task.name

    def test_five_stars_are_read_with_the_words_of_the_form(self):
        tasks = declared(task_files()).tasks
        for settings in (PLAIN, PLAIN | {"hybrid": True}):
            words = read_as(tasks["sst-5"], **settings).words
            assert " ".join(word for (word,) in words) == "terrible bad maybe good great"
        chinese = PLAIN | {"chinese": True}
        read = read_as(tasks["amazon-zh"], **chinese)
        assert read.words == with_prompt(tasks["amazon-zh"], "ppt-words").words
        read = read_as(tasks["cmnli"], **chinese)
        assert read.words == with_prompt(tasks["cmnli"], "ppt-words").words

    def test_unified_reads_any_task_as_a_choice_among_labels(self):
        read = read_as(toy_task("single"), **(PLAIN | {"unified": True}))
        assert read.template == "{0}? A. bad B. fair C. good. Answer is {mask}."
        assert read.words == (("A",), ("B",), ("C",))

    @pytest.mark.parametrize("name", ["sst-2", "rte", "boolq", "cb", "race-middle", "sst-5"])
    def test_the_tasks_own_declarations_of_the_form_agree(self, name):
        """Tasks of the paper declare its prompts; `read_as` finds the same template without them."""
        task = declared(task_files()).tasks[name]
        assert read_as(task, **PLAIN).template == with_prompt(task, "ppt").template

    @pytest.mark.parametrize("name", ["ocnli", "chnsenticorp"])
    def test_chinese_declarations_agree(self, name):
        task = declared(task_files()).tasks[name]
        assert (
            read_as(task, **(PLAIN | {"chinese": True})).template
            == with_prompt(task, "ppt").template
        )


def whole(model, example) -> bool:
    """Whether an example is read without a cut."""
    try:
        return not model.encode([example])[0].truncated
    except BenchError:  # its options alone are too long
        return False


class TestRoom:
    @pytest.mark.parametrize("kind", ["choice", "unified"])
    def test_options_and_query_fit_and_no_more(self, backbone, kind):
        """So many tokens an option and the query are not cut; where that is less than the paper's,
        one more each is.
        """
        model = prompt_model(backbone, form_task(kind, backbone, 20))
        for n, room in option_rooms(kind, model).items():
            papers = (
                86 if kind == "choice" else 50 if n < 5 else 40 if n < 7 else 30 if n < 10 else 20
            )
            assert room <= papers
            for more in (0, 1):
                text = " ".join(["cat"] * (room + more))
                if not more or room < papers:
                    assert (
                        whole(model, Example(f"{n} {more}", (text, ""), options=(text,) * n))
                        != more
                    ), (n, room)

    def test_a_model_with_places_enough_has_the_papers_lengths(self, tiny_t5):
        backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny_t5)))
        wide = replace(form_task("choice", backbone, 1), max_length=2000)
        assert option_rooms("choice", prompt_model(backbone, wide)) == {6: 86}
        rooms = option_rooms(
            "unified",
            prompt_model(backbone, replace(wide, labels=form_task("unified", backbone, 1).labels)),
        )
        assert [rooms[n] for n in (2, 4, 5, 6, 7, 9, 10, 16)] == [50, 50, 40, 40, 30, 30, 20, 20]


class TestCheck:
    @pytest.mark.parametrize(
        ("kind", "settings", "tokens", "problem"),
        [
            ("single", {"hybrid": True, "unified": True}, 9, "unified and hybrid at once"),
            ("single", {}, 0, "a soft prompt of 0 tokens"),
            ("regression", {"unified": True}, 9, "has no template 'unified'"),
        ],
    )
    def test_what_does_not_fit(self, backbone, kind, settings, tokens, problem):
        with pytest.raises(BenchError, match=problem):
            check_forms(toy_task(kind), backbone, tokens, **(PLAIN | settings))

    def test_a_model_without_the_words(self, backbone):
        with pytest.raises(BenchError, match="lacks a piece of the label word '差'") as caught:
            check_forms(toy_task("single"), backbone, 9, **(PLAIN | {"chinese": True}))
        assert "the form that prompts are pre-trained in [ppt-single]" in str(caught.value)
        assert "a model whose vocabulary has its pieces" in caught.value.fix

    def test_a_unified_prompt_behind_another_form(self, backbone):
        with pytest.raises(
            BenchError, match="the template 'unified' behind a prompt of another form"
        ) as caught:
            check_forms(with_prompt(toy_task("single"), "unified"), backbone, 9, **PLAIN)
        assert caught.value.fix == "--methods ppt:unified"

    def test_no_room_for_sixteen_options(self, tiny):
        backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny("bert"))))
        with pytest.raises(
            BenchError, match=r"1\d options leave no room for sentences in the 50 tokens"
        ) as caught:
            check_forms(toy_task("single"), backbone, 110, **(PLAIN | {"unified": True}))
        assert "fewer soft tokens" in caught.value.fix
