"""Load rows from the hub at a pinned revision, through `datasets`."""

from __future__ import annotations

import os

from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.types import Json, Source


def place_of(source: Source, split: str, extension: str = "") -> str:
    """Return the path of a split, on the hub and as a file in a data folder."""
    return "/".join(part for part in (source.path, source.config, f"{split}{extension}") if part)


def go_offline() -> None:
    """Keep the hub's libraries off the network, in this process and its children."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def load_split(source: Source, split: str) -> list[Json]:
    """Load a split's rows with the columns they have on the hub, at the source's revision.

    Raises:
        NeedsNetwork: the hub cannot be reached, and the rows are not in its cache.
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
    except Exception as error:  # those of the HTTP libraries below share no base class
        raise _explain(source, split, error) from error


def _check_revision(source: Source, loaded: str | None) -> None:
    """Refuse another revision: offline, `datasets` loads whichever one its cache holds."""
    if loaded != source.revision:
        raise NeedsNetwork(
            f"the cache of the hub holds {source.path} at revision {loaded}",
            allowed=f"revision {source.revision}",
            fix="go online once, or give the rows as files with --data",
        )


def _explain(source: Source, split: str, error: Exception) -> BenchError:
    """Tell a data set that the hub does not have from a hub that cannot be reached."""
    import datasets

    place = place_of(source, split)
    summary = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, datasets.exceptions.DatasetsError):
        answered = True
    else:
        answered = isinstance(error, (ValueError, RuntimeError)) and not isinstance(error, OSError)
    if answered and not datasets.config.HF_HUB_OFFLINE and "cache" not in summary:
        return DataError(f"the hub has no {place} at revision {source.revision}: {summary}")
    file = place_of(source, split, ".jsonl")
    return NeedsNetwork(
        f"{place} cannot be loaded from the hub: {summary}",
        fix=f"go online, or use --data DIR (or FEWBENCH_DATA) with {file} in it",
    )
