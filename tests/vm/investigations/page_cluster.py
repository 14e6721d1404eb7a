"""vm.page-cluster on zram: pages that were decompressed, of which nobody wanted some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from swaptrace import units
from swaptrace.events import EventKind
from swaptrace.report import style
from swaptrace.results.readahead import readahead

from . import recorded
from .harness import Page, Results, percent_axis, table
from .recorded import Recording, against_mm_stat, lost, unequal

TITLE = "vm.page-cluster on zram: pages decompressed for nothing"
KERNELS = ("6.1", "6.12", "7.3")
ALONE = False


def modelled() -> Results:
    return {}


def measured(folder: Path) -> Results:
    return recorded.measured(folder, "cases", of_case)


def of_case(recording: Recording) -> dict[str, Any]:
    """loads: pages that zram decompressed; wanted: different pages that were read; for nothing: the rest."""
    before, after = recording.facts["checkpoints"]
    loads = recording.count(EventKind.LOAD, before["time"], after["time"])
    wanted = recording.facts["read"]
    return {
        "lost_events": recording.lost,
        "checkpoints": [against_mm_stat(recording, facts) for facts in (before, after)],
        "loads": loads,
        "wanted": wanted,
        "for_nothing": loads - wanted,
        "read_ahead": {key: after[key] - before[key] for key in ("pswpin", "swap_ra", "swap_ra_hit")},
        "reported": list(readahead(recording.whole()) or ()),
    }


def misses(results: Results) -> list[str]:
    found = []
    for kernel, one in results["kernels"].items():
        for name, case in one["cases"].items():
            where = f"Linux {kernel}, {name}"
            found += lost(where, case)
            found += [miss for row in case["checkpoints"] for miss in unequal(where, row)]
            kernels = case["read_ahead"]
            unused = kernels["swap_ra"] - kernels["swap_ra_hit"]
            if case["loads"] != kernels["pswpin"]:
                found.append(f"{where}: pswpin is {kernels['pswpin']}, not {case['loads']}")
            if case["for_nothing"] != unused:
                found.append(f"{where}: swap_ra less swap_ra_hit is {unused}, not {case['for_nothing']}")
            if case["reported"] != [kernels["swap_ra"], unused]:
                found.append(f"{where}: the report has {case['reported']}, not {[kernels['swap_ra'], unused]}")
    return found


# ------------------------------------------------------------------------------------------------ the page


def page(results: Results) -> Page:
    return Page(headline(results), {"page-cluster": chart(results)}, text(results))


def by_case(results: Results) -> dict[tuple[str, str, str, int], float]:
    """By kernel, whose pages, order and page-cluster: the part of the pages decompressed that nobody wanted."""
    found = {}
    for kernel, one in results["kernels"].items():
        for name, case in one["cases"].items():
            whose, order, cluster = name.split(", ")
            found[kernel, whose, order, int(cluster)] = case["for_nothing"] / case["loads"]
    return found


def headline(results: Results) -> str:
    found = by_case(results)

    def of(whose: str, order: str, cluster: int) -> str:
        values = [share for key, share in found.items() if key[1:] == (whose, order, cluster)]
        low, high = (units.percent(value) for value in (min(values, default=0), max(values, default=0)))
        return low if low == high else f"{low} to {high}"

    return (
        "Of the pages that zram decompresses for a process that alone has them, nobody wants "
        f"{of('private', 'at random', 3)} with vm.page-cluster at 3, the default, and {of('private', 'at random', 0)} "
        f"at 0, when pages come back at random; in order, {of('private', 'in order', 3)} and "
        f"{of('private', 'in order', 0)}. Of pages whose slots another process has, too, it is "
        f"{of('shared', 'at random', 3)} and {of('shared', 'at random', 0)} at random, {of('shared', 'in order', 3)} "
        f"and {of('shared', 'in order', 0)} in order."
    )


def chart(results: Results) -> Figure:
    found = by_case(results)
    kinds, clusters = list(dict.fromkeys(key[1:3] for key in found)), sorted({key[3] for key in found})
    worst = max(found.values(), default=0)
    finding = f"Of what zram decompresses, {units.percent(worst)} at most is for nothing"
    subject = "part of the pages decompressed that nobody wanted, by vm.page-cluster"
    figure, (axes,) = style.figure(finding, subject, height=5.6)
    kernels = list(results["kernels"])
    width = 0.8 / max(len(kernels), 1)
    groups = [(kind, cluster, row * (len(clusters) + 1) + column)
              for row, kind in enumerate(kinds) for column, cluster in enumerate(clusters)]  # fmt: skip
    for number, kernel in enumerate(kernels):
        places = [place + (number - (len(kernels) - 1) / 2) * width for *_, place in groups]
        values = [found.get((kernel, *kind, cluster), 0) for kind, cluster, _ in groups]
        axes.bar(places, values, width * 0.9, label=f"Linux {kernel}", color=f"C{number}")
    names = [f"{cluster}\n{', '.join(kind)}" if cluster == clusters[len(clusters) // 2] else str(cluster)
             for kind, cluster, _ in groups]  # fmt: skip
    axes.set_xticks([place for *_, place in groups], names)
    percent_axis(axes)
    style.legend(axes, 5)
    return figure


def text(results: Results) -> str:
    rows = [
        [
            kernel, name, units.count(case["wanted"]), units.count(case["loads"]), units.count(case["for_nothing"]),
            units.percent(case["for_nothing"] / case["loads"]),
            *(units.count(value) for value in case["read_ahead"].values()),
        ]
        for kernel, one in results["kernels"].items()
        for name, case in one["cases"].items()
    ]  # fmt: skip
    kernels = ", ".join(f"{one['release']} ({one['day']})" for one in results["kernels"].values())
    head = ["Linux", "pages, order, page-cluster", "wanted", "decompressed", "for nothing", "", "pswpin", "swap_ra"]
    return f"""A process pages out; then it reads a quarter of its pages, each once. *Shared*: it has forked before, so
that its child has the slots, too. Decompressed: what zram was asked for, by the recording; for nothing: what is beyond
the pages that were read. Beside them the kernel's own counters (pages that came in; read ahead, and wanted of those):
pswpin has to be what was decompressed, and swap_ra less swap_ra_hit what was for nothing; `swaptrace report` has to say
the same. Kernels: {kernels}.

A page that only one process has comes alone, whatever vm.page-cluster says: since 4.15 (0bcac06f27d7, "mm, swap: skip
swapcache for swapin of synchronous device") a fault on a device like zram does not read ahead. What a fork shares goes
the old way, through the swap cache, on 6.1 and 6.12, where little of it is for nothing; on 7.3 it comes alone, too.

{table([*head, "swap_ra_hit"], rows)}
"""
