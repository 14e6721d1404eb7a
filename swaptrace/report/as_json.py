"""The JSON report: one object, stable, described in docs/report-json.md. Plain Python types only, and never NaN."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

import numpy as np

from swaptrace.report import by
from swaptrace.report.findings import findings
from swaptrace.results.catalogue import untold_figures, values
from swaptrace.results.readahead import readahead
from swaptrace.results.results import AreaResult, TraceResult

SCHEMA_VERSION = 1  # grows when a field changes its meaning or goes away, not when one is added

_TRACE = (
    "path",
    "format_version",
    "kernel",
    "host",
    "start_realtime",
    "duration_s",
    "events",
    "lost_events",
    "complete",
    "damage",
    "labels",
    "marks",
    "since_s",
    "until_s",
)


def as_json(result: TraceResult, groups: by.Breakdown | None = None) -> dict[str, Any]:
    """The whole report, ready for json.dumps(..., allow_nan=False). groups: whose the pages are, if that is wanted."""
    not_told = untold_figures(result.header.get("missing", ()))
    report = {
        "schema_version": SCHEMA_VERSION,
        "trace": {
            **dict.fromkeys(_TRACE),
            "summary": False,
            "areas_left_out": 0,
            "readahead": read_ahead._asdict() if (read_ahead := readahead(result)) else None,
            **result.trace,
        },
        "losses": result.lost,
        "missed": result.missed,
        "not_told": list(result.header.get("missing", ())),
        "findings": [finding.as_json() for finding in findings(result)],
        "areas": [_area(area, not_told) for area in result.areas],
    }
    if groups is not None:
        report["by"] = by.as_json(groups)
    plain: dict[str, Any] = _plain(report)
    return plain


def _area(area: AreaResult, not_told: dict[str, str]) -> dict[str, Any]:
    """Every row of the catalogue, but null for what is not known exactly, as events were lost, the kernel does not tell
    or would have done otherwise; `bounds` and `unknown` say what is known, and why no more."""
    area = area.as_shown
    hidden = _Hidden({*area.ranges, *area.unknown, *area.not_told, *(area.absent.keys() - {"what_if"})})
    report = {name: None if name in not_told else hidden.without(value, name) for name, value in values(area).items()}
    bounds = {figure: [found.low, found.high] for figure, found in area.ranges.items() if figure in hidden.found}
    unknown = {figure: why for figure, why in area.unknown.items() if figure in hidden.found and figure not in bounds}
    absent = {figure: why for figure, why in area.absent.items() if figure not in bounds}
    reasons = {**absent, **unknown, **_not_predicted(area), **area.not_told, **not_told}
    return report | {"bounds": bounds, "unknown": reasons}


class _Hidden:
    """Figures that are not to be shown. found: those of them that there were."""

    def __init__(self, names: Container[str]) -> None:
        self._names = names
        self.found: set[str] = set()

    def without(self, value: Any, name: str) -> Any:
        """A value with null in the place of what is hidden, it itself perhaps."""
        if value is not None and name in self._names:
            self.found.add(name)
            return None
        if isinstance(value, dict):
            return {key: self.without(inside, f"{name}.{key}") for key, inside in value.items()}
        return value


def _not_predicted(area: AreaResult) -> dict[str, str]:
    """By figure, what is null as other slots would have been used."""
    found = {f"policies.{name}": why for name, why in area.not_predicted.items()}
    if "none" in area.not_predicted:
        found |= {f"recovered.{what}": area.not_predicted["none"] for what in ("compr_bytes", "pool_bytes")}
    return found


def _plain(value: Any) -> Any:
    """The same without NumPy types; what is not a finite number is null, for JSON has no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
