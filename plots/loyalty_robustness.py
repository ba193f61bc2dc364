"""How like its teacher a compressed model answers, and its accuracy under attack: thesis Tables 4.1
to 4.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.measure.loyalty import between, own_teacher
from fewbench.plots._points import Point, draw_points
from fewbench.report.figures import Material, Panel, by_name, panels
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ATTACKED = "after_attack_accuracy"


def draw(material: Material, *, loyalty: str = "label") -> Figure:
    """Draw a panel for each task and K that has attacked runs whose teacher's run is stored too."""
    if loyalty not in ("label", "probability"):
        raise BenchError(
            f"no loyalty is called '{loyalty}'", allowed=("label", "probability"), given=loyalty
        )
    stored = {record.run.key: record for record in material.store.records()}
    found: dict[Panel, dict[str, Point]] = {}
    for panel, records in panels(material.records).items():
        for name, some in by_name(records, material.records).items():
            pairs = [pair for record in some if (pair := _pair(record, material, stored, loyalty))]
            if pairs:
                found.setdefault(panel, {})[name] = Point(
                    [x for x, _ in pairs], [y for _, y in pairs]
                )
    if not found:
        problem = (
            "loyalty-robustness needs attacked runs of methods with a teacher, and none are stored"
        )
        raise BenchError(
            problem, fix="bench run --methods truncate+kd,ptq --keep-models, then bench attack"
        )
    return draw_points(found, f"{loyalty} loyalty (%)", "accuracy under attack (%)")[0]


def _pair(
    record: Record, material: Material, stored: dict[str, Record], loyalty: str
) -> tuple[float, float] | None:
    """Return the loyalty of a run to its teacher and its accuracy under attack, in hundredths, if
    both are known.
    """
    attacks = [one for one in material.measured(record, "attack") if ATTACKED in one.scores]
    teacher = own_teacher(record, stored)
    if not attacks or teacher is None:
        return None
    alike = between(teacher, record, material.store)
    return 100 * getattr(alike, loyalty).value, 100 * float(attacks[0].scores[ATTACKED])
