"""Charts as the page shows them, by Bokeh: what is drawn is in `plot.py`.

What has words around a chart (title, legend, caption) is the page's own; here are axes, marks, and what is told of the
place below the pointer. Colours are those of light paper; for dark paper, `Embedded.paints` has what changes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import singledispatch
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearAxis,
    LinearColorMapper,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    WheelZoomTool,
)
from bokeh.models.annotations import Label, Span
from bokeh.models.axes import Axis as BokehAxis
from bokeh.models.glyph import Glyph
from bokeh.models.glyphs import Image, Quad, Scatter, Segment, Step, VAreaStep
from bokeh.models.labeling import NoOverlap
from bokeh.models.renderers import DataRenderer, GlyphRenderer
from bokeh.plotting import figure as Figure
from bokeh.resources import Resources
from bokeh.themes import Theme
from numpy.typing import NDArray

from swaptrace.policies import Line as Look
from swaptrace.report.palette import AXIS, DARK, GRID, INK, MUTED
from swaptrace.report.plot import AIMED, HATCHED, Area, Axis, Bars, Floats, Line, Panel, Plot, Point, Rule, Strips

_HEIGHT = 340  # pixels
_MAP_HEIGHT = 460
_ROW_HEIGHT = 120
_FONT = "system-ui, sans-serif"
_CLEAR = "#00000000"

_THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_alpha": 0,
                "border_fill_alpha": 0,
                "outline_line_alpha": 0,
                "min_border_left": 76,
                "min_border_right": 18,
            },
            "Axis": {
                "axis_line_color": AXIS,
                "major_tick_line_color": AXIS,
                "minor_tick_line_alpha": 0,
                "axis_label_text_color": INK,
                "axis_label_text_font": _FONT,
                "axis_label_text_font_style": "normal",
                "major_label_text_color": INK,
                "major_label_text_font": _FONT,
                "major_label_text_font_size": "13px",
            },
            "Grid": {"grid_line_color": GRID},
            "Label": {"text_color": INK, "text_font": _FONT, "text_font_size": "13px"},
        }
    }
)  # fmt: skip

#: As matplotlib has them, in widths of the line.
_DASHES: dict[str, tuple[float, ...]] = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6)}


def dash_lengths(look: Look) -> list[int]:
    """Pixels drawn and left out, by turns; none for a line without gaps."""
    lengths = _DASHES[look.dashes] if isinstance(look.dashes, str) else look.dashes[1]
    return [max(round(length * look.width), 1) for length in lengths]


def library() -> str:
    """The JavaScript that draws, all that is needed of it."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def places(name: str, plot: Plot) -> list[str]:
    """The ids of the elements that a plot's panels are drawn into."""
    return [f"{name}-{number}" for number in range(len(plot.panels))]


def embedded(plots: Mapping[str, Plot]) -> str:
    """The data of all charts, for the page's script: JSON, compressed by gzip, in base64.

    plots: by name, see `places`. In it: `document`, Bokeh's; `roots`, the element of each root; `times`, the unit of
    each range of time that charts share; `paints`, for dark paper: model, property, colour on
    light paper, colour on dark.
    """
    document, roots, times = Document(theme=_THEME), {}, _times(plots.values())
    for name, plot in plots.items():
        x_range = None
        for place, panel in zip(places(name, plot), plot.panels, strict=True):
            x_range = x_range or times.get(panel.x.label) or _range(panel.x.low, panel.x.high)
            figure = _figure(plot, panel, x_range)
            document.add_root(figure)
            roots[figure.id] = place
    also = {
        "times": {each.id: label.partition(" ")[0] for label, each in times.items()},
        "paints": list(_paints(document)),
    }
    data = json.dumps({"document": document.to_json(deferred=False), "roots": roots, **also})
    return base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode("ascii")


def _paints(document: Document) -> Iterator[tuple[str, str, object, object]]:
    """What is another one on dark paper: colours, and which of two glyphs is seen."""
    for model in sorted(document.models, key=lambda model: model.id):
        if isinstance(model, GlyphRenderer) and model.tags:
            yield model.id, "visible", model.tags == ["light"], model.tags == ["dark"]
        if not isinstance(model, Glyph):
            for name in sorted(model.properties()):
                color = getattr(model, name) if "color" in name else None
                if isinstance(color, str) and color in DARK:
                    yield model.id, name, color, DARK[color]


