"""Run the commands that documents show, and write what they print beneath them.

python scripts/documentation/consoles.py docs/ten-minutes.md

A fenced block `console` holds commands, each in a line that starts with `$ `, and what they print on
standard output (for a command that ends in an error, on standard error). A fenced block with a
title is a file of that name. All of a document takes place in one empty folder.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fewbench.io.atomic import write_whole

Run = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]
"""Runs `bench` with arguments in a folder."""

_BLOCK = re.compile(
    r'^``` ?(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```$', re.M | re.S
)
_NUMBER = re.compile(r"\d")
EXACT = ("ls", "validate", "split")


class Shown(NamedTuple):
    """A command of a document, and the output beneath it."""

    command: str
    output: str


def shown(text: str) -> Iterator[Shown]:
    """Yield the commands of a document's console blocks, with their output."""
    for block in _BLOCK.finditer(text):
        if block["language"] == "console":
            yield from _commands(block["body"])


def _commands(body: str) -> list[Shown]:
    _, *parts = re.split(r"^\$ ", body, flags=re.M)
    pairs = (part.partition("\n") for part in parts)
    return [Shown(command, output.strip("\n")) for command, _, output in pairs]


def carried_out(text: str, folder: Path, run: Run) -> str:
    """Return a document with what its commands print here.

    Args:
        text: of the document.
        folder: an empty one, in which files are written and commands run.
        run: runs a command.
    """

    def again(block: re.Match[str]) -> str:
        if block["title"]:
            file = folder / block["title"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["body"], "utf-8")
        if block["language"] != "console":
            return block[0]
        said = [f"$ {command}\n{_said(command)}" for command, _ in _commands(block["body"])]
        return "```console\n" + "\n".join(said) + "```"

    def _said(command: str) -> str:
        program, *arguments = shlex.split(command)
        assert program == "bench", f"a document shows a command of another program: {command}"
        done = run(arguments, folder)
        said = (done.stderr if done.returncode else done.stdout).replace(f"{folder}/", "")
        lines = said.strip("\n").splitlines()
        return "".join(f"{line.rstrip()}\n" for line in lines)

    return _BLOCK.sub(again, text)


def is_exact(command: str) -> bool:
    """True if a command prints the same wherever it runs: lists, checks, plans, refusals."""
    arguments = command.split()
    return arguments[1] in EXACT or "--dry-run" in arguments


def words(output: str) -> set[str]:
    """Return an output's words without numbers, rules and keys.

    Scores and times move with processors and versions of torch, and with them the order of rows and
    the widths of columns.
    """
    return {word for word in output.split() if word.strip("─<") and not _NUMBER.search(word)}


def _run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    print("bench", *arguments, file=sys.stderr)
    return subprocess.run(
        [sys.executable, "-m", "fewbench", *arguments], cwd=folder, capture_output=True, text=True
    )


def main() -> None:
    """Write the outputs of the documents that are named."""
    for name in sys.argv[1:]:
        file = Path(name)
        with tempfile.TemporaryDirectory() as folder:
            write_whole(file, carried_out(file.read_text("utf-8"), Path(folder), _run).encode())


if __name__ == "__main__":
    main()
