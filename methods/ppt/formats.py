"""Build the pre-training tasks of soft prompts, by kind: ppt, equations 3 to 5 and appendix B."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from fewbench.data.task_prompts import with_prompt
from fewbench.data.template import MARKS
from fewbench.data.unified import UNIFIED
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.long_words import words_model
from fewbench.nn.prompt import PromptModel
from fewbench.nn.soft_prompt import behind
from fewbench.types import Example, Format, Source, Task


class Form(NamedTuple):
    """The template, label words and input length (with soft tokens) of a kind of pre-training."""

    format: Format
    template: str
    words: tuple[str, ...]
    length: int = 512


LETTERS = tuple(mark[0] for mark in MARKS["options"])
NUMERALS = tuple(mark[0] for mark in MARKS["options|chinese"][:10])  # those of one character
ENGLISH = {
    "pair": Form("pair", "{0} {mask}. {1}", ("no", "maybe", "yes")),
    "choice": Form("choice", "{0}? {options}. Answer is {mask}.", LETTERS[:6]),
    "single": Form("single", "{0}. {mask}.", ("terrible", "bad", "maybe", "good", "great")),
    "unified": Form("choice", "{0}? {options}. Answer is {mask}.", LETTERS, 768),
}
CHINESE = {
    "pair": Form("pair", "{0}{mask}。{1}", ("矛盾", "中立", "相似")),
    "choice": Form("choice", "{0}？{options|chinese}。答案是{mask}。", NUMERALS[:6]),
    "single": Form("single", "{0}。{mask}。", ("差", "不好", "一般", "好", "赞")),
    "unified": Form("choice", "{0}？{options|chinese}。答案是{mask}。", NUMERALS, 768),
}
HYBRID = {"pair": "Question: {0}? {mask}. {1}", "single": "{0}. It was {mask}."}
CHINESE_HYBRID = {"pair": "问题：{0}？{mask}。{1}", "single": "{0}。这很{mask}。"}
"""Hard prompts for hybrid tuning, by format (appendix D, Table 1)."""
CHOICE_HYBRID = {
    False: ("We ask ", "Answer is", "The answer is"),
    True: ("问题：", "答案是", "答案是："),
}
"""That of a choice: what stands before equation 4, and what is asked in place of its question."""
FORM_WORDS = {
    "okay": "maybe",
    "坏": "不好",
    "中": "一般",
    "否": "矛盾",
    "或": "中立",
    "是": "相似",
}
"""The forms' words for what tasks call otherwise: prompts are pre-trained with these."""
ASKED = {False: "{0} It was {mask}.", True: "{0}这很{mask}。"}
"""The hard prompt that asks a model to label sentences (appendix D, Table 1), by `chinese`."""
SIX_OPTIONS = 86
"""Tokens of each of six options."""


def form_task(kind: str, backbone: Backbone, tokens: int, *, chinese: bool = False) -> Task:
    """Return a kind of pre-training as a task whose inputs fit the model behind the soft tokens."""
    form = (CHINESE if chinese else ENGLISH)[kind]
    return Task(
        name=f"ppt-{kind}",
        title="Pre-training of soft prompts",
        format=form.format,
        labels=form.words,
        metric="accuracy",
        template=form.template,
        words=tuple((word,) for word in form.words),
        sources=(Source("corpus", "", "", "", "", ("text",), "", hub=False),),
        paper="Gu et al., 2022 (PPT)",
        licence="",
        max_length=min(form.length, backbone.places) - tokens,
        file="the form that prompts are pre-trained in",
    )


def read_as(task: Task, *, hybrid: bool, unified: bool, chinese: bool) -> Task:
    """Return a task in the form of the pre-training of its prompt: ppt, section 3.2.

    A choice takes the form of equation 4. The others take their form's template and its words: in
    lower case (yes, no), and the form's own for the same meaning (maybe, not okay). With `hybrid`
    the template is that of appendix D, or the prompt that was asked for by its name; with `unified`
    a task is asked as a choice among its labels.

    Raises:
        BenchError: the task has no unified view.
    """
    if hybrid and task.prompt:
        return task
    if unified or task.format == "choice":
        read = with_prompt(task, UNIFIED)
        return replace(read, template=_asked(read.template, chinese)) if hybrid else read
    form = (CHINESE if chinese else ENGLISH)[task.format]
    template = form.template
    if hybrid:
        template = (CHINESE_HYBRID if chinese else HYBRID)[task.format]
    words = tuple(_as_in_form(class_words, form) for class_words in task.words)
    return replace(task, template=template, words=words)


def _asked(template: str, chinese: bool) -> str:
    """Return the hard prompt of a choice (appendix D, MCC) for its form (equation 4)."""
    before, short, long = CHOICE_HYBRID[chinese]
    return before + template.replace(short, long)


def _as_in_form(words: tuple[str, ...], form: Form) -> tuple[str, ...]:
    """Write words as the form has them: in lower case, or the form's word of the same meaning."""
    return tuple(_form_word(word, form) for word in words)


def _form_word(word: str, form: Form) -> str:
    forms = (word.lower(), FORM_WORDS.get(word.lower(), ""))
    return next((known for known in forms if known in form.words), word)


def check_forms(
    task: Task, backbone: Backbone, tokens: int, *, hybrid: bool, unified: bool, chinese: bool
) -> None:
    """Refuse a task or a model that does not fit the form of the pre-training.

    Raises:
        BenchError: `unified` and `hybrid`, a prompt of another form, label words that the
            tokenizer lacks, or no room for sentences behind the soft tokens.
    """
    if unified and hybrid:
        raise BenchError(
            "unified and hybrid at once",
            allowed="one: the unified form has no hard prompt of the task's",
        )
    if task.prompt == UNIFIED and not unified:
        raise BenchError(
            "the template 'unified' behind a prompt of another form", fix="--methods ppt:unified"
        )
    read = read_as(task, hybrid=hybrid, unified=unified, chinese=chinese)
    words_model(backbone, behind(backbone, read, tokens))
    kind = "unified" if unified else task.format
    form = words_model(backbone, form_task(kind, backbone, tokens, chinese=chinese))
    if form.task.format == "choice":
        option_rooms(kind, form)
    else:
        form.encode([Example("frame", ("", ""))])


def option_rooms(kind: str, model: PromptModel) -> dict[int, int]:
    """Return the largest number of tokens of an option, by the number of options.

    It is the paper's, or less where the model has less room.

    Raises:
        BenchError: there is no room for one token.
    """
    most = len(model.task.labels)
    if kind == "choice":
        longest = {most: SIX_OPTIONS}
    else:
        longest = {n: _longest(n) for n in range(2, most + 1)}
    return {n: min(tokens, _share(model, n)) for n, tokens in longest.items()}


def _longest(options: int) -> int:
    """Return the paper's tokens of an option, "from 50 to 20", by the steps of its code."""
    if options < 5:
        return 50
    if options < 7:
        return 40
    return 30 if options < 10 else 20


def _share(model: PromptModel, options: int) -> int:
    """Return the tokens left for each option and the query, shared evenly."""
    (frame,) = model.encode([Example(f"frame-{options}", ("", ""), options=("A",) * options)])
    share = (model.task.max_length - (frame.length - options)) // (options + 1)
    if share < 1:
        raise BenchError(
            f"{options} options leave no room for sentences in the {model.task.max_length} "
            "tokens behind the prompt",
            where=model.backbone.ref.path,
            fix="fewer soft tokens (tokens=20), or a model with more positions",
        )
    return share