def _add(figure: Figure, source: ColumnDataSource, glyph: Glyph) -> None:
    """Draw a glyph; in ink, it is drawn twice, and one of them is seen. (A glyph's own colour changes too late for
    printing, in a later turn of the browser's loop.)
    """
    drawn = figure.add_glyph(source, glyph)
    inks = {name: DARK[color] for name in glyph.properties() if (color := getattr(glyph, name)) in [*DARK]}
    if inks:
        drawn.tags = ["light"]
        figure.add_glyph(source, glyph.clone(**inks)).update(tags=["dark"], visible=False)


def _times(plots: Iterable[Plot]) -> dict[str, Range1d]:
    """By the axis's label, which has the unit: the range that all charts over time share."""
    ends: dict[str, float] = {}
    for axis in (plot.panels[0].x for plot in plots if plot.panels):
        if axis.together:
            ends[axis.label] = max(axis.high, ends.get(axis.label, 0))
    return {label: _range(0, end) for label, end in ends.items()}


def _range(low: float, high: float) -> Range1d:
    """Which cannot be moved beyond its ends."""
    return Range1d(start=low, end=high, bounds=(low, high))


def _figure(plot: Plot, panel: Panel, x_range: Range1d) -> Figure:
    first, last = panel is plot.panels[0], panel is plot.panels[-1]
    drag = BoxZoomTool(dimensions="width")
    wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True}, zoom_together="none")
    figure = Figure(
        height=_height(panel) + (30 if last else 0), sizing_mode="stretch_width", x_range=x_range,
        y_range=Range1d(start=panel.y.low, end=panel.y.high), x_axis_type="log" if panel.x.log else "linear",
        tools=[drag, PanTool(dimensions="width"), wheel, ResetTool()], active_drag=drag, active_scroll=wheel,
        toolbar_location="above" if first else None,
    )  # fmt: skip
    figure.toolbar.logo = None
    figure.xgrid.visible = False
    _axis(figure.xaxis[0], panel.x, panel.x.label if last else "")
    _axis(figure.yaxis[0], panel.y, panel.y.label)
    if panel.y.ticks == {}:
        figure.yaxis.visible = False
    if panel.right:
        figure.ygrid.visible = False
        figure.extra_y_ranges = {"right": Range1d(start=panel.right.low, end=panel.right.high)}
        right = LinearAxis(y_range_name="right")
        _axis(right, panel.right, panel.right.label)
        figure.add_layout(right, "right")
    for mark in panel.marks:
        _mark(mark, figure, panel)
    _readings(figure, panel)
    return figure


def _height(panel: Panel) -> int:
    return _ROW_HEIGHT if panel.title else _MAP_HEIGHT if panel.right else _HEIGHT


def _axis(drawn: BokehAxis, axis: Axis, label: str) -> None:
    drawn.axis_label = label
    drawn.major_label_policy = NoOverlap(min_distance=8)
    if axis.ticks is None:
        drawn.formatter = NumeralTickFormatter(format="0,0.[000]")
    else:
        drawn.ticker = FixedTicker(ticks=[*axis.ticks])
        drawn.major_label_overrides = {float(at): words for at, words in axis.ticks.items()}


def _readings(figure: Figure, panel: Panel) -> None:
    """Nothing to see, until the pointer is there."""
    if panel.readings is None:
        return
    told = panel.readings
    columns = {f"said{number}": words for number, words in enumerate(told.columns.values())}
    source = ColumnDataSource({"left": told.left, "right": told.right, **columns})
    hidden = Quad(left="left", right="right", bottom=panel.y.low, top=panel.y.high, fill_alpha=0, line_alpha=0)
    seen = hidden.clone(fill_color=MUTED, fill_alpha=0.25, line_color=MUTED, line_alpha=0.6)
    drawn = figure.add_glyph(source, hidden, hover_glyph=seen)
    tooltips = [(name, f"@said{number}") for number, name in enumerate(told.columns)]
    figure.add_tools(_hover(drawn, tooltips))


def _hover(drawn: DataRenderer, tooltips: list[tuple[str, str]]) -> HoverTool:
    return HoverTool(
        renderers=[drawn], tooltips=tooltips, point_policy="follow_mouse", attachment="horizontal", visible=False
    )


@singledispatch
def _mark(mark: object, figure: Figure, panel: Panel) -> None:
    raise TypeError(mark)


