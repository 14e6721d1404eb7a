"""The counterfactual: the same workloads on zram itself, recorded, and on what lies on zram; predicted and measured.

Usage: counterfactual.py [--keep] [--out FOLDER] [--workload NAME] KERNEL ... Boots a virtual machine per kernel, which
runs counterfactual_guest.py; then compares, and writes results.json, README.md and the charts. Exits with 1, and says
which, if a bound is missed. --keep looks again at what the last run left. Kernels and workloads that are not named keep
the results that results.json has of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import counterfactual_compare as compare
import counterfactual_page as page
import numpy as np
from kernels import KERNELS

from swaptrace.analysis.analysis import Analysis
from swaptrace.degradation import NOTIFICATION
from swaptrace.events import EventBatch, EventKind
from swaptrace.trace.reader import TraceReader

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build" / "counterfactual"
GUEST_SECONDS = 3000  # two machines share what processors there are; one ran into 1500 beside other work
POINTS = 400  # of a curve in results.json


def boot(kernel: str, workloads: Sequence[str] = ()) -> int:
    """Run all workloads (or these) on all rigs under a kernel; the exit status of tests/vm/run."""
    folder = BUILD / kernel
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    guest = [sys.executable, "tests/vm/counterfactual_guest.py", str(folder), *workloads]
    command = ["tests/vm/run", "--kernel", kernel, "--timeout", str(GUEST_SECONDS), "--out", str(folder), "--", *guest]
    with (folder / "guest.log").open("w") as log:
        return subprocess.call(command, cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT)


class Recording:
    """A trace, and what the guest measured while it was recorded."""

    def __init__(self, folder: Path, rig: str) -> None:
        self.reader = TraceReader(folder / f"{rig}.trace")
        self.batches: list[EventBatch] = list(self.reader)
        self.measured = measured(folder, rig)
        moments = [checkpoint["time"] for checkpoint in self.measured["checkpoints"]]
        if self.reader.trailer is None:
            raise ValueError(f"{self.reader.path} is not complete")
        self.predictions = [
            compare.predict(self.reader.header, self.reader.trailer, self.batches, moment) for moment in moments
        ]

    @property
    def lost(self) -> int:
        trailer = self.reader.trailer
        return sum(trailer.lost.values()) if trailer else 0


def measured(folder: Path, rig: str) -> dict[str, Any]:
    return dict(json.loads((folder / f"{rig}.json").read_text()))


def workload_results(folder: Path) -> dict[str, Any]:
    """What results.json says of one workload under one kernel."""
    found = [rig for rig in ("zram", *compare.RIGS) if (folder / f"{rig}.trace").exists()]
    recordings = {rig: Recording(folder, rig) for rig in found}
    traced = recordings["zram"]
    rigs: dict[str, Any] = {}
    for rig in compare.RIGS:
        if not (folder / f"{rig}.json").exists():
            continue
        kind = "file" if rig.startswith("file") else "zram"
        source = next(name for name in (rig, kind, "zram") if name in recordings)
        recording, facts = recordings[source], measured(folder, rig)
        rigs[rig] = [
            compare.compare_rig(rig, prediction, checkpoint, facts["baseline"], beside)
            for prediction, checkpoint, beside in zip(
                recording.predictions, facts["checkpoints"], recording.measured["checkpoints"], strict=True
            )
        ]
        for row in rigs[rig]:
            row["filesystem_bytes"] = facts["baseline"]["compr_data_size"]
            row["recorded_on"] = source
    checkpoints = traced.measured["checkpoints"]
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime((folder / "zram.trace").stat().st_mtime)),
        "events": sum(len(batch) for batch in traced.batches),
        "lost_events": sum(recording.lost for recording in recordings.values()),
        "stores": int(sum((batch.events["kind"] == EventKind.STORE).sum() for batch in traced.batches)),
        "slots": sum(count for _, count in traced.measured["extents"]) - 1,
        "times": [checkpoint["time"] for checkpoint in checkpoints],
        "model": [
            compare.compare_model(prediction, checkpoint)
            for prediction, checkpoint in zip(traced.predictions, checkpoints, strict=True)
        ],
        "rigs": rigs,
        "series": series(traced, checkpoints[-2]["time"]) if folder.name == page.CHURN else {},
        "cost": cost(traced) if folder.name == page.CHURN else {},
    }


def series(recording: Recording, end: int) -> dict[str, list[float]]:
    """Live and stale bytes over time, until the area was switched off; time: CLOCK_MONOTONIC, seconds."""
    analysis = Analysis(recording.reader.header, until=end)
    for batch in recording.batches:
        analysis.feed(batch)
    area = analysis.finish(recording.reader.trailer).areas[0]
    at = np.unique(np.linspace(0, len(area.series.time) - 1, POINTS).astype(int))
    names = [name for name in ("live", "none", "discard") if name in area.series.bytes]
    return {
        "time": ((area.series.time[at] + recording.reader.header.start.time) / 1e9).round(4).tolist(),
        **{name: area.series.bytes[name][at].tolist() for name in names},
    }


def cost(recording: Recording) -> dict[str, Any]:
    """The time that the whole run spent in the slot-free path, and in notifications within it (ns); by what probes."""
    analysis = Analysis(recording.reader.header)
    for batch in recording.batches:
        analysis.feed(batch)
    areas = analysis.finish(recording.reader.trailer).areas
    path = areas[0].free_path
    if path is None:
        raise ValueError(f"{recording.reader.path}: the slot-free path was not timed")
    return {
        "by": next(row["by"] for row in recording.reader.header.probes if row["event"] == NOTIFICATION),
        "slots": path["slots"],
        "path_ns": path["ns"],
        "notifications": sum(area.notify_free for area in areas),
        "notification_ns": sum(area.notification.total for area in areas),
    }


def kernel_results(kernel: str) -> dict[str, Any]:
    folders = [BUILD / kernel / name for name in compare.WORKLOADS if (BUILD / kernel / name / "zram.json").exists()]
    header = TraceReader(folders[0] / "zram.trace").header
    chain = max(header.zsmalloc["pages_per_zspage"]) if header.zsmalloc else None
    results = {"release": header.kernel, "chain": chain, "cluster_slots": header.cluster_slots}
    results["slots_by_discard"] = header.slots_by_discard
    return {**results, "workloads": {folder.name: workload_results(folder) for folder in folders}}


def merged(before: dict[str, Any], found: dict[str, Any], *, some: bool) -> dict[str, Any]:
    """The results of all kernels: new ones in the place of old ones. some: only some workloads were run this time."""
    both = before | found
    if some:
        for kernel in before.keys() & found.keys():
            workloads = before[kernel]["workloads"] | found[kernel]["workloads"]
            both[kernel] = {
                **found[kernel],
                "workloads": {w: workloads[w] for w in compare.WORKLOADS if w in workloads},
            }
    return {kernel: both[kernel] for kernel in KERNELS if kernel in both}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="do not run anything: compare what the last run left")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "reports" / "counterfactual")
    parser.add_argument(
        "--workload", action="append", choices=compare.WORKLOADS, help="only this one, and others so named"
    )
    parser.add_argument("kernels", nargs="*", default=list(KERNELS))
    options = parser.parse_args(arguments)
    start = time.monotonic()
    if not options.keep:
        with ThreadPoolExecutor(int(os.environ.get("SWAPTRACE_GUESTS", "2"))) as pool:
            statuses = list(pool.map(partial(boot, workloads=options.workload or ()), options.kernels))
        for kernel, status in zip(options.kernels, statuses, strict=True):
            if status != 0:
                print(f"Linux {kernel}: exit status {status}; see {BUILD / kernel / 'guest.log'}", file=sys.stderr)
        if any(statuses):
            return 1
        (BUILD / "seconds").write_text(f"{time.monotonic() - start:.0f}")
    published, found = options.out / "results.json", {kernel: kernel_results(kernel) for kernel in options.kernels}
    before = json.loads(published.read_text())["kernels"] if published.exists() else {}
    whole = set(found) == set(KERNELS) and not options.workload
    results: dict[str, Any] = {
        "seconds": int((BUILD / "seconds").read_text()) if whole and (BUILD / "seconds").exists() else None,
        "kernels": merged(before, found, some=bool(options.workload)),
    }
    missed = compare.misses(results)
    options.out.mkdir(parents=True, exist_ok=True)
    published.write_text(json.dumps(results) + "\n")
    page.write(options.out, results, missed)
    for miss in missed:
        print(f"counterfactual: missed: {miss}", file=sys.stderr)
    print(page.headline(results))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
