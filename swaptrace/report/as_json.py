"""The JSON report: one object, stable, described in docs/report-json.md. Plain Python types only, and never NaN."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from swaptrace.analysis.histogram import Histogram, Survival
from swaptrace.analysis.results import AreaResult, Integral, TraceResult, WhatIf
from swaptrace.degradation import unknown_figures
from swaptrace.events import FreeReason

__all__ = ["SCHEMA_VERSION", "as_json"]

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
)
_AREA = (
    "device",
    "swap_type",
    "generation",
    "backing",
    "zram",
    "store",
    "table_bytes",
    "slots",
    "discards",
    "notified",
    "stores",
    "loads",
    "frees",
    "frees_unwritten",
    "rewrites",
    "notify_free",
    "miss_free",
    "discarded",
    "written_back",
    "left_censored",
    "moved",
    "failed_writes",
    "used_slots",
    "live_slots_end",
    "live_compr_bytes_end",
    "ramzswap",
    "swap_header",
)


def as_json(result: TraceResult) -> dict[str, Any]:
    """The whole report, ready for json.dumps(..., allow_nan=False)."""
    unknown = unknown_figures(result.header.get("missing", ()))
    report = {
        "schema_version": SCHEMA_VERSION,
        "trace": {**dict.fromkeys(_TRACE), "summary": False, "areas_left_out": 0, **result.trace},
        "losses": result.lost,
        "missed": result.missed,
        "not_told": list(result.header.get("missing", ())),
        "areas": [_withheld(_area(area) | dict.fromkeys(unknown), area) for area in result.areas],
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def _area(area: AreaResult) -> dict[str, Any]:
    return {
        **{name: getattr(area, name) for name in _AREA},
        **asdict(area.model),
        "kernel": {**asdict(area.kernel), **area.kernel_counts},
        "policies": {name: asdict(policy) for name, policy in area.shown_policies.items()}
        | {name: None for name in area.not_predicted if area.shows(name)},
        "duplicate": {"slots_end": area.duplicate_slots_end, "compr_bytes": asdict(area.duplicate_compr_bytes)},
        "pool": None if area.pool is None else asdict(area.pool),
        "leaks": [asdict(leak) for leak in area.leaks],
        "what_if": {name: _what_if(found, area) for name, found in area.what_if.items()},
        "slot_free_path": area.free_path,
        "recovered": _integrals(area.recovered),
        "leaked": _integrals(area.leaked),
        "lifetime_ns": area.lifetime.summary(),
        "lifetime_by_reason_ns": {reason: _summary(times) for reason, times in area.lifetime_by_reason.items()},
        "time_to_reuse_ns": area.time_to_reuse.summary(),
        "censored": {"lifetime": _running(area.lifetime), "time_to_reuse": _running(area.time_to_reuse)},
        "free_reasons": {reason.name.lower(): 0 for reason in FreeReason} | area.free_reasons,
        "notification_ns": {**_summary(area.notification), "total": area.notification.total},
    }


def _what_if(found: WhatIf, area: AreaResult) -> dict[str, Any]:
    stale = {name: asdict(value) for name, value in found.stale_pool_bytes.items() if area.shows(name)}
    return {"mem_used_total": asdict(found.mem_used_total), "stale_pool_bytes": stale}


def _withheld(report: dict[str, Any], area: AreaResult) -> dict[str, Any]:
    """The same without what is not known exactly, as events were lost or the kernel would have done otherwise; `bounds`
    and `unknown` tell what is known, and why no more."""
    bounds = {figure: [found.low, found.high] for figure, found in area.ranges.items() if _withhold(report, figure)}
    unknown = {figure: why for figure, why in area.unknown.items() if _withhold(report, figure)}
    for figure in area.not_told:
        _withhold(report, figure)
    return report | {"bounds": bounds, "unknown": unknown | _not_predicted(area) | area.not_told}


def _not_predicted(area: AreaResult) -> dict[str, str]:
    """By figure, what is null as other slots would have been used."""
    found = {f"policies.{name}": why for name, why in area.not_predicted.items() if area.shows(name)}
    if "none" in area.not_predicted:
        found |= {f"recovered.{what}": area.not_predicted["none"] for what in ("compr_bytes", "pool_bytes")}
    return found


def _withhold(report: dict[str, Any], figure: str) -> bool:
    """Put null in a figure's place. Whether there was such a figure."""
    *path, name = figure.split(".")
    where: Any = report
    for step in path:
        where = where.get(step) if isinstance(where, dict) else None
    if not isinstance(where, dict) or where.get(name) is None:
        return False
    where[name] = None
    return True


def _integrals(named: dict[str, Integral | None]) -> dict[str, Any]:
    """Both integrals are always there, if only as null."""
    values = dict.fromkeys(("compr_bytes", "pool_bytes")) | named
    return {name: None if value is None else asdict(value) for name, value in values.items()}


def _summary(times: Histogram) -> dict[str, Any]:
    """count, p50, p99 and max of durations (ns)."""
    largest = times.largest if times.count else None
    return {"count": times.count, "p50": times.quantile(0.5), "p99": times.quantile(0.99), "max": largest}


def _running(survival: Survival) -> dict[str, Any]:
    """What is in no quantile: still running at the end, and begun before the recording."""
    return {"right": survival.censored.sum(), "left": survival.left_censored}


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
