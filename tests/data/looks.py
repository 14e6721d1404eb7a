"""What figures are made of, in lines of text: all that the code of the charts decides, and nothing of a rasterizer's.

Long series are told by a few numbers; tests/unit/test_charts.py compares each of them with the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

__all__ = ["looks"]

# What an artist is asked for, if it has it: get_NAME(). A place only of what is put somewhere by the charts themselves.
_ASKED = (
    "text", "color", "facecolor", "edgecolor", "alpha", "linewidth", "drawstyle", "marker", "markersize", "hatch",
    "fontsize", "fontweight", "horizontalalignment", "verticalalignment", "parse_math",
    "xdata", "ydata", "xy", "width", "height", "array", "extent",
)  # fmt: skip
_MARKS = ("length", "color", "labelsize", "labelcolor", "gridOn", "grid_color", "grid_linewidth")
_UNSAID: tuple[object, ...] = (None, "", "None", "default", "normal", [])
_LONG = 8


def looks(figure: Figure) -> Iterator[str]:
    """One line for each thing that is drawn."""
    figure.draw_without_rendering()  # some limits and places are only known then
    yield f"figure of {_plain(figure.get_size_inches())} inches, {figure.get_dpi()} dpi on {figure.get_facecolor()}"
    for text in figure.texts:
        yield f"  {_artist(text)} at {_plain(text.get_position())}"
    for axes in figure.axes:
        yield from _axes(axes)


def _axes(axes: Any) -> Iterator[str]:
    on = axes.axison and axes.get_visible()
    spines = {side: to_hex(spine.get_edgecolor()) for side, spine in axes.spines.items() if spine.get_visible()}
    yield f"  axes at {_plain(axes.get_position().bounds)}{'' if on else ', not drawn'}, spines {spines}"
    yield f"    below: {axes.get_axisbelow()}"
    yield f"    x {_axis(axes.xaxis, axes.get_xlim(), axes.get_xscale())}"
    yield f"    y {_axis(axes.yaxis, axes.get_ylim(), axes.get_yscale())}"
    for one in (*axes.collections, *axes.images, *axes.patches, *axes.lines):
        yield f"    {_artist(one)}"
    for text in axes.texts:
        yield f"    {_artist(text)} at {_plain(text.get_position())}"
    if legend := axes.get_legend():
        yield from _legend(legend)
    for child in axes.child_axes:
        yield from _axes(child)


def _axis(axis: Axis, limits: tuple[float, float], scale: str) -> str:
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    at = list(locator()) if isinstance(locator, FixedLocator) else list(limits)
    ticks = [formatter(float(value), None) for value in at]
    marks = " ".join(f"{name}={value}" for name in _MARKS if (value := axis.get_tick_params().get(name)))
    small = len(axis.get_minorticklocs())
    return f"{scale} {_plain(limits)}, ticks {ticks} and {small}, {marks}, label {_artist(axis.label)}"


def _legend(legend: Legend) -> Iterator[str]:
    asked = ("_ncols", "_loc", "columnspacing", "handlelength", "handletextpad", "borderaxespad")
    box = legend.axes.transAxes.inverted().transform(legend.get_bbox_to_anchor().get_points()[0])
    said = [f"{name}={getattr(legend, name)}" for name in asked]
    yield f"    legend at {_plain(box)}: {' '.join(said)}{' framed' if legend.get_frame_on() else ''}"
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        assert handle is not None
        yield f"      {_artist(handle)}: {_artist(text)}"


def _artist(artist: Artist) -> str:
    """Its kind, and what it says of itself."""
    kind = "PolyCollection" if isinstance(artist, PolyCollection) else type(artist).__name__
    said = [f"{name}={value}" for name, value in _said(artist) if value not in _UNSAID]
    return " ".join([kind, *said, *([] if artist.get_visible() else ["hidden"])])


def _said(artist: Artist) -> Iterator[tuple[str, Any]]:
    for name in _ASKED:
        if hasattr(artist, f"get_{name}"):
            value = getattr(artist, f"get_{name}")()
            yield name, _color(value) if name.endswith("color") else _plain(value)
    if not isinstance(artist, Text):
        yield "unclipped", "" if artist.get_clip_on() else "yes"
    if isinstance(artist, PolyCollection):
        yield "bounds", _plain(artist.get_paths()[0].get_extents().bounds)
    if isinstance(artist, Line2D):
        yield "dashes", _plain(artist._unscaled_dash_pattern[1])  # type: ignore[attr-defined]  # no public way


def _color(value: Any) -> str:
    colors = [value] if isinstance(value, str) else np.atleast_2d(np.asarray(value, float))
    return " ".join(to_hex(color, keep_alpha=True) for color in colors[:_LONG])


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    numbers: Any = np.ma.filled(np.ma.asarray(value, float), np.nan)
    flat = [f"{number + 0.0:.6g}" for number in numbers.ravel()]
    if len(flat) <= _LONG:
        return ",".join(flat)
    low, high, mean = (f"{number:.6g}" for number in (numbers.min(), numbers.max(), numbers.mean()))
    return f"{flat[0]}...{flat[-1]} ({numbers.shape}, {low} to {high}, {mean} at the mean)"
