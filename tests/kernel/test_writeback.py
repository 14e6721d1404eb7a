"""Writing back what is idle, on a real kernel: zram does it, and it comes to what was predicted.

One virtual machine per kernel makes one recording in which zram writes back idle entries at two thresholds. Predicted
is from the events before it: which pages, how much memory that gives; and from all events but those of the write-back
itself: how many pages are then read from the disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.analysis.analysis import Analysis, machine_of
from swaptrace.engine.figures import THRESHOLDS
from swaptrace.events import EventBatch, EventKind
from swaptrace.results.results import AreaResult, WhatIf
from swaptrace.trace.reader import TraceReader
from tests.kernel.conftest import CHECKOUT, Part, Scenario, kernels_for, run_in_guest

WRITEBACK_KERNELS = kernels_for(Part.AREAS)
TIMEOUT = 900  # seconds
RIGS = ("shorter", "longer")
EVERY, COMPRESSIBLE, RANDOM, SAME = 8, 1201, 307, 101  # as guest_writeback.py has them: pages
APART = 10**9  # ns: no entry has been idle for a time that is nearer to the threshold


@dataclass
class Rig(Scenario):
    """What one rig left, and what is predicted of it."""

    name: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"{self.name}.json").read_text()))

    @property
    def threshold(self) -> int:
        return int(self.facts["threshold"]) * 10**9

    def _analysed(self, until: int, *, with_moves: bool, write_back: int | None) -> Analysis:
        machine = replace(machine_of(self.reader.header), write_back=write_back)
        analysis = Analysis(self.reader.header, until=until, machine=machine, ages=True)
        for batch in self.batches:
            analysis.feed(batch if with_moves else without_moves(batch))
        return analysis

    @cached_property
    def area(self) -> AreaResult:
        """Before zram writes back: the rig's area is the last one that was switched on."""
        return self._analysed(self.facts["now"], with_moves=True, write_back=None).finish(None).areas[-1]

    @cached_property
    def predicted(self) -> WhatIf:
        """At that moment, if what is idle had been written back all the time."""
        return self._what_if(self.facts["now"])

    @cached_property
    def predicted_later(self) -> WhatIf:
        """The same after pages were read, from a recording in which nothing was written back."""
        return self._what_if(self.facts["read"]["time"])

    def _what_if(self, until: int) -> WhatIf:
        analysis = self._analysed(until, with_moves=False, write_back=self.threshold)
        analysis.finish(None)
        found = analysis.what_if()[-1]
        assert found is not None
        assert found.write_back is not None
        return found

    def mm_stat(self, when: str, name: str) -> int:
        return int(self.facts[when]["mm_stat"][("orig_data_size", "compr_data_size", "mem_used_total").index(name)])

    def bd_stat(self, when: str, name: str) -> int:
        return int(self.facts[when]["bd_stat"][("bd_count", "bd_reads", "bd_writes").index(name)])


def without_moves(batch: EventBatch) -> EventBatch:
    """As if zram had written nothing back: what it drops later has no size then, which changes nothing here."""
    kept = batch.events["kind"] != EventKind.MOVED
    before = np.cumsum(kept) - kept
    calls = tuple(replace(call, row=int(before[call.row])) for call in batch.calls)
    return replace(batch, events=batch.events[kept], calls=calls)


def boot(kernel: str) -> Path:
    folder = CHECKOUT / "build" / "kernel-writeback" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_writeback.py", TIMEOUT)
    return folder


def machines() -> dict[str, Callable[[], Path]]:
    return {kernel: partial(boot, kernel) for kernel in WRITEBACK_KERNELS}


@pytest.fixture(scope="module", params=WRITEBACK_KERNELS)
def written_back(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Path]]) -> Path:
    return boots[__name__, request.param].result()


@pytest.fixture(params=RIGS)
def rig(written_back: Path, request: pytest.FixtureRequest) -> Rig:
    return Rig(written_back, request.param)


def test_nothing_lost(written_back: Path) -> None:
    reader = TraceReader(written_back / "trace")
    assert len(list(reader)) > 0
    assert reader.trailer is not None
    assert sum(reader.trailer.losses().values()) == 0


def test_thresholds_differ(written_back: Path) -> None:
    shorter, longer = (Rig(written_back, name).threshold for name in RIGS)
    assert longer - shorter > 2 * APART


def test_idle_as_planned(rig: Rig) -> None:
    """What was read is not idle for that long, what was not is: neither is near to the threshold."""
    idle = rig.facts["idle"]
    assert idle["read"] * 10**9 < rig.threshold - APART // 2 < rig.threshold + APART < idle["not_read"] * 10**9
    assert rig.facts["swapped"] == [RANDOM, SAME, COMPRESSIBLE]


def test_pages_written_equal_bd_stat(rig: Rig) -> None:
    """And mkswap's own page, which is no slot, and idle as well."""
    predicted = rig.predicted.write_back
    assert predicted is not None
    (header,) = {rig.area.swap_header["pages"]}
    written = rig.bd_stat("after", "bd_writes") - rig.bd_stat("before", "bd_writes")
    assert predicted.pages_end == predicted.writes == RANDOM + COMPRESSIBLE - -(-COMPRESSIBLE // EVERY)
    assert (predicted.writes + header, predicted.pages_end + header) == (written, rig.bd_stat("after", "bd_count"))


def test_memory_given_back_equals_mm_stat(rig: Rig) -> None:
    """Compressed bytes, and pages of the pool."""
    predicted, header = rig.predicted.write_back, rig.area.swap_header["compr_bytes"]
    assert predicted is not None
    saved = predicted.recorded.end - predicted.in_memory.end + header
    assert saved == rig.mm_stat("before", "compr_data_size") - rig.mm_stat("after", "compr_data_size") > 0
    assert predicted.in_memory.end == rig.mm_stat("after", "compr_data_size")
    assert rig.predicted.mem_used_total is not None
    assert rig.predicted.mem_used_total.end == rig.mm_stat("after", "mem_used_total")


def test_curve_says_the_same(rig: Rig) -> None:
    """Of all thresholds that are as near as no entry's idle time is."""
    age, predicted = rig.area.age, rig.predicted.write_back
    assert age is not None
    assert predicted is not None
    near = [number for number, idle in enumerate(THRESHOLDS) if abs(idle - rig.threshold) < APART]
    assert near
    for number in near:
        assert (age.pages_end[number], age.writes[number]) == (predicted.pages_end, predicted.writes)
        assert age.bytes_end[number] == predicted.recorded.end - predicted.in_memory.end


def test_loads_from_the_disk_equal_bd_stat(rig: Rig) -> None:
    """Each page that was written back is read once, and stays where it is."""
    predicted = rig.predicted_later.write_back
    assert predicted is not None
    assert predicted.loads == rig.bd_stat("read", "bd_reads") - rig.bd_stat("before", "bd_reads")
    assert predicted.loads == RANDOM + COMPRESSIBLE - -(-COMPRESSIBLE // EVERY)
    assert rig.bd_stat("read", "bd_count") == rig.bd_stat("after", "bd_count")
