"""The page: what its charts are given is what is in the results, in order, and no more than a page can hold."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import FixedTicker, GlyphRenderer, HoverTool
from bokeh.models.glyphs import Image, Quad, Step, VAreaStep
from test_charts import distinct
from test_report import SECONDS, disk_area, result

from swaptrace import units
from swaptrace.engine.constants import BINS, MAP_ROWS
from swaptrace.findings.finding import Advice, Finding, Severity
from swaptrace.histogram import BUCKETS, Survival
from swaptrace.report import charts, interactive, palette
from swaptrace.report.html import write_html
from swaptrace.report.plot import Area, Line, Panel, Plot, Strips
from swaptrace.report.tables import Table
from swaptrace.results.results import AreaResult, Series, SlotMap
from tests.unit.fixtures import DATA, TRACE


@pytest.fixture(scope="module")
def area() -> AreaResult:
    return distinct()


@pytest.fixture(scope="module")
def plots(area: AreaResult) -> dict[str, Plot]:
    return {chart.name: chart.plot(area) for chart in charts.CHARTS}


def unpacked(packed: str) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(base64.b64decode(packed))))


@pytest.fixture(scope="module")
def data(plots: dict[str, Plot]) -> dict[str, Any]:
    return unpacked(interactive.embedded(plots))


@pytest.fixture(scope="module")
def drawn(data: dict[str, Any]) -> Document:
    return Document.from_json(data["document"])


def panels(plots: Mapping[str, Plot], data: dict[str, Any], drawn: Document) -> Iterator[tuple[str, Panel, Any]]:
    """(name of the chart, panel, Bokeh's figure of it)."""
    figures = {data["roots"][root.id]: root for root in drawn.roots}
    for name, plot in plots.items():
        for place, panel in zip(interactive.places(name, plot), plot.panels, strict=True):
            yield name, panel, figures.pop(place)
    assert not figures


def glyphs(figure: Any, kind: type) -> list[GlyphRenderer]:
    """Those that are seen on light paper."""
    return [each for each in figure.renderers if isinstance(each.glyph, kind) and each.visible]


# ----------------------------------------------------------------------------------------------------------- the charts


def test_marks_are_drawn_as_they_are(plots: dict[str, Plot], data: dict[str, Any], drawn: Document) -> None:
    """Each value holds from its edge to the next."""
    seen = 0
    for name, panel, figure in panels(plots, data, drawn):
        lines, areas = glyphs(figure, Step), glyphs(figure, VAreaStep)
        for mark, renderer in zip([mark for mark in panel.marks if isinstance(mark, Line)], lines, strict=True):
            columns = renderer.data_source.data
            assert renderer.glyph.mode == "after" and renderer.glyph.line_color == mark.look.color, name
            assert np.array_equal(columns["x"], mark.edges) and np.array_equal(columns["y"][:-1], mark.values)
            seen += 1
        for mark, renderer in zip([mark for mark in panel.marks if isinstance(mark, Area)], areas, strict=True):
            columns = renderer.data_source.data
            assert renderer.glyph.step_mode == "after" and renderer.glyph.fill_color == mark.color, name
            assert np.array_equal(columns["low"][:-1], mark.low) and np.array_equal(columns["high"][:-1], mark.high)
            assert np.array_equal(columns["x"], mark.edges)
            seen += 1
    assert seen == sum(
        isinstance(mark, Line | Area) for plot in plots.values() for p in plot.panels for mark in p.marks
    )
    assert seen > 15


def test_axes(plots: dict[str, Plot], data: dict[str, Any], drawn: Document) -> None:
    for name, panel, figure in panels(plots, data, drawn):
        assert (figure.x_range.start, figure.x_range.end) == (panel.x.low, panel.x.high), name
        assert (figure.y_range.start, figure.y_range.end) == (panel.y.low, panel.y.high), name
        assert figure.yaxis[0].axis_label == panel.y.label
        assert figure.xaxis[0].axis_label == (panel.x.label if panel is plots[name].panels[-1] else "")
        for axis, drawn_axis in ((panel.x, figure.xaxis[0]), (panel.y, figure.yaxis[0])):
            if axis.ticks is not None:
                assert isinstance(drawn_axis.ticker, FixedTicker)
                said = {at: drawn_axis.major_label_overrides[at] for at in drawn_axis.ticker.ticks}
                assert said == axis.ticks


def test_what_is_over_time_moves_together(area: AreaResult, plots: dict[str, Plot]) -> None:
    """Of several areas, too; the others by themselves, but for the rows of one chart."""
    short = dataclasses.replace(area, series=dataclasses.replace(area.series, time=area.series.time // 2))
    both = {**plots, **{f"short-{chart.name}": chart.plot(short) for chart in charts.CHARTS}}
    data = unpacked(interactive.embedded(both))
    document = Document.from_json(data["document"])
    ranges: dict[str, set[str]] = {}
    for name, _, figure in panels(both, data, document):
        ranges.setdefault(name.removeprefix("short-"), set()).add(figure.x_range.id)
    over_time = ranges["content"]
    assert ranges["policies"] == ranges["pool"] == ranges["map"] == over_time and len(over_time) == 1
    assert data["times"] == dict.fromkeys(over_time, "seconds")
    assert all(len(ranges[name]) == 2 and not ranges[name] & over_time for name in ("lifetimes", "reuse", "reasons"))
    (shared,) = (document.get_model_by_id(each) for each in over_time)
    assert (shared.start, shared.end) == (0, SECONDS) and tuple(shared.bounds) == (0, SECONDS)


def tooltips(figure: Any) -> dict[str, list[str]]:
    """What the pointer is told, by what it is called; where it is told that."""
    (hover,) = (tool for tool in figure.tools if isinstance(tool, HoverTool))
    (renderer,) = hover.renderers
    columns = renderer.data_source.data
    told = {name: list(columns[field.removeprefix("@")]) for name, field in hover.tooltips}
    assert isinstance(renderer.glyph, Quad) and renderer.glyph.fill_alpha.value == 0
    return told | {"left": list(columns["left"]), "right": list(columns["right"])}


def test_values_are_told_where_they_hold(
    area: AreaResult, plots: dict[str, Plot], data: dict[str, Any], drawn: Document
) -> None:
    told = {name: tooltips(figure) for name, panel, figure in panels(plots, data, drawn) if panel.readings}
    edges = np.concatenate([[0], area.series.time]) / 1e9
    expected = {
        "content": {
            "live": area.series.bytes["live"],
            "stale, still held": np.minimum(area.series.bytes["observed"], area.series.bytes["none"]),
            "stale without notifications": area.series.bytes["none"],
            "held by the store (observed)": area.series.bytes["live"] + area.series.bytes["observed"],
        },
        "policies": {name: area.series.bytes[name] for name in area.policies},
        "pool": {name: area.series.pool_bytes[name] for name in area.policies},
    }
    for name, columns in expected.items():
        assert told[name]["left"] == list(edges[:-1]) and told[name]["right"] == list(edges[1:])
        assert told[name]["until"] == [f"{end:,.2f} seconds" for end in edges[1:]]
        assert [*told[name]] == ["until", *columns, "left", "right"]
        for what, values in columns.items():
            assert told[name][what] == [units.size(value) for value in values], (name, what)
    ages, alive = area.lifetime.estimate()
    assert told["lifetimes"]["after"][1:] == [units.duration(age) for age in ages]
    assert told["lifetimes"]["still in use"] == [units.percent(share) for share in (1.0, *alive)]
    assert told["sizes"]["pages"][0] == units.count(area.sizes[0])
    assert told["sizes"]["compressed to"][1:3] == ["1 to 64 bytes", "65 to 128 bytes"]
    assert told["sizes"]["pages"][1:3] == [units.count(area.sizes[low : low + 64].sum()) for low in (1, 65)]


def test_slots_of_the_map_are_told(plots: dict[str, Plot], data: dict[str, Any], drawn: Document) -> None:
    (found,) = ((panel, figure) for name, panel, figure in panels(plots, data, drawn) if name == "map")
    panel, figure = found
    (strips,) = panel.marks
    assert isinstance(strips, Strips)
    seen, hidden = (renderer for renderer in figure.renderers if isinstance(renderer.glyph, Image))
    assert np.array_equal(seen.data_source.data["cells"][0], strips.cells())
    assert seen.glyph.color_mapper.palette == ["#00000000", palette.LIVE, palette.STALE]
    (hover,) = (tool for tool in figure.tools if isinstance(tool, HoverTool))
    assert hover.renderers == [hidden] and hidden.glyph.global_alpha.value == 0
    told = {name: field.removeprefix("@").partition("{")[0] for name, field in hover.tooltips}
    for label, counts in strips.counts.items():
        assert np.array_equal(hidden.data_source.data[told[label]][0], counts)
    assert dict(hover.tooltips)["of"] == f"{strips.per_row:,}"
    for each in (seen.glyph, hidden.glyph):
        place = [each.x, each.y, each.dw, each.dh]
        assert [spec.value for spec in place] == [0, 0, SECONDS, strips.top]


def test_all_ink_is_light_on_dark_paper(data: dict[str, Any], drawn: Document) -> None:
    """Colours that are hard to see there: each has another one, or is of a glyph that has a twin."""
    paints = {(model, name): (light, dark) for model, name, light, dark in data["paints"]}
    twins = {"light": 0, "dark": 0}
    for renderer in drawn.select({"type": GlyphRenderer}):
        if renderer.tags:
            (paper,) = renderer.tags
            twins[paper] += 1
            assert renderer.visible == (paper == "light")
            assert paints[renderer.id, "visible"] == (paper == "light", paper == "dark")
    assert twins["light"] == twins["dark"] > 3
    ink = [(model, name) for model in drawn.models for name in model.properties() if "color" in name]
    glyph_ids = {renderer.glyph.id for renderer in drawn.select({"type": GlyphRenderer}) if renderer.tags == ["light"]}
    hard = [(model, name) for model, name in ink if getattr(model, name) in [*palette.DARK]]
    assert len(hard) > 50
    for model, name in hard:
        if model.id not in glyph_ids and not isinstance(model, Quad):  # what is below the pointer is seen on both
            assert paints[model.id, name] == (getattr(model, name), palette.DARK[getattr(model, name)])


# --------------------------------------------------------------------------------------------------------------- tables


def rows_of(page: str, title: str) -> str:
    return page.partition(f"<h3>{title}</h3>")[2].partition("</table>")[0]


def test_columns_that_can_be_sorted(area: AreaResult, tmp_path: Path) -> None:
    """Those whose figures are of one kind."""
    page = write_html(result(area), tmp_path).read_text(encoding="utf-8")
    pools = rows_of(page, "Stale pool bytes (pages of memory), by policy")
    assert re.findall(r'<th scope="col"><button type="button">(.*?)</button></th>', pools) == [
        "end", "peak", "mean", "byte-seconds",
    ]  # fmt: skip
    keys = [units.magnitude(units.size(policy.stale_pool_bytes.end)) for policy in area.policies.values()]  # type: ignore[union-attr]
    assert re.findall(r'</th><td data-key="(.*?)">', pools) == [str(key[1]) for key in keys if key]
    assert "<button" not in rows_of(page, "How long slots are in use, and stay free")  # numbers of slots, and times
    reasons = rows_of(page, "Why slots were freed")
    assert '<th scope="col" class="words">meaning</th>' in reasons and reasons.count("<button") == 4


def test_sums_stay_below_what_is_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("x", "Whose", {"one": ["1"], "two": ["2"], "three": ["7 B"], "all": ["3"]}, ["slots"], sums=2)
    monkeypatch.setattr("swaptrace.report.bounded.area_tables", lambda *_: [table])
    shown = rows_of(write_html(result(disk_area()), tmp_path).read_text(encoding="utf-8"), "Whose")
    body, _, foot = shown.partition("<tfoot>")
    assert re.findall(r'<th scope="row">(.*?)</th>', body) == ["one", "two"] and "<button" in body
    assert re.findall(r'<th scope="row">(.*?)</th>', foot) == ["three", "all"]


# ------------------------------------------------------------------------------------------------------------- the page


def test_findings_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advice = (Advice("Mend it.", ("echo 1 > there",)), Advice("Or not."))
    found = [Finding("leak", Severity.CRITICAL, "zram0", "It leaks <b>.", {}, advice),
             Finding("large", Severity.INFO, "zram0", "It is large.")]  # fmt: skip
    monkeypatch.setattr("swaptrace.report.html.findings", lambda _: found)
    page = write_html(result(disk_area()), tmp_path).read_text(encoding="utf-8")
    order = ['class="headline"', "finding critical", "It leaks &lt;b&gt;.", "Mend it.", "echo 1 &gt; there", "Or not."]
    places = [page.index(text) for text in [*order, "finding info", "It is large.", '<dl class="facts">']]
    assert places == sorted(places)
    monkeypatch.undo()
    assert 'class="findings"' not in write_html(result(disk_area()), tmp_path).read_text(encoding="utf-8")


def test_a_page_is_bounded_by_bins(tmp_path: Path) -> None:
    """What any number of events can make of an area, and nothing of it like anything else, is a part of 5 MB."""
    rng = np.random.default_rng(1)
    area = distinct()
    names = ["live", *area.policies]
    series = {name: rng.integers(0, 1 << 40, BINS) for name in names}
    time = np.sort(rng.choice(86_400_000, BINS, replace=False)) * 1_000_000
    map_ = SlotMap(*rng.integers(0, 1 << 10, (2, BINS, MAP_ROWS)).astype(np.int32), 1 << 11, MAP_ROWS << 11)
    times = Survival(*rng.integers(0, 1 << 30, (2, BUCKETS)), largest=1 << 60)
    worst = dataclasses.replace(
        area, series=Series(time, series, series, series), slot_map=map_, lifetime=times, time_to_reuse=times
    )
    page = write_html(result(worst), tmp_path)
    assert len(interactive.library()) < page.stat().st_size < 3_500_000
    assert len(interactive.library()) < 1_500_000


def test_the_same_trace_makes_the_same_page(tmp_path: Path) -> None:
    for seed in "12":
        subprocess.run(
            [sys.executable, "-m", "swaptrace", "report", DATA / "6.1" / TRACE, "--format", "html", "-o", seed,
             "--device", "/tmp/areas/swap"],
            cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True,
        )  # fmt: skip
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in "12")
    assert one == other and len(one) > 4


def test_nothing_to_draw_needs_no_library(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int64)
    none = np.zeros((0, 0), np.int32)
    bare = dataclasses.replace(disk_area(), series=Series(nothing, {}, {}), slot_map=SlotMap(none, none, 1, 0))
    page = write_html(result(bare), tmp_path).read_text(encoding="utf-8")
    assert len(page) < 100_000 and 'class="times"' not in page
