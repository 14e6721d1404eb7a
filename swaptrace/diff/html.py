"""A comparison as a page that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.diff import tables, words
from swaptrace.diff.document import Area, Comparison
from swaptrace.report.page import render
from swaptrace.report.tables import Table


@dataclass(frozen=True)
class _Section:
    """What the template shows of one area."""

    area: Area
    verdict: str  # empty if that is what the page begins with
    tables: list[Table]
    rest: list[str]


def page(found: Comparison, *, everything: bool) -> str:
    """The whole page. everything: figures that have not changed as well."""
    return render(
        "diff.html.j2",
        found=found,
        heading=words.heading(found),
        setup=tables.of_setup(found),
        spread=words.of_the_spread(found),
        sections=[_section(area, found, everything=everything) for area in found.areas],
        glossary=words.GLOSSARY,
    )


def _section(area: Area, found: Comparison, *, everything: bool) -> _Section:
    made, rest = tables.of_area(area, several=found.has_spread, everything=everything, wide=True)
    verdict = area.verdict if len(found.areas) > 1 else ""
    return _Section(area, verdict, [*tables.of_area_setup(area), *made], rest)
