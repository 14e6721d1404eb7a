"""What a chart is made of, before anybody draws it: marks over axes, in the units of the axes.

`charts.py` makes these of results; `pictures.py` draws them as PNG files, `interactive.py` for the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.policies import Line as Look
from swaptrace.report.palette import INK

Floats = NDArray[np.float64]

#: Into how many parts a row of Strips is cut, of which the uppermost stays empty, to keep the rows apart.
PARTS = 12

_AGES = {
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


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`. ticks: where, and what stands there; None: wherever numbers are round.

    together: charts whose axes are of the same quantity from the same beginning, so that one zoom can go for all: time.
    second: how long one is on an axis of time; 0 on any other.
    """

    label: str
    low: float
    high: float
    ticks: dict[float, str] | None = None
    log: bool = False
    together: bool = False
    second: float = 0.0

    def share_of(self, value: float) -> float:
        """How far along the axis a value is: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Area:
    """Filled between two values in each interval. edges: shape (n + 1,); low and high: shape (n,)."""

    edges: Floats
    low: Floats
    high: Floats
    color: str
    label: str = ""
    alpha: float = 1.0
    hatched: bool = False  # in which case alpha does not matter


@dataclass(frozen=True)
class Line:
    """A value in each interval. edges: shape (n + 1,); values: shape (n,)."""

    edges: Floats
    values: Floats
    look: Look
    label: str = ""


@dataclass(frozen=True)
class Bars:
    """left, right and heights: shape (n,)."""

    left: Floats
    right: Floats
    heights: Floats
    color: str
    label: str = ""


@dataclass(frozen=True)
class Rule:
    """A vertical line at a place that is worth a look, dashed."""

    at: float
    label: str = ""


@dataclass(frozen=True)
class Point:
    """A point that is worth a look, and where it lies on both axes."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Strips:
    """Rows of slots, one above the other; in each, from the bottom up, how many of them are what, over time.

    edges: shape (bins + 1,), evenly spaced; per_row: slots in a row. counts: slots by label, int32, shape (rows, bins).
    The rest of a row is left empty.
    """

    edges: Floats
    per_row: int
    counts: dict[str, NDArray[np.int32]]
    colors: dict[str, str]

    @property
    def top(self) -> int:
        """Where the uppermost row ends; the last slots of it need not be there."""
        return self.per_row * len(next(iter(self.counts.values())))

    def cells(self) -> NDArray[np.uint8]:
        """Which of the labels is seen where, from 1 on; 0 is empty. Shape (rows * PARTS, bins), from the bottom up."""
        room = (PARTS - 1) / self.per_row
        tops = np.rint(np.cumsum(np.stack(list(self.counts.values())), axis=0) * room)  # (labels, rows, bins)
        below = np.arange(PARTS)[:, None, None, None] < tops  # the top of a label, and so of all that come after it
        label = np.where(below.any(axis=1), below.argmax(axis=1) + 1, 0)  # (PARTS, rows, bins)
        return np.ascontiguousarray(label.transpose(1, 0, 2).reshape(-1, label.shape[2]), np.uint8)


Mark = Area | Line | Bars | Rule | Point | Strips


@dataclass(frozen=True)
class Readings:
    """What is told of each interval, in words: columns by name, each as long as left and right."""

    left: Floats
    right: Floats
    columns: dict[str, list[str]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes, and what is drawn there. right: another scale for the same heights."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""
    readings: Readings | None = None
    right: Axis | None = None


@dataclass(frozen=True)
class Key:
    """What stands for something in the legend: a line if it has a look, else an area."""

    label: str
    color: str
    look: Look | None = None
    alpha: float = 1.0
    hatched: bool = False


@dataclass(frozen=True)
class Plot:
    """finding: what to see, in a sentence; subject: what is shown, of what. No panels: there is nothing to draw.

    The panels, one below the other, share x.
    """

    finding: str
    subject: str
    panels: tuple[Panel, ...] = ()

    def marked(self, marks: Iterable[tuple[float, str]]) -> Plot:
        """The same with moments marked, where it is about time: seconds after its beginning, and a text."""
        every = list(marks)

        def rules(x: Axis) -> tuple[Rule, ...]:
            places = ((seconds * x.second, text) for seconds, text in every)
            return tuple(Rule(at, text) for at, text in places if x.second and x.low <= at <= x.high)

        panels = tuple(replace(panel, marks=panel.marks + rules(panel.x)) for panel in self.panels)
        return replace(self, panels=panels)

    @property
    def keys(self) -> list[Key]:
        """The legend."""
        return [key for panel in self.panels for mark in panel.marks for key in _keys(mark)]


def _keys(mark: Mark) -> Iterator[Key]:
    if isinstance(mark, Strips):
        for label, color in mark.colors.items():
            yield Key(label, color)
    elif isinstance(mark, Line) and mark.label:
        yield Key(mark.label, mark.look.color, mark.look)
    elif isinstance(mark, Area) and mark.label:
        yield Key(mark.label, mark.color, None, mark.alpha, mark.hatched)
    elif isinstance(mark, Bars) and mark.label:
        yield Key(mark.label, mark.color)


#: Of rules and points.
AIMED = Look(INK, (0.0, (4.0, 3.0)), 1.3)
HATCHED = 0.19  # how dense the colour is behind the hatching


def ages(label: str, shortest: float, longest: float) -> Axis:
    """A logarithmic axis of times from `shortest` to `longest` (ns), ticks in words, some five to nine of them."""
    low = max(shortest * 0.8, 1.0)
    high = max(longest * 1.25, low * 10)
    ticks = [tick for tick in _AGES if low <= tick <= high]
    if len(ticks) < 5:
        ticks = sorted([*ticks, *(3 * tick for tick in _AGES if low <= 3 * tick <= high)])
    ticks = ticks[:: (len(ticks) - 1) // 9 + 1]
    return Axis(label, low, high, {tick: _age(tick) for tick in ticks}, log=True)


def _age(value: int) -> str:
    """A tick in words; three times a tick of the table is said with the same unit."""
    if value % 3 == 0 and value // 3 in _AGES and value not in _AGES:
        number, unit = _AGES[value // 3].split(" ")
        return f"{3 * int(number)} {unit}"
    return _AGES.get(value, units.duration(value))


def percents(label: str) -> Axis:
    """From 0 to 1, in percent."""
    return Axis(label, 0, 1.03, {share: units.percent(share) for share in (0, 0.25, 0.5, 0.75, 1)})


def amounts(label: str, *drawn: Floats) -> Axis:
    """From 0 to a little more than the largest of what is drawn."""
    largest = max((float(values.max(initial=0)) for values in drawn), default=0)
    return Axis(label, 0, 1.05 * largest or 1)
