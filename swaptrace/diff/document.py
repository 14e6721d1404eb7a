"""What `swaptrace diff` has found: the document that text, JSON and HTML are made of.

Its fields are described here, and nowhere else: docs/diff.md and docs/diff.schema.json are made of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from swaptrace.diff.figures import Measure
from swaptrace.results.catalogue import Unit

SCHEMA_VERSION = 1  # grows when a field changes its meaning or goes away, not when one is added


class Result(StrEnum):
    """What comparing a figure has given."""

    CHANGED = "changed"
    SAME = "same"
    WITHIN = "within_spread"
    UNDECIDED = "undecided"
    UNKNOWN = "unknown"


def _said(sentence: str) -> Meta:
    """What a field of the document is."""
    return Meta(description=sentence)


@dataclass(frozen=True)
class Spread:
    """A figure of the runs of one side."""

    median: Annotated[float | None, _said("of the runs; null if a run is known within bounds only")]
    min: Annotated[float, _said("the smallest of the runs, or the lower bound of that")]
    max: Annotated[float | None, _said("the largest, or the upper bound of that; null if there is none")]

    def is_below(self, other: Spread) -> bool:
        """Whether every run is less than every one of the other side."""
        return self.max is not None and self.max < other.min

    @property
    def is_one(self) -> bool:
        """Whether all runs have the same, as far as is known."""
        return self.median is not None and self.min == self.max


@dataclass(frozen=True)
class Pair:
    """A figure, in one measure, of both sides."""

    a: Annotated[Spread, _said("of side A")]
    b: Annotated[Spread, _said("of side B")]


@dataclass(frozen=True)
class Row:
    """A figure."""

    name: Annotated[
        str, _said("as in the JSON report of an area, with an integral's part; or the name of a ratio, below")
    ]
    kind: Annotated[str, _said("`count`, `state`, `integral`, `ratio` or `quantile`: see the catalogue of figures")]
    unit: Annotated[str, _said("of the absolute figure; `%` is 0 to 100")]
    better: Annotated[str | None, _said("`more` or `less`, where one of them is good news")]
    result: Annotated[
        Result,
        _said(
            "`changed`: all runs of one side are beyond all of the other one; `same`: all are equal; `within_spread`: "
            "neither; `undecided`: not to be told, as a run is known within bounds only; `unknown`"
        ),
    ]
    measure: Annotated[str | None, _said("the key of `measures` by which that was decided; null if it is unknown")]
    measures: Annotated[
        dict[str, Pair],
        _said(
            "by `per_page_stored`, `per_second`, `per_live_byte`, `absolute`: the figure of both sides, where both "
            "have it"
        ),
    ]
    change: Annotated[
        float | None,
        _said(
            "B's median less A's, over A's (0.5: half as much again); of figures in %, the difference in percentage "
            "points. null if it has not changed, if A's is not more than 0, or if bounds are all that is known"
        ),
    ]
    good: Annotated[bool | None, _said("whether the change is good news; null if it is neither, or none")]
    why: Annotated[str | None, _said("why it is unknown; else null")]

    @property
    def pair(self) -> Pair:
        """The figure in the measure that decided."""
        return self.measures[self.measure or Measure.ABSOLUTE]

    @property
    def is_more(self) -> bool:
        """Of one that has changed: whether B has more."""
        return self.pair.a.is_below(self.pair.b)

    @property
    def size(self) -> float:
        """How much has changed: of the larger one, the part that the other one lacks (0 to 1); or points over 100."""
        a, b = (_middle(side) for side in (self.pair.a, self.pair.b))
        if self.unit == Unit.PERCENT:
            return abs(b - a) / 100
        largest = max(abs(a), abs(b))
        return abs(b - a) / largest if largest else 0


def _middle(spread: Spread) -> float:
    return spread.min if spread.median is None else spread.median


@dataclass(frozen=True)
class Fact:
    """Something of the set-up, as words."""

    name: Annotated[str, _said("what it is")]
    a: Annotated[
        str,
        _said(
            "of side A: the values of its runs that differ, with `/` between them; of durations the shortest and the "
            "longest"
        ),
    ]
    b: Annotated[str, _said("of side B")]


@dataclass(frozen=True)
class Area:
    """A swap area that both sides have."""

    title: Annotated[str, _said("its device, and which activation of it; of both sides, if they differ")]
    verdict: Annotated[str, _said("what has changed in it, in one sentence")]
    setup: Annotated[list[Fact], _said("what of the area is not the same")]
    notes: Annotated[list[str], _said("what is to be known before its figures are read, as sentences")]
    figures: Annotated[list[Row], _said("the figures, those that changed most first")]


@dataclass(frozen=True)
class Left:
    """A swap area that is not compared."""

    title: Annotated[str, _said("its device, and which activation of it")]
    why: Annotated[str, _said("why not, as half a sentence")]


@dataclass(frozen=True)
class Recording:
    """A run."""

    path: Annotated[str, _said("the file, as given on the command line")]
    host: Annotated[str | None, _said("the machine's name")]
    kernel: Annotated[str | None, _said("the kernel's release")]
    start_realtime: Annotated[float | None, _said("when the recording began: seconds since the epoch, UTC")]
    duration_s: Annotated[float | None, _said("how long it was, seconds")]
    lost_events: Annotated[int, _said("events that were lost, all kinds")]
    since_s: Annotated[float | None, _said("the part that the figures are of, seconds after the start; null: from it")]
    until_s: Annotated[float | None, _said("likewise; null: to the end")]


@dataclass(frozen=True)
class Comparison:
    """The whole document."""

    schema_version: Annotated[int, _said("1")]
    verdict: Annotated[str, _said("what has changed, in one sentence: that of the area with most to say")]
    a: Annotated[list[Recording], _said("the runs of side A")]
    b: Annotated[list[Recording], _said("the runs of side B")]
    chance: Annotated[
        float,
        _said(
            "the share (0 to 1) of unaffected figures that would be called changed all the same: 2 over the number of "
            "ways to deal all runs to the two sides. 1 with a run each: then the spread is not known"
        ),
    ]
    setup: Annotated[list[Fact], _said("what of kernel, machine and recording is not the same")]
    warnings: Annotated[list[str], _said("what is to be known before any figure is believed, as sentences")]
    areas: Annotated[list[Area], _said("the swap areas that both sides have")]
    not_compared: Annotated[list[Left], _said("the others")]

    @property
    def has_spread(self) -> bool:
        """Whether a side has more than one run."""
        return self.chance < 1
