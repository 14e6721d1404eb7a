"""The tables of an area of which events were lost: from where to where each figure lies, instead of what was counted.

That a figure of the model and one of the kernel are equal is never said there: only whether the kernel's lies within.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

from swaptrace import units
from swaptrace.report import tables, words
from swaptrace.report.tables import Table
from swaptrace.results.catalogue import bounded_figures
from swaptrace.results.results import COMPARISONS, AreaResult, Range

WITHIN, OUTSIDE = "within", "OUTSIDE"
_BOUNDS = ["at least", "at most"]

_LOST = "Events were lost: that the model and the kernel agree cannot be shown, only that they do not differ by more."

#: Tables that are as ever if this figure is known.
_AS_EVER = {
    tables.pool_table: "pool",
    tables.what_if_table: "what_if",
    tables.age_table: "age",
    tables.write_back_table: "what_if",
    tables.times_table: "lifetime_ns",
    tables.notification_table: "notification_ns",
    tables.ramzswap_table: "ramzswap",
}


def area_tables(area: AreaResult, duration_s: float | None) -> list[Table]:
    """Every table that has something to say about the area: with bounds if it is not exact."""
    if area.exact:
        return tables.area_tables(area, duration_s)
    as_ever = (build(area, duration_s) for build, figure in _AS_EVER.items() if figure not in area.unknown)
    made = [_content(area), _stale(area), _activity(area), *as_ever]
    return [table for table in made if table is not None and table.rows]


def _bounds(area: AreaResult) -> dict[str, Range]:
    """The bounds of all figures that have any; those of an exact one are the same."""
    exact = {
        figure: Range(value, value) for figure, value in bounded_figures(area).items() if figure not in area.unknown
    }
    return exact | area.ranges


def _cells(found: Range | None, show: Callable[[int], str]) -> list[str]:
    if found is None:
        return [units.DASH, units.DASH]
    return [show(found.low), units.DASH if found.high is None else show(found.high)]


def _content(area: AreaResult) -> Table | None:
    """What the store holds at the end: the model's bounds, and whether the kernel's counter is within."""
    bounds, kernel = _bounds(area), {**asdict(area.kernel), "used_slots": area.kernel_counts.get("used_slots")}
    rows = {}
    for name, theirs in kernel.items():
        found, show = bounds.get(name), tables.show(name)
        if found is None and theirs is None:
            continue
        rows[name] = [*_cells(found, show), show(theirs), _where(found, theirs)]
    note = "" if area.not_understood else _LOST
    return Table("content", "What the store holds at the end", rows, [*_BOUNDS, "kernel", ""], note)


def _where(found: Range | None, value: int | None) -> str:
    if found is None or value is None:
        return units.DASH
    return WITHIN if found.low <= value and (found.high is None or value <= found.high) else OUTSIDE


def _stale(area: AreaResult) -> Table | None:
    """Stale slots and compressed bytes under each policy, what notifications recover, and what leaked."""
    if not words.holds_memory(area):
        return None
    bounds, rows = _bounds(area), {}
    for name, figure in _stale_figures(area):
        if (found := bounds.get(figure)) is not None:
            rows[name] = _cells(found, tables.show(figure))
    return Table("stale", "Stale slots and compressed bytes, by policy", rows, _BOUNDS)


def _stale_figures(area: AreaResult) -> Iterator[tuple[str, str]]:
    """(name of the row, figure)."""
    for policy in area.shown_policies:
        for end in ("end", "peak"):
            yield f"{policy}: slots, {end}", f"policies.{policy}.stale_slots_{end}"
            yield f"{policy}: bytes, {end}", f"policies.{policy}.stale_compr_bytes.{end}"
    for what in ("recovered", "leaked", "duplicate"):
        if not all(map(area.shows, COMPARISONS.get(what, ()))):
            continue
        for end in ("end", "peak"):
            yield f"{what}: bytes, {end}", f"{what}.compr_bytes.{end}"


def _activity(area: AreaResult) -> Table | None:
    """Everything that was counted, and why slots were freed."""
    bounds, rows = _bounds(area), {}
    for row in (*tables.ACTIVITY, *tables.REASONS):
        found = bounds.get(row.name)
        if found is not None and found.high != 0:
            rows[row.name.removeprefix("free_")] = [*_cells(found, units.count), row.words]
    return Table("activity", "What happened", rows, [*_BOUNDS, tables.WORDS])
