"""Compares an assumed layout of zram with what the kernel itself says of the same entries, before anything is recorded.

For kernels without type information for their modules (kernel/layout.py, `assumed_zram`). The recorder reads some pages
of each device; the program that sees this looks at their entries in the table, and block_state and mm_stat tell what
they must be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from swaptrace.areas import Store
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventFlag
from swaptrace.machine import sysfs
from swaptrace.tracing.programs import EntrySeen, read_directly

_ENTRIES = 16  # compared of each store, at most
_TRIES = 3  # entries change while this looks

Look = Callable[[], EntrySeen]


def compare(stores: Iterable[Store], look: Look) -> int:
    """Compare entries of the stores; how many there were. look: what the program saw of the page read last.

    Raises EnvironmentProblem if the kernel says otherwise.
    """
    return sum(_compare_store(store, look) for store in stores)


def _compare_store(store: Store, look: Look) -> int:
    differences: list[str] = []
    for _ in range(_TRIES):
        compared, differences = _differences(sysfs.read_store(Path("/sys/block", store.name)), look)
        if not differences:
            return compared
    raise EnvironmentProblem(
        f"the kernel has no type information for the zram module, and the layout assumed is not that of "
        f"{store.name}: {differences[0]}",
        "please report this with the output of: swaptrace check",
    )


def _differences(store: Store, look: Look) -> tuple[int, list[str]]:
    try:
        held, flags = sysfs.read_block_state(store.name)
    except OSError:
        held, flags = np.zeros(0, np.int64), np.zeros(0, np.uint32)
    chosen = np.unique(np.linspace(0, len(held) - 1, min(_ENTRIES, len(held))).astype(np.int64))
    expected = {int(held[i]): EventFlag(int(flags[i])) for i in chosen}
    free = np.setdiff1d(np.arange(min(store.pages, len(held) + 2)), held)[:2]
    found, total = [], 0
    for index, flag in expected.items():
        seen = _look_at(store, index, look)
        found += [f"entry {index}: {difference}" for difference in _entry(seen, flag)]
        total += seen.size
    for index in free:
        seen = _look_at(store, int(index), look)
        if not seen.same_disk or (len(held) and seen.held):
            found.append(f"entry {index} holds something, though block_state says that it does not")
    if len(expected) == len(held) == store.counters.get("pages_stored") and total != store.counters["compr_data_size"]:
        found.append(f"the sizes add up to {total}, not to mm_stat's {store.counters['compr_data_size']}")
    return len(expected), found


def _look_at(store: Store, index: int, look: Look) -> EntrySeen:
    read_directly(Path("/dev", store.name), index)
    return look()


def _entry(seen: EntrySeen, expected: EventFlag) -> list[str]:
    """What differs between an entry as the program sees it and as block_state describes it."""
    found = []
    if not seen.same_disk:
        found.append("it belongs to another disk")
    if not seen.held:
        found.append("it is empty")
    told = EventFlag.SAME | EventFlag.HUGE | EventFlag.WRITTEN_BACK
    if seen.flags & told != expected & told:
        found.append(f"its flags are {seen.flags & told!r}, not {expected & told!r}")
    whole = bool(expected & EventFlag.HUGE)
    empty = bool(expected & (EventFlag.SAME | EventFlag.WRITTEN_BACK))
    if not 0 <= seen.size <= sysfs.PAGE_SIZE or (seen.size == 0) != empty or (whole and seen.size != sysfs.PAGE_SIZE):
        found.append(f"its size is {seen.size}")
    return found
