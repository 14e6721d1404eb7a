"""The demo, to be run as root in the guest: record a workload on a zram swap, with the kernel's own figures beside it.

Usage: demo.py FOLDER: writes FOLDER/demo.swaptrace. What the workload does is in workload().
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from zram import zram_swap

from swaptrace.record.workload import Process

PAGES = 12_000
FIRST = ("compressible", "random", "same", "zero", "mixed", "mixed", "compressible")
SECOND = ("mixed", "compressible", "random")


def workload(first: list[Process], second: list[Process]) -> list[Process]:
    """Ten processes with all kinds of pages: most exit, some read half of their pages back, three live on: those."""
    for process in first:
        process.page_out()
    for process in first[4:6]:
        process.page_in(step=2)
    first[0].give_back(PAGES // 3)
    for process in first[:4]:
        process.exit()
    for process in second:
        process.page_out()
    first[5].page_out()
    second[2].exit()
    first[4].exit()
    first[6].exit()
    second[1].page_in(step=3)
    return [first[5], second[0], second[1]]


def demo(folder: Path) -> int:
    """Record the workload; the recorder's exit status."""
    trace = folder / "demo.swaptrace"
    with zram_swap(megabytes=360):
        # Their memory is filled before the recording begins: that takes a while, in which nothing is swapped.
        first = [Process(PAGES, content, seed) for seed, content in enumerate(FIRST)]
        second = [Process(PAGES, content, seed) for seed, content in enumerate(SECOND, 10)]
        record = [sys.executable, "-m", "swaptrace", "record", "--force", "-o", str(trace), "--"]
        with subprocess.Popen(
            [*record, "sh", "-c", "echo; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as recorder:
            assert recorder.stdin and recorder.stdout
            # A line comes once it records; none does if it cannot. The end of cat's input is the end of the recording.
            alive = workload(first, second) if recorder.stdout.readline() else []
            recorder.stdin.close()
        for process in alive:
            process.exit()
    return recorder.returncode


if __name__ == "__main__":
    sys.exit(demo(Path(sys.argv[1])))
