"""The unified view: any classification task as a multiple choice among its labels (ppt, section
3.3).

The query is the task's text, or its two texts one after the other; the options are the labels, and
the answer at the mask is an option's letter. The form is the one that PPT pre-trains prompts in:
equation 4, and for Chinese appendix B's equation 2. A choice is one already and takes just the
form.
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
(no paper does).
"""


def take_names(table: TomlTable, form: str, labels: tuple[str, ...]) -> dict[str, str]:
    """Return what a task's table calls its labels as options, if it does: `names = { label =
    "text", … }`.

    Raises:
        BenchError: names for a choice, not just one per label, or texts that are not distinct.
    """
    names: dict[str, str] = table.take("names", dict, {})
    if names and form == "choice":
        raise table.error("names", "'names' belongs to labels, and a choice shows its own options")
    if odd := [label for label in names if label not in labels]:
        raise table.error(
            "names", f"a name for an unknown label '{odd[0]}'", allowed=labels, given=odd[0]
        )
    if names and (missing := [label for label in labels if label not in names]):
        raise table.error(
            "names",
            f"the label '{missing[0]}' has no name",
            fix=f'names = {{ {missing[0]} = "…" }}',
        )
    for label, name in names.items():
        if not isinstance(name, str) or not name.strip() or _has_brace(name):
            raise table.error(
                "names", f"the name of '{label}' is {name!r}", allowed="a text without braces"
            )
    if len(set(names.values())) != len(names):
        raise table.error("names", "two labels have one name", allowed="different texts")
    return names


def unified(
    form: str, labels: Sequence[str], own: Prompt, names: dict[str, str], texts: int
) -> Prompt | None:
    """Return the prompt of the unified view, or None where there are more labels than the paper's
    16 options.

    Unless the task names them, the options are the label words of a pair (no, maybe, yes), of any
    Chinese task its label words, and else the labels' own names.

    Args:
        form: the task's format.
        labels: the task's labels.
        own: its own prompt.
        names: what it calls its labels, or nothing.
        texts: how many texts an item has.
    """
    chinese = any(
        "\u4e00" <= character <= "\u9fff" for words in own.words for character in words[0]
    )
    kind = "options|chinese" if chinese and len(labels) <= ONE_CHARACTER else "options"
    order = list(range(len(labels)))
    if form == "choice":
        options = f"{{{kind}}}"
    else:
        shown = [
            names.get(label) or _shown(label, words[0], form, chinese)
            for label, words in zip(labels, own.words, strict=True)
        ]
        if (
            len(labels) > len(MARKS[kind])
            or len(set(shown)) != len(shown)
            or any(map(_has_brace, shown))
        ):
            return None
        if printed := next((words for words in ORDERS if set(shown) <= set(words)), None):
            order.sort(key=lambda label: printed.index(shown[label]))
        options = " ".join(
            mark + shown[label] for mark, label in zip(MARKS[kind], order, strict=False)
        )
    query = " ".join(f"{{{index}}}" for index in range(texts))
    template = (
        f"{query}？{options}。答案是{{mask}}。"
        if chinese
        else f"{query}? {options}. Answer is {{mask}}."
    )
    return Prompt(
        UNIFIED,
        template,
        tuple((MARKS[kind][order.index(n)].rstrip(" .、"),) for n in range(len(labels))),
    )


def _shown(label: str, word: str, form: str, chinese: bool) -> str:
    return word.lower() if form == "pair" or chinese else label.replace("-", " ")


def _has_brace(text: str) -> bool:
    return "{" in text or "}" in text
