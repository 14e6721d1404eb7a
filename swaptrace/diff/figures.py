"""The figures that two recordings are compared by: those of the catalogue, and ratios of them, each in every measure
that makes it comparable.

They are taken from the JSON report of an area, where a figure that is not known exactly is null, with its bounds or the
reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from swaptrace.events import FreeReason
from swaptrace.policies import POLICIES
from swaptrace.results.catalogue import INTEGRAL_PARTS, Better, Figure, Kind, Unit, walk


class Measure(StrEnum):
    """What a figure is divided by."""

    PER_PAGE_STORED = "per_page_stored"
    PER_SECOND = "per_second"
    PER_LIVE_BYTE = "per_live_byte"
    ABSOLUTE = "absolute"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True)
class Interval:
    """Where a figure lies: `low` and `high` are the same if it is known exactly; no `high` is known if that is None."""

    low: float
    high: float | None

    @property
    def exact(self) -> bool:
        return self.low == self.high

    def times(self, factor: float) -> Interval:
        return Interval(self.low * factor, None if self.high is None else self.high * factor)

    def plus(self, other: Interval) -> Interval:
        high = None if self.high is None or other.high is None else self.high + other.high
        return Interval(self.low + other.low, high)

    def over(self, other: Interval) -> Interval | None:
        """The quotient, of a divisor that is not negative; None if that may be 0 only."""
        if other.high is not None and other.high <= 0:
            return None
        smallest = max(other.low, 0)
        low = _quotient(self.low, smallest if self.low < 0 else other.high)
        high = None if self.high is None else _quotient(self.high, smallest if self.high > 0 else other.high)
        return None if low is None else Interval(low, high)


def _quotient(value: float, divisor: float | None) -> float | None:
    """Without a divisor, it is as large as can be; None for what has no limit."""
    if divisor is None:
        return 0
    return value / divisor if divisor else (None if value else 0)


#: A figure: where it lies; why it is not known; None where there is none, and nothing to be known.
Told = Interval | str | None


@dataclass(frozen=True)
class Compared:
    """A figure to compare. measures: the first of them that both sides have decides whether there is a difference."""

    name: str
    kind: Kind
    unit: Unit
    better: Better
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Ratio:
    """A figure over the sum of others. unit: PERCENT for a share, else that of the quotient."""

    name: str
    part: str
    whole: tuple[str, ...]
    sentence: str
    unit: Unit = Unit.PERCENT
    better: Better = Better.NEITHER

    @property
    def kind(self) -> Kind:
        """A mean stands beside quantiles."""
        return Kind.QUANTILE if self.unit is Unit.NS else Kind.RATIO


def _ratios() -> Iterator[Ratio]:
    live, less = "live_compr_bytes_end", Better.LESS
    for name in POLICIES:
        stale = f"policies.{name}.stale_compr_bytes.end"
        sentence = f"of the compressed bytes, those that are stale at the end under `{name}`"
        yield Ratio(f"stale_share.{name}", stale, (stale, live), sentence, better=less)
    yield Ratio(
        "pool_per_compressed_byte", "mem_used_total", ("compr_data_size",),
        "bytes of the pool for each compressed byte in it, at the end", Unit.NUMBER, less,
    )  # fmt: skip
    yield Ratio(
        "compressed_share", "compr_data_size", ("orig_data_size",), "of the pages' size, what they take compressed",
        better=less,
    )  # fmt: skip
    yield Ratio("same_share", "same_pages", ("pages_stored",), "of the pages at the end, same-filled ones")
    yield Ratio(
        "huge_share", "huge_pages", ("pages_stored",), "of the pages at the end, incompressible ones", better=less
    )
    yield Ratio(
        "miss_share", "miss_free", ("miss_free", "notify_free"),
        "of the notifications, those that found the entry busy", better=less,
    )  # fmt: skip
    yield Ratio(
        "notification_mean_ns", "notification_ns.total", ("notification_ns.count",),
        "how long notifications took on average, of those that were timed", Unit.NS, less,
    )  # fmt: skip
    for reason in (reason.name.lower() for reason in FreeReason):
        freed = f"free_reasons.{reason}"
        yield Ratio(f"free_share.{reason}", freed, ("frees",), f"of the slots freed, those with the reason `{reason}`")
        sentence = f"of the slots freed with the reason `{reason}`, those whose page was stored and never read"
        yield Ratio(f"unread_share.{reason}", f"unread.{reason}", (freed,), sentence, better=less)


RATIOS = {ratio.name: ratio for ratio in _ratios()}

#: What is the same again (the kernel's counters), is no figure of the workload, or is of those alone that were timed.
_ASIDE = ("kernel", "swap_header", "leaks", "what_if", "age", "censored", "notification_ns.total")
_MEASURES = {
    Kind.COUNT: (Measure.PER_PAGE_STORED, Measure.PER_SECOND, Measure.ABSOLUTE),
    Kind.STATE: (Measure.PER_PAGE_STORED, Measure.ABSOLUTE),
    Kind.INTEGRAL: (Measure.PER_PAGE_STORED, Measure.ABSOLUTE),
    Kind.RATIO: (Measure.ABSOLUTE,),
    Kind.QUANTILE: (Measure.ABSOLUTE,),
}


def _is_compared(name: str, row: Figure) -> bool:
    group = name.partition(".")[0]
    aside = group in _ASIDE or name in _ASIDE
    twice = group == "ramzswap" and row.kind is not Kind.RATIO
    how_many = row.kind is Kind.COUNT and row.unit is Unit.NUMBER  # of durations; another figure has it
    return row.kind in _MEASURES and not aside and not twice and not how_many


def _measures(name: str, row: Figure) -> tuple[Measure, ...]:
    found = _MEASURES[row.kind]
    if name == "stores":
        return found[1:]
    level = row.unit is Unit.BYTES and not name.endswith(".byte_seconds")
    return (*found[:-1], Measure.PER_LIVE_BYTE, *found[-1:]) if level else found


class AreaFigures:
    """An area's figures. area: of the JSON report; seconds: how long the recording was, None if that is not known."""

    def __init__(self, area: dict[str, Any], seconds: float | None) -> None:
        self._bounds: dict[str, Any] = area["bounds"]
        self._unknown: dict[str, str] = area["unknown"]
        self._values: dict[str, Any] = {}
        self.compared: dict[str, Compared] = {}
        for name, row, value in walk(area):
            if row.kind in _MEASURES:
                self._add(name, row, value)
        self.compared |= {
            ratio.name: Compared(ratio.name, ratio.kind, ratio.unit, ratio.better, (Measure.ABSOLUTE,))
            for ratio in RATIOS.values()
        }
        self._divisors: dict[Measure, Told] = {
            Measure.PER_PAGE_STORED: self.absolute("stores"),
            Measure.PER_SECOND: Interval(seconds, seconds) if seconds else None,
            Measure.PER_LIVE_BYTE: self.absolute("live_compr_bytes_end"),
        }

    def _add(self, name: str, row: Figure, value: Any) -> None:
        parts = {name: (row.unit, value)}
        if row.kind is Kind.INTEGRAL:
            parts = {f"{name}.{part}": (Unit.BYTE_SECONDS if part == "byte_seconds" else row.unit,
                                        None if value is None else value[part]) for part in INTEGRAL_PARTS}  # fmt: skip
        for here, (unit, number) in parts.items():
            self._values[here] = number
            if _is_compared(name, row):
                self.compared[here] = Compared(here, row.kind, unit, row.better, _measures(here, row))

    def told(self, name: str, measure: Measure) -> Told:
        """A figure in one of its measures."""
        if (ratio := RATIOS.get(name)) is not None:
            return self._ratio(ratio)
        value = self.absolute(name)
        divisor = self._divisors.get(measure)
        if measure is Measure.ABSOLUTE or not isinstance(value, Interval):
            return value
        return value.over(divisor) if isinstance(divisor, Interval) else divisor

    def absolute(self, name: str) -> Told:
        """A figure as it is in the report."""
        value = self._values.get(name)
        if value is not None:
            return Interval(value, value)
        if (bounds := self._bounds.get(name)) is not None:
            return Interval(*bounds)
        parts = name.split(".")
        names = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
        return next((self._unknown[above] for above in names if above in self._unknown), None)

    def _ratio(self, ratio: Ratio) -> Told:
        parts = [self.absolute(name) for name in (ratio.part, *ratio.whole)]
        for part in parts:
            if not isinstance(part, Interval):
                return part
        found, whole = (part for part in (parts[0], parts[1]) if isinstance(part, Interval))
        for more in parts[2:]:
            whole = whole.plus(more) if isinstance(more, Interval) else whole
        quotient = found.over(whole)
        if quotient is None or ratio.unit is not Unit.PERCENT:
            return quotient
        return Interval(100 * quotient.low, 100 if quotient.high is None else min(100 * quotient.high, 100))
