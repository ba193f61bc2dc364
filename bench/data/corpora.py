"""Unlabelled corpora by name: the embedded one, a file or folder, or a folder of the data folder.
No torch.
"""

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
"""The corpora the package ships, by name."""
FOLDER = "corpora"
"""Where the corpora of a data folder stand."""


def corpus_names(data: Path | None) -> list[str]:
    """Return the names that need no path: the embedded ones, and those of the data folder's
    corpora.
    """
    folder = data / FOLDER if data else None
    entries = sorted(folder.iterdir()) if folder and folder.is_dir() else []
    named = [entry.name for entry in entries if entry.is_dir() or entry.name.endswith(ENDINGS)]
    return [*EMBEDDED, *(name for name in named if name not in EMBEDDED)]


def find_corpus(name_or_path: str, data: Path | None = None) -> list[Path]:
    """Return the files of a corpus in the order they are read.

    Args:
        name_or_path: an embedded name, else a file or folder, else the name of a corpus at
            `<data>/corpora/NAME`.
        data: the data folder; the embedded corpus and paths do without.

    Raises:
        BenchError: no such corpus.
        DataError: a folder or file that holds no documents by its name's ending.
    """
    if name_or_path in EMBEDDED:
        return [EMBEDDED[name_or_path]]
    if name_or_path and Path(name_or_path).expanduser().exists():
        return corpus_files(name_or_path)
    names = corpus_names(data)
    if data and name_or_path in names:
        return corpus_files(str(data / FOLDER / name_or_path))
    nearest = difflib.get_close_matches(name_or_path, names, 1)
    raise BenchError(
        f"no corpus '{name_or_path}'" + ("" if data else " (no data folder is set)"),
        allowed=[*names, f"a file or a folder of files {', '.join(ENDINGS)}"],
        given=name_or_path,
        fix=f"give {nearest[0] if nearest else DEMO}, or the path of a file or folder",
    )


def corpus_revision(files: Iterable[Path]) -> str:
    """Return the sha256 over the bytes of a corpus's files, in the order given.

    Each file counts with its length, so that the same bytes cut into other files are another
    revision; names and folders do not count.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.stat().st_size.to_bytes(8, "big"))
        digest.update(_hash(file))
    return digest.hexdigest()


def corpus_ref(name_or_path: str | None, data: Path | None = None) -> CorpusRef:
    """Return a corpus as runs name it, by its revision; None is the embedded one.

    Raises:
        BenchError: as `find_corpus`.
    """
    name = name_or_path or DEMO
    files = find_corpus(name, data)
    place = files[0] if len(files) == 1 else files[0].parent
    return CorpusRef(Path(name).name.partition(".")[0], str(place), corpus_revision(files)[:16])


def _hash(file: Path) -> bytes:
    try:
        return file_hash(file)
    except OSError as error:
        raise DataError(f"this file cannot be read: {error.strerror}", where=str(file)) from error
