"""The charts: each is a function of one swap area, and one row of CHARTS.

What is drawn was computed by analysis; here it is scaled to units, coloured, and given a title that says what to see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.histogram import Histogram, Survival, bucket_bounds
from swaptrace.policies import POLICIES
from swaptrace.report import shares, style, words
from swaptrace.results.results import AreaResult

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chart:
    """A kind of chart. name: part of its file's name; caption: one sentence on how to read it.

    has_data: whether there is anything to see for an area; `draw` makes a figure all the same.
    """

    name: str
    title: str
    draw: Callable[[AreaResult], Figure]
    caption: str | Callable[[AreaResult], str]
    has_data: Callable[[AreaResult], bool]

    def caption_of(self, area: AreaResult) -> str:
        """The caption, where it depends on what is drawn of the area."""
        return self.caption if isinstance(self.caption, str) else self.caption(area)


def _subject(area: AreaResult, what: str) -> str:
    return f"{words.area_title(area)}: {what}"


# ------------------------------------------------------------------------------------------------------- over time


@dataclass(frozen=True)
class _Timeline:
    """Series in the units of an axis, with the recording's start put in front. All arrays: shape (bins + 1,)."""

    seconds: Floats
    values: dict[str, Floats]
    time_unit: str
    unit: str


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


def _scaled(time: NDArray[np.int64], values: dict[str, NDArray[np.int64]], unit: str, scale: float) -> _Timeline:
    """Series at the ends of bins (ns). scale: how many there are in a unit."""
    time_unit, ns = units.time_unit(float(time[-1]))
    padded = {name: np.concatenate([each[:1], each]) / scale for name, each in values.items()}
    return _Timeline(np.concatenate([[0], time]) / ns, padded, time_unit, unit)


