"""The counterfactual's page and charts, from what results.json holds. No figure is typed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import counterfactual_compare as compare
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from swaptrace import units
from swaptrace.report import palette, style

COLOURS = {"none": palette.STALE, "discard": "#E69F00", "discard_once": "#CC79A7"}
SAID = {"none": "none", "discard": "discard", "discard_once": "discard once"}
MARKERS = "osD^v"
MIB = 1 << 20
CHURN = "churn"


def write(folder: Path, results: dict[str, Any], missed: Sequence[compare.Miss]) -> None:
    """README.md and the charts."""
    charts = {"churn": churn_chart(results), "predicted-vs-measured": prediction_chart(results)}
    for name, chart in charts.items():
        (folder / f"{name}.png").write_bytes(style.as_png(chart))
    (folder / "README.md").write_text(readme(results, missed))


# ------------------------------------------------------------------------------------------------ the headline


def churn_end(workload: dict[str, Any]) -> int:
    """The checkpoint that the headline is about: the last one at which the churn still goes on."""
    names = [row["name"] for row in workload["model"]]
    return max(number for number, name in enumerate(names) if name not in ("all gone", compare.AGAIN))


def headline(results: dict[str, Any]) -> str:
    """How much notifications recover under churn, in a sentence per kernel."""
    said = []
    for kernel, one in results["kernels"].items():
        if CHURN not in one["workloads"]:
            continue
        workload = one["workloads"][CHURN]
        row = workload["model"][churn_end(workload)]
        live, stale = row["live"], row["stale"]["none"]
        pools = [row["pool"].get(policy) for policy in ("none", "notify")]
        pool = "" if None in pools else f"; in whole pages, {units.size(pools[1])} instead of {units.size(pools[0])}"
        said.append(
            f"On Linux {kernel}, after {row['name'].split()[0]} processes have come and gone, slot-free notifications "
            f"recover {units.size(stale)} of the {units.size(live + stale)} of compressed pages that the store would "
            f"hold without them: {units.percent(stale / (live + stale))}, {stale / live:.0f} times what is live{pool}."
        )
    return "\n\n".join(said)


# ------------------------------------------------------------------------------------------------ the charts


def _rows(results: dict[str, Any], other: bool = False) -> Iterable[tuple[str, str, str, dict[str, Any]]]:
    """(kernel, workload, rig, row) of all that bounds hold for; or, if `other`, of those whose swap map is another.

    What is not predicted is in neither.
    """
    for kernel, one in results["kernels"].items():
        for workload, data in one["workloads"].items():
            for rig, rows in data["rigs"].items():
                if ((workload, rig) in compare.OTHER_SWAP_MAP) != other:
                    continue
                for row in rows:
                    if row["predicted"] is not None:
                        yield kernel, workload, rig, row


def prediction_chart(results: dict[str, Any]) -> Figure:
    """Predicted over measured, and the difference."""
    rows = list(_rows(results))
    worst = max((abs(row["predicted"] - row["measured"]) for *_, row in rows), default=0)
    exact = sum(row["predicted"] == row["measured"] for *_, row in rows)
    rows.sort(key=lambda found: list(COLOURS).index(found[3]["policy"]))  # so that the smallest marks are on top
    share = f"All {len(rows)}" if exact == len(rows) else f"{exact} of {len(rows)}"
    finding = f"{share} predictions of stale bytes equal those measured, to the byte"
    if worst:
        finding += f"; the others are off by {units.size(worst)} at most"
    kernels = list(results["kernels"])
    subject = "all that are bound by a limit (not read-back on dm)"
    figure, (above, below) = style.figure(finding, subject, rows=2, height=8.4)
    figure.subplots_adjust(left=0.12, hspace=0.16)
    largest = max(row["measured"] for *_, row in rows) / MIB
    above.plot([0, largest], [0, largest], color=palette.MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    below.axhline(0, color=palette.MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for kernel, _, _, row in rows:
        marker, colour = MARKERS[kernels.index(kernel) % len(MARKERS)], COLOURS[row["policy"]]
        x, size = row["measured"] / MIB, 8.5 - 1.5 * kernels.index(kernel) - 1.3 * list(COLOURS).index(row["policy"])
        for axes, y in ((above, row["predicted"]), (below, row["predicted"] - row["measured"])):
            axes.plot(x, y / MIB, marker, color=colour, markersize=size, alpha=0.75, markeredgewidth=0, zorder=3)
    above.set_ylabel("predicted, MiB")
    below.set_ylabel("difference, MiB")
    below.set_xlabel("measured stale bytes, MiB (compr_data_size beyond what is live)")
    off = [(row["predicted"] - row["measured"]) / MIB for *_, row in rows]
    room = max(0.15 * (max(off) - min(off)), 0.05)
    below.set_ylim(min(off) - room, max(off) + room)
    handles: list[Any] = [Patch(color=colour, label=SAID[name]) for name, colour in COLOURS.items()]
    plain = {"linestyle": "", "color": palette.INK, "markersize": 7}
    handles += [Line2D([], [], marker=MARKERS[i], label=f"Linux {kernel}", **plain) for i, kernel in enumerate(kernels)]
    style.legend(above, 6, handles)
    return figure


def churn_chart(results: dict[str, Any]) -> Figure:
    """The store's content over time on zram, with what it would be without notifications, and what was measured."""
    found = {kernel: one["workloads"][CHURN] for kernel, one in results["kernels"].items() if CHURN in one["workloads"]}
    if not found:
        return style.blank("No churn was run", "content of the store over time")
    shares = []
    for workload in found.values():
        row = workload["model"][churn_end(workload)]
        shares.append(row["stale"]["none"] / (row["live"] + row["stale"]["none"]))
    low, high = (units.percent(share) for share in (min(shares), max(shares)))
    said = low if low == high else f"{low} to {high}"
    finding = f"Churn: {said} of what the store would hold without notifications is stale, and they give it back"
    subject = "lines: from the run recorded on zram itself; marks: measured on rigs where nobody notifies"
    figure, axes = style.figure(finding, subject, rows=len(found), height=2.2 + 3.1 * len(found))
    figure.subplots_adjust(hspace=0.2)
    ends = [_draw_churn(one, *each) for one, each in zip(axes, found.items(), strict=True)]
    axes[0].set_xlim(0, max(ends))
    handles = [
        Patch(color=palette.LIVE, alpha=0.85, label="live"),
        Patch(facecolor=palette.GIVEN_BACK + "30", edgecolor=palette.GIVEN_BACK, hatch="///", label="given back"),
        Line2D([], [], color=COLOURS["none"], linewidth=1.6, label="none"),
        Line2D([], [], color=COLOURS["discard"], linewidth=2.2, label="discard"),
        Line2D([], [], color=palette.INK, marker="x", linestyle="", label="zram"),
        Line2D([], [], color=palette.STALE, marker="o", linestyle="", label="file"),
        Line2D([], [], color=COLOURS["discard"], marker="s", linestyle="", label="file, discard=pages"),
    ]
    style.legend(axes[0], 7, handles)
    axes[-1].set_xlabel("seconds of the recorded run (emulated machine); marks stand at its checkpoints")
    return figure


