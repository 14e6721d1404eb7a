"""Every chart against the results that it is of: lines, filled areas, bars, colours, texts and legends.

The areas are made up so that no two figures of them are the same, and no series is its own mirror image: whatever is
drawn in another's place, or backwards, differs. What is expected is computed here from the results, not by the charts.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, PcolorImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, StepPatch
from numpy.typing import NDArray
from test_report import BINS, PAGE, SECONDS, SLOTS, disk_area, zram_area

from swaptrace import policies as rows
from swaptrace import units
from swaptrace.engine.figures import THRESHOLDS
from swaptrace.histogram import Survival, bucket_bounds
from swaptrace.report import charts, palette, plot, style
from swaptrace.report.pictures import draw
from swaptrace.results.results import AreaResult, Integral, PolicyResult, Series, SlotMap

POLICIES = ("none", "discard", "discard_once", "notify", "observed")
LABELS = {
    "none": "none: no notifications",
    "discard": "discard",
    "discard_once": "discard once",
    "notify": "notify: each one works",
    "observed": "observed: this machine",
}
MIB = 1 << 20
Floats = NDArray[np.float64]


def figures(seed: int) -> Integral:
    """Four numbers that nothing else has."""
    end, peak = 7_000_001 + 1_300_003 * seed, 31_000_007 + 2_900_011 * seed
    return Integral(end, peak, (end + peak) * 150, 300)


def distinct(seed: int = 1) -> AreaResult:
    """The made-up area of the reports, with series of which none is like another, whichever way one looks at them."""
    rng = np.random.default_rng(seed)
    up = np.linspace(1, 3, BINS)  # later is more
    slots = {name: (rng.integers(900, 1000, BINS) * up).astype(np.int64) for name in ("live", *POLICIES)}
    slots["none"] += 4000
    slots["observed"] = slots["none"] // 3 + rng.integers(0, 50, BINS)
    held = {name: values * (1000 + 11 * number) for number, (name, values) in enumerate(slots.items())}
    pool = {name: values * 3 + 40_000_000 for name, values in held.items() if name != "live"}
    policies = {
        name: PolicyResult(100 + number, 200 + number, figures(number), figures(10 + number))
        for number, name in enumerate(POLICIES)
    }
    rows, per_row = 16, SLOTS // 16
    live = rng.integers(0, per_row // 2, (BINS, rows)).astype(np.int32)
    stale = rng.integers(0, per_row // 2, (BINS, rows)).astype(np.int32)
    live[:, 12:] = stale[:, 12:] = 0  # never used
    return dataclasses.replace(
        zram_area(),
        policies=policies,
        recovered={"compr_bytes": figures(20), "pool_bytes": figures(21)},
        leaked={"compr_bytes": figures(22), "pool_bytes": figures(23)},
        series=Series((np.arange(1, BINS + 1) * SECONDS / BINS * 1e9).astype(np.int64), slots, held, pool),
        slot_map=SlotMap(live, stale, per_row, SLOTS),
    )


@pytest.fixture(scope="module")
def area() -> AreaResult:
    return distinct()


# ------------------------------------------------------------------------------------------- what is seen in a figure


def texts(figure: Figure) -> list[str]:
    """The title, on one line, and what stands below it."""
    return [" ".join(text.get_text().replace("\N{NO-BREAK SPACE}", " ").split()) for text in figure.texts]


def title(figure: Figure) -> str:
    return texts(figure)[0]


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def byte_scale(axes: Axes, what: str) -> float:
    """Bytes in the unit that the axis names."""
    said, unit = axes.get_ylabel().split(", ")
    assert said == what
    return float(1024 ** ["B", "KiB", "MiB", "GiB"].index(unit))


def line_of(axes: Axes, label: str) -> Line2D:
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return found


def stepped(line: Line2D) -> tuple[Floats, Floats]:
    """x and y of a line whose values hold until their time."""
    assert line.get_drawstyle() == "steps-pre"
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def bands(axes: Axes) -> list[StepPatch]:
    return [patch for patch in axes.patches if isinstance(patch, StepPatch)]


def band(patch: StepPatch, x: Floats) -> tuple[Floats, Floats]:
    """(lower, upper) bounds of a filled area at each x."""
    values, edges, baseline = patch.get_data()
    at = np.searchsorted(edges, x) - 1
    low, high = np.broadcast_to(np.asarray(baseline, float), values.shape)[at], values[at]
    return np.minimum(low, high), np.maximum(low, high)


def middles(area: AreaResult) -> Floats:
    """Seconds: the middle of each bin."""
    ends = np.concatenate([[0], area.series.time]) / 1e9
    return np.asarray((ends[1:] + ends[:-1]) / 2)


# ------------------------------------------------------------------------------------------------------------ over time


def test_content(area: AreaResult) -> None:
    figure = draw(charts.content(area))
    (axes,) = figure.axes
    scale, found = byte_scale(axes, "compressed"), area.series.bytes
    live, none, observed = (found[name] / scale for name in ("live", "none", "observed"))
    held = np.minimum(observed, none)
    expected = {
        "live": (0 * live, live, palette.LIVE),
        "stale, still held": (live, live + held, palette.STALE),
        "stale without notifications": (live + held, live + none, palette.GIVEN_BACK),
    }
    assert [one.get_label() for one in bands(axes)] == list(expected)
    for one in bands(axes):
        low, high, color = expected[str(one.get_label())]
        at = band(one, middles(area))
        assert np.allclose(at[0], low) and np.allclose(at[1], high), one.get_label()
        shown = one.get_edgecolor() if one.get_hatch() else one.get_facecolor()
        assert to_hex(shown) == color.lower(), one.get_label()
    assert [bool(one.get_hatch()) for one in bands(axes)] == [False, False, True]
    x, y = stepped(line_of(axes, "held by the store (observed)"))
    assert np.allclose(x, np.concatenate([[0], area.series.time / 1e9]))
    assert np.allclose(y[1:], live + observed) and y[0] == y[1]
    assert legend(axes) == [*expected, "held by the store (observed)"]
    assert axes.get_xlabel() == "seconds since the start" and axes.get_xlim() == (0, SECONDS)
    assert texts(figure) == [
        f"Without notifications the store would hold up to {units.size(area.recovered['compr_bytes'].peak)} more",  # type: ignore[union-attr]
        "/dev/zram0 (swap type 0): what the store holds over time",
    ]


def test_content_of_a_store_that_nobody_tells(area: AreaResult) -> None:
    """All that is stale is held: nothing is hatched."""
    held = area.series.bytes | {"observed": area.series.bytes["none"]}
    told = dataclasses.replace(area, notified=False, series=dataclasses.replace(area.series, bytes=held))
    figure = draw(charts.content(told))
    assert legend(figure.axes[0]) == ["live", "stale, still held", "held by the store (observed)"]
    peak = units.size(area.policies["none"].stale_compr_bytes.peak)
    assert title(figure) == f"Nobody told the store of freed slots: up to {peak} were stale"


def test_content_without_anything_stale() -> None:
    figure = draw(charts.content(disk_area()))
    (axes,) = figure.axes
    assert axes.get_ylabel() == "slots"
    assert np.allclose(band(bands(axes)[0], middles(disk_area()))[1], disk_area().series.slots["live"])
    assert title(figure) == "8 slots were live at the end, and no stale one took memory"


def assert_policy_lines(area: AreaResult, axes: Axes, what: str, expected: dict[str, NDArray[np.int64]]) -> None:
    scale = byte_scale(axes, what)
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines) == legend(axes) == [LABELS[name] for name in expected]
    for name, values in expected.items():
        line = lines[LABELS[name]]
        x, y = stepped(line)
        assert np.allclose(x[1:], area.series.time / 1e9) and np.allclose(y[1:], values / scale), name
        assert to_hex(line.get_color()) == rows.POLICIES[name].line.color.lower()
        assert line.get_visible() and line.get_linewidth() > 1
    low, high = band(bands(axes)[0], middles(area))
    assert np.allclose(low, np.minimum(expected["notify"], expected["none"]) / scale)
    assert np.allclose(high, np.maximum(expected["notify"], expected["none"]) / scale)
    assert axes.get_ylim()[0] == 0 and axes.get_xlim() == (0, SECONDS)


def test_policies(area: AreaResult) -> None:
    figure = draw(charts.policies(area))
    assert_policy_lines(area, figure.axes[0], "compressed", {name: area.series.bytes[name] for name in POLICIES})
    without, have = (units.size(area.policies[name].stale_compr_bytes.peak) for name in ("none", "observed"))
    assert without != have
    assert title(figure) == f"Stale at most: {without} without notifications, {have} observed"
    with_them = units.size(area.policies["notify"].stale_compr_bytes.peak)
    unobserved = draw(charts.policies(dataclasses.replace(area, shown=("none", "notify"))))
    assert title(unobserved) == f"Stale at most: {without} without notifications, {with_them} with them"
    for shown in (("none",), ("notify", "observed")):  # nothing to compare
        assert title(draw(charts.policies(dataclasses.replace(area, shown=shown)))) == "Stale entries, by policy"


def test_policies_draws_what_is_never_stale(area: AreaResult) -> None:
    """Notifications that always work leave nothing: a line along the bottom."""
    held = area.series.bytes | {"notify": area.series.bytes["notify"] * 0}
    figure = draw(charts.policies(dataclasses.replace(area, series=dataclasses.replace(area.series, bytes=held))))
    _, y = stepped(line_of(figure.axes[0], LABELS["notify"]))
    assert (y == 0).all() and len(y) == BINS + 1


def test_discard_once_is_drawn_where_it_is_another_line_than_none(area: AreaResult) -> None:
    held = area.series.bytes | {"discard_once": area.series.bytes["none"]}
    alike = dataclasses.replace(area, series=dataclasses.replace(area.series, bytes=held))
    assert LABELS["discard_once"] in legend(draw(charts.policies(area)).axes[0])
    assert LABELS["discard_once"] not in legend(draw(charts.policies(alike)).axes[0])
    alone = dataclasses.replace(alike, shown=("discard_once",))
    assert legend(draw(charts.policies(alone)).axes[0]) == [LABELS["discard_once"]]


def test_legends_are_within_their_figure(area: AreaResult) -> None:
    for chart in (charts.content, charts.policies, charts.pool, charts.age, charts.sizes, charts.slot_map):
        figure = draw(chart(area))
        FigureCanvasAgg(figure).draw()
        box = figure.axes[0].get_legend().get_window_extent()  # type: ignore[union-attr]
        subject = figure.texts[1].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= subject.y0, chart


def test_pool(area: AreaResult) -> None:
    figure = draw(charts.pool(area))
    assert_policy_lines(area, figure.axes[0], "pool", {name: area.series.pool_bytes[name] for name in POLICIES})
    free = units.size(area.policies["none"].stale_pool_bytes.peak)  # type: ignore[union-attr]
    assert title(figure) == f"Notifications keep up to {free} of RAM free"
    untold = draw(charts.pool(dataclasses.replace(area, notified=False)))
    assert title(untold) == f"Notifications would keep up to {free} of RAM free"


def test_fragmentation(area: AreaResult) -> None:
    """The pool over all that the store holds under the policy; where that is next to nothing, there is no line."""
    begun = {name: np.where(np.arange(len(values)) < 5, 3, values) for name, values in area.series.bytes.items()}
    area = dataclasses.replace(area, series=dataclasses.replace(area.series, bytes=begun))
    figure = draw(charts.fragmentation(area))
    (axes,), series = figure.axes, area.series
    for name, line in zip(POLICIES, axes.lines, strict=True):
        held = series.bytes["live"] + series.bytes[name]
        drawn, little = np.asarray(line.get_ydata())[1:], held < 0.01 * held.max()
        assert little.any() and not little.all() and np.isnan(drawn[little]).all()
        assert np.allclose(drawn[~little], (series.pool_bytes[name] / np.maximum(held, 1))[~little])
        assert to_hex(line.get_color()) == rows.POLICIES[name].line.color.lower()
    known = np.asarray(axes.lines[POLICIES.index("observed")].get_ydata())
    end, most = known[-1], np.nanmax(known)
    said = f"the pool takes {end:.2f} times its compressed bytes at the end, {most:.2f} at most"
    assert title(figure) == f"Under observed, {said}"
    assert axes.get_ylabel() == "times the compressed bytes" and axes.get_ylim()[0] == 0 < most < axes.get_ylim()[1]
    assert legend(axes) == [LABELS[name] for name in POLICIES]
    alone = draw(charts.fragmentation(dataclasses.replace(area, shown=("none",))))
    assert title(alone).startswith("Under none, ") and len(alone.axes[0].lines) == 1


def test_fragmentation_is_known_of_a_store_of_ones_own(area: AreaResult) -> None:
    """The pool is the whole store's, the bytes are the area's."""
    unpooled = dataclasses.replace(area, series=dataclasses.replace(area.series, pool_bytes={}))
    for one in (dataclasses.replace(area, sharers=1), unpooled, disk_area()):
        assert charts.fragmentation(one).panels == ()


@pytest.mark.parametrize("shown", [*((name,) for name in POLICIES), ("none", "notify"), ("discard", "observed")])
def test_only_the_policies_that_were_asked_for(area: AreaResult, shown: tuple[str, ...]) -> None:
    chosen = dataclasses.replace(area, shown=shown)
    labels = [LABELS[name] for name in POLICIES if name in shown]
    for chart in (charts.policies, charts.pool):
        assert legend(draw(chart(chosen)).axes[0]) == labels
    layers = {
        "stale, still held": "observed" in shown,
        "stale without notifications": "none" in shown,
        "held by the store (observed)": "observed" in shown,
    }
    figure = draw(charts.content(chosen))
    assert legend(figure.axes[0]) == ["live", *(name for name, drawn in layers.items() if drawn)]
    if shown == ("none",):  # all of it
        scale, found = byte_scale(figure.axes[0], "compressed"), area.series.bytes
        low, high = band(bands(figure.axes[0])[1], middles(area))
        assert np.allclose(low, found["live"] / scale)
        assert np.allclose(high, (found["live"] + found["none"]) / scale)
    assert ("Without notifications" in title(figure)) == ("none" in shown)
    assert {chart.name: bool(chart.plot(chosen).panels) for chart in charts.CHARTS}["map"] == ("none" in shown)


# ------------------------------------------------------------------------------------------------------------ durations


def alive(survival: Survival) -> tuple[Floats, Floats]:
    """The product-limit estimate, one duration after the other: (age, share alive beyond it)."""
    bounds, left, share = bucket_bounds(), int(survival.ended.sum() + survival.censored.sum()), 1.0
    ages, shares = [], []
    for bucket in range(len(survival.ended)):
        ended = int(survival.ended[bucket])
        if ended:
            share *= 1 - ended / left
            ages.append((bounds[bucket] + bounds[bucket + 1]) / 2)
            shares.append(share)
        left -= ended + int(survival.censored[bucket])
    return np.array(ages), np.array(shares)


CURVES = [
    ("lifetime", charts.lifetimes, "By estimate, half of the slots are freed within {}", "still in use", palette.LIVE),
    ("time_to_reuse", charts.reuse, "By estimate, half of the freed slots are written again within {}",
     "not written again", palette.FREE),
]  # fmt: skip


@pytest.mark.parametrize(("name", "chart", "finding", "left", "color"), CURVES, ids=[curve[0] for curve in CURVES])
def test_survival(area: AreaResult, name: str, chart: object, finding: str, left: str, color: str) -> None:
    survival = getattr(area, name)
    figure: Figure = draw(chart(area))  # type: ignore[operator]
    (axes,) = figure.axes
    curve, dashes, dot = axes.lines
    ages, shares = alive(survival)
    x, y = stepped(curve)
    assert to_hex(curve.get_color()) == color.lower()  # type: ignore[arg-type]
    assert np.allclose(x[1:-1], ages) and np.allclose(y[2:], shares)
    assert y[0] == y[1] == 1 and x[-1] >= ages[-1]
    assert (np.diff(curve.get_ydata()) <= 0).all()  # it falls
    median = float(ages[np.flatnonzero(shares <= 0.5)[0]])
    assert list(dashes.get_xdata()[1:]) == [median] * 2 and list(dashes.get_ydata()) == [0.5, 0.5, 0]
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([median], [0.5])
    assert words(axes) == [f"median {units.duration(median)}"]
    assert title(figure) == finding.format(units.duration(median))
    assert axes.get_ylabel() == left and axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0 %", "25 %", "50 %", "75 %", "100 %"]


def aged(area: AreaResult, seconds: int) -> AreaResult:
    assert area.age is not None
    return dataclasses.replace(area, age=dataclasses.replace(area.age, span=seconds * 10**9))


@pytest.mark.parametrize(("seconds", "number", "idle"), [(240, 64, "1 min"), (7300, 95, "15 min"), (20, 34, "4.7 s")])
def test_age(area: AreaResult, seconds: int, number: int, idle: str) -> None:
    """Both curves, of all thresholds that are shorter than the recording, and what it comes to at one of them."""
    recorded = aged(area, seconds)
    age = recorded.age
    assert age is not None
    figure = draw(charts.age(recorded))
    axes, right = figure.axes[0], figure.axes[0].child_axes[0]
    shown = sum(threshold < seconds * 10**9 for threshold in THRESHOLDS)
    saved, loads = axes.lines
    for curve in (saved, loads):
        assert list(curve.get_xdata())[:-1] == list(THRESHOLDS[:shown])  # type: ignore[arg-type]
    scale = byte_scale(axes, "saved")
    assert np.allclose(saved.get_ydata()[1:], np.array(age.saved[:shown], float) / (seconds * 1e9) / scale)  # type: ignore[index]
    FigureCanvasAgg(figure).draw()
    there = right.get_ylim()[1] / axes.get_ylim()[1]
    assert np.allclose(loads.get_ydata()[1:] * there, age.loads[:shown] / seconds)  # type: ignore[index]
    low, high = axes.get_ylim()
    assert low == 0 and right.get_ylim()[0] == 0 and high > max(saved.get_ydata())
    assert right.get_ylabel() == "pages a second" and axes.get_xscale() == "log"
    assert (to_hex(saved.get_color()), to_hex(loads.get_color())) == (  # type: ignore[arg-type]
        palette.GIVEN_BACK.lower(),
        palette.STALE.lower(),
    )
    assert legend(axes) == ["compressed bytes on the disk, on average", "pages read from there"]
    mean, per_second = units.size(age.saved[number] / (seconds * 1e9)), units.rate(age.loads[number] / seconds)[:-2]
    said = f"Writing back what is idle for {idle} saves at least {mean}, for {per_second} reads/s from the disk"
    assert title(figure) == said  # for entries from before the recording have no size
    sized = dataclasses.replace(recorded, age=dataclasses.replace(age, unsized=0))
    assert charts.age(sized).finding == said.replace(" at least", "")
    assert texts(figure)[1].endswith("what writing back idle entries saves and costs, by how long they are idle")


def test_age_of_what_is_never_idle(area: AreaResult) -> None:
    """Nor where nothing tells, or nothing was recorded for long enough."""
    assert area.age is not None
    nothing = dataclasses.replace(area.age, saved=[0] * len(THRESHOLDS))
    for one in (
        dataclasses.replace(area, age=nothing),
        dataclasses.replace(area, age=None),
        aged(area, 0),
        disk_area(),
    ):
        assert charts.age(one).panels == ()
        assert charts.age(one).finding == "Nothing was idle for long enough to be written back"


def test_survival_beyond_the_recording(area: AreaResult) -> None:
    """No median: it is not made up."""
    running = Survival(area.lifetime.ended // 50, area.lifetime.ended, area.lifetime.largest)
    figure = draw(charts.lifetimes(dataclasses.replace(area, lifetime=running)))
    assert title(figure) == "By estimate, more than half of the slots stay in use for longer than was seen"
    assert len(figure.axes[0].lines) == 1 and not words(figure.axes[0])
    free = draw(charts.reuse(dataclasses.replace(area, time_to_reuse=running)))
    assert title(free) == "By estimate, more than half of the freed slots stay free for longer than was seen"


def test_reasons(area: AreaResult) -> None:
    figure = draw(charts.reasons(area))
    found = {name: times for name, times in area.lifetime_by_reason.items() if times.counts.sum()}
    order = sorted(found, key=lambda name: -found[name].counts.sum())
    assert len(order) == 4 and len(figure.axes) == 4
    bounds = bucket_bounds()
    for axes, name in zip(figure.axes, order, strict=True):
        counts = found[name].counts
        reached = np.cumsum(counts)
        bucket = int(np.searchsorted(reached, 0.5 * counts.sum()))
        median = (bounds[bucket] + bounds[bucket + 1]) / 2
        assert words(axes) == [f"{name}: {counts.sum():,} slots, median {units.duration(median)}"]
        (dashes,) = axes.lines
        assert list(dashes.get_xdata()) == [median, median]
        (stairs,) = (patch for patch in axes.patches if isinstance(patch, StepPatch))
        assert to_hex(stairs.get_facecolor()) == palette.LIVE.lower()
        values, edges, _ = stairs.get_data()
        there = np.repeat(bounds[:-1], counts)
        expected, _ = np.histogram(there, edges)
        assert np.allclose(values * np.log2(edges[1:] / edges[:-1]), expected)  # equal areas are equal numbers
    seen = np.flatnonzero(sum(times.counts for times in found.values()))
    shortest, longest = bounds[seen[0]], bounds[seen[-1] + 1]
    low, high = figure.axes[-1].get_xlim()
    assert shortest / 2 < low <= shortest and longest <= high < 2 * longest  # all of it, and little else
    assert figure.axes[-1].get_xlabel() == "time in use (logarithmic)"
    most = max(order, key=lambda name: area.free_reasons[name])
    share = units.percent(area.free_reasons[most] / area.frees)  # as in the table of reasons
    median = units.duration(float(figure.axes[order.index(most)].lines[0].get_xdata()[0]))  # type: ignore[index, arg-type]
    assert title(figure) == f"{share} of slots were freed by {most}, after {median} at the median"


def test_reasons_counts_lives_that_began_before() -> None:
    """They have no length, but slots were freed: the title is about all frees, as the table is."""
    area = zram_area()
    reasons = dict.fromkeys(area.free_reasons, 0) | {"exit": 10, "unmap": 30}
    figure = draw(charts.reasons(dataclasses.replace(area, free_reasons=reasons, frees=40)))
    assert title(figure).startswith("75 % of slots were freed by unmap, after ")


# ----------------------------------------------------------------------------------------------------- sizes and places


def test_sizes(area: AreaResult) -> None:
    figure = draw(charts.sizes(area))
    (axes,) = figure.axes
    sizes, half = area.sizes, PAGE // 2
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_height()]
    seen = {round(bar.get_x()): bar for bar in bars if 0 <= bar.get_x() < PAGE}
    width = PAGE // 64
    expected = {}
    for size in range(1, PAGE):
        left = (size - 1) // width * width
        expected[left] = expected.get(left, 0) + int(sizes[size])
    assert {left: bar.get_height() for left, bar in seen.items()} == {k: n for k, n in expected.items() if n}
    assert all(bar.get_width() == width for bar in seen.values())
    for left, bar in seen.items():
        assert to_hex(bar.get_facecolor()) == palette.SIZES[1 if left < half else 2].lower()
    same, whole = (bar for bar in bars if not 0 <= bar.get_x() < PAGE)
    assert (same.get_height(), whole.get_height()) == (sizes[0], sizes[PAGE])
    assert same.get_x() < 0 and whole.get_x() > PAGE
    assert [to_hex(bar.get_facecolor()) for bar in (same, whole)] == [
        palette.SIZES[0].lower(),
        palette.SIZES[3].lower(),
    ]
    total, good = sizes.sum(), sizes[1 : half + 1].sum()
    named = {
        "same-filled": sizes[0],
        "up to half a page": good,
        "larger": total - sizes[0] - good - sizes[PAGE],
        "incompressible": sizes[PAGE],
    }
    assert legend(axes) == [f"{name} {units.percent(number / total)}" for name, number in named.items()]
    assert title(figure) == (
        f"{units.percent((sizes[0] + good) / total)} of pages compress to half a page or less; "
        f"{units.percent(sizes[PAGE] / total)} not at all"
    )
    assert words(axes) == ["half a page"] and list(axes.lines[0].get_xdata()) == [half, half]


def test_map(area: AreaResult) -> None:
    """From the bottom of each row up: so many parts live, so many stale, the rest empty; the topmost always is."""
    figure = draw(charts.slot_map(area))
    axes = figure.axes[0]
    (image,) = (child for child in axes.get_children() if isinstance(child, AxesImage | PcolorImage))
    seen = np.asarray(image.get_array(), float)[..., :3]
    seen = seen / 255 if seen.max() > 1 else seen
    found, per_row, rows, parts = area.slot_map, area.slot_map.slots_per_row, 12, plot.PARTS
    assert seen.shape == (rows * parts, BINS, 3)  # the first row is the first slots, the first column the first moment
    colors = [np.array(to_rgb(color)) for color in (palette.LIVE, palette.STALE, "white")]
    for at, row in itertools.product(range(BINS), range(rows)):
        live, stale = int(found.live[at, row]), int(found.stale[at, row])
        ends = [round(live * (parts - 1) / per_row), round((live + stale) * (parts - 1) / per_row)]
        numbers = [ends[0], ends[1] - ends[0], parts - ends[1]]
        expected = np.concatenate([np.tile(color, (number, 1)) for color, number in zip(colors, numbers, strict=True)])
        assert np.allclose(seen[row * parts : (row + 1) * parts, at], expected, atol=1 / 255), (at, row)
    assert list(image.get_extent()) == [0, SECONDS, 0, rows * per_row]
    assert axes.get_xlim() == (0, SECONDS) and axes.get_ylim() == (0, rows * per_row)
    assert not axes.xaxis_inverted() and not axes.yaxis_inverted()
    assert legend(axes) == ["live", "stale"]
    handles = axes.get_legend().get_patches()  # type: ignore[union-attr]
    assert [to_hex(patch.get_facecolor()) for patch in handles] == [palette.LIVE.lower(), palette.STALE.lower()]
    peak = area.policies["none"].stale_slots_peak
    assert texts(figure) == [
        f"Up to {peak:,} of {SLOTS:,} slots would be stale at a time",
        f"/dev/zram0 (swap type 0): its slots without notifications; from {rows * per_row:,} up they were never used",
    ]
    (right,) = axes.child_axes
    style.as_png(figure)  # which gives the right axis its limits
    assert right.get_ylabel() == "MiB, uncompressed"
    assert np.allclose(right.get_ylim(), (0, rows * per_row * PAGE / MIB))


def test_rows_of_a_map_are_put_together_until_each_can_be_seen(area: AreaResult) -> None:
    rng = np.random.default_rng(7)
    live, stale = rng.integers(0, 3, (2, BINS, 250)).astype(np.int32)
    found = SlotMap(live, stale, 5, 1248)
    (panel,) = charts.slot_map(dataclasses.replace(area, slot_map=found, slots=1248)).panels
    (strips,) = panel.marks
    assert isinstance(strips, plot.Strips)
    assert strips.per_row == 40 and (panel.y.high, strips.top) == (1248, 1280)
    for counts, slots in ((strips.counts["live"], live), (strips.counts["stale"], stale)):
        assert counts.shape == (32, BINS)
        for row in range(32):
            assert (counts[row] == slots[:, 8 * row : 8 * row + 8].sum(axis=1)).all()


# ------------------------------------------------------------------------------------------------------- axes and words


def time_ticks(shortest: float, longest: float) -> list[str]:
    """What stands below a logarithmic axis of times (ns)."""
    axis = plot.ages("", shortest, longest)
    assert axis.log and axis.low <= shortest and longest <= axis.high and axis.ticks
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    return list(axis.ticks.values())


@pytest.mark.parametrize(
    ("shortest", "longest", "expected"),
    [
        (1e3, 1e9, ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]),
        (2e3, 2e6, ["3 µs", "10 µs", "30 µs", "100 µs", "300 µs", "1 ms"]),
        (
            60e9,
            200 * 86_400e9,
            ["1 min", "10 min", "1 h", "10 h", "10 days", "100 days"],
        ),
        (1, 100 * 86_400e9, ["1 ns", "100 ns", "10 µs", "1 ms", "100 ms", "10 s", "10 min", "10 h", "100 days"]),
    ],
)
def test_ticks_of_times(shortest: float, longest: float, expected: list[str]) -> None:
    assert time_ticks(shortest, longest) == expected


def test_ticks_of_times_are_where_they_say() -> None:
    seconds = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400, "days": 86_400}
    for shortest, longest in ((1, 1e18), (1, 1e4), (2e3, 2e6), (40e9, 100e9), (3e12, 30e12)):
        axis = plot.ages("", shortest, longest)
        assert axis.ticks and len(axis.ticks) > 1
        for at, said in axis.ticks.items():
            number, unit = said.split()
            assert at == round(int(number) * seconds[unit] * 1e9), said


def test_long_names_lose_their_middle(area: AreaResult) -> None:
    """Of the line below the title both ends stay, and it fits; a short one stays as it is."""
    long = dataclasses.replace(area, device="/mnt/" + "x" * 200)
    (_, subject) = texts(draw(charts.lifetimes(long)))
    assert subject.startswith("/mnt/xxxxx") and subject.endswith(
        f"0): share of slots still in use, by age (Kaplan-Meier, {area.lifetime.censored.sum()} censored)"
    )
    assert subject.count("…") == 1 and len(subject) == 108
    assert "…" not in texts(draw(charts.lifetimes(area)))[1]


def test_a_figure_and_its_unit_stay_together() -> None:
    figure, _ = style.figure("Up to 27.2 MiB of 5 slots in 3 min, for 12 % of 4 pages", "")
    assert figure.texts[0].get_text() == (
        "Up to 27.2\N{NO-BREAK SPACE}MiB of 5 slots in 3\N{NO-BREAK SPACE}min, for 12\N{NO-BREAK SPACE}% of 4 pages"
    )


# --------------------------------------------------------------------------------------------------------------- blanks


@pytest.mark.parametrize("chart", charts.CHARTS, ids=lambda chart: chart.name)
def test_nothing_is_said_to_be_nothing(chart: charts.Chart) -> None:
    nothing = np.zeros(0, np.int64)
    none = np.zeros((0, 0), np.int32)
    bare = dataclasses.replace(
        disk_area(), series=Series(nothing, {}, {}), slot_map=SlotMap(none, none, 1, 0), live_slots_end=0
    )
    assert not chart.plot(bare).panels
    assert words(draw(chart.plot(bare)).axes[0]) == ["nothing to draw"]
