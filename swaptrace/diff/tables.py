"""The tables of a comparison: the terminal and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swaptrace.diff import words
from swaptrace.diff.document import Area, Comparison, Fact, Result, Row
from swaptrace.diff.figures import Measure
from swaptrace.report.tables import Table
from swaptrace.results.catalogue import Kind

#: Rows of a table if nothing is said.
MOST = 10


@dataclass(frozen=True)
class _Of:
    """One table: of which figures. measure: what its title says; rows that were decided by another one say so."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    measure: Measure


_TABLES = (
    _Of("memory", "Memory and slots, per page stored", (Kind.INTEGRAL, Kind.STATE), Measure.PER_PAGE_STORED),
    _Of("events", "What happened, per page stored", (Kind.COUNT,), Measure.PER_PAGE_STORED),
    _Of("shares", "Shares and ratios", (Kind.RATIO,), Measure.ABSOLUTE),
    _Of("durations", "Durations", (Kind.QUANTILE,), Measure.ABSOLUTE),
)


def of_setup(found: Comparison) -> list[Table]:
    """What is not the same of kernel, machine and recording: a table, or none."""
    return _facts(found.setup, "What is not the same of the set-up")


def of_area_setup(area: Area) -> list[Table]:
    """What of an area is not the same: a table, or none."""
    return _facts(area.setup, "What is not the same of the area")


def _facts(facts: Sequence[Fact], title: str) -> list[Table]:
    rows = {fact.name: [fact.a, fact.b] for fact in facts}
    return [Table("setup", title, rows, ["A", "B"], good={})] if rows else []


def of_area(area: Area, *, several: bool, everything: bool, wide: bool) -> tuple[list[Table], list[str]]:
    """The tables of an area, and what is to be said of the figures that they do not show.

    everything: what has not changed as well, and no limit. wide: absolute figures beside those that were compared,
    where there is a spread, too.
    """
    made, shown, alike = [], 0, 0
    for of in _TABLES:
        rows = [row for row in area.figures if row.kind in of.kinds and (everything or row.result is Result.CHANGED)]
        if not everything:
            distinct = _distinct(rows)
            alike += len(rows) - len(distinct)
            rows = distinct[:MOST]
        shown += sum(row.result is Result.CHANGED for row in rows)
        if rows:
            made.append(_table(of, rows, absolute=of.measure != Measure.ABSOLUTE and (wide or not several)))
    return made, words.rest(area.figures, shown, alike)


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Without those that have the very values of an earlier one: what would be stale under two policies alike, say."""
    first = {(row.unit, *(row.measures[measure] for measure in sorted(row.measures))): row for row in reversed(rows)}
    return [row for row in rows if any(row is other for other in first.values())]


def _table(of: _Of, rows: Sequence[Row], *, absolute: bool) -> Table:
    cells = {_label(row, of): _cells(row, absolute=absolute) for row in rows}
    columns = ["A", "B", "change", *(["A in all", "B in all"] if absolute else [])]
    return Table(of.name, of.title, cells, columns, good={_label(row, of): row.good for row in rows})


def _label(row: Row, of: _Of) -> str:
    if row.measure is None or row.measure == of.measure:
        return words.label(row.name)
    return f"{words.label(row.name)} ({Measure(row.measure).words})"


def _cells(row: Row, *, absolute: bool) -> list[str]:
    cells = [*_pair(row, row.measure), words.change(row)]
    return [*cells, *_pair(row, Measure.ABSOLUTE)] if absolute else cells


def _pair(row: Row, measure: str | None) -> list[str]:
    pair = row.measures.get(measure or "")
    return ["", ""] if pair is None else [words.spread(side, row, measure) for side in (pair.a, pair.b)]
