"""The demo, to be run as root in the guest: record a workload on a zram swap, with the kernel's own figures beside it.

Usage: demo.py FOLDER: writes FOLDER/demo.swaptrace. What the workload does is in workload().
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from zram import zram_swap

from swaptrace.record.workload import Process

PAGES = 12_000


def workload(survivors: Path) -> None:
    """Ten processes with all kinds of pages: most exit, some read half of their pages back, three live on.

    Their pids are left in the file `survivors`, so that they can be ended when the recording is over.
    """
    contents = ("compressible", "random", "same", "zero", "mixed", "mixed", "compressible")
    first = [Process(PAGES, content, seed) for seed, content in enumerate(contents)]
    for process in first:
        process.page_out()
    for process in first[4:6]:
        process.page_in(step=2)
    first[0].give_back(PAGES // 3)
    for process in first[:4]:
        process.exit()
    second = [Process(PAGES, content, seed) for seed, content in enumerate(("mixed", "compressible", "random"), 10)]
    for process in second:
        process.page_out()
    first[5].page_out()
    second[2].exit()
    first[4].exit()
    first[6].exit()
    second[1].page_in(step=3)
    alive = [process.leave() for process in (first[5], second[0], second[1])]
    survivors.write_text("\n".join(map(str, alive)))


def demo(folder: Path) -> int:
    """Record the workload; the recorder's exit status."""
    trace, survivors = folder / "demo.swaptrace", folder / "survivors"
    with zram_swap(megabytes=360):
        record = [sys.executable, "-m", "swaptrace", "record", "--force", "-o", str(trace), "--"]
        status = subprocess.call([*record, sys.executable, __file__, str(survivors), "workload"])
        if survivors.exists():
            for pid in survivors.read_text().split():
                os.kill(int(pid), signal.SIGTERM)
            survivors.unlink()
    return status


if __name__ == "__main__":
    if sys.argv[2:] == ["workload"]:
        workload(Path(sys.argv[1]))
    else:
        sys.exit(demo(Path(sys.argv[1])))
