"""Documents of a corpus, one by one: JSON lines (gzip or not), plain text, or a hub data set. None
is kept in memory.

A document is a list of sentences. JSON lines hold `{"title", "sentences": [...]}`; in plain text a
blank line ends a document and every line is a sentence; of a hub data set, a row's column is a
document and its lines the sentences.
"""

from __future__ import annotations

import difflib
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.io.files import MIB, NotAFile, open_file
from fewbench.io.jsonl import A_TEXT, is_text, parse_object

Document = list[str]
ENDINGS = (".jsonl", ".jsonl.gz", ".txt", ".txt.gz")
HUB = "hub:"
LONGEST = 64 * MIB
"""Bytes of a line, and characters of a document, at most: what is expanded may be a thousand times
what it was.
"""
HELD_OUT_EVERY = 50
"""Every fiftieth document of a source is held out: never trained on, used to measure."""


def documents(source: str) -> Iterator[Document]:
    """Yield the documents of a file, a folder of files, or `hub:PATH[/CONFIG]#COLUMN[@REVISION]`.

    Raises:
        DataError: no such file, none of a known ending, or a line that is no document; file and
            line are named.
        NeedsNetwork: a hub data set that cannot be reached.
    """
    if source.startswith(HUB):
        yield from _of_hub(source)
        return
    found = 0
    for file in corpus_files(source):
        reader = _of_text if file.name.endswith((".txt", ".txt.gz")) else _of_json
        for document in reader(file):
            found += 1
            yield document
    if not found:
        raise DataError("there is no document in this corpus", where=source)


def training(source: str) -> Iterator[Document]:
    """Yield the documents to train on."""
    return (
        document for number, document in enumerate(documents(source)) if not is_held_out(number)
    )


def is_held_out(number: int) -> bool:
    """Whether the document of this number (from 0) within its source is held out."""
    return number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def corpus_files(source: str) -> list[Path]:
    """Return a corpus's files in the order they are read.

    Raises:
        DataError: there are none.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.name.endswith(ENDINGS):
        return [path]
    files = (
        sorted(file for file in path.glob("*") if file.name.endswith(ENDINGS))
        if path.is_dir()
        else []
    )
    if not files:
        beside = (
            [file.name for file in path.parent.glob("*")]
            if path.parent.is_dir() and not path.exists()
            else []
        )
        nearest = difflib.get_close_matches(path.name, beside, 1)
        raise DataError(
            f"no corpus at {source}",
            allowed=f"a file or a folder of files {', '.join(ENDINGS)}",
            fix=f"--corpus {path.parent / nearest[0] if nearest else 'FOLDER'}",
        )
    return files


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with open_file(file) as packed, _unpacked(packed, file) as stream:
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
            f"this file cannot be read to its end: {reason}", where=f"{file}, after line {number}"
        ) from error


def _unpacked(packed: BinaryIO, file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=packed)) if file.suffix == ".gz" else packed


def _too_long(where: str) -> DataError:
    problem = f"a document of more than {LONGEST // MIB} MiB"
    return DataError(problem, where=where, fix="in plain text a blank line ends a document")


def _of_json(file: Path) -> Iterator[Document]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        sentences = parse_object(line, where).get("sentences")
        if not isinstance(sentences, list) or not all(map(is_text, sentences)):
            raise DataError(
                "this line is no document",
                where=where,
                allowed=f'{{"title": …, "sentences": ["…", …]}}, each sentence {A_TEXT}',
            )
        if document := [sentence for sentence in sentences if sentence.strip()]:
            yield document


def _of_text(file: Path) -> Iterator[Document]:
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


def _of_hub(source: str) -> Iterator[Document]:
    import datasets

    name, _, column = source.removeprefix(HUB).partition("#")
    column, _, revision = column.partition("@")
    column = column or "text"
    path, config = _path_and_config(name)
    try:
        rows: Iterable[dict[str, Any]] = datasets.load_dataset(
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
    except (
        Exception
    ) as error:  # the HTTP libraries below differ by version, and their errors share no base class
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NeedsNetwork(
            f"{name} cannot be had from the hub: {first}", fix="--corpus with a local folder"
        ) from error


def _path_and_config(name: str) -> tuple[str, str | None]:
    """Split OWNER/NAME/CONFIG; a folder stands for itself."""
    parts = name.split("/")
    if Path(name).is_dir() or len(parts) < 3:
        return name, None
    return "/".join(parts[:2]), "/".join(parts[2:])
