"""Build the unified view: a classification task as a choice among its labels (ppt, section 3.3).

The query is the task's text, or its two texts in turn; the options are the labels, and the answer
at the mask is an option's letter. The template is that of PPT's pre-training: equation 4, and for
Chinese equation 2 of appendix B. A choice already has options and only takes the template.
"""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.data.template import MARKS
from fewbench.io.toml import TomlTable
from fewbench.types import Prompt

UNIFIED = "unified"
"""What `--template` calls the view. A task that declares a template of this name has that instead.
"""

ORDERS = (("no", "maybe", "yes"), ("矛盾", "中立", "相似"))
"""The options of a pair in the papers' order (section 3.3, appendix B), whatever the order of the
task's labels.
"""

ONE_CHARACTER = 10
"""Chinese numerals above ten are no one character, so more options than that are counted in letters
(ppt has TNews's 14 in Table 5, and does not say how they are counted).
"""


def take_names(table: TomlTable, form: str, labels: tuple[str, ...]) -> dict[str, str]:
    """Take the labels' option texts from a task's table, `names = { label = "text", … }`, if any.

    Raises:
        BenchError: the task is a choice, a label has no name, or two have the same one.
    """
    names: dict[str, str] = table.take("names", dict, {})
    if not names:
        return names
    if form == "choice":
        raise table.error("names", "'names' belongs to labels; a choice has options of its own")
    _check_labels_named(table, names, labels)
    _check_texts(table, names)
    return names


def _check_labels_named(table: TomlTable, names: dict[str, str], labels: tuple[str, ...]) -> None:
    """Refuse names that are not of the labels, or not of all of them."""
    if odd := [label for label in names if label not in labels]:
        problem = f"a name for an unknown label '{odd[0]}'"
        raise table.error("names", problem, allowed=labels, given=odd[0])
    if missing := [label for label in labels if label not in names]:
        fix = f'names = {{ {missing[0]} = "…" }}'
        raise table.error("names", f"the label '{missing[0]}' has no name", fix=fix)


def _check_texts(table: TomlTable, names: dict[str, str]) -> None:
    """Refuse names that are no text, or that two labels share."""
    for label, name in names.items():
        if not isinstance(name, str) or not name.strip() or _has_brace(name):
            problem = f"the name of '{label}' is {name!r}"
            raise table.error("names", problem, allowed="a text without braces")
    if len(set(names.values())) != len(names):
        raise table.error("names", "two labels have the same name", allowed="different texts")


def unified(
    form: str, labels: Sequence[str], own: Prompt, names: dict[str, str], texts: int
) -> Prompt | None:
    """Build the prompt of the unified view, or return None for more than the paper's 16 options.

    Unless `names` gives them, the options are the label words of a pair (no, maybe, yes) or of a
    Chinese task, and otherwise the labels. Options that repeat or hold braces also give None.

    Args:
        form: the task's format.
        labels: the task's labels.
        own: its own prompt.
        names: texts of its labels as options, or none.
        texts: the number of texts per example.
    """
    chinese = any(_is_chinese(words[0]) for words in own.words)
    kind = "options|chinese" if chinese and len(labels) <= ONE_CHARACTER else "options"
    marks = MARKS[kind]
    order = list(range(len(labels)))
    if form == "choice":
        options = f"{{{kind}}}"
    else:
        texts_of_labels = _option_texts(form, labels, own, names, chinese)
        if len(labels) > len(marks) or not _are_options(texts_of_labels):
            return None
        order = _paper_order(texts_of_labels)
        marked = zip(marks, order, strict=False)
        options = " ".join(mark + texts_of_labels[label] for mark, label in marked)
    words = tuple((marks[order.index(label)].rstrip(" .、"),) for label in range(len(labels)))
    return Prompt(UNIFIED, _template(texts, options, chinese), words)


def _option_texts(
    form: str, labels: Sequence[str], own: Prompt, names: dict[str, str], chinese: bool
) -> list[str]:
    """Return each label's text as an option: its name if it has one, else its word or itself."""
    return [
        names.get(label) or _option(label, words[0], form, chinese)
        for label, words in zip(labels, own.words, strict=True)
    ]


def _template(texts: int, options: str, chinese: bool) -> str:
    """Return the paper's template around the texts of an example and the options."""
    query = " ".join(f"{{{index}}}" for index in range(texts))
    if chinese:
        return f"{query}？{options}。答案是{{mask}}。"
    return f"{query}? {options}. Answer is {{mask}}."


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def _are_options(texts: Sequence[str]) -> bool:
    return len(set(texts)) == len(texts) and not any(map(_has_brace, texts))


def _paper_order(texts: Sequence[str]) -> list[int]:
    """Order labels by their texts as the papers do, if the papers print these texts."""
    order = list(range(len(texts)))
    for printed in ORDERS:
        if set(texts) <= set(printed):
            return sorted(order, key=lambda label: printed.index(texts[label]))
    return order


def _option(label: str, word: str, form: str, chinese: bool) -> str:
    return word.lower() if form == "pair" or chinese else label.replace("-", " ")


def _has_brace(text: str) -> bool:
    return "{" in text or "}" in text
