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
TARGETS = {"record": 5.0}
LIMITS = {
    "record": (
        "A third of it is what the kernel does to run a program and come back, see the row of empty ones: eight "
        "runs a page. The rest is three and a half events a page, each with a clock to read and room in the ring to "
        "take, and reads of zram's table. Tried and kept: trampolines instead of kprobes (half of it), one probe "
        "for each batch of slots that are given out instead of one a slot, plain loads instead of helpers, no "
        "wake-ups, no look-up that the kernel does not compile in. Tried and left out: to gather sixteen events per "
        "processor before they go to the ring takes off 1.2 points, which is not enough, and events of one slot from "
        "two processors would no longer be in order. Left out: to time a notification from the drop "
        "of its entry (one run less) would not tell of those that are missed; to look at zram_rw_page() at its "
        "return only would not tell which entries a write replaces, and later kernels do not have it."
    ),
}
RIVALS = ("BCC", "bpftrace")
SEVERAL = 3

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
        rows.append(figure(group, what, "%", values, TARGETS.get(name), more=False, limit=limit))
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
