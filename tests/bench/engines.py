"""The engine of several checkouts, side by side: what an event costs, by loop, with few and many stores.

python -m tests.bench.engines FOLDER [FOLDER ...]: each with its own code and virtual environment, in processes of their
own, in turn and several times over. Shown is the sum over batches of the least that each took, for other programs' use
of the caches is no merit of an engine, and how the last folder's is to the first's.
A folder can be another commit's (git worktree add FOLDER COMMIT), with the project installed into its .venv.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENTS = 1_000_000
ROUNDS = 5  # in each process
PROCESSES = 2  # of each folder
STORES = (1, 16)
LOOPS = ("Lifetimes", "Replay")  # the classes that analysis feeds, by their names there


class Timed:
    """An object whose advance() is timed: added to the last row of `spent`, by class, in ns of processor time."""

    def __init__(self, made: Any, spent: dict[str, list[int]]) -> None:
        self._made, self._spent = made, spent[type(made).__name__]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)

    def advance(self, *arguments: Any) -> None:
        begin = time.process_time_ns()
        self._made.advance(*arguments)
        self._spent[-1] += time.process_time_ns() - begin


def to_stores(events: NDArray[np.void], stores: int) -> NDArray[np.void]:
    """The same events, but that the slots of one area are those of several now, in turn."""
    events = events.copy()
    slots = events["slot"].copy()
    events["device"], events["slot"] = slots % stores, 1 + slots // stores
    return events


def start_of(slots: int, stores: int) -> Any:
    """That many zram areas, with that many slots together."""
    from swaptrace.areas import Snapshot, Store, SwapArea

    each = 2 + slots // stores
    areas = tuple(
        SwapArea(f"/dev/zram{n}", n, 0, each, backing="zram", store=n, extents=((0, 0, each),)) for n in range(stores)
    )
    return Snapshot(1, areas, tuple(Store(n, f"zram{n}", each) for n in range(stores)))


def resident() -> int:
    """Bytes, now: the peak is the parent's until this process has more."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(path: str, slots: int, ends: list[int], pool: dict[str, Any], header: Any) -> dict[str, float]:
    """What this process' swaptrace needs for that many events at a time."""
    begin = time.process_time()
    from swaptrace.analysis import analysis as module
    from swaptrace.events import EventBatch

    found = {"importing the analysis, s": time.process_time() - begin}
    found["resident after that, MB"] = resident() / 1e6
    spent: dict[str, list[int]] = {"all": [], **{name: [] for name in LOOPS}}
    for name in LOOPS:
        made = getattr(module, name)
        setattr(module, name, lambda *arguments, made=made: Timed(made(*arguments), spent))
    events = np.load(path)
    for stores in STORES:
        batches = to_stores(events, stores)
        for zsmalloc in (None, pool):
            rounds = []
            for _ in range(ROUNDS):  # in the first, what is compiled at run time is compiled
                analysis = module.Analysis(header(start_of(slots, stores), zsmalloc))
                for times in spent.values():
                    times.clear()
                for first, end in pairwise(ends):
                    for times in spent.values():
                        times.append(0)
                    begin = time.process_time_ns()
                    analysis.feed(EventBatch(batches[first:end]))
                    spent["all"][-1] = time.process_time_ns() - begin
                rounds.append([list(times) for times in spent.values()])
            what = f"{stores} store{'s' * (stores > 1)}{', pools' * (zsmalloc is not None)}: "
            for name, least in zip(spent, np.min(rounds, axis=0).sum(axis=1), strict=True):
                found[f"{what}{name.lower()}, ns an event"] = least / len(events)
    return found


def measure_here(path: str, description: str) -> None:
    """measure(), of what the parent has written; prints JSON."""
    from swaptrace.trace.header import Header

    def header(start: Any, zsmalloc: Any) -> Any:
        return Header("", "", 4096, "", (), 0, start, zsmalloc=zsmalloc)

    known = json.loads(description)
    print(json.dumps(measure(path, known["slots"], known["ends"], known["pool"], header)))


def main() -> None:
    """Measure each folder's code in turn, and print a column for each."""
    from tests.bench.workload import SLOTS, batches, header

    made = [batch.events for batch in batches(EVENTS)]
    ends = [0, *np.cumsum([len(events) for events in made]).tolist()]
    description = json.dumps({"slots": SLOTS, "ends": ends, "pool": header().zsmalloc})
    folders = [Path(folder).resolve() for folder in sys.argv[1:]]
    least: dict[Path, dict[str, float]] = {folder: {} for folder in folders}
    with tempfile.TemporaryDirectory() as temporary:
        path = f"{temporary}/events.npy"
        np.save(path, np.concatenate(made))
        here = str(Path(__file__).parent)
        code = f"import sys; sys.path.append({here!r}); import engines; engines.measure_here(*sys.argv[1:])"
        for folder in folders * PROCESSES:
            command = [folder / ".venv/bin/python", "-c", code, path, description]
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
            known = least[folder]
            for name, value in json.loads(done.stdout).items():
                known[name] = min(value, known.get(name, value))
    for name in least[folders[0]]:
        values = [least[folder][name] for folder in folders]
        print(name.ljust(44), *(f"{value:10.2f}" for value in values), f"{values[-1] / values[0]:8.2f}")


if __name__ == "__main__":
    main()
