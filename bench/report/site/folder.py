"""Write a site into its folder: whole files only, and nothing of the user's is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from fewbench.errors import BenchError
from fewbench.io.atomic import holds, new_folder, remove, write_whole
from fewbench.report.page.write import GENERATOR

MANIFEST = "site.json"
"""Lists the files of a site: by it a later command knows its own."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that is neither empty (hidden files apart) nor a site.

    Raises:
        BenchError: it is something else, or cannot be read.
    """
    try:
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error
    if names and _listed(folder) is None:
        raise BenchError(
            "this folder is not a site of bench leaderboard, so nothing in it is overwritten",
            where=str(folder),
            fix="--site with a new folder",
        )


def save_site(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a site; in a folder that holds one, replace its files and remove those it lacks now.

    A new folder appears whole. An earlier site is replaced file by file, each of them atomically;
    files that are not of the site stay.

    Raises:
        BenchError: the folder is not a site, or cannot be written.
    """
    check_folder(folder)
    earlier = _listed(folder)
    try:
        if earlier is None and not (folder.exists() and any(folder.iterdir())):
            with new_folder(folder) as hidden:
                for path, data in [*files.items(), (MANIFEST, _manifest(files))]:
                    file = hidden / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(data)
            return
        _replace(files, folder, earlier or ())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _replace(files: Mapping[str, bytes], folder: Path, earlier: Iterable[str]) -> None:
    """Write what differs, then remove the files of the earlier site that this one lacks."""
    both = dict.fromkeys([*earlier, *files])
    write_whole(folder / MANIFEST, _manifest(both))  # should it stop here, the next one goes on
    for path, data in files.items():
        if not holds(folder / path, data):
            write_whole(folder / path, data)
    for path in both:
        if path not in files and _is_inside(folder / path, folder):
            remove(folder / path)
    write_whole(folder / MANIFEST, _manifest(files))


def _manifest(paths: Iterable[str]) -> bytes:
    return (json.dumps({"generator": GENERATOR, "files": sorted(paths)}, indent=1) + "\n").encode()


def _listed(folder: Path) -> list[str] | None:
    """Return the files of the site in a folder; None if there is none."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("generator") != GENERATOR:
        return None
    paths = found.get("files")
    if not isinstance(paths, list):
        return None
    return [path for path in paths if isinstance(path, str) and _is_plain(path)]


def _is_plain(path: str) -> bool:
    """True for a path that stays within its folder."""
    parts = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not path.startswith("/") and "\0" not in path


def _is_inside(file: Path, folder: Path) -> bool:
    """True if a file's own folder is not reached by a link to somewhere else."""
    return file.parent.resolve().is_relative_to(folder.resolve())


def _unwritable(folder: Path, error: OSError) -> BenchError:
    problem = f"cannot write the site: {error.strerror}"
    return BenchError(problem, where=str(folder), fix="--site DIR")
