"""What the virtual machine does for test_writeback.py: zram writes back what is idle, as was predicted.

Usage: guest_writeback.py FOLDER [RIG...]. One recording; in it, for each rig, a zram device with a backing device:
pages go out, and some of them are read again, but stay in the store. When those that were not read have been idle for
longer than the threshold, and no other ever was, zram writes back what is idle for that long; then pages are read from
there. The device's counters are noted in between.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from guest_areas import BLOCK, clean_slate, counters, disk, set_up
from memory import Child, Memory, Steps
from scenarios import recording, run_all, wait_for
from zram import run, swap_on

#: Of each content, the last of which is read again, every EVERY-th page.
PAGES = {"random": 307, "same": 101, "compressible": 1201}
EVERY = 8
PAUSES = {"shorter": 3.0, "longer": 6.0}  # s, by rig, until pages are read again: the thresholds follow from that
APART = 1.5  # s: no entry has been idle for a time that is nearer to the threshold


def held_by_two(content: str, pages: int) -> Steps:
    """Page out; fork, so that an entry that is read stays in the store; read some pages, then all."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, content, pages)
        yield memory.swapped()
        swapped = memory.page_out()

        def nothing() -> Iterator[int]:
            yield 0

        other = Child(nothing)
        other.step()
        yield swapped
        memory.touch(EVERY)
        yield memory.swapped()
        memory.touch()
        yield memory.swapped()
        other.exit()

    return steps


def write_back(folder: Path, name: str) -> None:
    """The threshold is a whole number of seconds, as zram takes it, and follows from how long all has taken here."""
    Path("/proc/sys/vm/page-cluster").write_text("0")  # a page that is read brings no others along
    swap_on(set_up(64, backing=disk()))
    device = BLOCK / "zram0"
    processes = [Child(held_by_two(content, pages)) for content, pages in PAGES.items()]
    for process in processes:
        process.step()  # its memory is there
    swapped = [process.step() for process in processes[:-1]]
    begin = time.monotonic()
    swapped.append(processes[-1].step())
    out = time.monotonic()
    time.sleep(PAUSES[name])
    reading = time.monotonic()
    processes[-1].step()
    threshold = math.ceil(time.monotonic() - begin + APART)  # which none of these has been idle for
    time.sleep(max(out + threshold + APART - 0.5 - time.monotonic(), 0))
    before = noted()
    time.sleep(max(out + threshold + APART - time.monotonic(), 0))
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    idle = {"read": time.monotonic() - reading, "not_read": time.monotonic() - out}
    (device / "idle").write_text(str(threshold))
    (device / "writeback").write_text("idle")
    after = noted()
    for process in (processes[0], processes[0], processes[-1]):
        process.step()
    facts = {"threshold": threshold, "swapped": swapped, "now": now, "idle": idle, "before": before, "after": after}
    (folder / f"{name}.json").write_text(json.dumps({**facts, "read": noted()}))


def noted() -> dict[str, Any]:
    """The device's counters, when they do not change, and the time."""
    wait_for(lambda: "\nnr_writeback 0\n" in Path("/proc/vmstat").read_text(), what="pages are still being written")
    for _ in range(100):
        found, now = counters()["zram"]["zram0"], time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if found == counters()["zram"]["zram0"]:
            return {"time": now, **found}
        time.sleep(0.02)
    raise TimeoutError("the counters never stood still")


def in_its_place(folder: Path, name: str) -> None:
    with clean_slate():
        write_back(folder, name)


def main() -> None:
    folder = Path(sys.argv[1])
    run("modprobe", "zram", "num_devices=1")
    swap_on(set_up(48))
    rigs: dict[str, Callable[[], None]] = {name: partial(in_its_place, folder, name) for name in PAUSES}
    with recording(folder, "-d", "3000"):
        run("swapoff", "/dev/zram0")
        run_all(sys.argv[2:], rigs)


if __name__ == "__main__":
    main()
