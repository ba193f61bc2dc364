"""A user's file of paraphrases, and the paraphrases of an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fewbench.errors import DataError
from fewbench.io.jsonl import A_TEXT, is_text, objects, read_bytes
from fewbench.registry.named_inputs import NamedInput
from fewbench.types import Example

Paraphrases = Mapping[str, tuple[str, ...]]
"""The paraphrases of each text."""

KEYS = {"text", "paraphrases"}


def read_paraphrases(file: NamedInput) -> Paraphrases:
    """Read JSON lines of texts and their paraphrases.

    Raises:
        DataError: a line has other keys, a text that is none, no paraphrase, or a text that another
            line has; or the file is empty.
    """
    found: dict[str, tuple[str, ...]] = {}
    for place, line in objects(read_bytes(Path(file.path)), file.path):
        if line.keys() != KEYS:
            allowed = '{"text": "…", "paraphrases": ["…", …]}'
            raise DataError(f"a line with the keys {sorted(line)}", where=place, allowed=allowed)
        text, paraphrases = line["text"], line["paraphrases"]
        if not isinstance(paraphrases, list) or not paraphrases:
            problem = f"'paraphrases' is {paraphrases!r}"
            raise DataError(problem, where=place, allowed="a list of one text or more")
        if not all(is_text(each) and each.strip() for each in (text, *paraphrases)):
            raise DataError("a text or paraphrase that is none", where=place, allowed=A_TEXT)
        if text in found:
            raise DataError("a line before this one has the same text", where=place)
        found[text] = tuple(paraphrases)
    if not found:
        raise DataError("this file has no paraphrases", where=file.path)
    return found


def paraphrased(example: Example, paraphrases: Paraphrases, copies: int) -> list[Example]:
    """Return the paraphrases of an example, without label; the n-th has the n-th of each text.

    A text with fewer paraphrases than the other, or none, stands as it is. What is equal to the
    example is left out.

    Args:
        example: one of train.
        paraphrases: by text.
        copies: the most that are made.
    """
    by_text = [paraphrases.get(text, ())[:copies] for text in example.texts]
    made = []
    for number in range(max(map(len, by_text))):
        pairs = zip(example.texts, by_text, strict=True)
        texts = tuple(some[number] if number < len(some) else text for text, some in pairs)
        if texts != example.texts:
            name = f"{example.id}-paraphrase-{number}"
            made.append(replace(example, id=name, texts=texts, label=None))
    return made
