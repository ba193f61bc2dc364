"""Choice and count of copied records, for `bench submit` and `bench merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.share.copy import Copied, Keep


def chosen_keep(text: str | None) -> Keep | None:
    """Return the record that `--keep` names: the old, the new, or None if it is not given.

    Raises:
        BenchError: something else.
    """
    keeps: dict[str | None, Keep | None] = {None: None, "old": "old", "new": "new"}
    if text not in keeps:
        raise BenchError(
            f"--keep is '{text}'", allowed=("old", "new"), given=text, fix="--keep old"
        )
    return keeps[text]


def told_copied(copied: Copied, place: Path) -> str:
    """Return a sentence that counts what was copied to a results folder."""
    text = (
        f"{how_many(copied.written, 'record')} and {how_many(copied.measurements, 'measurement')} "
        f"copied to {place}, {how_many(copied.there, 'record')} there already"
    )
    if copied.other_code:
        text += f", {copied.other_code} of them by other code (--keep new takes these)"
    return text
