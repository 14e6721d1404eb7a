"""What tracing costs, in instructions a page: boots a guest whose clocks count instructions.

Instructions, not time: they are the same in every run, up to a fraction of a percent, on whatever machine this runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.bench.measure import ROUNDS, Figure, figure

__all__ = ["figures"]

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "build" / "overhead"
KERNEL = "6.1"
ALGORITHMS = ("lz4", "zstd")
GUEST_SECONDS = 3600
TARGETS = {"lz4: record": 5.0, "zstd: record": 2.5}
LIMITS = {
    "record": (
        "A third of it is what the kernel does to run a program and come back: five and a half runs a page on this "
        "kernel. The rest is two and a half events a page, each with a clock reading and reads of zram's table. Kept: "
        "trampolines instead of kprobes, a ring of our own (40 instructions an event instead of 189), one event for a "
        "free, its notification and its drop, no program at entries whose returns have the arguments, one notification "
        "in 16 timed. Tried and left out: to read slots that are given out several at a time, which 6.1's verifier "
        "finds too complex; to gather events per processor before they go to the ring, for events of one slot from two "
        "processors would no longer be in order. Left to do: a page's memory cgroup is looked at for each page (85 "
        "instructions); a kernel function that reads zram's table without a helper exists from 6.2 on."
    ),
}
RIVALS = ("BCC", "bpftrace")
SEVERAL = 5

Rounds = list[dict[str, float]]


def measure(folder: Path = FOLDER) -> dict[str, dict[str, Rounds]]:
    """Instructions a page, by algorithm, way to trace, round and phase."""
    folder.mkdir(parents=True, exist_ok=True)
    guest = [sys.executable, "tests/bench/overhead_guest.py", str(folder), str(ROUNDS), *ALGORITHMS]
    options = ["--kernel", KERNEL, "--icount", "--cpus", "1", "--timeout", str(GUEST_SECONDS), "--out", str(folder)]
    with (folder / "guest.log").open("w") as log:
        subprocess.run(
            ["tests/vm/run", *options, "--", *guest], cwd=CHECKOUT, check=True, stdout=log, stderr=subprocess.STDOUT
        )
    return measured(folder)


def measured(folder: Path = FOLDER) -> dict[str, dict[str, Rounds]]:
    """What the guest has left."""
    return dict(json.loads((folder / "overhead.json").read_text()))


def figures(keep: bool = False) -> list[Figure]:
    """keep: of the last run, without another one: instructions do not depend on what else the machine does."""
    found = measured() if keep else measure()
    return [one for algorithm, rounds in found.items() for one in figures_of(algorithm, rounds)]


def figures_of(algorithm: str, found: dict[str, Rounds]) -> list[Figure]:
    """An algorithm's rows: a page untraced; what each way to trace adds; what others add as compared with record."""
    group = f"Overhead, {algorithm}: a page swapped out, half of them read back and half freed, Linux {KERNEL}"
    whole = {name: [one["whole"] for one in rounds] for name, rounds in found.items()}
    untraced = [*whole.pop("untraced"), *whole.pop("untraced, again")]
    base = median(untraced)
    rows = [figure(group, f"{algorithm}: untraced", "instructions a page", untraced)]
    over = {name: [100 * (value / base - 1) for value in values] for name, values in whole.items()}
    for name, values in over.items():
        limit = LIMITS.get(name, "")
        what = f"{algorithm}: {name}, over untraced"
        target = TARGETS.get(f"{algorithm}: {name}")
        rows.append(figure(group, what, "%", values, target, more=False, limit=limit))
    for name in RIVALS:
        ratios = [theirs / mine for theirs, mine in zip(over[name], over["record"], strict=True)]
        rows.append(figure(group, f"{algorithm}: what {name} adds, against record", "times", ratios, SEVERAL))
    for name in ("record", "record --summary", *RIVALS):
        own = found[name][0]["tracer"]
        rows.append(figure(group, f"{algorithm}: {name}, its own process beside that", "instructions a page", [own]))
    return rows


if __name__ == "__main__":
    for row in figures():
        span = f"{row.middle:10,.2f} {row.least:10,.2f} {row.greatest:10,.2f}"
        print(f"{row.what:56} {span} {row.unit}")
