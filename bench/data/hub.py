"""Rows from the hub, at a pinned revision, through `datasets`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.types import Source


def place_of(source: Source, split: str, extension: str = "") -> str:
    """Return where a split stands: on the hub, and as a file below a data folder."""
    return "/".join(part for part in (source.path, source.config, f"{split}{extension}") if part)


def go_offline() -> None:
    """Keep the hub's libraries off the network, in this process and in those it starts."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def load_split(source: Source, split: str) -> list[Mapping[str, Any]]:
    """Return a split's rows as the hub holds them at the source's revision.

    Raises:
        NeedsNetwork: the hub cannot be reached and the rows are not in its cache.
        DataError: the hub has no such data set, configuration, revision or split.
    """
    import datasets

    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(
            source.path, source.config or None, revision=source.revision
        )
        _check_revision(source, builder.hash)
        builder.download_and_prepare()
        return [dict(row) for row in builder.as_dataset(split=split)]
    except BenchError:
        raise
    except (
        Exception
    ) as error:  # the HTTP libraries below differ by version, and their errors share no base class
        raise _explained(source, split, error) from error


def _check_revision(source: Source, loaded: str | None) -> None:
    """Refuse another revision: without network, `datasets` takes whichever its cache holds."""
    if loaded != source.revision:
        raise NeedsNetwork(
            f"the cache of the hub holds {source.path} at revision {loaded}",
            allowed=f"revision {source.revision}",
            fix="go online once, or give the rows as files by --data",
        )


def _explained(source: Source, split: str, error: Exception) -> BenchError:
    """Return what the user can do about an error: the hub has no such rows, or it cannot be asked."""
    import datasets

    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    answered = isinstance(error, (datasets.exceptions.DatasetsError, ValueError, RuntimeError))
    unreachable = isinstance(error, OSError) and not isinstance(
        error, datasets.exceptions.DatasetsError
    )
    if answered and not unreachable and not datasets.config.HF_HUB_OFFLINE and "cache" not in first:
        return DataError(
            f"the hub has no {place_of(source, split)} at revision {source.revision}: {first}"
        )
    return NeedsNetwork(
        f"{place_of(source, split)} cannot be had from the hub: {first}",
        fix=f"go online, or --data DIR (or FEWBENCH_DATA) with {place_of(source, split, '.jsonl')} in it",
    )
