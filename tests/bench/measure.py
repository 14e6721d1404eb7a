"""How the benchmarks measure: side by side, round by round, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

__all__ = ["ROUNDS", "Child", "Figure", "Took", "child", "figure", "side_by_side", "timed"]

ROUNDS = 5


class Took(NamedTuple):
    """Seconds: by the clock, and of the processor, all threads together."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Figure:
    """One row of the table: the median of some rounds, the least and the greatest; and what it should be.

    target: at least that if `more` is better, else at most; None if there is none. limit: what limits it, in words.
    """

    group: str
    what: str
    unit: str
    middle: float
    least: float
    greatest: float
    rounds: int
    target: float | None = None
    more: bool = True
    limit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None if there is none."""
        if self.target is None:
            return None
        return self.middle >= self.target if self.more else self.middle <= self.target


def figure(
    group: str,
    what: str,
    unit: str,
    values: Sequence[float],
    target: float | None = None,
    *,
    more: bool = True,
    limit: str = "",
) -> Figure:
    """A row from one value a round."""
    return Figure(group, what, unit, median(values), min(values), max(values), len(values), target, more, limit)


def side_by_side(ways: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[Took]]:
    """Run all ways in turn, `rounds` times, after a first round that warms caches."""
    took: dict[str, list[Took]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            once = timed(way)
            if number:
                took[name].append(once)
    return took


def timed(way: Callable[[], object]) -> Took:
    """Run it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


class Child(NamedTuple):
    """A command line run in a process of its own: seconds, and the most memory that it had (bytes)."""

    took: Took
    memory: int


_MAIN = """
import atexit, sys
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            print(line.split()[1], file=sys.stderr)
atexit.register(peak)
from swaptrace.cli import main
main(sys.argv[1:])
"""


def child(*arguments: str | Path) -> Child:
    """Run `swaptrace ARGUMENTS`."""
    start = time.perf_counter()
    before = os.times()
    command = [sys.executable, "-c", _MAIN, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Child(Took(wall, cpu), int(done.stderr.split()[-1]) * 1024)
