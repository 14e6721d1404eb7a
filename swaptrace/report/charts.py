"""The charts: each is a function of one swap area, and one row of CHARTS.

What is shown was computed by analysis; here it is scaled to units, coloured, and given a title that says what to see.
`pictures.py` and `interactive.py` draw it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.engine.figures import SlotMap
from swaptrace.histogram import Histogram, Survival, bucket_bounds
from swaptrace.policies import POLICIES
from swaptrace.policies import Line as Look
from swaptrace.report import palette, shares, words
from swaptrace.report.plot import (
    Area,
    Axis,
    Bars,
    Floats,
    Line,
    Mark,
    Panel,
    Plot,
    Point,
    Readings,
    Rule,
    Strips,
    ages,
    amounts,
    percents,
)
from swaptrace.results import ages as idle
from swaptrace.results.results import AreaResult


@dataclass(frozen=True)
class Chart:
    """A kind of chart. name: part of its file's name; caption: one sentence on how to read it."""

    name: str
    title: str
    plot: Callable[[AreaResult], Plot]
    caption: str | Callable[[AreaResult], str]

    def caption_of(self, area: AreaResult) -> str:
        """The caption, where it depends on what is drawn of the area."""
        return self.caption if isinstance(self.caption, str) else self.caption(area)


def _subject(area: AreaResult, what: str) -> str:
    return f"{words.area_title(area)}: {what}"


# ------------------------------------------------------------------------------------------------------- over time


#: How values are told, by their unit; all others are bytes.
_SAID: dict[str, Callable[[float], str]] = {
    "slots": units.count,
    "times": lambda value: units.DASH if math.isnan(value) else f"{value:.2f}",
}


@dataclass(frozen=True)
class _Timeline:
    """Series in units. edges: of the bins, from the recording's start on, shape (bins + 1,); values: at the end of each
    bin, shape (bins,). scale: how many bytes, or slots, are in the unit of values.
    """

    edges: Floats
    values: dict[str, Floats]
    time_unit: str
    unit: str
    scale: float

    @property
    def time(self) -> Axis:
        return _time(self.edges, self.time_unit)

    def readings(self, named: dict[str, Floats]) -> Readings:
        """What the values are in each bin, by name."""
        say = _SAID.get(self.unit, units.size)
        digits = max(1 - int(np.floor(np.log10(self.edges[-1] / len(self.edges)))), 0)
        columns = {"until": [f"{end:,.{digits}f} {self.time_unit}" for end in self.edges[1:]]}
        columns |= {name: [say(value * self.scale) for value in values] for name, values in named.items()}
        return Readings(self.edges[:-1], self.edges[1:], columns)


def _time(edges: Floats, unit: str) -> Axis:
    second = 1e9 / units.NS_OF[unit]
    return Axis(f"{unit} since the start", 0, float(edges[-1]), together=True, second=second)


def _timeline(area: AreaResult, stale_only: bool = False) -> _Timeline | None:
    """Bytes where the store is compressed, else slots; None if there is nothing but zeros."""
    series = area.series
    for source in (series.bytes, series.slots):
        wanted = ({} if stale_only or "live" not in source else {"live": source["live"]}) | _by_policy(area, source)
        largest = max((int(values.max(initial=0)) for values in wanted.values()), default=0)
        if largest and series.time[-1] > 0:
            break
    else:
        return None
    return _scaled(series.time, wanted, *(units.byte_unit(largest) if source is series.bytes else ("slots", 1.0)))


def _scaled(
    time: NDArray[np.int64], values: Mapping[str, NDArray[np.int64] | Floats], unit: str, scale: float
) -> _Timeline:
    """Series at the ends of bins (ns). scale: how many there are in a unit."""
    time_unit, ns = units.time_unit(float(time[-1]))
    edges = np.concatenate([[0], time]) / ns
    return _Timeline(edges, {name: each / scale for name, each in values.items()}, time_unit, unit, scale)


