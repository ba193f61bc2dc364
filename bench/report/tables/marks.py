"""The signs behind a score that say how its runs were made, and the notes on what they mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from fewbench.data.train_size import k_title
from fewbench.report.preset_names import with_preset
from fewbench.report.tables.entry import Entry
from fewbench.report.today import UNRECORDED, earlier

STALE, CODES, DOUBLED = "†", "¶", "§"
OLD_CODE = f"{STALE} made by an older version of the method's code: bench run --force redoes it"
TWO_CODES = (
    f"{CODES} runs of different versions of the method's code: bench run --force redoes them"
)
FAILED = "failed runs: bench run --retry-failed redoes them, bench show KEY says why"
MOST = 3
"""The most runs that share cell and seed to list below a table."""
SIMULATED = "8 bits rounded in floating point, which saves neither time nor space: "


def signs(cell: Entry) -> str:
    """Return the signs of a cell: older code, several versions of it, seeds with several runs."""
    return STALE * bool(cell.stale) + CODES * cell.several_codes + DOUBLED * bool(cell.doubled)


def doubled_as_text(doubled: Iterable[tuple[int, Sequence[str]]]) -> list[str]:
    """Return seeds with several runs and the keys of these, `13:<key>+<key>`, for JSON and CSV."""
    return [f"{seed}:{'+'.join(keys)}" for seed, keys in doubled]


def failures(cell: Entry) -> str:
    """Say how many runs of a cell failed, empty for none."""
    return f"{cell.failed} failed" if cell.failed else ""


def notes_on_runs(cells: Collection[Entry]) -> list[str]:
    """Return the notes on failed runs and on runs that are not of today."""
    parts = dict.fromkeys(part for cell in cells for part in cell.changed)
    recorded = [part for part in parts if part != UNRECORDED]
    notes = {
        OLD_CODE: any(cell.stale for cell in cells),
        TWO_CODES: any(cell.several_codes for cell in cells),
        FAILED: any(cell.failed for cell in cells),
        f"(not recorded): runs that {earlier([UNRECORDED])}": UNRECORDED in parts,
        f"(earlier …): {earlier(recorded)}": bool(recorded),
    }
    return [text for text, applies in notes.items() if applies]


def notes_on_doubled(cells: Iterable[Entry]) -> list[str]:
    """Return the note on seeds with several runs in one cell: none of them counts."""
    seeds = []
    for cell in cells:
        place = f"{cell.row.method} on {cell.column.name} {k_title(cell.terms.k)}"
        for seed, keys in cell.doubled:
            short = " and ".join(key[:8] for key in keys)
            seeds.append(f"{place}, seed {seed}: {short}")
    if not seeds:
        return []
    note = f"{DOUBLED} a seed with several runs counts in no mean (bench show KEY describes a run)"
    more = f"; and {len(seeds) - MOST} more" if len(seeds) > MOST else ""
    return [f"{note}: {'; '.join(seeds[:MOST])}{more}"]


def notes_on_int8(cells: Iterable[Entry]) -> list[str]:
    """Name the methods among some cells whose costs are not those of the 8 bits they stand for."""
    names = sorted({with_preset(cell.row.method) for cell in cells if cell.simulates_int8})
    return [SIMULATED + ", ".join(names)] if names else []
