"""What copies cost that a compressed store keeps of pages which were read back: their peak, mean and byte-seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kernels import KERNELS as ALL
from matplotlib.figure import Figure

from swaptrace import units
from swaptrace.report import style

from . import recorded
from .harness import Page, Results, percent_axis, table
from .recorded import Recording, against_mm_stat, lost, unequal

TITLE = "What second copies of pages cost"
KERNELS = tuple(ALL)
ALONE = False
#: "mm: remove compressed copy from zram in-memory", 2013: a kernel was compiled, and zram held so many bytes before it
#: and with it; and slots were notified of so often.
COMMIT_2013 = {"bytes": (174_227_456, 154_001_408), "notifications": (206_684, 426_972)}
READ, HELD = "half read", "held"


def modelled() -> Results:
    return {}


def measured(folder: Path) -> Results:
    """By case (workload, page-cluster): duplicates over time, and at each checkpoint."""
    return recorded.measured(folder, "cases", of_case)


def of_case(recording: Recording) -> dict[str, Any]:
    held = next(facts["time"] for facts in recording.facts["checkpoints"] if facts["name"] == HELD)
    whole = recording.area(held).duplicate_compr_bytes
    return {
        "lost_events": recording.lost,
        "duplicates": {"peak": whole.peak, "mean": whole.mean, "byte_seconds": whole.byte_ns / 1e9},
        "checkpoints": [_checkpoint(recording, facts) for facts in recording.facts["checkpoints"]],
    }


def _checkpoint(recording: Recording, facts: dict[str, Any]) -> dict[str, Any]:
    area = recording.area(facts["time"])
    return {
        **against_mm_stat(recording, facts),
        "duplicate_slots": area.duplicate_slots_end,
        "duplicate_bytes": area.duplicate_compr_bytes.end,
        "swap_cached": facts["swap_cached"],
        "loads": facts["pswpin"] - recording.facts["checkpoints"][0]["pswpin"],
    }


def misses(results: Results) -> list[str]:
    """The pool is left out: two threads free objects at once, in an order that events need not have."""
    found = []
    for kernel, one in results["kernels"].items():
        for name, case in one["cases"].items():
            where = f"Linux {kernel}, {name}"
            found += lost(where, case)
            for row in case["checkpoints"]:
                kernels = {key: value for key, value in row["kernel"].items() if key != "mem_used_total"}
                found += unequal(where, {**row, "kernel": kernels})
    return found


# ------------------------------------------------------------------------------------------------ the page


def page(results: Results) -> Page:
    return Page(headline(results), {"second-copies": chart(results)}, text(results))


def shares(results: Results) -> dict[tuple[str, str], float]:
    """By kernel and case: of the compressed bytes that the store held when half was read, the part of duplicates."""
    found = {}
    for kernel, one in results["kernels"].items():
        for name, case in one["cases"].items():
            row = next(row for row in case["checkpoints"] if row["name"] == READ)
            found[kernel, name] = row["duplicate_bytes"] / row["kernel"]["compr_data_size"]
    return found


def headline(results: Results) -> str:
    found = shares(results)
    alone = [share for (_, name), share in found.items() if not name.startswith("fork-shared")]
    shared = [share for (_, name), share in found.items() if name.startswith("fork-shared")]
    before, after = COMMIT_2013["bytes"]
    return (
        f"When half of a process's pages were read back, second copies are {_between(alone)} of what zram holds if no "
        f"other process shares the pages, and {_between(shared)} if others do, whose slots have to stay. In 2013, "
        f"freeing them at swap-in made {units.percent(1 - after / before)} of zram ({units.size(before)} to "
        f"{units.size(after)}, a kernel compiled)."
    )


def _between(values: list[float]) -> str:
    low, high = (units.percent(value) for value in (min(values, default=0), max(values, default=0)))
    return low if low == high else f"{low} to {high}"


def chart(results: Results) -> Figure:
    found = shares(results)
    kernels, cases = list(results["kernels"]), list(dict.fromkeys(name for _, name in found))
    finding = f"Second copies, when half was read back: up to {units.percent(max(found.values(), default=0))} of zram"
    figure, (axes,) = style.figure(finding, "part of the compressed bytes; workload, vm.page-cluster", height=5.6)
    width = 0.8 / max(len(kernels), 1)
    for number, kernel in enumerate(kernels):
        places = [place + (number - (len(kernels) - 1) / 2) * width for place in range(len(cases))]
        values = [found.get((kernel, case), 0) for case in cases]
        axes.bar(places, values, width * 0.9, label=f"Linux {kernel}", color=f"C{number}")
    axes.set_xticks(range(len(cases)), [case.replace(", ", "\n") for case in cases])
    percent_axis(axes)
    style.legend(axes, 5)
    return figure


def text(results: Results) -> str:
    rows, checkpoints = [], []
    for kernel, one in results["kernels"].items():
        for name, case in one["cases"].items():
            whole = case["duplicates"]
            rows.append(
                [
                    kernel, name, units.size(whole["peak"]), units.size(whole["mean"]),
                    units.byte_seconds(whole["byte_seconds"]),
                ]
            )  # fmt: skip
            checkpoints += [
                [
                    kernel, name, row["name"], units.size(row["kernel"]["compr_data_size"]),
                    units.size(row["duplicate_bytes"]), units.count(row["duplicate_slots"]),
                    units.count(row["swap_cached"]), units.count(row["loads"]),
                ]
                for row in case["checkpoints"]
            ]  # fmt: skip
    kernels = ", ".join(f"{one['release']} ({one['day']})" for one in results["kernels"].values())
    return f"""The same seeded pages go out to zram, and half of them are read back, not written to, at random: by one
process; by four threads at once; by a process whose children have the slots, too, and then by one of those. Then what
was read stays for two seconds, and goes out again. A second copy is the compressed one of a page that is in memory
again, while its slot stays in use. Kernels: {kernels}.

A swap-in dropped the entry by itself until e914d8f00391 ("mm: fix unexpected zeroed page mapping with zram swap",
5.18); since then it goes with its slot. Of a page that one process has, the fault frees the slot as well: what stays
are slots that wait in a processor's slot cache (up to 6.12), and nothing from then on. Of a page that several
processes have, it stays until the last of them has read it, or is gone: that is what second copies cost.

## From the beginning until they have been held for two seconds

{table(["Linux", "workload, page-cluster", "peak", "mean", "byte-seconds"], rows)}

Means and byte-seconds are over the time of an emulated machine. They end there, for no event tells of a page that is
given up in memory without being written again: its slot counts as a second copy until it is freed. A slot that a
processor keeps in its slot cache (up to 6.12) still has its entry, and counts as well. Pages of zeros have none from
6.12 on: in memory again, they are in SwapCached, and no second copies.

## At each checkpoint

{table(["Linux", "case", "", "compressed", "duplicates", "their slots", "SwapCached, pages", "pages in"], checkpoints)}
"""
