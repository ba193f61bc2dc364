"""The page of protocols: every constant of every protocol, and where it is from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields

from markdown_text import Page, code, codes, page, plain, table, value

from fewbench.registry import protocols as registry
from fewbench.registry.protocol import Protocol

INTRODUCTION = """# Protocols

A protocol holds the constants that make runs comparable: which splits, which settings are searched, how many updates,
which checkpoint and which trial are kept. A run names its protocol, its constants are in the run's identity, and rows of
different protocols never share a cell of a table. `bench run --protocol NAME` chooses one, `bench ls protocols` lists
them, and [a table in a file](contributing.md#add-a-protocol-in-one-table) declares one of your own.

Written from `bench/registry/protocols.toml`. The note of a protocol says what its paper prints, and what is ours.
"""

APART = {"name", "title", "paper", "file", "sizes", "grid"}
"""Fields that are no row of the table of constants, or stand in rows of their own."""


def protocol_page() -> Page:
    """Return the page."""
    known = registry.protocols()
    notes = _notes()
    overview = table(
        ("protocol", "what it is", "paper", "K", "seeds", "trials", "training"),
        [_overview_row(protocol) for protocol in known.values()],
    )
    sections = [_section(protocol, notes.get(name, "")) for name, protocol in known.items()]
    return Page("protocols.md", page(INTRODUCTION, overview, *sections, _meanings()))


def _overview_row(protocol: Protocol) -> list[str]:
    trials = len(protocol.trials(("lr", "batch_size"), {}))
    training = f"{protocol.max_steps} updates"
    if protocol.epochs is not None:
        training = f"{protocol.epochs:g} epochs"
    name = f"[{code(protocol.name)}](#{protocol.name})"
    about = [plain(protocol.title), plain(protocol.paper), str(protocol.k)]
    return [name, *about, str(len(protocol.seeds)), str(trials), training]


def _section(protocol: Protocol, note: str) -> str:
    rows = [
        [code(name), _shown(getattr(protocol, name))] for name in _constants() if name not in APART
    ]
    rows = [row for row in rows if row[1]]
    rows += [[f"`grid` of `{name}`", codes(values)] for name, values in protocol.grid.items()]
    for size in protocol.sizes:
        rows.append([f"`lr` up to {size.parameters:g} parameters", codes(size.lr)])
    return page(
        f"## {protocol.name}",
        f"{plain(protocol.title)}. **Paper:** {plain(protocol.paper)}.",
        plain(note),
        table(("constant", "value"), rows),
    )


def _constants() -> list[str]:
    return [field.name for field in fields(Protocol)]


def _shown(constant: object) -> str:
    """Return a constant as code; nothing for one that the protocol does not set."""
    if constant is None or constant in ((), {}):
        return ""
    if isinstance(constant, Mapping):
        return ", ".join(f"{code(name)}: {value(item)}" for name, item in constant.items())
    return codes(constant) if isinstance(constant, tuple) else value(constant)


def _notes() -> dict[str, str]:
    """Return the comment above each table of the file, by protocol."""
    text = registry.FILE.read_text("utf-8")
    notes = re.findall(r"\n\n((?:# .*\n)+)\[([\w-]+)\]", text)
    return {name: re.sub(r"\s*\n?# ", " ", note).strip() for note, name in notes}


def _meanings() -> str:
    """Return what the constants mean, which the class says."""
    paragraphs = (Protocol.__doc__ or "").split("\n\n", 1)[1]
    lines = [line.strip() for line in paragraphs.splitlines()]
    return "## What the constants mean\n\n" + "\n".join(map(plain, lines))