def _by_policy(area: AreaResult, series: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Those of the series that are a policy's which is to be shown, in the order of the legend.

    discard_once, which is `none` until an area is switched on again, is left out where it lies on that line.
    """
    found = {name: series[name] for name in POLICIES if name in series and area.shows(name)}
    if "none" in found and "discard_once" in found and np.array_equal(found["none"], found["discard_once"]):
        del found["discard_once"]
    return found


def _amount(line: _Timeline, *drawn: Floats) -> Axis:
    return amounts("slots" if line.unit == "slots" else f"compressed, {line.unit}", *drawn)


def content(area: AreaResult) -> Plot:
    """What the store holds over time: live, stale and held, stale and given back."""
    subject = _subject(area, "what the store holds over time")
    line = _timeline(area)
    if line is None:
        return Plot("Nothing was stored while this was recorded", subject)
    nothing = np.zeros(len(line.edges) - 1)
    live, observed = line.values.get("live", nothing), line.values.get("observed")
    none = line.values.get("none", nothing if observed is None else observed)
    held = np.minimum(nothing if observed is None else observed, none)
    marks: list[Mark] = [Area(line.edges, nothing, live, palette.LIVE, "live", alpha=0.85)]
    told = {"live": live}
    if held.any():
        marks.append(Area(line.edges, live, live + held, palette.STALE, "stale, still held"))
        told["stale, still held"] = held
    if (none > held).any():
        label = "stale without notifications"
        marks.append(Area(line.edges, live + held, live + none, palette.GIVEN_BACK, label, hatched=True))
        told[label] = none
    if observed is not None:  # as it is, even if events were lost and it does not fit the rest
        label = "held by the store (observed)"
        marks.append(Line(line.edges, live + observed, Look(palette.INK, "-", 1.6), label))
        told[label] = live + observed
    amount = _amount(line, live + none, nothing if observed is None else live + observed)
    panel = Panel(line.time, amount, tuple(marks), readings=line.readings(told))
    return Plot(_content_finding(area), subject, (panel,))


def _content_finding(area: AreaResult) -> str:
    none, recovered = area.policies.get("none"), area.recovered.get("compr_bytes") if area.compares else None
    live = f"{units.count(area.live_slots_end)} slots were live at the end"
    if not area.shows("none") or "none" in area.not_predicted:
        return live
    if none is None or none.stale_slots_peak == 0 or (recovered is None and area.compares):
        return f"{live}, and no stale one took memory"
    if recovered is None:
        return f"Without notifications the store would hold up to {units.size(none.stale_compr_bytes.peak)} for nothing"
    if not area.notified and area.shows("observed"):
        return f"Nobody told the store of freed slots: up to {units.size(none.stale_compr_bytes.peak)} were stale"
    return f"Without notifications the store would hold up to {units.size(recovered.peak)} more"


def _left_out(area: AreaResult) -> str:
    """The policies that have no line, as nobody knows where it would be; the tables say why."""
    names = ", ".join(name for name in area.not_predicted if area.shows(name))
    return f"; not predicted: {names}" if names else ""


def policies(area: AreaResult) -> Plot:
    """Stale bytes over time under each policy."""
    subject = _subject(area, f"stale entries over time, by policy{_left_out(area)}")
    line = _timeline(area, stale_only=True)
    if line is None:
        return Plot("No slot was stale under any policy", subject)
    return Plot(_policies_finding(area), subject, (_policy_lines(line, _amount(line, *line.values.values())),))


def _policy_lines(line: _Timeline, amount: Axis) -> Panel:
    """A line per policy; what lies between the two extremes is shaded."""
    top, low = line.values.get("none"), line.values.get("notify")
    between = [] if top is None or low is None else [Area(line.edges, low, top, palette.GIVEN_BACK, alpha=0.12)]
    return _lines_of(line, amount, *between)


def _lines_of(line: _Timeline, amount: Axis, *below: Mark) -> Panel:
    """A line per policy, above other marks."""
    lines = [
        Line(line.edges, values, POLICIES[name].line, POLICIES[name].label) for name, values in line.values.items()
    ]
    return Panel(line.time, amount, (*below, *lines), readings=line.readings(line.values))


def _policies_finding(area: AreaResult) -> str:
    found = area.shown_policies
    now, said = ("observed", "observed") if "observed" in found else ("notify", "with them")
    if "none" not in found or now not in found:
        return "Stale entries, by policy"
    without, have = (units.size(found[name].stale_compr_bytes.peak) for name in ("none", now))
    return f"Stale at most: {without} without notifications, {have} {said}"


def pool(area: AreaResult) -> Plot:
    """Pages of memory that the whole pool takes over time, under each policy."""
    subject = _subject(area, f"memory of the store's pool (mem_used_total), by policy{_left_out(area)}")
    series, found = area.series, _by_policy(area, area.series.pool_bytes)
    if not found or not series.time[-1:].any():
        return Plot("The pool is not modelled", subject)
    line = _scaled(series.time, found, *units.byte_unit(max(int(values.max(initial=0)) for values in found.values())))
    amount = amounts(f"pool, {line.unit}", *line.values.values())
    return Plot(_pool_finding(area), subject, (_policy_lines(line, amount),))


def _pool_finding(area: AreaResult) -> str:
    none = area.shown_policies.get("none")
    if not area.compares or none is None or none.stale_pool_bytes is None or not none.stale_pool_bytes.peak:
        return "Memory of the pool, by policy"
    keep = "keep" if area.notified else "would keep"
    return f"Notifications {keep} up to {units.size(none.stale_pool_bytes.peak)} of RAM free"


_LITTLE = 0.01  # of the most compressed bytes: of less than that, the ratio says nothing


def fragmentation(area: AreaResult) -> Plot:
    """The pool over the compressed bytes in it, over time, under each policy."""
    subject = _subject(area, f"pool (mem_used_total) over compressed bytes, by policy{_left_out(area)}")
    series, ratios = area.series, _ratios(area)
    if not ratios:
        return Plot("What the pool takes for its bytes is not known", subject)
    line = _scaled(series.time, ratios, "times", 1.0)
    known = [values[~np.isnan(values)] for values in line.values.values()]
    panel = _lines_of(line, amounts("times the compressed bytes", *known))
    return Plot(_fragmentation_finding(ratios), subject, (panel,))


def _ratios(area: AreaResult) -> dict[str, Floats]:
    """By policy, at the end of each bin; NaN where the store holds next to nothing. Empty if none is known: the pool is
    that of the whole store, the bytes are the area's."""
    series, found = area.series, _by_policy(area, area.series.pool_bytes)
    if area.sharers or "live" not in series.bytes or not series.time[-1:].any():
        return {}
    ratios = {}
    for name, pool_bytes in found.items():
        held = (series.bytes["live"] + series.bytes[name]).astype(float)
        if held.max(initial=0):
            ratios[name] = np.divide(
                pool_bytes, held, out=np.full(len(held), np.nan), where=held >= max(_LITTLE * held.max(), 1)
            )
    return ratios


def _fragmentation_finding(ratios: dict[str, Floats]) -> str:
    """Under the policy that is the machine's own, if it is shown."""
    name = "observed" if "observed" in ratios else next(iter(ratios))
    known = ratios[name][~np.isnan(ratios[name])]
    return (
        f"Under {name}, the pool takes {known[-1]:.2f} times its compressed bytes at the end, {known.max():.2f} at most"
    )


# ------------------------------------------------------------------------------------------------------- durations


def _survival(survival: Survival, half: str, most: str, subject: str, left: str, color: str) -> Plot:
    """Steps of the product-limit estimate over a logarithmic time axis, with the median marked.

    half: the title, with a place for the median; most: the title if the recording was too short to tell that.
    """
    median = survival.quantile(0.5)
    at, alive = survival.estimate()
    bounds = bucket_bounds()
    seen = np.flatnonzero(survival.ended + survival.censored)
    low, high = max(float(bounds[seen[0]]), 1.0), float(bounds[seen[-1] + 1])
    axis = ages("time (logarithmic)", low, high)
    edges = np.concatenate([[axis.low], at, [max([high, *at[-1:]])]])
    values = np.concatenate([[1.0], alive])
    marks: list[Mark] = [Area(edges, np.zeros_like(values), values, color, alpha=0.13)]
    marks.append(Line(edges, values, Look(color, "-", 2.6)))
    if median is not None:
        marks.append(Point(median, 0.5, f"median {units.duration(median)}"))
    columns = {"after": [*map(units.duration, edges[:-1])], left: [*map(units.percent, values)]}
    panel = Panel(axis, percents(left), tuple(marks), readings=Readings(edges[:-1], edges[1:], columns))
    return Plot(most if median is None else half.format(units.duration(median)), subject, (panel,))


def _estimated(survival: Survival) -> str:
    """What the curve is worth, for the line below the title."""
    return f"(Kaplan-Meier, {units.count(shares.still_running(survival))} censored)"


def lifetimes(area: AreaResult) -> Plot:
    """How long slots are in use."""
    subject = _subject(area, f"share of slots still in use, by age {_estimated(area.lifetime)}")
    if not _lasted(area.lifetime):
        return Plot("No slot was stored and freed while this was recorded", subject)
    half = "By estimate, half of the slots are freed within {}"
    most = "By estimate, more than half of the slots stay in use for longer than was seen"
    return _survival(area.lifetime, half, most, subject, "still in use", palette.LIVE)


def reuse(area: AreaResult) -> Plot:
    """How long freed slots wait for the next page: how long a stale entry would stay."""
    what = "share of freed slots not written again, by time since the free"
    subject = _subject(area, f"{what} {_estimated(area.time_to_reuse)}")
    if not _lasted(area.time_to_reuse):
        return Plot("No slot was freed while this was recorded", subject)
    half = "By estimate, half of the freed slots are written again within {}"
    most = "By estimate, more than half of the freed slots stay free for longer than was seen"
    return _survival(area.time_to_reuse, half, most, subject, "not written again", palette.FREE)


def _lasted(survival: Survival) -> bool:
    return bool(survival.count or shares.still_running(survival))


def _estimate_caption(survival: Survival, which: str, begin: str, end: str) -> str:
    """What a product-limit estimate is made of. which: whose times; begin and end: what they are from and to."""
    before = survival.left_censored
    left_out = f"; {units.count(before)} that began before the recording have no known age and are left out"
    return (
        f"The Kaplan-Meier estimate of {units.count(survival.count)} {which} that ended, from {begin} to {end}, and "
        f"{units.count(shares.still_running(survival))} that had not when the recording did (censored), which count "
        f"for as long as they were seen{left_out if before else ''}."
    )


def reasons(area: AreaResult) -> Plot:
    """Lifetimes by the reason of the free: one small histogram each, largest number of frees first."""
    subject = _subject(area, "how long slots had been in use when they were freed, by reason")
    shown = [(name, times) for name, times in area.lifetime_by_reason.items() if times.count]
    if not shown:
        return Plot("No slot was stored and freed while this was recorded", subject)
    shown.sort(key=lambda item: -item[1].count)
    most = max((name for name, _ in shown), key=lambda name: area.free_reasons[name])
    part = shares.share(area.free_reasons[most], area.frees)  # as the table has it, lives of unknown age included
    median = units.duration(area.lifetime_by_reason[most].quantile(0.5))
    finding = f"{units.percent(part)} of slots were freed by {most}, after {median} at the median"
    axis = _fit_times([histogram for _, histogram in shown])
    return Plot(finding, subject, tuple(_small_histogram(axis, name, histogram) for name, histogram in shown))


def _fit_times(histograms: list[Histogram]) -> Axis:
    seen = np.flatnonzero(np.sum([histogram.counts for histogram in histograms], axis=0))
    bounds = bucket_bounds()
    return ages("time in use (logarithmic)", max(float(bounds[seen[0]]), 1.0), float(bounds[seen[-1] + 1]))


def _small_histogram(axis: Axis, name: str, histogram: Histogram) -> Panel:
    """Frees per doubling of the time in use, so that equal areas are equal numbers on the logarithmic axis."""
    edges = np.maximum(bucket_bounds()[::16], 0.5)  # a quarter of an octave each
    counts = histogram.counts.reshape(-1, 16).sum(axis=1)
    values = counts / np.log2(edges[1:] / edges[:-1])
    median = histogram.quantile(0.5)
    assert median is not None
    lasted = [f"{units.duration(low)} to {units.duration(high)}" for low, high in pairwise(edges)]
    columns = {"in use for": lasted, "slots": [*map(units.count, counts)]}
    return Panel(
        axis,
        Axis("", 0, 1.05 * float(values.max()), ticks={}),
        (Area(edges, np.zeros_like(values), values, palette.LIVE, alpha=0.85), Rule(median)),
        f"{name}: {units.count(histogram.count)} slots, median {units.duration(median)}",
        Readings(edges[:-1], edges[1:], columns),
    )


# ------------------------------------------------------------------------------------------------------ what is idle


def age(area: AreaResult) -> Plot:
    """What writing back idle entries would save, and what would be read from the disk, by how long they are idle."""
    subject = _subject(area, "what writing back idle entries saves and costs, by how long they are idle")
    found = idle.thresholds(area.age) if area.age is not None else []
    if len(found) < 2 or not found[0].saved_mean:
        return Plot("Nothing was idle for long enough to be written back", subject)
    times = np.array([each.idle_s * 1e9 for each in found])
    axis = ages("idle for (logarithmic)", times[0], times[-1])
    unit, scale = units.byte_unit(max(each.saved_mean for each in found))
    saved = np.array([each.saved_mean for each in found]) / scale
    loads = np.array([each.loads_per_s for each in found])
    left, right = amounts(f"saved, {unit}", saved), amounts("pages a second", loads)
    edges = np.append(times, axis.high)
    marks = (
        Area(edges, np.zeros_like(saved), saved, palette.GIVEN_BACK, alpha=0.13),
        Line(edges, saved, Look(palette.GIVEN_BACK, "-", 2.6), "compressed bytes on the disk, on average"),
        Line(edges, loads * (left.high / right.high), Look(palette.STALE, (0, (4, 2)), 2.2), "pages read from there"),
    )
    columns = {
        "idle for": [units.duration(time) for time in times],
        "saved": [units.size(each.saved_mean) for each in found],
        "read from the disk": [units.rate(each.loads_per_s) for each in found],
    }
    panel = Panel(axis, left, marks, readings=Readings(edges[:-1], edges[1:], columns), right=right)
    return Plot(_age_finding(area, found), subject, (panel,))


def _age_finding(area: AreaResult, found: list[idle.Threshold]) -> str:
    """Of a threshold that the recording is long enough for: one of the table's, if it is."""
    enough = area.age.span / 4e9 if area.age is not None else 0
    shown = [each for each in found if each.idle_s <= enough] or found[:1]
    best = next((each for each in reversed(shown) if each.idle_s in idle.MINUTES), shown[-1])
    saved, loads = units.size(best.saved_mean), units.rate(best.loads_per_s).removesuffix("/s")
    idle_for = units.duration(best.idle_s * 1e9)
    saves = "saves at least" if area.age is not None and area.age.unsized else "saves"
    return f"Writing back what is idle for {idle_for} {saves} {saved}, for {loads} reads/s from the disk"


# ------------------------------------------------------------------------------------------------- sizes and places


def sizes(area: AreaResult) -> Plot:
    """Compressed sizes of the pages that were stored."""
    subject = _subject(area, "pages by compressed size")
    parts = shares.size_shares(area.sizes)
    if parts is None:
        return Plot("No compressed size is known", subject)
    page = len(area.sizes) - 1
    finding = (
        f"{units.percent(parts['same-filled'] + parts['up to half a page'])} of pages compress to half a page or less; "
        f"{units.percent(parts['incompressible'])} not at all"
    )
    width = page // 64
    # The two ends are no sizes like others: same-filled pages have none, incompressible ones are stored whole.
    counts = np.concatenate([area.sizes[:1], _binned(area.sizes[1:page], width), area.sizes[page:]])
    left = np.concatenate([[-2.2 * width], np.arange(64) * width, [page + 1.2 * width]])
    right = left + np.concatenate([[1.8 * width], np.full(64, width), [1.8 * width]])
    group = np.concatenate([[0], np.where(left[1:-1] < page // 2, 1, 2), [3]])
    bars = [
        Bars(left[one], right[one], counts[one].astype(np.float64), color, f"{name} {units.percent(share)}")
        for number, (color, (name, share)) in enumerate(zip(palette.SIZES, parts.items(), strict=True))
        if (one := group == number).any()
    ]
    inner = [f"{units.count(low + 1)} to {units.count(min(low + width, page - 1))} bytes" for low in left[1:-1]]
    said = {"compressed to": ["one word", *inner, "a whole page"], "pages": [*map(units.count, counts)]}
    axis = Axis("compressed size, bytes", -3 * width, page + 4 * width, _counts(np.linspace(0, page, 9)))
    rule = Rule(page // 2, "half a page")
    panel = Panel(axis, amounts("pages", counts), (*bars, rule), readings=Readings(left, right, said))
    return Plot(finding, subject, (panel,))


def _binned(pages: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Pages by size from one byte on, `width` sizes together: 64 numbers, of which the last lacks a size."""
    return np.asarray(np.concatenate([pages, [0]]).reshape(64, width).sum(axis=1), np.int64)


def _counts(places: Iterable[float]) -> dict[float, str]:
    return {float(place): units.count(place) for place in places}


_MOST_ROWS = 32  # of the map: each is high enough for what it is made of to be seen


def slot_map(area: AreaResult) -> Plot:
    """The area's slots over time; cropped above the last row that was ever used."""
    subject = _subject(area, "its slots without notifications")
    if not area.shows("none") or "none" in area.not_predicted:
        return Plot("Which slots would be stale without notifications is not told", subject)
    found = area.slot_map
    used = np.flatnonzero((found.live + found.stale).any(axis=0))
    if not len(used) or not area.series.time[-1:].any():
        return Plot("No slot was in use while this was recorded", subject)
    top = min((int(used[-1]) + 1) * found.slots_per_row, found.slots)
    if top < found.slots:
        subject += f"; from {units.count(top)} up they were never used"
    strips, time_unit = _strips(area.series.time, found, int(used[-1]) + 1)
    unit, scale = units.byte_unit(top * (len(area.sizes) - 1))
    right = Axis(f"{unit}, uncompressed", 0, top * (len(area.sizes) - 1) / scale)
    panel = Panel(_time(strips.edges, time_unit), Axis("slot offset", 0, top), (strips,), right=right)
    return Plot(_map_finding(area, top), subject, (panel,))


def _strips(time: NDArray[np.int64], found: SlotMap, rows: int) -> tuple[Strips, str]:
    """The first rows of a map, or some together, over time (ns); and the unit of the latter."""
    time_unit, ns = units.time_unit(float(time[-1]))
    edges, bins = np.unique(np.concatenate([[0], time]) / ns, return_index=True)
    bins = bins[1:] - 1  # without a last bin that has no width
    found = replace(found, live=found.live[bins, :rows], stale=found.stale[bins, :rows])
    while found.live.shape[1] > _MOST_ROWS:
        found = found.coarser()
    counts = {"live": found.live.T, "stale": found.stale.T}
    return Strips(edges, found.slots_per_row, counts, {"live": palette.LIVE, "stale": palette.STALE}), time_unit


def _map_finding(area: AreaResult, top: int) -> str:
    none = area.policies.get("none")
    if none is None or none.stale_slots_peak == 0:
        return f"The first {units.count(top)} of {units.count(area.slots)} slots were used"
    return f"Up to {units.count(none.stale_slots_peak)} of {units.count(area.slots)} slots would be stale at a time"


# ----------------------------------------------------------------------------------------------------------- the table


def _content_caption(area: AreaResult) -> str:
    """Of the layers that are shown."""
    observed = area.series.bytes.get("observed") if area.shows("observed") else None
    layers = ["orange is stale and still held"] if observed is not None and observed.any() else []
    if area.shows("none"):
        as_well = " as well" if layers else ""
        layers.append(f"the hatched part would be held{as_well} without notifications")
    return f"{'; '.join(('Blue is in use', *layers))}."


def _policies_caption(area: AreaResult) -> str:
    gap = ": the gap between none and notify is what notifications give back" if area.compares else ""
    return f"The same swapping under each policy{gap}."


CHARTS: tuple[Chart, ...] = (
    Chart("content", "What the store holds over time", content, _content_caption),
    Chart("policies", "Stale entries over time, by policy", policies, _policies_caption),
    Chart(
        "pool",
        "Memory of the pool over time, by policy",
        pool,
        "What the machine pays, in whole pages: a freed object gives none back before the last one beside it goes.",
    ),
    Chart(
        "fragmentation",
        "Pool over compressed bytes, by policy",
        fragmentation,
        "1 is a pool without a gap. What objects leave behind that went is given back only with the whole pages around "
        "them, or by compaction; where the store holds next to nothing, there is no line.",
    ),
    Chart(
        "lifetimes",
        "How long slots are in use",
        lifetimes,
        lambda area: _estimate_caption(area.lifetime, "lives", "store", "free"),
    ),
    Chart(
        "reasons",
        "Lifetimes by reason",
        reasons,
        "Each row is one reason why slots were freed; heights compare within a row only, dashes mark the median.",
    ),
    Chart(
        "reuse",
        "Time until a freed slot is written again",
        reuse,
        lambda area: (
            "Without notifications an entry stays in memory for this long after its slot was freed. "
            + _estimate_caption(area.time_to_reuse, "waits", "free", "store")
        ),
    ),
    Chart(
        "age",
        "What is idle",
        age,
        "If entries were written back that nobody stored or read for so long: what it saves, and what has to be read.",
    ),
    Chart(
        "sizes",
        "Compressed sizes",
        sizes,
        "Same-filled pages take no memory and stand left of zero; incompressible ones are stored whole, on the right.",
    ),
    Chart(
        "map",
        "Map of the swap area",
        slot_map,
        "Every row is a stretch of slots, filled from below by its live ones, then by those that are free but would "
        "still be held; what is left of a row is empty.",
    ),
)
