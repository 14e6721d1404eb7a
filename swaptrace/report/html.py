"""The HTML report: one file that needs nothing else, and the charts as PNG beside it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swaptrace.progress import track
from swaptrace.report import bounded, by, style, tables, words
from swaptrace.report.charts import CHARTS
from swaptrace.report.findings import findings
from swaptrace.report.page import render
from swaptrace.results.results import AreaResult, TraceResult


@dataclass(frozen=True)
class _Picture:
    title: str
    caption: str
    source: str  # a data: URI


@dataclass(frozen=True)
class _Section:
    """What the template shows of one area."""

    anchor: str
    title: str
    line: str
    headline: str  # empty for the area that the first sentence of the page is about
    tables: list[tables.Table]
    pictures: list[_Picture]


def write_html(result: TraceResult, folder: Path, groups: by.Breakdown | None = None) -> Path:
    """Write folder/report.html and folder/<area>-<chart>.png; makes the folder. Returns the page's path.

    groups: whose the pages are, if that is wanted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    duration = result.trace.get("duration_s")
    sections = [
        _Section(
            name,
            words.area_title(area),
            words.area_line(area),
            "" if area is words.lead(result) else words.headline(area),
            bounded.area_tables(area, duration),
            _pictures(area, name, folder) if area.exact else [],  # what they show cannot be told if events were lost
        )
        for name, area in zip(area_names(result.areas), result.areas, strict=True)
    ]
    page = folder / "report.html"
    page.write_text(_render(result, sections, groups), encoding="utf-8")
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


def _pictures(area: AreaResult, name: str, folder: Path) -> list[_Picture]:
    """Draw what has data, write it as PNG, and keep the smaller of PNG and SVG for the page."""
    pictures = []
    for chart in track(CHARTS, f"drawing {name}"):
        if chart.has_data(area):
            figure = chart.draw(area)
            png, svg = style.as_png(figure), style.as_svg(figure)
            (folder / f"{name}-{chart.name}.png").write_bytes(png)
            kind, data = ("svg+xml", svg) if len(svg) < len(png) else ("png", png)
            source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
            pictures.append(_Picture(chart.title, chart.caption_of(area), source))
    return pictures


def _render(result: TraceResult, sections: list[_Section], groups: by.Breakdown | None) -> str:
    return render(
        "report.html.j2",
        heading=words.heading(result.trace),
        headline=words.trace_headline(result),
        warnings=words.warnings(result),
        findings=findings(result),
        sections=sections,
        whose=[] if groups is None else by.sentences(groups),
        whose_tables=[] if groups is None else by.tables_of(groups),
        glossary=words.GLOSSARY,
        equal=tables.EQUAL,
        outside=bounded.OUTSIDE,
    )
