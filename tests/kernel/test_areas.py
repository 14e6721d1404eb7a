"""Swap areas and pages of every kind, on a real kernel: the model equals the kernel's counters, whenever nothing moves.

One virtual machine per kernel makes one recording in which all rigs of guest_areas.py come and go. At each of its
checks the model as it was then is compared with what the kernel said: zram's mm_stat, bd_stat, io_stat, debug_stat and
block_state, the block layer's count of pages, and /proc/swaps.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.analysis.results import AreaResult, Content, TraceResult
from swaptrace.areas import Snapshot
from swaptrace.events import EventBatch, EventFlag, EventKind
from swaptrace.live.sysfs import SwapsLine, read_block_state, read_swaps
from swaptrace.trace.header import Trailer
from swaptrace.trace.reader import TraceReader
from tests.kernel.conftest import CHECKOUT, KERNELS, run_in_guest
from tests.kernel.guest_areas import RIGS

PAGE = 4096
TIMEOUT = 900
SLOT_CACHE = 2 * 2 * 64  # two of 64 slots (SWAP_SLOTS_CACHE_SIZE) for each of the guest's CPUs, up to 6.12


@dataclass
class Store:
    """One zram device, followed by hand: entry by entry, from nothing but the events since its last reset."""

    entries: dict[int, int] = field(default_factory=dict)  # flags by index
    counts: Counter[str] = field(default_factory=Counter)

    def feed(self, kind: int, index: int, run: int, arg: int, flags: int) -> None:
        if kind == EventKind.STORE:
            self.counts["written"] += 1
            if not flags & EventFlag.GONE:
                self.entries[index] = flags & (EventFlag.SAME | EventFlag.HUGE)
        elif kind == EventKind.LOAD:
            self.counts["read"] += run
        elif kind == EventKind.NOTIFY:
            self.counts["notify_free"] += 1
            self.counts["miss_free"] += bool(flags & EventFlag.MISSED)
            if flags & EventFlag.DROPPED:
                self.entries.pop(index, None)
        elif kind == EventKind.DISCARD:
            self.counts["notify_free"] += arg
        elif kind == EventKind.DROP:
            self.entries.pop(index, None)
        elif kind == EventKind.MOVED:
            self.entries[index] = int(EventFlag.WRITTEN_BACK)
            self.counts["moved"] += 1
        elif kind == EventKind.PRESENT:
            self.entries |= dict.fromkeys(range(index, index + run), flags)
        elif kind == EventKind.RESET:
            self.entries, self.counts = {}, Counter()


@dataclass
class Moment:
    """One check: what the kernel said, and the model at that time."""

    rig: str
    step: str
    facts: dict[str, Any]
    zram: dict[str, dict[str, list[str]]]
    swaps: list[SwapsLine]
    block_state: dict[str, dict[int, int]]
    content: dict[str, Content]
    stores: dict[str, Store]
    areas: dict[str, AreaResult]  # by path; of several activations, the last
    events: np.ndarray  # since the moment before


class Areas:
    """What the guest left, taken apart at its checks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader = TraceReader(folder / "trace")
        self.whole = EventBatch.concatenate(list(self.reader))
        self.trailer = self.reader.trailer

    @cached_property
    def moments(self) -> list[Moment]:
        checks = json.loads((self.folder / "checks.json").read_text())
        analysis, stores, begin, moments = Analysis(self.reader.header), {}, 0, []
        for number, check in enumerate(checks):
            # nothing moved then, so it does not matter that time stamps may step back
            end = int(np.count_nonzero(self.whole.events["time"] <= check["time"]))
            batch = _part(self.whole, begin, end)
            analysis.feed(batch)
            _follow(stores, batch)
            moments.append(self._moment(number, check, analysis, stores, batch))
            begin = end
        return moments

    def _moment(
        self, number: int, check: dict[str, Any], analysis: Analysis, stores: dict[str, Store], batch: EventBatch
    ) -> Moment:
        result = analysis.finish(Trailer(Snapshot(check["time"])))
        states = {
            name: read_block_state(name, (self.folder / f"{number}-{name}").read_bytes()) for name in check["zram"]
        }
        return Moment(
            check["rig"],
            check["step"],
            check["facts"],
            check["zram"],
            read_swaps(check["swaps"]),
            {name: dict(zip(index.tolist(), flags.tolist(), strict=True)) for name, (index, flags) in states.items()},
            {name: content for name in check["zram"] if (content := analysis.content(name)) is not None},
            {name: Store(dict(store.entries), Counter(store.counts)) for name, store in stores.items()},
            {area.device: area for area in result.areas},
            batch.events,
        )

    def of(self, rig: str) -> list[Moment]:
        found = [moment for moment in self.moments if moment.rig == rig]
        assert found, f"the guest did not get as far as {rig}; see {self.folder}/guest.log"
        return found

    def at(self, rig: str, step: str, which: int = 0) -> Moment:
        return [moment for moment in self.of(rig) if moment.step == step][which]

    @cached_property
    def result(self) -> TraceResult:
        analysis = Analysis(self.reader.header)
        analysis.feed(self.whole)
        return analysis.finish(self.trailer)