def _draw_churn(axes: Axes, kernel: str, workload: dict[str, Any]) -> float:
    """The time (s) at which it ends."""
    series = {name: np.array(values) for name, values in workload["series"].items()}
    times = np.array(workload["times"][:-1]) / 1e9
    start = series["time"][np.flatnonzero(series["live"])[0]]
    time, live = series["time"] - start, series["live"] / MIB
    top = live + series["none"] / MIB
    axes.fill_between(time, 0, live, step="pre", color=palette.LIVE, alpha=0.85, linewidth=0)
    green = {"facecolor": palette.GIVEN_BACK + "30", "edgecolor": palette.GIVEN_BACK, "hatch": "///"}
    axes.fill_between(time, live, top, step="pre", linewidth=0, **green)
    axes.step(time, top, where="pre", color=COLOURS["none"], linewidth=1.6)
    if "discard" in series:
        axes.step(time, live + series["discard"] / MIB, where="pre", color=COLOURS["discard"], linewidth=2.0)
    measured = [row["kernel"]["compr_data_size"] for row in workload["model"][:-1]]
    axes.plot(times - start, np.array(measured) / MIB, "x", color=palette.INK, markersize=8, clip_on=False)
    for rig, marker, colour in (("file", "o", palette.STALE), ("file, discard=pages", "s", COLOURS["discard"])):
        held = [row["live"] + row["measured"] for row in workload["rigs"].get(rig, [])[:-1]]
        if held:
            axes.plot(
                times - start, np.array(held) / MIB, marker, color=colour, markersize=8, markeredgecolor="white",
                zorder=4, clip_on=False,
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"Linux {kernel}\ncompressed, MiB")
    return float(max(time[-1], times[-1] - start))


