"""What the benchmarks publish: results.json, a page and a chart made from it. No figure is typed by hand."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart
from matplotlib.ticker import FuncFormatter

from swaptrace.report import palette, style
from tests.bench.measure import Figure

__all__ = ["chart", "overhead_chart", "rows", "write"]


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str, str]]:
    """(what, median, least to greatest, target, met) of each."""
    found = []
    for one in figures:
        target = "" if one.target is None else f"{'at least' if one.more else 'at most'} {number(one.target)}"
        met = {None: "", True: "met", False: "missed"}[one.met]
        span = f"{number(one.least)} to {number(one.greatest)}" if one.rounds > 1 else "one run"
        found.append((f"{one.what} ({one.unit})" if one.unit else one.what, number(one.middle), span, target, met))
    return found


def write(folder: Path, machine: dict[str, Any], figures: Sequence[Figure]) -> None:
    """results.json, README.md and its charts."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "figures": [{**asdict(one), "met": one.met} for one in figures]}
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "bench.png").write_bytes(style.as_png(chart(figures)))
    if any(one.unit == "%" for one in figures):
        (folder / "overhead.png").write_bytes(style.as_png(overhead_chart(figures)))
    (folder / "README.md").write_text(page(machine, figures))


def page(machine: dict[str, Any], figures: Sequence[Figure]) -> str:
    lines = [
        "# What tracing and analysis cost",
        "",
        "<!-- Written by tests/bench from results.json: change those, not this. -->",
        "",
        f"Measured by `make bench` on {machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"Python {machine['python']}, load {machine['load']} when it began. All that is compared ran in turn in one "
        "run; medians, and the least and the greatest of all rounds. Processor time is that of all threads together.",
        "",
        "![What takes how long](bench.png)",
    ]
    if any(one.unit == "%" for one in figures):
        lines += ["", "![What tracing adds to a page that is swapped](overhead.png)"]
    for group in dict.fromkeys(one.group for one in figures):
        mine = [one for one in figures if one.group == group]
        lines += ["", f"## {group}", "", "| what | median | range | target | |", "|---|---|---|---|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows(mine)]
        missed = [one for one in mine if one.met is False and one.limit]
        for one in missed:
            lines += ["", f"Missed: {one.what}. {one.limit}"]
    return "\n".join(lines) + "\n"


def chart(figures: Sequence[Figure]) -> Chart:
    """Bars of the throughputs, on a logarithmic axis, with the targets marked."""
    shown = [one for one in figures if one.unit == "million events/s"]
    picture, axes = bars(shown, "Millions of events a second")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlim(right=3 * max(one.greatest for one in shown))
    axes.set_xlabel("million events/s (logarithmic)")
    return picture


def overhead_chart(figures: Sequence[Figure]) -> Chart:
    """Bars of what ways to trace add to the instructions of a page, with the targets marked."""
    shown = [one for one in figures if one.unit == "%"]
    picture, axes = bars(shown, "What tracing adds to a page that is swapped")
    axes.set_xlim(left=0, right=1.15 * max(one.greatest for one in shown))
    axes.set_xlabel("instructions over untraced, %")
    return picture


def bars(shown: Sequence[Figure], title: str) -> tuple[Chart, Axes]:
    """The first figure on top."""
    picture, (axes,) = style.figure(title, "median (blue), the range of all rounds (black), and the target (vermilion)")
    picture.subplots_adjust(left=0.44)
    places = range(len(shown), 0, -1)
    axes.barh(places, [one.middle for one in shown], color=palette.LIVE, height=0.6)
    for place, one in zip(places, shown, strict=True):
        axes.plot([one.least, one.greatest], [place, place], color=palette.INK, linewidth=2)
        right = one.greatest
        if one.target is not None and right < one.target < 1.5 * right:
            right = one.target  # or the figure would be written over its mark
        axes.annotate(
            number(one.middle), (right, place), (5, 0), textcoords="offset points", va="center", color=palette.INK
        )
        if one.target is not None:
            axes.plot([one.target] * 2, [place - 0.4, place + 0.4], color=palette.STALE, linewidth=3)
    axes.set_yticks(list(places), [textwrap.fill(one.what, 42) for one in shown], size=9)
    return picture, axes