def _by_policy(area: AreaResult, series: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Those of the series that are a policy's which is to be shown, in the order of the legend.

    discard_once, which is `none` until an area is switched on again, is left out where it lies on that line.
    """
    found = {name: series[name] for name in POLICIES if name in series and area.shows(name)}
    if "none" in found and "discard_once" in found and np.array_equal(found["none"], found["discard_once"]):
        del found["discard_once"]
    return found


def _time_axes(axes: Axes, line: _Timeline) -> None:
    axes.set_xlim(0, line.seconds[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{line.time_unit} since the start")
    axes.set_ylabel("slots" if line.unit == "slots" else f"compressed, {line.unit}")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def content(area: AreaResult) -> Figure:
    """What the store holds over time: live, stale and held, stale and given back."""
    subject = _subject(area, "what the store holds over time")
    line = _timeline(area)
    if line is None:
        return style.blank("Nothing was stored while this was recorded", subject)
    figure, (axes,) = style.figure(_content_finding(area), subject)
    live = line.values.get("live", np.zeros_like(line.seconds))
    observed = line.values.get("observed")
    none = line.values.get("none", np.zeros_like(live) if observed is None else observed)
    held = np.minimum(np.zeros_like(live) if observed is None else observed, none)
    tops = (live, live + held, live + none)
    axes.fill_between(line.seconds, 0, tops[0], step="pre", color=style.LIVE, alpha=0.85, linewidth=0, label="live")
    if held.any():
        axes.fill_between(
            line.seconds, tops[0], tops[1], step="pre", color=style.STALE, linewidth=0, label="stale, still held"
        )
    if (none > held).any():
        axes.fill_between(
            line.seconds, tops[1], tops[2], step="pre", facecolor=style.GIVEN_BACK + "30", edgecolor=style.GIVEN_BACK,
            hatch="///", linewidth=0, label="stale without notifications",
        )  # fmt: skip
    if observed is not None:  # as it is, even if events were lost and it does not fit the rest
        axes.step(
            line.seconds,
            live + observed,
            where="pre",
            color=style.INK,
            linewidth=1.6,
            label="held by the store (observed)",
        )
    _time_axes(axes, line)
    style.legend(axes, 4)
    return figure


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


def policies(area: AreaResult) -> Figure:
    """Stale bytes over time under each policy."""
    subject = _subject(area, f"stale entries over time, by policy{_left_out(area)}")
    line = _timeline(area, stale_only=True)
    if line is None:
        return style.blank("No slot was stale under any policy", subject)
    figure, (axes,) = style.figure(_policies_finding(area), subject)
    _policy_lines(axes, line)
    _time_axes(axes, line)
    style.legend(axes, 4 if len(axes.lines) <= 4 else 3)
    return figure


def _policy_lines(axes: Axes, line: _Timeline) -> None:
    """A line per policy; what lies between the two extremes is shaded."""
    top, low = line.values.get("none"), line.values.get("notify")
    if top is not None and low is not None:
        axes.fill_between(line.seconds, low, top, step="pre", color=style.GIVEN_BACK, alpha=0.12, linewidth=0)
    for name, values in line.values.items():
        color, dashes, width = POLICIES[name].line
        axes.step(
            line.seconds, values, where="pre", color=color, linestyle=dashes, linewidth=width, clip_on=False,
            label=POLICIES[name].label,
        )  # fmt: skip


def _policies_finding(area: AreaResult) -> str:
    found = area.shown_policies
    now, said = ("observed", "observed") if "observed" in found else ("notify", "with them")
    if "none" not in found or now not in found:
        return "Stale entries, by policy"
    without, have = (units.size(found[name].stale_compr_bytes.peak) for name in ("none", now))
    return f"Stale at most: {without} without notifications, {have} {said}"


def pool(area: AreaResult) -> Figure:
    """Pages of memory that the whole pool takes over time, under each policy."""
    subject = _subject(area, f"memory of the store's pool (mem_used_total), by policy{_left_out(area)}")
    series, found = area.series, _by_policy(area, area.series.pool_bytes)
    if not found or not series.time[-1]:
        return style.blank("The pool is not modelled", subject)
    figure, (axes,) = style.figure(_pool_finding(area), subject)
    line = _scaled(series.time, found, *units.byte_unit(max(int(values.max(initial=0)) for values in found.values())))
    _policy_lines(axes, line)
    _time_axes(axes, line)
    axes.set_ylabel(f"pool, {line.unit}")
    style.legend(axes, 4 if len(axes.lines) <= 4 else 3)
    return figure


def _pool_finding(area: AreaResult) -> str:
    none = area.shown_policies.get("none")
    if not area.compares or none is None or none.stale_pool_bytes is None or not none.stale_pool_bytes.peak:
        return "Memory of the pool, by policy"
    keep = "keep" if area.notified else "would keep"
    return f"Notifications {keep} up to {units.size(none.stale_pool_bytes.peak)} of RAM free"


# ------------------------------------------------------------------------------------------------------- durations


def _lasted(survival: Survival) -> bool:
    return bool(survival.count or shares.still_running(survival))


def _survival(survival: Survival, half: str, most: str, subject: str, left: str, color: str) -> Figure:
    """Steps of the product-limit estimate over a logarithmic time axis, with the median marked.

    half: the title, with a place for the median; most: the title if the recording was too short to tell that.
    """
    median = survival.quantile(0.5)
    figure, (axes,) = style.figure(most if median is None else half.format(units.duration(median)), subject)
    ages, alive = survival.estimate()
    bounds = bucket_bounds()
    seen = np.flatnonzero(survival.ended + survival.censored)
    low, high = max(float(bounds[seen[0]]), 1.0), float(bounds[seen[-1] + 1])
    style.log_time(axes, low, high)
    x = np.concatenate([[axes.get_xlim()[0]], ages, [max(high, float(ages[-1]) if len(ages) else high)]])
    y = np.concatenate([[1.0], alive, alive[-1:] if len(alive) else [1.0]])
    axes.fill_between(x, 0, y, step="post", color=color, alpha=0.13, linewidth=0)
    axes.step(x, y, where="post", color=color, linewidth=2.6)
    style.percent_axis(axes)
    axes.set_ylabel(left)
    axes.set_xlabel("time (logarithmic)")
    if median is not None:
        start = axes.get_xlim()[0]
        axes.plot([start, median, median], [0.5, 0.5, 0], color=style.INK, linewidth=1.3, linestyle=(0, (4, 3)))
        axes.plot([median], [0.5], "o", color=style.INK, markersize=7)
        right = np.log(median / low) > 0.62 * np.log(high / low)
        where = (median / 1.12, 0.44, "right") if right else (median * 1.12, 0.53, "left")
        style.text(axes, where[0], where[1], f"median {units.duration(median)}", size=13.5, ha=where[2], weight="bold")
    return figure


def lifetimes(area: AreaResult) -> Figure:
    """How long slots are in use."""
    subject = _subject(area, "share of slots still in use, by age")
    if not _lasted(area.lifetime):
        return style.blank("No slot was stored and freed while this was recorded", subject)
    half = "Half of the slots are freed within {}"
    most = "Most slots were still in use when the recording ended"
    return _survival(area.lifetime, half, most, subject, "still in use", style.LIVE)


def reuse(area: AreaResult) -> Figure:
    """How long freed slots wait for the next page: how long a stale entry would stay."""
    subject = _subject(area, "share of freed slots not written again yet, by time since the free")
    if not _lasted(area.time_to_reuse):
        return style.blank("No slot was freed while this was recorded", subject)
    half = "Half of the freed slots are written again within {}"
    most = "Most freed slots were not written again during the recording"
    return _survival(area.time_to_reuse, half, most, subject, "not written again", style.FREE)


def reasons(area: AreaResult) -> Figure:
    """Lifetimes by the reason of the free: one small histogram each, largest number of frees first."""
    subject = _subject(area, "how long slots had been in use when they were freed, by reason")
    shown = [(name, times) for name, times in area.lifetime_by_reason.items() if times.count]
    if not shown:
        return style.blank("No slot was stored and freed while this was recorded", subject)
    shown.sort(key=lambda item: -item[1].count)
    most = max((name for name, _ in shown), key=lambda name: area.free_reasons[name])
    part = shares.share(area.free_reasons[most], area.frees)  # as the table has it, lives of unknown age included
    median = units.duration(area.lifetime_by_reason[most].quantile(0.5))
    finding = f"{units.percent(part)} of slots were freed by {most}, after {median} at the median"
    figure, axes = style.figure(finding, subject, rows=len(shown), height=2.3 + 1.25 * len(shown))
    _fit_times(axes[-1], [histogram for _, histogram in shown])
    for one, (name, histogram) in zip(axes, shown, strict=True):
        _small_histogram(one, name, histogram)
    axes[-1].set_xlabel("time in use (logarithmic)")
    return figure


def _fit_times(axes: Axes, histograms: list[Histogram]) -> None:
    seen = np.flatnonzero(np.sum([histogram.counts for histogram in histograms], axis=0))
    bounds = bucket_bounds()
    style.log_time(axes, max(float(bounds[seen[0]]), 1.0), float(bounds[seen[-1] + 1]))


def _small_histogram(axes: Axes, name: str, histogram: Histogram) -> None:
    """Frees per doubling of the time in use, so that equal areas are equal numbers on the logarithmic axis."""
    edges = np.maximum(bucket_bounds()[::16], 0.5)  # a quarter of an octave each
    counts = histogram.counts.reshape(-1, 16).sum(axis=1)
    axes.stairs(counts / np.log2(edges[1:] / edges[:-1]), edges, fill=True, color=style.LIVE, alpha=0.85)
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    median = histogram.quantile(0.5)
    assert median is not None
    axes.axvline(median, color=style.INK, linewidth=1.6, linestyle=(0, (4, 3)))
    said = f"{name}: {units.count(histogram.count)} slots, median {units.duration(median)}"
    style.text(axes, 0.0, 1.05, said, size=13.5, weight="bold", ha="left", va="bottom", transform=axes.transAxes)


# ------------------------------------------------------------------------------------------------- sizes and places


def sizes(area: AreaResult) -> Figure:
    """Compressed sizes of the pages that were stored."""
    subject = _subject(area, "pages by compressed size")
    parts = shares.size_shares(area.sizes)
    if parts is None:
        return style.blank("No compressed size is known", subject)
    page = len(area.sizes) - 1
    finding = (
        f"{units.percent(parts['same-filled'] + parts['up to half a page'])} of pages compress to half a page or less; "
        f"{units.percent(parts['incompressible'])} not at all"
    )
    figure, (axes,) = style.figure(finding, subject)
    width = page // 64
    # The two ends are no sizes like others: same-filled pages have none, incompressible ones are stored whole.
    counts = np.concatenate([area.sizes[1:page], [0]]).reshape(64, width).sum(axis=1)
    left = np.arange(64) * width
    half = left < page // 2
    ends = ((-2.2 * width, area.sizes[0]), (page + 1.2 * width, area.sizes[page]))
    for part, x, height, bar in (
        (0, [ends[0][0]], [ends[0][1]], 1.8 * width),
        (1, left[half], counts[half], width),
        (2, left[~half], counts[~half], width),
        (3, [ends[1][0]], [ends[1][1]], 1.8 * width),
    ):
        axes.bar(x, height, bar, align="edge", color=style.SIZES[part], edgecolor="white", linewidth=0.5)
    for color, (name, share) in zip(style.SIZES, parts.items(), strict=True):
        axes.bar([0], [0], color=color, label=f"{name} {units.percent(share)}")
    style.legend(axes, 4)
    axes.axvline(page // 2, color=style.INK, linewidth=1.3, linestyle=(0, (4, 3)))
    style.text(axes, page // 2 + width / 2, 0.97, "half a page", va="top", transform=axes.get_xaxis_transform())
    axes.set_xlim(-3 * width, page + 4 * width)
    axes.set_xticks(np.linspace(0, page, 9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
    axes.set_xlabel("compressed size, bytes")
    axes.set_ylabel("pages")
    return figure


def slot_map(area: AreaResult) -> Figure:
    """The area's slots over time; cropped above the last row that was ever used."""
    subject = _subject(area, "its slots without notifications")
    found = area.slot_map
    used = np.flatnonzero((found.live + found.stale).any(axis=0))
    if not len(used) or not area.series.time[-1:].any():
        return style.blank("No slot was in use while this was recorded", subject)
    rows = int(used[-1]) + 1
    top = min(rows * found.slots_per_row, found.slots)
    if top < found.slots:
        subject += f"; from {units.count(top)} up they were never used"
    figure, (axes,) = style.figure(_map_finding(area, top), subject, height=6.6)
    time_unit, ns = units.time_unit(float(area.series.time[-1]))
    edges, bins = np.unique(np.concatenate([[0], area.series.time]) / ns, return_index=True)
    bins = bins[1:] - 1  # without a last bin that has no width
    offsets = np.minimum(np.arange(rows + 1) * found.slots_per_row, found.slots).astype(np.float64)
    axes.pcolorfast(edges, offsets, _blend(found.live[bins, :rows].T, found.stale[bins, :rows].T, np.diff(offsets)))
    axes.grid(False)
    axes.set_ylim(0, top)
    axes.set_xlim(0, edges[-1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.count(value)))
    axes.set_xlabel(f"{time_unit} since the start")
    axes.set_ylabel("slot offset")
    _mib_axis(axes, len(area.sizes) - 1, top)
    named = (("live", style.LIVE), ("stale", style.STALE), ("empty", style.EMPTY))
    patches = [Patch(facecolor=color, edgecolor="#BBBBBB", linewidth=0.6, label=name) for name, color in named]
    style.legend(axes, 3, patches)
    return figure


def _map_finding(area: AreaResult, top: int) -> str:
    none = area.policies.get("none")
    if none is None or none.stale_slots_peak == 0:
        return f"The first {units.count(top)} of {units.count(area.slots)} slots were used"
    return f"Up to {units.count(none.stale_slots_peak)} of {units.count(area.slots)} slots would be stale at a time"


def _blend(live: NDArray[np.int32], stale: NDArray[np.int32], room: Floats) -> Floats:
    """Colours (float64, shape (rows, bins, 3)) mixed by what share of each row's slots is live, stale and empty."""
    parts = np.stack([live, stale], axis=-1) / np.maximum(room, 1)[:, None, None]
    empty = np.clip(1 - parts.sum(axis=-1, keepdims=True), 0, 1)
    colours = np.array([to_rgb(style.LIVE), to_rgb(style.STALE), to_rgb(style.EMPTY)])
    return np.asarray(np.clip(np.concatenate([parts, empty], axis=-1) @ colours, 0, 1), dtype=np.float64)


def _mib_axis(axes: Axes, page: int, slots: int) -> None:
    """The same offsets in bytes, on the right."""
    unit, scale = units.byte_unit(slots * page)

    def to_bytes(offset: Any) -> Any:
        return offset * page / scale

    def to_slots(size: Any) -> Any:
        return size * scale / page

    right = axes.secondary_yaxis("right", functions=(to_bytes, to_slots))
    right.set_ylabel(f"{unit}, uncompressed", size=13.5, color=style.INK)
    right.tick_params(labelsize=13, colors=style.INK, color="#AAAAAA")
    right.spines["right"].set_visible(False)
    axes.figure.subplots_adjust(left=0.125, right=0.9)  # offsets take more room than most ticks do


# ----------------------------------------------------------------------------------------------------------- the table


def _has_map(area: AreaResult) -> bool:
    """Something to see, of the policy that it is of."""
    used = area.slot_map.live.any() or area.slot_map.stale.any()
    told = area.shows("none") and "none" not in area.not_predicted
    return bool(used and told and area.series.time[-1:].any())


def _content_caption(area: AreaResult) -> str:
    """Of the layers that are shown."""
    layers = ["orange is stale and still held"] if area.shows("observed") else []
    if area.shows("none"):
        as_well = " as well" if layers else ""
        layers.append(f"the hatched part would be held{as_well} without notifications")
    return f"{'; '.join(('Blue is in use', *layers))}."


def _policies_caption(area: AreaResult) -> str:
    gap = ": the gap between none and notify is what notifications give back" if area.compares else ""
    return f"The same swapping under each policy{gap}."


CHARTS: tuple[Chart, ...] = (
    Chart(
        "content",
        "What the store holds over time",
        content,
        _content_caption,
        lambda area: _timeline(area) is not None,
    ),
    Chart(
        "policies",
        "Stale entries over time, by policy",
        policies,
        _policies_caption,
        lambda area: _timeline(area, stale_only=True) is not None,
    ),
    Chart(
        "pool",
        "Memory of the pool over time, by policy",
        pool,
        "What the machine pays, in whole pages: a freed object gives none back before the last one beside it goes.",
        lambda area: bool(_by_policy(area, area.series.pool_bytes)) and bool(area.series.time[-1:].any()),
    ),
    Chart(
        "lifetimes",
        "How long slots are in use",
        lifetimes,
        "The curve falls as slots are freed; those still in use at the end count for as long as they were seen.",
        lambda area: _lasted(area.lifetime),
    ),
    Chart(
        "reasons",
        "Lifetimes by reason",
        reasons,
        "Each row is one reason why slots were freed; heights compare within a row only, dashes mark the median.",
        lambda area: any(times.count for times in area.lifetime_by_reason.values()),
    ),
    Chart(
        "reuse",
        "Time until a freed slot is written again",
        reuse,
        "Without notifications an entry stays in memory for this long after its slot was freed.",
        lambda area: _lasted(area.time_to_reuse),
    ),
    Chart(
        "sizes",
        "Compressed sizes",
        sizes,
        "Same-filled pages take no memory and stand left of zero; incompressible ones are stored whole, on the right.",
        lambda area: bool(area.sizes.any()),
    ),
    Chart(
        "map",
        "Map of the swap area",
        slot_map,
        "Every row is a stretch of slots, its colours mixed where they differ; orange is free but would still be held.",
        _has_map,
    ),
)
