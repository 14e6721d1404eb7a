"""selftest: make a spare zram swap, swap a private workload through it, and compare with the kernel's own counters.

Nothing that is already there is touched: a zram device of its own is added, and removed at the end. Its priority is the
highest, so that the workload's pages go there, or most of them; should the machine swap other pages to it meanwhile,
they count as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.analysis.analysis import Analysis
from swaptrace.machine import sysfs
from swaptrace.progress import LiveLine
from swaptrace.record.spare import spare_swap
from swaptrace.record.workload import Process
from swaptrace.results.results import AreaResult
from swaptrace.running import run
from swaptrace.stopping import Stop, signals
from swaptrace.tracing.ground import Ground, require
from swaptrace.tracing.source import LiveSource

_PAGES = 1009  # a prime: no batch, cluster or cache of the kernel's has that size


@dataclass(frozen=True)
class Comparison:
    """One figure: what swaptrace says and what the kernel says."""

    what: str
    swaptrace: int
    kernel: int

    @property
    def equal(self) -> bool:
        return self.swaptrace == self.kernel


def selftest() -> list[Comparison]:
    """Run the test; one row per figure compared. Raises Problem if it cannot be run here, Stopped if a signal came."""
    require(Ground())
    stop = Stop()
    with (
        signals(stop), LiveLine("compiling and attaching BPF programs ...") as live, spare_swap() as device,
        stop.interruptible(), LiveSource(("swaptrace", "selftest")) as source,
    ):  # fmt: skip
        analysis = Analysis(source.header)
        live.show("swapping pages out and in ...")
        node = f"/dev/{device.name}"
        paged_out = _workload(next(area.swap_type for area in source.header.start.areas if area.path == node))
        live.show("comparing with the kernel's counters ...")
        trailer = run(source, [analysis], Stop(0))
        held = set(analysis.held(device.name).tolist())
        result = analysis.finish(trailer)
        block_state = set(sysfs.read_block_state(device.name)[0].tolist())
    area = next(area for area in result.areas if area.zram == device.name)
    return _compare(area, sum(result.lost.values()), paged_out, held, block_state)


def _workload(swap_type: int) -> int:
    """Three processes page out; one reads half of its pages back; all exit. Returns the pages that went to that area.

    A processor goes on with the cluster that it has, be it of an area with a lower priority (swap_alloc_fast() in
    mm/swapfile.c; seen on 7.3): an area of the machine gets some of the pages. No page is all zeros: newer kernels keep
    such pages in the swap map alone, and then more are in swap than stored.
    """
    processes = [Process(_PAGES, content, seed) for seed, content in enumerate(("compressible", "random", "same"))]
    for process in processes:
        process.page_out()
    paged_out = sum(process.swapped_to(swap_type) for process in processes)
    processes[0].page_in(step=2)
    for process in processes:
        process.exit()
    return paged_out


def _compare(area: AreaResult, lost: int, paged_out: int, held: set[int], block_state: set[int]) -> list[Comparison]:
    kernel = area.kernel_counts
    return [
        Comparison("pages of the workload in the area = slots stored", area.stores, paged_out),
        Comparison("slots freed = delta of notify_free", area.frees, kernel["notify_free"] or 0),
        Comparison("notifications = delta of notify_free", area.notify_free, kernel["notify_free"] or 0),
        *(
            Comparison(name, getattr(area.model, name), getattr(area.kernel, name))
            for name in ("pages_stored", "same_pages", "huge_pages", "compr_data_size", "mem_used_total")
            if getattr(area.model, name) is not None
        ),
        Comparison("store indexes that differ from block_state", len(held ^ block_state), 0),
        Comparison("events lost", lost, 0),
    ]
