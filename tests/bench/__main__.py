"""make bench: what tracing and analysis cost. A table, and reports/bench (or the folder named by --out).

Usage: python -m tests.bench [--events N] [--most N] [--seconds N] [--no-overhead | --keep-overhead] [--out FOLDER].
Nothing here is a test: a slow machine gives other figures, not a failure. Only wrong results fail: the rivals must find
the same lifetimes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from swaptrace.analysis.analysis import Analysis, machine_of
from swaptrace.engine import mapping
from swaptrace.engine.lifetimes import Lifetimes
from swaptrace.engine.records import EventRecords
from swaptrace.engine.worker import ahead
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventBatch, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.command import analyse
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Trailer
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.writer import TraceWriter
from tests.bench import engines, live, overhead, page, recording, workload
from tests.bench.draining import FullRing, KernelRing
from tests.bench.measure import ROUNDS, Figure, child, figure, side_by_side, timed
from tests.bench.rivals import RIVALS, lifetimes_of
from tests.unit.builders import of_store

MILLION = 1_000_000
RATE = "million events/s"
LOSSLESS_RATE = 2 * MILLION  # events/s
MANY = 16  # stores
LARGE = 1 << 26  # slots
CLUSTER = 512  # slots


def without_pools(path: Path) -> TraceResult:
    """The whole analysis, but for the pages that the compressed bytes cost."""
    reader = TraceReader(path)
    analysis = Analysis(reader.header, machine=replace(machine_of(reader.header), geometry=None))
    for batch in reader:
        analysis.feed(batch)
    return analysis.finish(reader.trailer)


def lifetimes_alone(path: Path) -> int:
    """What the rivals are asked for, by our own loop; how many have ended."""
    reader = TraceReader(path)
    (area,), (store,) = reader.header.start.areas, reader.header.start.stores
    pages = mapping.add_area(mapping.empty_map(store.id, store.pages, reader.header.page_size), area, 0)
    lives = Lifetimes(store.pages, reader.header.page_size)
    lives.add_area(pages)
    places = mapping.Places(pages)
    for batch in ahead(iter(reader)):
        events = EventRecords(batch.events)
        lives.advance(of_store(events, pages), places)
    return sum(one.count for one in lives.by_reason(0).values())


def analysis_figures(path: Path, events: int) -> list[Figure]:
    """The whole analysis, and lifetimes alone in what people know, from the same file."""
    found = lifetimes_of(analyse(path).areas[0])
    assert lifetimes_of(without_pools(path).areas[0]) == found and lifetimes_alone(path) == found.count
    for name, rival in RIVALS.items():
        assert rival(path) == found, f"{name} finds other lifetimes: {rival(path)}, not {found}"
    report = "trace file to JSON report: all policies, pools, lifetimes"
    reading, poolless = "of that, reading the file", "of that, all but the pools"
    ways: dict[str, Callable[[], object]] = {
        "swaptrace": lambda: json.dumps(as_json(analyse(path))),
        reading: lambda: sum(map(len, TraceReader(path))),
        poolless: lambda: without_pools(path),
        "swaptrace's own loop": lambda: lifetimes_alone(path),
    }
    ways |= {name: lambda rival=rival: rival(path) for name, rival in RIVALS.items()}  # type: ignore[misc]
    took = side_by_side(ways)
    group = "Analysis"
    mine = took["swaptrace"]
    figures = [
        figure(
            group,
            f"{report}; per second of one core",
            RATE,
            [events / one.cpu / MILLION for one in mine],
            10,
            limit="The pools take most of it, see the next rows: they are followed object by object, one for each "
            "policy that does something else, and every store and free changes lists of zspages in each. Tried and "
            "kept: policies share a pool until they differ, loops are inlined and count no references (half of the "
            "time), sums are kept by class of pages instead of by policy. Left out: a codec that decompresses faster "
            "makes larger files.",
        ),
        *(
            figure(group, f"{part}; per second of one core", RATE, [events / one.cpu / MILLION for one in took[part]])
            for part in (reading, poolless)
        ),
        figure(group, f"{report}; by the clock", RATE, [events / one.wall / MILLION for one in mine]),
    ]
    for name in ("swaptrace's own loop", *RIVALS):
        rates = [events / one.wall / MILLION for one in took[name]]
        figures.append(figure(group, f"{name}: lifetimes alone, by the clock", RATE, rates))
    for name in RIVALS:
        for who, target in (("swaptrace's own loop", 4), ("swaptrace", None)):
            pairs = zip(took[name], took[who], strict=True)
            ratios = [his.wall / mine.wall for his, mine in pairs]
            limit = "Our own loop is as fast as reading the file lets it be: decompressing it, mostly."
            figures.append(figure(group, f"{who} against {name}, by the clock", "times", ratios, target, limit=limit))
    return figures


def size_figures(folder: Path, most: int) -> list[Figure]:
    """What grows with a trace, and what does not: reports of traces of `most` events, and a tenth and a hundredth."""
    group, took, memory = "Long traces", {}, {}
    for events in (most // 100, most // 10, most):
        path = folder / f"{events}.swaptrace"
        count = workload.write(path, events)
        runs = [child("report", path, "--format", "json") for _ in range(ROUNDS)]
        took[events] = [1e9 * run.took.cpu / count for run in runs]
        memory[events] = [run.memory / MILLION for run in runs]
        if events == most:
            pages = [child("report", path, "--format", "html", "-o", folder / "html") for _ in range(ROUNDS)]
        path.unlink()
    name = f"{most / MILLION:,.3g} million events"
    tenth = f"{most / 10 / MILLION:,.3g} million events"
    figures = [
        figure(group, f"processor time, a trace of {n / MILLION:,.3g} million events", "ns/event", values)
        for n, values in took.items()
    ]
    ratio = [a / b for a, b in zip(took[most], took[most // 10], strict=True)]
    figures += [
        figure(group, f"processor time an event: {name} against {tenth}", "times", ratio, 1.1, more=False),
        figure(
            group,
            f"report of {name} with charts",
            "s",
            [run.took.wall for run in pages],
            10,
            more=False,
            limit="It is the analysis, see above, on two cores: the pools follow in one of them, and all else in the "
            "other.",
        ),
        *(figure(group, f"memory, {n / MILLION:,.3g} million events", "MB", memory[n]) for n in (most // 10,)),
        figure(group, f"memory, {name}", "MB", memory[most], 400, more=False),
        figure(group, f"memory, {name}, with charts", "MB", [run.memory / MILLION for run in pages], 400, more=False),
    ]
    ratio = [a / b for a, b in zip(memory[most], memory[most // 10], strict=True)]
    figures.append(figure(group, f"memory: {name} against {tenth}", "times", ratio, 1.1, more=False))
    return figures


def store_figures(events: int) -> list[Figure]:
    """What an event costs if there are many stores, against one: the same events, the slots spread over areas.

    Of the later half of them: until then, pages of memory are touched for the first time.
    """
    batches = list(workload.batches(events))
    costs: dict[int, list[float]] = {1: [], MANY: []}
    for _ in range(ROUNDS):
        for stores, found in costs.items():
            header = replace(workload.header(), start=engines.start_of(workload.SLOTS, stores))
            parts = [EventBatch(engines.to_stores(batch.events, stores)) for batch in batches]
            analysis, half = Analysis(header), len(parts) // 2
            _feed(analysis, parts[:half])
            found.append(timed(partial(_feed, analysis, parts[half:])).cpu)
    ratios = [many / one for many, one in zip(costs[MANY], costs[1], strict=True)]
    return [figure("Analysis", f"an event with {MANY} stores against one", "times", ratios, 1.3, more=False)]


def _feed(analysis: Analysis, batches: list[EventBatch]) -> None:
    for batch in batches:
        analysis.feed(batch)


def large_area_figures(folder: Path) -> list[Figure]:
    """An area of 256 GiB of which little was ever touched."""
    path, figures = folder / "large.swaptrace", []
    for together, target in ((CLUSTER, 400), (1, None)):
        workload.write_sparse(path, LARGE, LARGE // 100, together)
        memory = [child("report", path, "--format", "json").memory / MILLION for _ in range(ROUNDS)]
        where = "in clusters all over it" if together > 1 else "in single slots, one in a hundred"
        what = f"memory, an area of 256 GiB, 1 % touched, {where}"
        figures.append(figure("Long traces", what, "MB", memory, target, more=False))
    path.unlink()
    return figures


def recording_figures(folder: Path) -> list[Figure]:
    """From a full ring to a compressed file; and the same ring drained at once and event by event."""
    group = "Recording"
    events = np.concatenate([batch.events for batch in workload.batches(MILLION // 2)])
    ring, path = FullRing(events), folder / "recorded.swaptrace"

    def record() -> None:
        writer = TraceWriter(path, workload.header(), force=True)
        writer.feed(EventBatch(ring.drain()))
        writer.close(Trailer(workload.header().start))

    took = side_by_side({"record": record})["record"]
    figures = [
        figure(
            group,
            "ring to compressed trace on disk, per second of one core",
            RATE,
            [len(events) / one.cpu / MILLION for one in took],
            5,
        ),
        figure(
            group,
            "ring to compressed trace on disk: processor time",
            "ns/event",
            [one.cpu / len(events) * 1e9 for one in took],
            70,
            more=False,
        ),
        *(
            Figure(
                group,
                "size of a trace",
                f"bytes/{unit}",
                *[path.stat().st_size / number] * 3,
                1,
                target=most,
                more=False,
            )
            for unit, number, most in (
                ("event", len(events), 8),
                ("page swapped", int(np.count_nonzero(events["kind"] == EventKind.STORE)), 18),
            )
        ),
    ]
    try:
        kernel = KernelRing()
    except EnvironmentProblem as problem:
        Console().print(f"no ring of the kernel's here: {problem.what}")
        return figures
    kernel.fill()
    assert kernel.at_once() == kernel.events == (kernel.fill() or kernel.by_callback()), "events are missing"
    rates: dict[str, list[float]] = {"at once": [], "by callback": []}
    for _ in range(ROUNDS):
        for name, way in (("at once", kernel.at_once), ("by callback", kernel.by_callback)):
            kernel.fill()
            rates[name].append(kernel.events / timed(way).cpu / MILLION)
    kernel.close()
    ratios = [a / b for a, b in zip(rates["at once"], rates["by callback"], strict=True)]
    return [
        *figures,
        figure(group, "draining a kernel's ring at once", RATE, rates["at once"]),
        figure(
            group, "draining it by bcc's ring_buffer_consume, a Python callback an event", RATE, rates["by callback"]
        ),
        figure(group, "draining at once against by callback", "times", ratios, 50),
    ]


def start_figures(folder: Path) -> list[Figure]:
    """How long one waits for the least."""
    path = folder / "small.swaptrace"
    workload.write(path, 10_000)
    runs = {"swaptrace --help": (["--help"], 0.2), "report of a small trace": (["report", path], 0.6)}
    figures = []
    for name, (arguments, target) in runs.items():
        child(*arguments)  # compiles, and warms caches
        took = [child(*arguments).took for _ in range(ROUNDS)]
        figures.append(figure("Starting", name, "s", [one.wall for one in took], target, more=False))
        figures.append(figure("Starting", f"{name}: processor time", "s", [one.cpu for one in took]))
    return figures


def recorder_figures(seconds: float) -> list[Figure]:
    """`record` as a whole: how soon it is ready, what it takes, and what it loses."""
    try:
        ready = [recording.measure(1000, 0.1) for _ in range(ROUNDS)]
        found = recording.measure(LOSSLESS_RATE, seconds)
    except subprocess.CalledProcessError:
        Console().print("no recording here: BCC, root and the right to load programs are needed")
        return []
    assert found["written"] + found["lost"] == found["sent"], "events are neither written nor counted as lost"
    count = ready[0]["programs"]
    rate = found["sent"] / found["took"] / MILLION
    what = f"recording {found['sent'] / MILLION:,.0f} million events, {rate:.2g} million/s"

    def one(what: str, unit: str, value: float, target: float | None = None) -> Figure:
        return Figure("The recorder", what, unit, *[value] * 3, rounds=1, target=target, more=False)

    return [
        figure(
            "The recorder",
            f"ready to record: imports, type information, the {count} probes' programs compiled (attached to nothing)",
            "s",
            [run["ready_s"] for run in ready],
            2.5,
            more=False,
        ),
        figure("The recorder", "ready to record: processor time of that", "s", [run["ready_cpu_s"] for run in ready]),
        figure(
            "The recorder",
            "resident until it records, while LLVM compiles: the most",
            "MB",
            [run["starting"] / MILLION for run in ready],
            150,
            more=False,
        ),
        one(f"{what}: lost, with the default ring", "events", found["lost"], 0),
        one(f"{what}: resident, the ring included", "MB", found["resident"] / MILLION, 150),
        one(f"{what}: processor time", "ns/event", 1e9 * found["cpu_s"] / found["sent"]),
    ]


def live_figures(seconds: float) -> list[Figure]:
    """`record --summary` but for the kernel's side: from which rate on it loses events, and its memory over time."""
    group = "The live analysis"

    def one(what: str, unit: str, value: float, target: float | None = None) -> Figure:
        return Figure(group, what, unit, *[value] * 3, rounds=1, target=target, more=False)

    found = live.measure("rate", LOSSLESS_RATE, seconds)
    what = f"{found['sent'] / MILLION:,.0f} million events, {LOSSLESS_RATE / MILLION:.2g} million/s"
    figures = [
        one(f"{what}: lost", "events", found["lost"], 0),
        one(f"{what}: processor time", "ns/event", 1e9 * found["cpu_s"] / found["sent"]),
    ]
    for rate in range(3 * MILLION, 11 * MILLION, MILLION):
        found = live.measure("rate", rate, 5)
        if found["lost"]:
            figures.append(one("the first rate, in steps of a million, at which it loses some", RATE, rate / MILLION))
            break
    minute, hour = 1_200_000, 60  # at 20,000 events a second
    held = live.measure("memory", minute, hour)
    return [
        *figures,
        one("resident after a minute of 20,000 events/s", "MB", held["first"] / MILLION, 150),
        one("after an hour against after a minute", "times", held["last"] / held["first"], 1.05),
    ]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--events", type=int, default=5 * MILLION, help="of the trace that is analysed in many ways")
    parser.add_argument("--most", type=int, default=100 * MILLION, help="of the longest trace")
    parser.add_argument("--seconds", type=float, default=60, help="of the recording that is to lose nothing")
    parser.add_argument(
        "--no-overhead", action="store_true", help="do not boot a virtual machine to count what tracing costs"
    )
    parser.add_argument("--keep-overhead", action="store_true", help="but take what the last one counted")
    parser.add_argument("--out", type=Path, default=Path("reports/bench"))
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "trace.swaptrace"
        count = workload.write(path, options.events)
        figures = [
            *([] if options.no_overhead else overhead.figures(options.keep_overhead)),
            *analysis_figures(path, count),
            *store_figures(4 * options.events // 5),
            *recording_figures(folder),
            *start_figures(folder),
            *recorder_figures(options.seconds),
            *live_figures(options.seconds),
            *large_area_figures(folder),
            *size_figures(folder, options.most),
        ]
    table = Table("what", "median", f"range of {ROUNDS}", "target", "")
    for row in page.rows(figures):
        table.add_row(*row)
    Console().print(table)
    page.write(options.out, about, figures)


if __name__ == "__main__":
    main()
