"""Whose swap it is: the hungry one of three cgroups, found by `report --by cgroup`; what a limit changed, by `diff`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from swaptrace import units
from swaptrace.report import style
from swaptrace.trace.reader import TraceReader

from .harness import Page, Results, day_of, folded, table
from .recorded import lost

TITLE = "Whose swap is it?"
KERNELS = ("6.12",)
ALONE = False
PAGE_SIZE = 4096
BEFORE, LIMITED = "before", "limited"
SHOWN = ("live_slots_end", "live_compr_bytes_end", "stores", "loads", "refaults")


def modelled() -> Results:
    return {}


def measured(folder: Path) -> Results:
    traces = {trace.stem: trace for trace in sorted(folder.glob("*.trace"))}
    first = next(iter(traces.values()))
    stores = dict.fromkeys(name.split(", ")[0] for name in traces)
    return {
        "release": TraceReader(first).header.kernel,
        "day": day_of(first),
        "stores": {
            store: {
                **{phase: of_phase(traces[f"{store}, {phase}"]) for phase in (BEFORE, LIMITED)},
                "diff": swaptrace(
                    "diff", *(traces[f"{store}, {phase}"].name for phase in (BEFORE, LIMITED)), at=folder
                ),
            }
            for store in stores
        },
    }


def of_phase(trace: Path) -> dict[str, Any]:
    """What `report --by cgroup` says of each cgroup, and what the kernel charged it for when the recording ended."""
    report = json.loads(swaptrace("report", "--by", "cgroup", "--format", "json", trace.name, at=trace.parent))
    charged = json.loads(trace.with_suffix(".json").read_text())["charged"]
    groups = {group["name"].strip("/"): group for group in report["by"]["groups"]}
    return {
        "lost_events": report["trace"]["lost_events"],
        "groups": {
            name: {key: groups[name][key] for key in (*SHOWN, "held_compr_bytes_end")}
            for name in charged
            if name in groups
        },
        "charged": charged,
    }


def swaptrace(*arguments: str, at: Path) -> str:
    """What the command prints, in a folder, so that no page has more of a path than its files' names."""
    command = [sys.executable, "-m", "swaptrace", *arguments]
    return subprocess.run(command, cwd=at, check=True, capture_output=True, text=True).stdout


def misses(results: Results) -> list[str]:
    """Where a cgroup is not charged for just what the report says it has."""
    found = []
    for kernel, one in results["kernels"].items():
        for store, phases in one["stores"].items():
            for phase in (BEFORE, LIMITED):
                where, said = f"Linux {kernel}, {store}, {phase}", phases[phase]
                found += lost(where, said)
                for name, charged in said["charged"].items():
                    group = said["groups"].get(name, dict.fromkeys((*SHOWN, "held_compr_bytes_end"), 0))
                    ours = {"swap.current": PAGE_SIZE * group["live_slots_end"]}
                    if store == "zswap":
                        ours = {"zswap.current": group["held_compr_bytes_end"]}
                    found += [
                        f"{where}: memory.{key} of {name} is {charged[key]}, not {value}"
                        for key, value in ours.items()
                        if key in charged and int(charged[key]) != value
                    ]
    return found


# ------------------------------------------------------------------------------------------------ the page


def page(results: Results) -> Page:
    return Page(headline(results), {"whose": chart(results)}, text(results))


def hungriest(groups: dict[str, Any]) -> str:
    return max(groups, key=lambda name: groups[name]["live_compr_bytes_end"])


def headline(results: Results) -> str:
    said = []
    for kernel, one in results["kernels"].items():
        for store, phases in one["stores"].items():
            before, after = (phases[phase]["groups"] for phase in (BEFORE, LIMITED))
            name = hungriest(before)
            whole = sum(group["live_compr_bytes_end"] for group in before.values())
            had = before[name]["live_compr_bytes_end"]
            has = after[name]["live_compr_bytes_end"] if name in after else 0
            limit = int(phases[LIMITED]["charged"][name]["swap.max"])
            said.append(
                f"On Linux {kernel} with {store}, `report --by cgroup` names {name}: {units.percent(had / whole)} of "
                f"the live compressed bytes are its. With its memory.swap.max at {units.size(limit)}, it has "
                f"{units.size(has)} instead of {units.size(had)}."
            )
    return " ".join(said)


def chart(results: Results) -> Figure:
    rows = [
        (f"{store}\n{phase}", phases[phase]["groups"])
        for one in results["kernels"].values()
        for store, phases in one["stores"].items()
        for phase in (BEFORE, LIMITED)
    ]
    names = list(dict.fromkeys(name for _, groups in rows for name in groups))
    figure, (axes,) = style.figure(
        "One cgroup has most of the swap; a limit takes it back", "live compressed bytes by cgroup, MiB", height=5.4
    )
    for number, (_, groups) in enumerate(rows):
        below = 0.0
        for index, name in enumerate(names):
            size = groups.get(name, {"live_compr_bytes_end": 0})["live_compr_bytes_end"] / (1 << 20)
            axes.bar(number, size, 0.6, bottom=below, color=f"C{index}", label=name if number == 0 else None)
            below += size
    axes.set_xticks(range(len(rows)), [label for label, _ in rows])
    style.legend(axes, 4)
    return figure


def text(results: Results) -> str:
    rows, diffs = [], []
    for kernel, one in results["kernels"].items():
        for store, phases in one["stores"].items():
            diffs.append(folded(f"{store}, Linux {kernel}", f"```text\n{phases['diff'].strip()}\n```"))
            for phase in (BEFORE, LIMITED):
                for name, group in phases[phase]["groups"].items():
                    charged = phases[phase]["charged"][name]
                    rows.append(
                        [
                            kernel, store, phase, name, units.count(group["live_slots_end"]),
                            units.size(group["live_compr_bytes_end"]),
                            *(units.count(group[key]) for key in ("stores", "loads", "refaults")),
                            units.size(int(charged["swap.current"])),
                            units.size(int(charged["zswap.current"])) if "zswap.current" in charged else "",
                        ]
                    )  # fmt: skip
    head = ["Linux", "store", "", "cgroup", "live slots", "live bytes", "stores", "loads", "refaults"]
    kernels = ", ".join(f"{one['release']} ({one['day']})" for one in results["kernels"].values())
    return f"""Three cgroups page out, take a third of their pages back and write to it, and page out again; one of them
has several times as many pages as the others. Then the same with a limit (memory.swap.max) on that one. Kernel:
{kernels}. What the report says of each is compared with what the kernel charges it for: slots on zram
(memory.swap.current), compressed bytes in zswap (memory.zswap.current).

{table([*head, "memory.swap.current", "memory.zswap.current"], rows)}

## What the limit changed: `swaptrace diff`

{chr(10).join(diffs)}
"""
