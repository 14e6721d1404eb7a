"""Figure by figure: what of it differs between two sides, each of one run or several.

A figure has changed if all runs of one side are beyond all runs of the other one. That needs no assumption of how runs
are distributed, and how often it happens by chance is known exactly: it is the most extreme outcome of a rank-sum test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb
from statistics import median

from swaptrace.diff.document import Pair, Result, Row, Spread
from swaptrace.diff.figures import AreaFigures, Compared, Interval, Measure, Told
from swaptrace.results.catalogue import Better, Unit


def chance_of(a: int, b: int) -> float:
    """How likely all of `a` runs are beyond all of `b` ones, if they are runs of the same."""
    return min(2 / comb(a + b, a), 1)


def rows(a: Sequence[AreaFigures], b: Sequence[AreaFigures]) -> list[Row]:
    """Every figure that a run has, those that have changed most first."""
    figures = {name: figure for area in (*a, *b) for name, figure in area.compared.items()}
    found = [row for figure in figures.values() if (row := _row(figure, a, b)) is not None]
    order = list(Result)
    return sorted(found, key=lambda row: (order.index(row.result), -row.size if row.result is Result.CHANGED else 0))


def _row(figure: Compared, a: Sequence[AreaFigures], b: Sequence[AreaFigures]) -> Row | None:
    """None for a figure that no run has, with nothing known of why."""
    told = {measure: [[area.told(figure.name, measure) for area in side] for side in (a, b)]
            for measure in figure.measures}  # fmt: skip
    absolute = told[Measure.ABSOLUTE]
    if all(value is None for side in absolute for value in side):
        return None
    measures = {str(measure): Pair(*map(_spread, sides)) for measure, sides in told.items() if all(map(_known, sides))}
    measure = next(iter(measures), None)
    result = Result.UNKNOWN if measure is None else _result(measures[measure])
    change = good = None
    if measure is not None and result is Result.CHANGED:
        change = _change(measures[measure], figure.unit)
        good = _is_good(measures[measure], figure.better)
    return Row(
        name=figure.name,
        kind=figure.kind,
        unit=figure.unit,
        better=None if figure.better is Better.NEITHER else figure.better.name.lower(),
        result=result,
        measure=measure,
        measures=measures,
        change=change,
        good=good,
        why=_why(absolute) if measure is None else None,
    )


def _known(side: Iterable[Told]) -> bool:
    return all(isinstance(value, Interval) for value in side)


def _why(sides: Sequence[Sequence[Told]]) -> str:
    """Why a figure is not known: what is said of one of the runs that do not tell."""
    name, told = next((name, told) for name, told in zip("AB", sides, strict=True) if not _known(told))
    reason = next((value for value in told if isinstance(value, str)), None)
    return reason or (f"not every run of {name} has one" if len(told) > 1 else f"{name} has none")


def _spread(side: Sequence[Told]) -> Spread:
    values = [value for value in side if isinstance(value, Interval)]
    highs = [value.high for value in values if value.high is not None]
    exact = all(value.exact for value in values)
    return Spread(
        median(value.low for value in values) if exact else None,
        min(value.low for value in values),
        max(highs) if len(highs) == len(values) else None,
    )


def _result(pair: Pair) -> Result:
    a, b = pair.a, pair.b
    if a.is_below(b) or b.is_below(a):
        return Result.CHANGED
    if a.median is None or b.median is None:
        return Result.UNDECIDED
    return Result.SAME if a.is_one and b.is_one else Result.WITHIN


def _change(pair: Pair, unit: Unit) -> float | None:
    a, b = pair.a.median, pair.b.median
    if a is None or b is None:
        return None
    if unit is Unit.PERCENT:
        return b - a
    return (b - a) / a if a > 0 else None


def _is_good(pair: Pair, better: Better) -> bool | None:
    """Whether a change is good news; None if it is neither."""
    return None if better is Better.NEITHER else pair.a.is_below(pair.b) == (better is Better.MORE)
