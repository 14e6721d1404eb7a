"""The sentences and figures of a comparison, the same in the terminal and in HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from swaptrace import units
from swaptrace.diff.document import Comparison, Recording, Result, Row, Spread
from swaptrace.diff.figures import Measure
from swaptrace.report import words
from swaptrace.results.catalogue import Unit

#: The figures that a verdict is about: what takes memory, and else what would. (figure, how that is said of a side)
_TAKES = (
    ("policies.observed.stale_compr_bytes", "holds {} in stale slots"),
    ("duplicate.compr_bytes", "keeps {} in the store and in memory at once"),
    ("pool", "takes {} memory for its pool"),
)
_WOULD_TAKE = (("policies.none.stale_compr_bytes", "would hold {} in stale slots without notifications"),)
#: What changes by less than that of what would be stale without notifications is no news.
_NO_NEWS = 0.01
#: Of an integral, what a verdict prefers: where events were lost, only the last is known.
_PARTS = ("byte_seconds", "end")


def label(name: str) -> str:
    """A figure's name in tables: that of the JSON report as words, so that it can be broken into lines."""
    return name.removeprefix("policies.").replace(".", ", ").replace("_", " ")


# -- one figure


def value(number: float | None, row: Row, measure: str | None = None) -> str:
    """A figure in one of its measures: in that which decided, if none is given."""
    measure = measure or row.measure or Measure.ABSOLUTE
    if number is None:
        return units.DASH
    if row.unit == Unit.PERCENT:
        return units.percent(number / 100)
    if measure == Measure.PER_SECOND:
        return units.rate(number) if row.unit != Unit.NS else f"{_amount(number, row.unit)}/s"
    return _amount(number, row.unit, whole=measure == Measure.ABSOLUTE)


def _amount(number: float, unit: str, *, whole: bool = False) -> str:
    """whole: of what has no parts."""
    shows: dict[str, Callable[[float], str]] = {
        Unit.BYTES: _bytes,
        Unit.BYTE_SECONDS: lambda amount: f"{_bytes(amount)}·s",
        Unit.NS: lambda ns: units.duration(ns) if ns >= 10 or ns == 0 else f"{units.number(ns)} ns",
    }
    return shows.get(unit, units.count if whole and unit != Unit.NUMBER else units.number)(number)


def _bytes(amount: float) -> str:
    return units.size(amount) if abs(amount) >= 1000 or amount == int(amount) else f"{units.number(amount)} B"


def spread(found: Spread, row: Row, measure: str | None = None) -> str:
    """The median, and on a line of its own from where to where; only that if it is not known better."""
    low, high = value(found.min, row, measure), value(found.max, row, measure)
    if low == high:
        return low
    number, _, unit = low.rpartition(" ")
    same_unit = number and high.endswith(f" {unit}")
    ends = f"{number if same_unit else low}..{high}" if found.max is not None else f"at least {low}"
    return ends if found.median is None else f"{value(found.median, row, measure)}\n{ends}"


def change(row: Row) -> str:
    """By how much a figure has changed: `+12 %`, `-3.4 points`; of others how they compare."""
    if row.result is not Result.CHANGED:
        return _RESULTS[row.result]
    if row.unit == Unit.PERCENT and row.change is not None:
        return f"{_signed(row.change)} pp"
    if row.change is None:
        return "+" if row.is_more else "-"
    return f"x {row.change + 1:,.0f}" if row.change >= _MANY else f"{_signed(100 * row.change)} %"


_MANY = 10  # from so many times more on, it is no percentage
_RESULTS = {
    Result.SAME: "same",
    Result.WITHIN: "within",
    Result.UNDECIDED: "not told",
    Result.UNKNOWN: units.DASH,
}


def _signed(percent: float) -> str:
    """Whole from 10 on; what is not 0 or -100 is not called so."""
    if -100 < percent <= -99.5:
        told = (f"{percent:.{digits}f}" for digits in range(1, 7))
        return next((text for text in told if float(text) > -100), "-99.999999")
    text = f"{percent:+,.0f}" if abs(percent) >= 9.95 else f"{percent:+.1f}"
    return text if float(text.replace(",", "")) else f"{percent:+.1g}"


# -- the verdict


def verdict(figures: Sequence[Row], chance: float) -> str:
    """What has changed, in one sentence."""
    changed = [row for row in figures if row.result is Result.CHANGED]
    known = [row for row in figures if row.result not in (Result.UNKNOWN, Result.UNDECIDED)]
    several = chance < 1
    if not known:
        return "Nothing can be compared: no figure is known well enough on both sides."
    if not changed:
        beyond = " beyond the spread of the runs" if several else ""
        return f"No difference{beyond} in any of the figures that are known ({units.count(len(known))})."
    number, said = _leading(figures)
    if not number:
        number, said = 1, _plainly(changed[0])
    return f"{said}; {_others(len(changed) - number, len(known) - number, several)}."


def _others(others: int, known: int, several: bool) -> str:
    if not others:
        rest = "everything else that is known differs by no more than the runs' own spread"
        return rest if several else "nothing else that is known differs"
    if several:
        return (
            f"{units.count(others)} of {units.count(known)} other figures differ by more than the runs' own spread, too"
        )
    return (
        f"{units.count(others)} of {units.count(known)} other figures differ, too, "
        "and one run a side does not tell how much of that is chance"
    )


