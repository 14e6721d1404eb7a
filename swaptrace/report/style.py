"""How charts look: one palette, one figure, axes in units that people read. No pyplot, no state.

The colours are Okabe and Ito's, which people with any kind of colour vision can tell apart; a quantity has the same
one in every chart.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from swaptrace import units
from swaptrace.policies import POLICIES

LIVE = "#0072B2"  # blue
STALE = POLICIES["none"].line.color  # vermilion
GIVEN_BACK = POLICIES["notify"].line.color  # green
FREE = "#CC79A7"  # pink: the time that a slot is free
EMPTY = "#F3F3F0"
INK = POLICIES["observed"].line.color
MUTED = "#6B6B6B"

#: Same-filled, up to half a page, more, incompressible.
SIZES = ("#999999", "#56B4E9", "#E69F00", INK)

_INCHES = (10.0, 5.7)
_DPI = 144
_TICKS = {
    1: "1 ns",
    10: "10 ns",
    100: "100 ns",
    1_000: "1 µs",
    10_000: "10 µs",
    100_000: "100 µs",
    1_000_000: "1 ms",
    10_000_000: "10 ms",
    100_000_000: "100 ms",
    10**9: "1 s",
    10 * 10**9: "10 s",
    60 * 10**9: "1 min",
    600 * 10**9: "10 min",
    3_600 * 10**9: "1 h",
    36_000 * 10**9: "10 h",
    10 * 86_400 * 10**9: "10 days",
    100 * 86_400 * 10**9: "100 days",
}


def figure(finding: str, subject: str, rows: int = 1, height: float = _INCHES[1]) -> tuple[Figure, list[Axes]]:
    """A figure with its finding as the title, what it shows of what below that, and `rows` axes that share x.

    height: inches.
    """
    made = Figure(figsize=(_INCHES[0], height), dpi=_DPI, facecolor="white")
    title = textwrap.wrap(_together(finding), 68)[:2]
    inch = 1 / height
    top = 1 - 0.2 * inch
    made.text(
        0.02, top, "\n".join(title), va="top", size=16.5, weight="bold", color=INK, parse_math=False, linespacing=1.2
    )
    top -= (0.31 * len(title) + 0.03) * inch
    made.text(0.02, top, _fitting(subject), va="top", size=12.5, color=MUTED, parse_math=False)
    axes = made.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    made.subplots_adjust(left=0.105, right=0.975, top=top - 0.68 * inch, bottom=0.78 * inch, hspace=0.6)
    for one in axes:
        tidy(one)
    return made, list(axes)


def _fitting(subject: str, most: int = 108) -> str:
    """One line; what is too long loses its middle, for both ends say more: the device, and what is shown."""
    line = " ".join(subject.split())
    return line if len(line) <= most else f"{line[: most // 3]}…{line[-(most - most // 3 - 1) :]}"


def _together(words: str) -> str:
    """The same, with no line break between a figure and its unit."""
    return re.sub(r"(\d) (?=(%|[KMGTP]?i?B|[nµm]?s|min|h|d)(\W|$))", "\\1\N{NO-BREAK SPACE}", words)


def tidy(axes: Axes) -> None:
    """No frame but the axes, a faint grid, large figures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    axes.grid(True, axis="y", color="#E4E4E4", linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=13, colors=INK, length=4, color="#AAAAAA")
    axes.xaxis.label.set(size=13.5, color=INK)
    axes.yaxis.label.set(size=13.5, color=INK)


def blank(finding: str, subject: str) -> Figure:
    """The figure of a chart that has nothing to show."""
    made, (axes,) = figure(finding, subject, height=2.6)
    axes.set_axis_off()
    text(axes, 0.5, 0.5, "nothing to draw", size=15, color=MUTED, ha="center", va="center", transform=axes.transAxes)
    return made


def text(axes: Axes, x: float, y: float, words: str, **how: object) -> None:
    """Words at a place, never read as mathematics: a device may well have a dollar sign in its name."""
    axes.text(x, y, words, parse_math=False, **{"size": 12.5, "color": INK, **how})  # type: ignore[arg-type]


def legend(axes: Axes, columns: int, handles: Sequence[Artist] | None = None) -> None:
    """Above the axes, where it can hide no data, in a row or two. handles: instead of what has a label."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else handles
    if len(shown) > columns:  # room for the second row
        figure = axes.figure
        figure.subplots_adjust(top=figure.subplotpars.top - 0.27 * figure.dpi / figure.bbox.height)
    axes.legend(
        handles=shown,
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.995),
        ncols=columns,
        frameon=False,
        fontsize=12,
        labelcolor=INK,
        columnspacing=1.3,
        handlelength=1.9,
        handletextpad=0.6,
        borderaxespad=0.1,
    )


def log_time(axes: Axes, shortest: float, longest: float) -> None:
    """A logarithmic x axis of times from `shortest` to `longest` (ns), ticks in words, some five to nine of them."""
    low = max(shortest * 0.8, 1.0)
    high = max(longest * 1.25, low * 10)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    if len(ticks) < 5:
        ticks = sorted([*ticks, *(3 * tick for tick in _TICKS if low <= 3 * tick <= high)])
    ticks = ticks[:: (len(ticks) - 1) // 9 + 1]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())


def _tick(value: int) -> str:
    """A tick in words; three times a tick of the table is said with the same unit."""
    if value % 3 == 0 and value // 3 in _TICKS and value not in _TICKS:
        number, unit = _TICKS[value // 3].split(" ")
        return f"{3 * int(number)} {unit}"
    return _TICKS.get(value, units.duration(value))


def percent_axis(axes: Axes) -> None:
    """y from 0 to 1, shown as percent."""
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.percent(value)))


def as_png(made: Figure) -> bytes:
    """1440 pixels wide."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def as_svg(made: Figure) -> bytes:
    """Letters as outlines, so that it looks the same everywhere; the same bytes for the same data."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "swaptrace"}):
        made.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
