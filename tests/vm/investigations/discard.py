"""swapon --discard on zram itself: bytes that it gains, requests, time; and where it does gain some."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from kernels import CHECKOUT
from matplotlib.figure import Figure

from swaptrace import units
from swaptrace.events import EventKind
from swaptrace.report import palette, style

from . import recorded
from .harness import Page, Results, table
from .levels import CHURNED
from .recorded import Recording, against_mm_stat, lost, unequal

TITLE = "swapon --discard on zram itself"
KERNELS = ("6.1", "6.12", "7.3")
ALONE = False
COUNTERFACTUAL = CHECKOUT / "reports" / "counterfactual" / "results.json"
NONE = "none"
PHASES = ("swapon", "churn", "swapoff")


def modelled() -> Results:
    """Where discarding gains something: stale bytes of the same churn where nobody is notified (the counterfactual)."""
    published = json.loads(COUNTERFACTUAL.read_text())["kernels"]
    return {
        kernel: {
            rig: next(row["measured"] for row in rows if row["name"] == CHURNED)
            for rig, rows in one["workloads"]["churn"]["rigs"].items()
        }
        for kernel, one in published.items()
    }


def measured(folder: Path) -> Results:
    return recorded.measured(folder, "options", of_option)


def of_option(recording: Recording) -> dict[str, Any]:
    """held: compressed bytes at each checkpoint, in the timed runs; requests and pages: discards that were recorded."""
    facts = recording.facts
    requests = sum(int((batch.events["kind"] == EventKind.DISCARD).sum()) for batch in recording.batches)
    return {
        "lost_events": recording.lost,
        "checkpoints": [against_mm_stat(recording, one) for one in facts["checkpoints"]],
        "held": [[one["compr_data_size"] for one in run["checkpoints"]] for run in facts["timed"]],
        "seconds": {phase: [run["seconds"][phase] for run in facts["timed"]] for phase in PHASES},
        "requests": requests,
        "pages": recording.count(EventKind.DISCARD, argument=True),
    }


def misses(results: Results) -> list[str]:
    found = []
    for kernel, one in results["kernels"].items():
        for name, option in one["options"].items():
            where = f"Linux {kernel}, {name}"
            found += lost(where, option)
            found += [miss for row in option["checkpoints"] for miss in unequal(where, row)]
    return found


# ------------------------------------------------------------------------------------------------ the page


def gained(one: dict[str, Any], option: str) -> int:
    """The most bytes that the store holds less with an option than without, at any checkpoint of any round."""
    plain, other = one["options"][NONE]["held"], one["options"][option]["held"]
    return max(before - after for rows in zip(plain, other, strict=True) for before, after in zip(*rows, strict=True))


def slower(one: dict[str, Any], option: str) -> float:
    """The median time of the whole, beyond that without, as a share."""
    whole = {name: _whole(one["options"][name]) for name in (NONE, option)}
    return median(whole[option]) / median(whole[NONE]) - 1


def _time(one: dict[str, Any], options: list[str]) -> str:
    """What it costs in time: a difference is one if no round with the option was as fast as any without."""
    plain = _whole(one["options"][NONE])
    found = [name for name in options if min(_whole(one["options"][name])) > max(plain)]
    if not found:
        return f"in {len(plain)} rounds each, its time was within the spread of that without"
    worst = max(slower(one, name) for name in found)
    return f"with {', '.join(found)}, the whole takes {units.percent(worst)} longer at most (in the median)"


def _whole(option: dict[str, Any]) -> list[float]:
    return [sum(times) for times in zip(*(option["seconds"][phase] for phase in PHASES), strict=True)]


def page(results: Results) -> Page:
    return Page(headline(results), {"discard": chart(results)}, text(results))


def headline(results: Results) -> str:
    said = []
    for kernel, one in results["kernels"].items():
        options = [name for name in one["options"] if name != NONE]
        most = max(gained(one, name) for name in options)
        asked = max(one["options"][name]["requests"] for name in options)
        said.append(
            f"On Linux {kernel}, discarding gains at most {units.size(max(most, 0))} of what zram holds during the "
            f"churn, for up to {units.count(asked)} requests; {_time(one, options)}."
        )
    return " ".join(said)


def chart(results: Results) -> Figure:
    kernels = list(results["kernels"])
    options = list(results["kernels"][kernels[0]]["options"]) if kernels else []
    most = max(
        (gained(one, name) for one in results["kernels"].values() for name in options if name != NONE), default=0
    )
    finding = f"On zram itself, discarding gains {units.size(max(most, 0))} at most, whatever time it takes"
    figure, axes = style.figure(
        finding, "seconds of swapon, churn and swapoff; each mark is a round", len(kernels), 2.4 + 1.6 * len(kernels)
    )
    for each, kernel in zip(axes, kernels, strict=True):
        for number, name in enumerate(options):
            times = _whole(results["kernels"][kernel]["options"][name])
            each.plot([number] * len(times), times, "o", color=palette.LIVE, markersize=8, alpha=0.7)
        each.set_ylim(0, 1.1 * max(max(_whole(results["kernels"][kernel]["options"][name])) for name in options))
        each.set_ylabel(f"Linux {kernel}\ns")
    axes[-1].set_xticks(range(len(options)), options)
    return figure


def text(results: Results) -> str:
    rows = []
    for kernel, one in results["kernels"].items():
        for name, option in one["options"].items():
            spread = [
                f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})" for times in option["seconds"].values()
            ]
            bytes_ = "" if name == NONE else units.size(gained(one, name)) if gained(one, name) >= 0 else "less"
            rows.append([kernel, name, bytes_, units.count(option["requests"]), units.count(option["pages"]), *spread])
    head = ["Linux", "swapon", "bytes gained", "requests", "pages", *(f"{phase}, s" for phase in PHASES)]
    kernels = ", ".join(f"{one['release']} ({one['day']})" for one in results["kernels"].values())
    stale = [[kernel, rig, units.size(size)] for kernel, rigs in results["model"].items() for rig, size in rigs.items()]
    return f"""The counterfactual's churn ran on zram itself, switched on in each way: in turn, without a recorder, for
the time, and then recorded, for the requests. Bytes
gained: the most that zram held less than without the option, at any
checkpoint. Times are medians (least to most) on an emulated processor. Kernels: {kernels}.

{table(head, rows)}

## Where it does gain something

Stale compressed bytes at the same checkpoint of the same churn where the kernel does not notify the store
([counterfactual](../../counterfactual/README.md)):

{table(["Linux", "rig", "stale"], stale)}
"""
