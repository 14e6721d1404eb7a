"""How figures look: one size, a title that says what to see, large letters. No pyplot, no state."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swaptrace.report.palette import AXIS, GRID, INK, MUTED

_INCHES = (10.0, 5.7)
_DPI = 144


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
    axes.spines[["left", "bottom"]].set_color(AXIS)
    axes.grid(True, axis="y", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=13, colors=INK, length=4, color=AXIS)
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


def as_png(made: Figure) -> bytes:
    """1440 pixels wide."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