def _part(whole: EventBatch, begin: int, end: int) -> EventBatch:
    calls = tuple(replace(call, row=call.row - begin) for call in whole.calls if begin <= call.row < end)
    return EventBatch(whole.events[begin:end], whole.tasks, calls)


def _follow(stores: dict[str, Store], batch: EventBatch) -> None:
    names = ("kind", "device", "slot", "run", "arg", "flags")
    of_stores = ~np.isin(batch.events["kind"], (EventKind.FREE, EventKind.ALLOC, EventKind.SWAPON, EventKind.SWAPOFF))
    columns = (batch.events[name][of_stores].tolist() for name in names)
    for kind, device, slot, run, arg, flags in zip(*columns, strict=True):
        stores.setdefault(f"zram{device}", Store()).feed(kind, slot, run, arg, flags)


@pytest.fixture(scope="session", params=KERNELS)
def areas(request: pytest.FixtureRequest) -> Areas:
    folder = CHECKOUT / "build" / "areas" / request.param
    if not os.environ.get("SWAPTRACE_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
        run_in_guest(request.param, folder, "tests/kernel/guest_areas.py", TIMEOUT)
    return Areas(folder)


@pytest.mark.parametrize("rig", [*RIGS, "end"])
class TestEveryRig:
    """What holds for each of them, at each check."""

    def test_content_equals_mm_stat(self, areas: Areas, rig: str) -> None:
        names = ("orig_data_size", "compr_data_size", "same_pages", "huge_pages")
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                told = dict(zip(MM_STAT, map(int, files["mm_stat"]), strict=False))
                model = moment.content[device]
                assert {n: getattr(model, n) for n in names} == {n: told[n] for n in names}, (moment.step, device)

    def test_pool_equals_mem_used_total(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                assert moment.content[device].mem_used_total == int(files["mm_stat"][2]), (moment.step, device)

    def test_backing_device_equals_bd_stat(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                count, _, writes = map(int, files["bd_stat"])
                model = moment.content[device].bd_count, moment.stores[device].counts["moved"]
                assert model == (count, writes), (moment.step, device)

    def test_entries_equal_block_state(self, areas: Areas, rig: str) -> None:
        """Slot by slot, with the flags."""
        for moment in areas.of(rig):
            for device, entries in moment.block_state.items():
                assert moment.stores[device].entries == entries, (moment.step, device)

    def test_notifications_and_discards_equal_notify_free(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                counts = moment.stores[device].counts
                assert counts["notify_free"] == int(files["io_stat"][3]), (moment.step, device)
                assert counts["miss_free"] == int(files["debug_stat"][3]), (moment.step, device)

    def test_pages_equal_those_of_the_block_layer(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                read, written = int(files["stat"][2]) // 8, int(files["stat"][6]) // 8
                counts = moment.stores[device].counts
                assert (counts["read"], counts["written"]) == (read, written), (moment.step, device)

    def test_use_equals_proc_swaps(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            told = {line.path: line.used for line in moment.swaps}
            assert {path: moment.areas[path].used_slots for path in told} == told, moment.step


MM_STAT = ("orig_data_size", "compr_data_size", "mem_used_total", "", "", "same_pages", "", "huge_pages")


def test_nothing_was_lost(areas: Areas) -> None:
    assert (areas.folder / "record.status").read_text() == "0"
    assert areas.result.trace["complete"]
    assert areas.result.lost == {}
