"""Read the documents of a corpus one at a time, from JSON lines, plain text or a hub data set.

A document is a list of sentences. JSON lines hold `{"title", "sentences": [...]}`. In plain text
each line is a sentence and a blank line ends a document. In a hub data set a column of a row is a
document whose lines are the sentences. Files may be packed with gzip.
"""

from __future__ import annotations

import difflib
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.io.files import MIB, NotAFile, open_file
from fewbench.io.jsonl import A_TEXT, is_text, parse_object
from fewbench.types import Json

Document = list[str]
ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")
HUB = "hub:"
LONGEST = 64 * MIB
"""Largest line in bytes and document in characters: gzip can pack a thousandfold."""
HELD_OUT_EVERY = 50
"""Every fiftieth document is held out: it is used to evaluate and never to train."""


def documents(source: str) -> Iterator[Document]:
    """Yield the documents of a file, a folder of files, or `hub:PATH[/CONFIG]#COLUMN[@REVISION]`.

    Raises:
        DataError: there is no such file, none with a known ending, or a line is not a document.
        NeedsNetwork: the hub cannot be reached.
    """
    if source.startswith(HUB):
        yield from _read_hub(source)
        return
    empty = True
    for file in corpus_files(source):
        is_plain = file.name.endswith((".txt", ".txt.gz"))
        for document in _read_text(file) if is_plain else _read_json(file):
            empty = False
            yield document
    if empty:
        raise DataError("there is no document in this corpus", where=source)


def training(source: str) -> Iterator[Document]:
    """Yield the documents that are not held out."""
    for number, document in enumerate(documents(source)):
        if not is_held_out(number):
            yield document


def is_held_out(number: int) -> bool:
    """Return True if the document with this number, from 0, in its source is held out."""
    return number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def corpus_files(source: str) -> list[Path]:
    """List a corpus's files in the order in which they are read.

    Raises:
        DataError: there are none.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.name.endswith(ENDINGS):
        return [path]
    files = []
    if path.is_dir():
        files = sorted(file for file in path.glob("*") if file.name.endswith(ENDINGS))
    if not files:
        raise DataError(
            f"no corpus at {source}",
            allowed=f"a file or a folder of files {', '.join(ENDINGS)}",
            fix=f"--corpus {_similar_path(path) or 'FOLDER'}",
        )
    return files


def _similar_path(path: Path) -> Path | None:
    """Suggest an existing path for a misspelt one."""
    if path.exists() or not path.parent.is_dir():
        return None
    siblings = [file.name for file in path.parent.glob("*")]
    similar = difflib.get_close_matches(path.name, siblings, 1)
    return path.parent / similar[0] if similar else None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with open_file(file) as packed, _unpack(packed, file) as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST + 1), b""), 1):
                if len(line) > LONGEST:
                    raise _too_long(f"{file}, line {number}")
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 text: {error.reason}", where=f"{file}, line {number}"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, NotAFile) else error
        raise DataError(
            f"this file cannot be read to the end: {reason}", where=f"{file}, after line {number}"
        ) from error


def _unpack(packed: BinaryIO, file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=packed)) if file.suffix == ".gz" else packed


def _too_long(where: str) -> DataError:
    problem = f"a document of more than {LONGEST // MIB} MiB"
    return DataError(problem, where=where, fix="in plain text a blank line ends a document")


def _read_json(file: Path) -> Iterator[Document]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        sentences = parse_object(line, where).get("sentences")
        if not isinstance(sentences, list) or not all(map(is_text, sentences)):
            raise DataError(
                "this line is not a document",
                where=where,
                allowed=f'{{"title": …, "sentences": ["…", …]}}, each sentence {A_TEXT}',
            )
        if document := [sentence for sentence in sentences if sentence.strip()]:
            yield document


def _read_text(file: Path) -> Iterator[Document]:
    return _split_at_blanks((line for _, line in _lines(file)), str(file))


def _split_at_blanks(lines: Iterable[str], where: str) -> Iterator[Document]:
    document: Document = []
    size = 0
    for line in lines:
        if text := line.strip():
            document.append(text)
            size += len(line)
            if size > LONGEST:
                raise _too_long(where)
        elif document:
            yield document
            document, size = [], 0
    if document:
        yield document


def _read_hub(source: str) -> Iterator[Document]:
    import datasets

    name, _, column = source.removeprefix(HUB).partition("#")
    column, _, revision = column.partition("@")
    column = column or "text"
    path, config = _path_and_config(name)
    try:
        rows: Iterable[Json] = datasets.load_dataset(
            path,
            config,
            split="train",
            revision=revision or None,
            streaming=not os.environ.get("HF_HUB_OFFLINE"),
        )
        for number, row in enumerate(rows, 1):
            if not is_text(row.get(column)):
                raise DataError(
                    f"row {number} of {name} has no text in the column '{column}'",
                    allowed=row,
                    given=column,
                    fix=f"--corpus {HUB}{name}#COLUMN",
                )
            yield from _split_at_blanks([*row[column].splitlines(), ""], f"{name}, row {number}")
    except BenchError:
        raise
    except Exception as error:  # those of the HTTP libraries below share no base class
        summary = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NeedsNetwork(
            f"{name} cannot be loaded from the hub: {summary}", fix="use --corpus FOLDER"
        ) from error


def _path_and_config(name: str) -> tuple[str, str | None]:
    """Split OWNER/NAME/CONFIG, unless it is the path of a folder."""
    parts = name.split("/")
    if Path(name).is_dir() or len(parts) < 3:
        return name, None
    return "/".join(parts[:2]), "/".join(parts[2:])
