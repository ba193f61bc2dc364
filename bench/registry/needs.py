"""Needs of methods that some settings bring: `NEEDS = ("student", "corpus if start=top-1000")`."""

from __future__ import annotations

from dataclasses import replace

from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.types import Settings

IF = " if "
ROWS = "rows"
"""A need, and the setting that names the task whose training rows `prepare` reads."""


def needing(method: MethodInfo, fixed: Settings) -> MethodInfo:
    """Return the method with the needs that it has with some fixed settings, and no others.

    Raises:
        BenchError: a condition on a setting that the method lacks.
    """
    if not any(IF in need for need in method.needs):
        return method
    settings = {**method.settings, **fixed}
    needs = [need.partition(IF)[0] for need in method.needs if _is_met(method, need, settings)]
    return replace(method, needs=tuple(dict.fromkeys(needs)))


def rows_of(method: MethodInfo, fixed: Settings) -> str:
    """Return the task whose rows a preparation reads under some settings, or an empty text."""
    if ROWS not in needing(method, fixed).needs:
        return ""
    return str(fixed.get(ROWS, method.settings[ROWS]))


def _is_met(method: MethodInfo, need: str, settings: Settings) -> bool:
    """True if a need has no condition, or one that the settings meet (`setting=value`)."""
    setting, _, value = need.partition(IF)[2].partition("=")
    if setting and setting not in settings:
        raise BenchError(
            f"NEEDS of '{method.name}' asks for '{need}'",
            where=str(method.file),
            allowed=settings,
            given=setting,
        )
    return not setting or str(settings[setting]) == value
