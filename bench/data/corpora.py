"""Find unlabelled corpora: embedded ones, files and folders, or names in the data folder."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from fewbench import tasks
from fewbench.data.documents import ENDINGS, corpus_files
from fewbench.errors import BenchError, DataError
from fewbench.io.file_hash import file_hash
from fewbench.types import CorpusRef

DEMO = "demo-corpus"
EMBEDDED = {DEMO: Path(tasks.__file__).parent / "demo" / "corpus.jsonl"}
"""The corpora in the package, by name."""
FOLDER = "corpora"
"""The folder of corpora within a data folder."""


def corpus_names(data: Path | None) -> list[str]:
    """List the names that need no path: embedded corpora and those in the data folder."""
    folder = data / FOLDER if data else None
    entries = sorted(folder.iterdir()) if folder and folder.is_dir() else []
    named = [entry.name for entry in entries if entry.is_dir() or entry.name.endswith(ENDINGS)]
    return [*EMBEDDED, *(name for name in named if name not in EMBEDDED)]


def find_corpus(name_or_path: str, data: Path | None = None) -> list[Path]:
    """Find the files of a corpus, in the order in which they are read.

    Args:
        name_or_path: an embedded name, else a file or folder, else the name of a corpus at
            `<data>/corpora/NAME`.
        data: the data folder; embedded names and paths do not need it.

    Raises:
        BenchError: there is no such corpus.
        DataError: the file or folder has no file with one of the endings of documents.
    """
    if name_or_path in EMBEDDED:
        return [EMBEDDED[name_or_path]]
    if name_or_path and Path(name_or_path).expanduser().exists():
        return corpus_files(name_or_path)
    names = corpus_names(data)
    if data and name_or_path in names:
        return corpus_files(str(data / FOLDER / name_or_path))
    similar = difflib.get_close_matches(name_or_path, names, 1)
    raise BenchError(
        f"no corpus '{name_or_path}'" + ("" if data else " (no data folder is set)"),
        allowed=[*names, f"a file or a folder of files {', '.join(ENDINGS)}"],
        given=name_or_path,
        fix=f"--corpus {similar[0] if similar else DEMO}, or the path of a file or folder",
    )


def corpus_revision(files: Iterable[Path]) -> str:
    """Hash the lengths and bytes of a corpus's files, in the given order, with sha256.

    Because of the lengths, the same bytes divided into other files are another revision. Names and
    folders do not count.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.stat().st_size.to_bytes(8, "big"))
        digest.update(_hash(file))
    return digest.hexdigest()


def corpus_ref(name_or_path: str | None, data: Path | None = None) -> CorpusRef:
    """Return the reference by which runs name a corpus; None stands for the embedded one.

    Raises:
        BenchError: as in `find_corpus`.
    """
    name = name_or_path or DEMO
    files = find_corpus(name, data)
    path = files[0] if len(files) == 1 else files[0].parent
    stem = Path(name).name.partition(".")[0]
    return CorpusRef(stem, str(path), corpus_revision(files)[:16])


def _hash(file: Path) -> bytes:
    try:
        return file_hash(file)
    except OSError as error:
        raise DataError(f"this file cannot be read: {error.strerror}", where=str(file)) from error