@_mark.register
def _area(mark: Area, figure: Figure, panel: Panel) -> None:
    source = ColumnDataSource({"x": mark.edges, "low": _closed(mark.low), "high": _closed(mark.high)})
    glyph = VAreaStep(
        x="x", y1="low", y2="high", step_mode="after", fill_color=mark.color,
        fill_alpha=HATCHED if mark.hatched else mark.alpha, hatch_pattern="/" if mark.hatched else None,
        hatch_color=mark.color, hatch_scale=9.0,
    )  # fmt: skip
    _add(figure, source, glyph)


@_mark.register
def _line(mark: Line, figure: Figure, panel: Panel) -> None:
    source = ColumnDataSource({"x": mark.edges, "y": _closed(mark.values)})
    glyph = Step(
        x="x", y="y", mode="after", line_color=mark.look.color, line_width=mark.look.width,
        line_dash=dash_lengths(mark.look),
    )  # fmt: skip
    _add(figure, source, glyph)


def _closed(values: Floats) -> Floats:
    """With the last value once more, for the end of its interval."""
    return np.concatenate([values, values[-1:]])


@_mark.register
def _bars(mark: Bars, figure: Figure, panel: Panel) -> None:
    source = ColumnDataSource({"left": mark.left, "right": mark.right, "top": mark.heights})
    glyph = Quad(left="left", right="right", bottom=0, top="top", fill_color=mark.color, line_alpha=0)
    _add(figure, source, glyph)


@_mark.register
def _rule(mark: Rule, figure: Figure, panel: Panel) -> None:
    figure.add_layout(
        Span(
            location=mark.at, dimension="height", line_color=AIMED.color, line_width=AIMED.width,
            line_dash=dash_lengths(AIMED),
        )
    )  # fmt: skip
    if mark.label:
        figure.add_layout(Label(x=mark.at, y=panel.y.high, text=mark.label, x_offset=6, text_baseline="top"))


@_mark.register
def _point(mark: Point, figure: Figure, panel: Panel) -> None:
    lines = ColumnDataSource(
        {"x0": [panel.x.low, mark.x], "y0": [mark.y, mark.y], "x1": [mark.x, mark.x], "y1": [mark.y, panel.y.low]}
    )
    dashed = Segment(line_color=AIMED.color, line_width=AIMED.width, line_dash=dash_lengths(AIMED))
    _add(figure, lines, dashed)
    dot = Scatter(x="x", y="y", size=9, fill_color=INK, line_alpha=0)
    _add(figure, ColumnDataSource({"x": [mark.x], "y": [mark.y]}), dot)
    late = panel.x.share_of(mark.x) > 0.62
    figure.add_layout(
        Label(
            x=mark.x, y=mark.y, text=mark.label, x_offset=-9 if late else 9, y_offset=-22 if late else 9,
            text_align="right" if late else "left", text_font_style="bold",
        )
    )  # fmt: skip


@_mark.register
def _strips(mark: Strips, figure: Figure, panel: Panel) -> None:
    colors = LinearColorMapper(palette=[_CLEAR, *mark.colors.values()], low=-0.5, high=len(mark.colors) + 0.5)
    seen, _ = _image(figure, mark, {"cells": mark.cells()})
    seen.color_mapper = colors
    named = {f"slots{number}": np.ascontiguousarray(each) for number, each in enumerate(mark.counts.values())}
    hidden, drawn = _image(figure, mark, named)
    hidden.global_alpha = 0
    time = panel.x.label.partition(" ")[0]
    told = [(label, f"@slots{number}{{0,0}}") for number, label in enumerate(mark.counts)]
    tooltips = [("at", f"$x{{0,0.[00]}} {time}"), ("near slot", "$y{0,0}"), *told, ("of", f"{mark.per_row:,}")]
    figure.add_tools(_hover(drawn, tooltips))


def _image(figure: Figure, mark: Strips, columns: dict[str, NDArray[Any]]) -> tuple[Image, DataRenderer]:
    """Of the first of the columns, each of shape (height, bins)."""
    source = ColumnDataSource(data={name: [each] for name, each in columns.items()})
    width = float(mark.edges[-1] - mark.edges[0])
    image = Image(image=next(iter(columns)), x=float(mark.edges[0]), y=0, dw=width, dh=mark.top)
    return image, figure.add_glyph(source, image)
