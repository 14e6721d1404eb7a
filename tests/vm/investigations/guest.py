"""What all guests of investigations share: a device of their own, a recorder on a processor of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scenarios
from counterfactual_guest import DEVICE, RECORDER_CPU, Memory, content_pool, figures
from zram import run

from swaptrace.record.workload import PAGE_SIZE

NODE = Path("/dev/zram0")


class Reader(Memory):
    """Memory that is read back, page by page, and not written to."""

    def read_in_order(self, count: int) -> int:
        """The first pages; the sum of a byte of each."""
        return int(self._array[:count, 0].sum(dtype="i8"))

    def read_at_random(self, count: int) -> int:
        """So many pages, in the order that chance (its seed) has decided beforehand."""
        return int(self._array[self._order[:count], 0].sum(dtype="i8"))

    def read_by_threads(self, count: int, threads: int) -> None:
        """The same pages by several threads at once, on both processors: they want the same page at the same time."""
        compare = ctypes.CDLL(None).memcmp  # which lets other threads run meanwhile
        places = [self._array[page].ctypes.data for page in self._order[:count].tolist()]

        def read(number: int) -> None:
            os.sched_setaffinity(0, {number % 2})
            for place in places:
                compare(ctypes.c_void_p(place), ctypes.c_void_p(place), ctypes.c_size_t(1))

        running = [threading.Thread(target=read, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()


def facts(mebibytes: int, name: str) -> dict[str, Any]:
    """The kernel's figures now (counterfactual_guest.figures), and those of pages that come in."""
    found = figures([(0, (mebibytes << 20) // PAGE_SIZE)], name)
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    counted = {key: int(vmstat.get(key, 0)) for key in ("pswpin", "pswpout", "swap_ra", "swap_ra_hit")}
    # discards: requests, merged, sectors, ms (Documentation/admin-guide/iostats.rst)
    discards = [int(word) for word in (DEVICE / "stat").read_text().split()[11:15]]
    swap_cached = int(memory["SwapCached"].split()[0]) * 1024 // PAGE_SIZE
    return {**found, **counted, "swap_cached": swap_cached, "discards": discards}


def page_cluster(log: int) -> None:
    Path("/proc/sys/vm/page-cluster").write_text(str(log))


def prepare() -> None:
    """One zram device; what swaps does so on the other processor (counterfactual_guest.Actor)."""
    os.sched_setaffinity(0, {RECORDER_CPU})
    run("modprobe", "zram", "num_devices=1", check=False)
    # one page at a time: what is read ahead stays in the swap cache, on some kernels and not on others
    page_cluster(0)
    content_pool("mixed")  # once, for all processes that are forked


def offered(*algorithms: str) -> list[str]:
    """Those of these algorithms that zram has here."""
    known = (DEVICE / "comp_algorithm").read_text().replace("[", "").replace("]", "").split()
    return [algorithm for algorithm in algorithms if algorithm in known]


@contextlib.contextmanager
def device(mebibytes: int, algorithm: str | None = None) -> Iterator[None]:
    """zram0 with that size, and nothing on it yet; reset afterwards."""
    if algorithm is not None:
        (DEVICE / "comp_algorithm").write_text(algorithm)
    (DEVICE / "disksize").write_text(f"{mebibytes}M")
    try:
        yield
    finally:
        (DEVICE / "reset").write_text("1")


@contextlib.contextmanager
def swap_area(*options: str) -> Iterator[None]:
    """zram0 as the swap area."""
    run("mkswap", str(NODE))
    run("swapon", *options, str(NODE))
    try:
        yield
    finally:
        run("swapoff", str(NODE))


@contextlib.contextmanager
def recording(trace: Path, *options: str) -> Iterator[None]:
    """A recording into that file, until this is left. Raises RuntimeError if it fails."""
    with scenarios.recording(trace.parent, "--force", *options, trace=trace):
        if not scenarios.says(trace.parent / "record.err", "recording to"):
            raise RuntimeError(f"the recorder did not start: {(trace.parent / 'record.err').read_text()}")
        yield
    if (trace.parent / "record.status").read_text() != "0":
        raise RuntimeError(f"the recorder failed: {(trace.parent / 'record.err').read_text()}")


def save(path: Path, facts: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts))
