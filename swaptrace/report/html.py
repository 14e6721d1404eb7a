"""The HTML report: one file that needs nothing else, and the charts as PNG beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swaptrace import units
from swaptrace.progress import track
from swaptrace.report import bounded, by, interactive, pictures, style, tables, words
from swaptrace.report.charts import CHARTS
from swaptrace.report.findings import findings
from swaptrace.report.page import render
from swaptrace.report.palette import in_css
from swaptrace.report.plot import HATCHED, Plot
from swaptrace.results.results import AreaResult, TraceResult


@dataclass(frozen=True)
class _Figure:
    """A chart. name: begins the ids of its elements, and with .png it is the picture's file."""

    name: str
    title: str
    plot: Plot
    caption: str


@dataclass(frozen=True)
class _Section:
    """What the template shows of one area."""

    anchor: str
    title: str
    line: str
    headline: str  # empty for the area that the first sentence of the page is about
    tables: list[tables.Table]
    figures: list[_Figure]


def write_html(result: TraceResult, folder: Path, groups: by.Breakdown | None = None) -> Path:
    """Write folder/report.html and folder/<area>-<chart>.png; makes the folder. Returns the page's path.

    groups: whose the pages are, if that is wanted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    duration = result.trace.get("duration_s")
    marks = [(mark["time_s"] - result.begin / 1e9, mark["text"]) for mark in result.trace.get("marks") or ()]
    sections = [
        _Section(
            name,
            words.area_title(area),
            words.area_line(area),
            "" if area is words.lead(result) else words.headline(area),
            bounded.area_tables(area, duration),
            _figures(area, name, marks) if area.exact else [],  # what they show cannot be told if events were lost
        )
        for name, area in zip(area_names(result.areas), result.areas, strict=True)
    ]
    plots = {figure.name: figure.plot for section in sections for figure in section.figures}
    for name, plot in track(list(plots.items()), "drawing"):
        (folder / f"{name}.png").write_bytes(style.as_png(pictures.draw(plot)))
    page = folder / "report.html"
    page.write_text(_render(result, sections, plots, groups), encoding="utf-8")
    return page


def area_names(areas: Sequence[AreaResult]) -> list[str]:
    """A name for each area that is safe in file names and anchors: `zram0`, `zram0-2` for the second of that name."""
    names: list[str] = []
    for area in areas:
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", area.device.rstrip("/").rpartition("/")[2]).strip("._-")[:60] or "area"
        name, again = base, 1
        while name in names:
            again += 1
            name = f"{base}-{again}"
        names.append(name)
    return names


def _figures(area: AreaResult, name: str, marks: Sequence[tuple[float, str]]) -> list[_Figure]:
    """The charts that have something to show. marks: seconds after the beginning of what they show."""
    made = [(chart, chart.plot(area).marked(marks)) for chart in CHARTS]
    return [
        _Figure(f"{name}-{chart.name}", chart.title, plot, chart.caption_of(area))
        for chart, plot in made
        if plot.panels
    ]


def _sortable(table: tables.Table, column: int) -> bool:
    """Whether it makes sense to sort by a column: its figures are of one kind, and there are several."""
    rows = list(table.rows.values())[: len(table.rows) - table.sums]
    found = [units.magnitude(cells[column]) for cells in rows if column < len(cells)]
    return len(found) > 1 and len({each[0] for each in found if each is not None}) == 1


def _key(cell: str) -> float | str:
    """By what a cell is sorted; nothing if nobody knows."""
    found = units.magnitude(cell)
    return "" if found is None else found[1]


def _render(
    result: TraceResult, sections: list[_Section], plots: Mapping[str, Plot], groups: by.Breakdown | None
) -> str:
    return render(
        "report.html.j2",
        heading=words.heading(result),
        headline=words.trace_headline(result),
        findings=findings(result),
        warnings=words.warnings(result),
        sections=sections,
        whose=[] if groups is None else by.sentences(groups),
        whose_tables=[] if groups is None else by.tables_of(groups),
        glossary=words.GLOSSARY,
        equal=tables.EQUAL,
        outside=bounded.OUTSIDE,
        sortable=_sortable,
        key=_key,
        places=interactive.places,
        dash_lengths=interactive.dash_lengths,
        hatched=HATCHED,
        colour=in_css,
        library=interactive.library() if plots else "",
        charts=interactive.embedded(plots) if plots else "",
    )