# ------------------------------------------------------------------------------------------------ the page


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _bytes(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return "0" if value == 0 else f"{100 * value:.2f} %"


def _days(kernel: dict[str, Any]) -> str:
    return " and ".join(sorted({found["day"] for found in kernel["workloads"].values()}))


def readme(results: dict[str, Any], missed: Sequence[compare.Miss]) -> str:
    seconds = results["seconds"]
    took = f" ({units.duration(seconds * 1e9)} the last time, two machines at once)" if seconds else ""
    verdict = "Every bound holds." if not missed else "**Missed:**\n\n" + "\n".join(f"- {miss}" for miss in missed)
    kernels = ", ".join(
        f"{one['release']} (zsmalloc chains up to {one['chain']} pages; measured on {_days(one)})"
        for one in results["kernels"].values()
    )
    return f"""# What the model predicts, and what the kernel does

<!-- Written by tests/vm/counterfactual.py from results.json: change those, not this. -->

{headline(results)}

![The store's content under churn](churn.png)

The same seeded workloads ran on zram itself, recorded by swaptrace; then, without tracing, on a swap file on ext4 on
zram and on dm-linear on zram, where the kernel tells the store nothing, with each way to discard. What the recorded run
predicts for the policies `none`, `discard` and `discard_once` is compared with what mm_stat measures there. The swap
area has {_slots(results)} slots on every rig. Kernels: {kernels}.
{_by_discard(results)}

```
make counterfactual
```

runs all of it{took}, writes this folder, and fails if a bound is missed. {verdict}

{_cost(results)}

## The model against mm_stat

Largest difference at any checkpoint between the model of the recorded run and mm_stat at that moment. One process swaps
at a time, except in `parallel`: four do, on one CPU. Allowed: no difference.

{_model_table(results)}

{_model_reasons(results)}

## Stale bytes, predicted and measured

![Predicted and measured](predicted-vs-measured.png)

Measured: compr_data_size beyond what it was before swapping began, less the live bytes. Errors are shares of the
measured stale bytes (of all that is held, where less than {100 * compare.ENOUGH_STALE:g} % of it is stale). Allowed:
{100 * compare.BOUNDS["none"]:g} % for `none` and `discard_once`, {100 * compare.BOUNDS["discard"]:g} % for `discard`.
`--discard` is `=pages` and `=once` together: it is compared with `discard` while the area is on, and with
`discard_once` after it was switched off and on.

{_prediction_table(results)}

## What remains, and why

{_reasons(results)}

## Every checkpoint

{_details(results)}
"""


def _cost(results: dict[str, Any]) -> str:
    """What notifications cost under churn, beside what they bought."""
    rows = []
    for kernel, one in results["kernels"].items():
        workload = one["workloads"].get(CHURN)
        if workload is None:
            continue
        spent, row = workload["cost"], workload["model"][churn_end(workload)]
        pools = [row["pool"].get(policy) for policy in ("none", "notify")]
        rows.append(
            [
                kernel,
                units.count(spent["notifications"]),
                units.duration(spent["notification_ns"]),
                units.duration(spent["notification_ns"] / spent["notifications"]),
                units.duration(spent["path_ns"] / spent["slots"]),
                units.percent(spent["notification_ns"] / spent["path_ns"]),
                units.size(row["stale"]["none"]),
                "not known" if None in pools else units.size(pools[0] - pools[1]),
            ]
        )
    if not rows:
        return ""
    head = ["Linux", "notifications", "time in them", "a slot", "slot-free path, a slot", "share of it"]
    costs = [one["workloads"][CHURN]["cost"] for one in results["kernels"].values() if CHURN in one["workloads"]]
    probes = " and ".join(sorted({f"{spent['by']}s" for spent in costs}))
    return f"""## What notifications cost, and what they buy

The recording of the churn timed the kernel's slot-free function and the notification within it (`record --time-frees`):
{probes} on the entry and return of both, whose own time is in the figures, on an emulated processor. The share means
more than the times do.

{_table([*head, "compressed bytes recovered", "RAM recovered"], rows)}"""


def _slots(results: dict[str, Any]) -> str:
    slots = {data["slots"] for one in results["kernels"].values() for data in one["workloads"].values()}
    return " or ".join(units.count(count) for count in sorted(slots))


def _model_table(results: dict[str, Any]) -> str:
    rows = []
    for kernel, one in results["kernels"].items():
        for workload, data in one["workloads"].items():
            line = [kernel, workload, units.count(data["stores"]), str(len(data["model"]))]
            for name in compare.MODELLED:
                pairs = [(row["model"][name], row["kernel"][name]) for row in data["model"]]
                if any(modelled is None for modelled, _ in pairs):
                    line.append("not known")
                else:
                    line.append(_bytes(max(abs(modelled - said) for modelled, said in pairs)))
            rows.append([*line, _share(max(compare.model_error(row) for row in data["model"]))])
    return _table(["Linux", "workload", "stores", "checkpoints", *compare.MODELLED, "largest error"], rows)


def _model_reasons(results: dict[str, Any]) -> str:
    """What is said of differences, if there are any."""
    off = [
        (kernel, workload, row)
        for kernel, one in results["kernels"].items()
        for workload, data in one["workloads"].items()
        for row in data["model"]
        if compare.model_error(row)
    ]
    if not off:
        return "All are equal, to the byte."
    names = sorted({name for *_, row in off for name in compare.MODELLED if row["model"][name] != row["kernel"][name]})
    return f"Not equal everywhere: {', '.join(names)}."


def _prediction_table(results: dict[str, Any]) -> str:
    rows = []
    for kernel, one in results["kernels"].items():
        for workload, data in one["workloads"].items():
            for rig, found in data["rigs"].items():
                unbound = " (no bound)" if (workload, rig) in compare.OTHER_SWAP_MAP else ""
                policies = list(dict.fromkeys(SAID[row["policy"]] for row in found))
                told = [row for row in found if row["predicted"] is not None]
                largest = _share(max(map(compare.error, told))) + unbound if told else "not predicted"
                rows.append(
                    [
                        kernel,
                        workload,
                        rig,
                        found[0]["recorded_on"],
                        ", then ".join(policies),
                        units.size(max(row["measured"] for row in found)),
                        largest + (f" ({len(found) - len(told)} not predicted)" if 0 < len(told) < len(found) else ""),
                    ]
                )
    return _table(["Linux", "workload", "rig", "recorded on", "policy", "most stale", "largest error"], rows)


def _by_discard(results: dict[str, Any]) -> str:
    """What is said of kernels whose swap map depends on whether an area discards."""
    kernels = [kernel for kernel, one in results["kernels"].items() if one["slots_by_discard"]]
    if not kernels:
        return ""
    return f"""
On Linux {" and ".join(kernels)}, an area that discards its free clusters takes other slots than one that does not
(since 9a42aed48421, "mm, swap: prefer nonfull over free clusters", Linux 6.18). There a run on zram itself predicts
nothing for `--discard` and `--discard=pages`. Those rigs were recorded themselves, and `discard` is compared with what
their own recordings say of it; what they would have held under `discard_once` is not predicted.

For the same reason huge pages that come back in part (thp-swapin) are compared with recordings of each rig itself.
On a file they are split when they go out (10 of 10, by the kernel's thp_swpout_fallback; none on zram and device
mapper), and single pages fill clusters that are partly in use. On 7.3 they come back from device mapper as a whole."""


def _reasons(results: dict[str, Any]) -> str:
    rows = list(_rows(results))
    lines = []
    unwritten = [
        row["unwritten_slots"] for *_, row in rows if row["policy"] == "discard" and row["name"] != compare.AGAIN
    ]
    if unwritten:
        lines.append(
            "- **Slots that are allocated and not written** keep their cluster from being discarded: up to 64 a CPU in "
            "the slot cache, and, from 6.12 on, those of zero-filled pages, which the swap map alone remembers. There "
            f"were {min(unwritten)} to {max(unwritten)} of them (in use by /proc/swaps, less live) at the checkpoints "
            "with `discard`. The recording tells of each when it is allocated, so they cost no accuracy."
        )
    held = [(row["filesystem_bytes"], row["filesystem_pages"]) for _, _, rig, row in rows if rig.startswith("file")]
    if held:
        low, high = min(size for size, _ in held), max(size for size, _ in held)
        moved = max(abs(pages) for _, pages in held)
        lines.append(
            f"- **Filesystem metadata** is {_bytes(low)} to {_bytes(high)} compressed bytes before swapping begins "
            f"(mkswap's page included), and is subtracted. While the workloads ran, the pages that zram held outside "
            f"the swap file changed by {moved} at most."
        )
    pools = [
        (rig, row["measured_pool"] - row["predicted_pool"], row["measured_pool"])
        for _, workload, rig, row in rows
        if row["predicted_pool"] is not None and row["policy"] != "discard"
        if row["recorded_on"] == "zram"
    ]
    for kind in ("dm", "file"):
        off = [abs(difference) / size for rig, difference, size in pools if rig.startswith(kind) and size >= MIB]
        most = max((abs(difference) for rig, difference, _ in pools if rig.startswith(kind)), default=0)
        if off:
            more = "; the filesystem's own objects are in that pool, too" if kind == "file" else ""
            lines.append(
                f"- **The pool** (mem_used_total) is predicted, too, for `none` and `discard_once`: on {kind} rigs "
                f"within {units.size(most)}, or {_share(max(off))} of a pool of 1 MiB or more{more}."
            )
    maps = [row["used_slots"] - row["used_slots_traced"] for *_, row in rows]
    zero = (
        ": from 6.12 on, the zero-filled parts of a huge page that is split become the zero page and take no slot "
        "(try_to_map_unused_to_zeropage())"
        if any(maps)
        else ""
    )
    lines.append(
        f"- **The swap maps** of the rigs, by what /proc/swaps says is in use, differ from the recorded run's by "
        f"{min(maps)} to {max(maps)} slots at {sum(map(bool, maps))} of {len(maps)} checkpoints{zero}."
    )
    lines += _huge_pages(results)
    lines += _other_swap_maps(results)
    return "\n".join(lines)


def _other_swap_maps(results: dict[str, Any]) -> list[str]:
    found = list(_rows(results, other=True))
    if not found:
        return []
    kept = {kernel: 0 for kernel, *_ in found}
    off = dict(kept)
    for kernel, _, _, row in found:
        kept[kernel] = max(kept[kernel], row["used_slots"] - row["used_slots_traced"])
        off[kernel] = max(off[kernel], abs(row["predicted"] - row["measured"]))
    said = "; ".join(
        f"on {kernel}, {units.count(kept[kernel])} slots, so that the prediction is off by {units.size(off[kernel])}"
        for kernel in kept
    )
    return [
        "- **Pages that are only read back** (`read-back` on dm; no bound): zram itself, and a file on it, are "
        "synchronous (SWP_SYNCHRONOUS_IO): a page that comes in frees its slot. On device mapper it may stay in the "
        f"swap cache and keep its slot, which is then not stale: {said}. In all other workloads, pages that come back "
        "are written to, which frees the slot everywhere."
    ]


def _rigs_of(results: dict[str, Any], workload: str) -> list[tuple[str, str, list[dict[str, Any]]]]:
    return [
        (kernel, rig, rows)
        for kernel, one in results["kernels"].items()
        for rig, rows in one["workloads"].get(workload, {"rigs": {}})["rigs"].items()
    ]


def _huge_pages(results: dict[str, Any]) -> list[str]:
    ends = [(kernel, rig, rows[-1]) for kernel, rig, rows in _rigs_of(results, "thp")]
    if not ends:
        return []
    said = []
    for kind, name in (("dm", "device mapper"), ("file", "a swap file")):
        counts = [(row["thp_out"], row["thp_split"]) for _, rig, row in ends if rig.startswith(kind)]
        if counts:
            ranges = [sorted(one) for one in zip(*counts, strict=True)]
            whole, split = (f"{one[0]} to {one[-1]}" if one[0] != one[-1] else f"{one[0]}" for one in ranges)
            said.append(f"on {name}, {whole} went out whole and {split} were split first")
    return [
        "- **Huge pages**: " + "; ".join(said) + ". A file's slots come in another order than zram's, so `thp` was "
        "recorded on the file as well, and the file's rigs are compared with that recording."
    ]


def _details(results: dict[str, Any]) -> str:
    parts = []
    for kernel, one in results["kernels"].items():
        for workload, data in one["workloads"].items():
            rigs = list(data["rigs"])
            head = ["checkpoint", "live", "mm_stat on zram (model)", *(f"{rig}: measured (off by)" for rig in rigs)]
            rows = []
            for number, row in enumerate(data["model"]):
                said, modelled = row["kernel"]["compr_data_size"], row["model"]["compr_data_size"]
                line = [row["name"], _bytes(row["live"]), f"{_bytes(said)} ({_signed(modelled - said)})"]
                for rig in rigs:
                    found = data["rigs"][rig][number]
                    off = None if found["predicted"] is None else found["predicted"] - found["measured"]
                    line.append(f"{_bytes(found['measured'])} ({'not predicted' if off is None else _signed(off)})")
                rows.append(line)
            parts.append(
                f"<details><summary>Linux {kernel}, {workload}</summary>\n\n"
                f"Compressed bytes; on the rigs, stale ones.\n\n{_table(head, rows)}\n\n</details>"
            )
    return "\n\n".join(parts)


def _signed(value: int) -> str:
    return "0" if value == 0 else f"{value:+,d}"