def _leading(figures: Sequence[Row]) -> tuple[int, str]:
    """Of what takes memory, all that has changed; else of what would take it: of how many figures that is, and what.

    Empty if neither has.
    """
    named = {row.name: row for row in figures}
    for group in (_TAKES, _WOULD_TAKE):
        for part in _PARTS:
            if found := _material(named, group, part):
                said = (
                    f"{how.format(_more_or_less(row))}{'' if number else ' than A'} ({_both(row)})"
                    for number, (row, how) in enumerate(found)
                )
                return len(found), f"{_per(found[0][0], 'B')} {' and '.join(said)}"
    return 0, ""


def _material(named: Mapping[str, Row], group: Sequence[tuple[str, str]], part: str) -> list[tuple[Row, str]]:
    """Of a group's figures, those that have changed by enough to be news, in one measure; and how that is said."""
    least = _NO_NEWS * _largest(named.get(f"{_WOULD_TAKE[0][0]}.{part}"))
    found = [
        (row, how)
        for figure, how in group
        if (row := named.get(f"{figure}.{part}")) and row.result is Result.CHANGED and _gap(row) >= least
    ]
    return [(row, how) for row, how in found if row.measure == found[0][0].measure]


def _largest(row: Row | None) -> float:
    """What a side has of a figure at least; 0 if it is not known."""
    return max(row.pair.a.min, row.pair.b.min) if row is not None and row.measures else 0


def _gap(row: Row) -> float:
    """By how much the sides differ at least."""
    low, high = (row.pair.a, row.pair.b) if row.is_more else (row.pair.b, row.pair.a)
    return high.min - (low.max or 0)


def _per(row: Row, who: str) -> str:
    """`Per page stored, B`."""
    if row.measure is None or row.measure == Measure.ABSOLUTE:
        return who
    return f"{Measure(row.measure).words.capitalize()}, {who}"


def _more_or_less(row: Row) -> str:
    more = "more" if row.is_more else "less"
    return more if row.change is None or row.change >= _MANY else f"{_signed(100 * row.change).lstrip('+-')} % {more}"


def _both(row: Row) -> str:
    return " against ".join(_in_line(spread(side, row)) for side in (row.pair.b, row.pair.a))


def _in_line(cell: str) -> str:
    """`1.7 KiB [1.6..1.8 KiB]`."""
    number, _, ends = cell.partition("\n")
    return f"{number} [{ends}]" if ends else number


def _plainly(row: Row) -> str:
    """A change of a figure that has no words of its own."""
    return f"{_per(row, 'B')} has {'more' if row.is_more else 'less'} of {label(row.name)} than A ({_both(row)})"


# -- beside the tables


def heading(found: Comparison) -> list[tuple[str, str]]:
    """(side, its runs)."""
    return [(name, _runs(side)) for name, side in (("A", found.a), ("B", found.b))]


def _runs(side: Sequence[Recording]) -> str:
    paths = ", ".join(_run(run) for run in side)
    return paths if len(side) == 1 else f"{units.count(len(side))} runs: {paths}"


def _run(run: Recording) -> str:
    part = words.part(run.since_s, run.until_s)
    return f"{run.path} ({part})" if part else run.path


def of_the_spread(found: Comparison) -> str:
    """What a difference is, and how often it is chance: a sentence or two."""
    if not found.has_spread:
        return (
            "The spread is not known, for there is one run a side: every difference is told. "
            "With several, put -- between the sides (A1 A2 -- B1 B2)."
        )
    return (
        f"{units.count(len(found.a))} and {units.count(len(found.b))} runs: medians, and from the least to the most. "
        "A figure has changed if all runs of one side are beyond all of the other one; "
        f"without any difference, that happens to {units.percent(found.chance)} of the figures by chance."
    )


def rest(figures: Sequence[Row], shown: int, alike: int) -> list[str]:
    """What becomes of the figures that no table shows.

    shown: how many of those that have changed are shown; alike: how many have the very values of one that is.
    """
    counts = Counter(row.result for row in figures)
    why = Counter(row.why for row in figures if row.result is Result.UNKNOWN)
    said = {
        "Changed just as one of these (--all shows them)": alike,
        "Changed by less (--all shows them)": counts[Result.CHANGED] - shown - alike,
        "The same": counts[Result.SAME],
        "No difference beyond the spread of the runs": counts[Result.WITHIN],
        "Not to be told, as events were lost and bounds overlap": counts[Result.UNDECIDED],
        **{f"Not known, {reason}": number for reason, number in why.items()},
    }
    return [f"{what}: {_figures(number)}." for what, number in said.items() if number]


def _figures(number: int) -> str:
    return "1 figure" if number == 1 else f"{units.count(number)} figures"


GLOSSARY = {
    "A, B": "The sides: what was before, and what is compared with it. B is said to have more or less than A.",
    "per page stored": "Divided by `stores`, the pages written to the area's store while recording.",
    "per second": "Divided by the length of the recording.",
    "pp": "Percentage points: from 10 % to 12 % is 2 of them.",
    **{
        name: words.GLOSSARY[name] for name in ("store", "live", "stale", "duplicate", "compressed bytes", "pool bytes")
    },
}
