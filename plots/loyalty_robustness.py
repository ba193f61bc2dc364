"""Accuracy under attack against loyalty to the teacher: thesis Tables 4.1 to 4.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.measure.loyalty import between, own_teacher
from fewbench.plots._points import Point, draw_points, point_of
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
    points: dict[Panel, dict[str, Point]] = {}
    for panel, records in panels(material.records).items():
        for name, runs in by_name(records, material.records).items():
            pairs = [_pair(record, material, stored, loyalty) for record in runs]
            if point := point_of(pairs):
                points.setdefault(panel, {})[name] = point
    if not points:
        raise BenchError(
            "loyalty-robustness needs attacked runs of methods with a teacher, and none are stored",
            fix="bench run --methods truncate+kd,ptq --keep-models, then bench attack",
        )
    return draw_points(points, f"{loyalty} loyalty (%)", "score under attack")[0]


def _pair(
    record: Record, material: Material, stored: dict[str, Record], loyalty: str
) -> tuple[float, float] | None:
    """Return a run's loyalty and its accuracy under attack in hundredths, or None if unknown."""
    attacks = [a for a in material.measured(record, "attack") if ATTACKED in a.scores]
    teacher = own_teacher(record, stored)
    if not attacks or teacher is None:
        return None
    agreement = between(teacher, record, material.store)
    return 100 * getattr(agreement, loyalty).value, 100 * float(attacks[0].scores[ATTACKED])
