"""Charts as PNG files, by matplotlib: what is drawn is in `plot.py`, how figures look in `style.py`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from swaptrace.report import style
from swaptrace.report.palette import AXIS, INK
from swaptrace.report.plot import AIMED, HATCHED, Area, Axis, Bars, Line, Panel, Plot, Point, Rule, Strips

_HEIGHT = 5.7  # inches
_MAP_HEIGHT = 6.6
_ROW_HEIGHT = 1.25


def draw(plot: Plot) -> Figure:
    """The figure; one that says so if there is nothing to draw."""
    if not plot.panels:
        return style.blank(plot.finding, plot.subject)
    figure, rows = style.figure(plot.finding, plot.subject, rows=len(plot.panels), height=_height(plot))
    for axes, panel in zip(rows, plot.panels, strict=True):
        _panel(axes, panel)
    rows[-1].set_xlabel(plot.panels[0].x.label)
    if keys := plot.keys:
        style.legend(rows[0], 4 if len(keys) <= 4 else 3, _map_keys(rows[0], plot.panels[0]))
    return figure


def _height(plot: Plot) -> float:
    if len(plot.panels) > 1 or plot.panels[0].title:
        return 2.3 + _ROW_HEIGHT * len(plot.panels)
    return _MAP_HEIGHT if plot.panels[0].right else _HEIGHT


def _panel(axes: Axes, panel: Panel) -> None:
    _axis(axes, "x", panel.x)
    _axis(axes, "y", panel.y)
    axes.set_ylabel(panel.y.label)
    for mark in panel.marks:
        _mark(mark, axes, panel)
    if panel.title:
        style.text(
            axes, 0.0, 1.05, panel.title, size=13.5, weight="bold", ha="left", va="bottom", transform=axes.transAxes
        )
    if panel.right:
        _right(axes, panel.y, panel.right)


def _axis(axes: Axes, which: str, axis: Axis) -> None:
    place = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log" if axis.log else "linear")
    (axes.set_xlim if which == "x" else axes.set_ylim)(axis.low, axis.high)
    if axis.ticks is None:
        place.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    else:
        place.set_ticks([*axis.ticks], [*axis.ticks.values()])
    place.set_minor_locator(NullLocator())
    if axis.ticks == {}:
        axes.spines["left" if which == "y" else "bottom"].set_visible(False)


def _right(axes: Axes, left: Axis, axis: Axis) -> None:
    """The same heights in other units, on the right."""
    scale = axis.high / left.high

    def there(value: Any) -> Any:
        return value * scale

    def back(value: Any) -> Any:
        return value / scale

    right = axes.secondary_yaxis("right", functions=(there, back))
    right.set_ylabel(axis.label, size=13.5, color=INK)
    right.tick_params(labelsize=13, colors=INK, color=AXIS)
    right.spines["right"].set_visible(False)
    axes.figure.subplots_adjust(left=0.125, right=0.9)  # offsets take more room than most ticks do


@singledispatch
def _mark(mark: object, axes: Axes, panel: Panel) -> None:
    raise TypeError(mark)


@_mark.register
def _area(mark: Area, axes: Axes, panel: Panel) -> None:
    face = to_rgba(mark.color, HATCHED if mark.hatched else mark.alpha)
    axes.stairs(
        mark.high, mark.edges, baseline=mark.low, fill=True, facecolor=face, edgecolor=mark.color, linewidth=0,
        hatch="///" if mark.hatched else None, label=mark.label or None,
    )  # fmt: skip


@_mark.register
def _line(mark: Line, axes: Axes, panel: Panel) -> None:
    color, dashes, width = mark.look
    values = np.concatenate([mark.values[:1], mark.values])
    axes.step(
        mark.edges, values, where="pre", color=color, linestyle=dashes, linewidth=width, clip_on=False,
        label=mark.label or None,
    )  # fmt: skip


@_mark.register
def _bars(mark: Bars, axes: Axes, panel: Panel) -> None:
    axes.bar(
        mark.left, mark.heights, mark.right - mark.left, align="edge", color=mark.color, edgecolor="white",
        linewidth=0.5, label=mark.label or None,
    )  # fmt: skip


@_mark.register
def _rule(mark: Rule, axes: Axes, panel: Panel) -> None:
    axes.axvline(mark.at, color=AIMED.color, linewidth=AIMED.width, linestyle=AIMED.dashes)
    if mark.label:
        axes.annotate(
            mark.label, (mark.at, 0.97), xycoords=axes.get_xaxis_transform(), xytext=(6, 0), size=12.5, color=INK,
            textcoords="offset points", va="top", parse_math=False,
        )  # fmt: skip


@_mark.register
def _point(mark: Point, axes: Axes, panel: Panel) -> None:
    left = panel.x.low
    axes.plot([left, mark.x, mark.x], [mark.y, mark.y, 0], color=AIMED.color, linewidth=1.3, linestyle=AIMED.dashes)
    axes.plot([mark.x], [mark.y], "o", color=INK, markersize=7)
    late = panel.x.share_of(mark.x) > 0.62
    axes.annotate(
        mark.label, (mark.x, mark.y), xytext=(-9, -22) if late else (9, 9), textcoords="offset points", size=13.5,
        color=INK, weight="bold", ha="right" if late else "left", parse_math=False,
    )  # fmt: skip


@_mark.register
def _strips(mark: Strips, axes: Axes, panel: Panel) -> None:
    colors = np.array([to_rgba("white"), *(to_rgba(color) for color in mark.colors.values())])
    cells = mark.cells()
    axes.pcolorfast(mark.edges, np.linspace(0, mark.top, len(cells) + 1), colors[cells])
    axes.grid(False)


def _map_keys(axes: Axes, panel: Panel) -> list[Patch] | None:
    """Of what has no artist of its own; None if each has."""
    colors = [item for mark in panel.marks if isinstance(mark, Strips) for item in mark.colors.items()]
    return [Patch(facecolor=color, label=label) for label, color in colors] or None
