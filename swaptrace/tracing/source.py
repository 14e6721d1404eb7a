"""The live source: attaches to the running kernel and yields event batches, as the trace reader does from a file."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from swaptrace import version
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import PATH_BYTES, PATH_PLACE, EventBatch, EventFlag, EventKind
from swaptrace.kernel.layout import (
    assumed_zram,
    cluster_slots,
    fullness_rule,
    slots_by_discard,
    zram_entry_size,
)
from swaptrace.kernel.probes import ZSWAP
from swaptrace.machine import sysfs
from swaptrace.machine.cgroups import Cgroups
from swaptrace.machine.machine import Machine
from swaptrace.machine.snapshot import store_of, take_snapshot
from swaptrace.machine.swap_map import in_use_events, read_swap_maps
from swaptrace.machine.zswap import read_zswap
from swaptrace.running import Moment
from swaptrace.trace.header import Header, Trailer, Zsmalloc
from swaptrace.tracing.assumed import compare
from swaptrace.tracing.calls import CALL_KINDS, Calls
from swaptrace.tracing.ground import Ground, require, swap_info
from swaptrace.tracing.programs import Programs
from swaptrace.tracing.ring import default_ring_bytes

_LONGEST_WAIT = 0.1  # seconds: how late an event may be seen on an idle machine
_SHORTEST_WAIT = 0.001
_A_BATCH = 1 << 16  # events: more at a time would only take memory


class LiveSource:
    """The running kernel. Entering the context attaches all probes and takes the start snapshot.

    Use: `with LiveSource(command) as source`, then poll() again and again, then finish() once.

    compared: entries by which an assumed layout was found to be right; None if the kernel itself tells the layout.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        ring_bytes: int | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        time_frees: bool = False,
        kprobes: bool = False,
    ) -> None:
        """labels: see Header. time_frees: time the kernel's slot-free function as well, which costs each free a further
        probe. kprobes: attach by kprobes even where BPF trampolines, which cost less, would do.
        """
        ground = Ground()
        require(ground)
        self._types, self._symbols = ground.types, ground.symbols
        zswap = read_zswap(Machine())
        self._choices, self._untold = ground.choices, ground.missing()
        rows = [choice for choice in self._choices if choice.probe.feature == ZSWAP]
        self._zswap = zswap.in_use and all(choice.chosen for choice in rows)
        self._command, self._labels = command, dict(labels or {})
        self._cgroups = Cgroups()
        self.compared: int | None = None
        self._ring_bytes = ring_bytes or default_ring_bytes()
        self._programs = Programs(
            self._choices,
            self._types,
            self._symbols,
            ground.arch,
            self._ring_bytes,
            time_frees=time_frees,
            kprobes=kprobes,
            zswap_in_zsmalloc=zswap.in_use and zswap.allocator == "zsmalloc",
        )
        self._tgid = os.getpid()
        self._wait = _LONGEST_WAIT
        self._more = False  # than one batch were in the ring
        self._seen_until = 0  # CLOCK_MONOTONIC, ns: what happened before that has been handed over
        self._ready: list[EventBatch] = []  # to be handed over before what is in the ring

    def __enter__(self) -> LiveSource:
        try:
            self._attach()
            zsmalloc = self._zsmalloc()
            self._start = start = self._snapshot()
            self._lost_before = self._programs.lost()  # of what came before, which is not asked for
            self._seen_until = start.time
            self._calls = Calls(start.areas, self._store_of, zswap=self._zswap)
            self._ready = self._present(start)
        except BaseException:
            self._programs.close()
            raise
        self.header = self._header(start, zsmalloc)
        return self

    def _attach(self) -> None:
        self._attached = self._programs.attach()
        rows = zip(self._attached, self._choices, strict=True)
        blind = (str(row["event"]) for row, choice in rows if not row["functions"] and not choice.off)
        self._missing = (*blind, *self._untold)
        self._ring = self._programs.ring()
        if assumed_zram(self._types) is not None and Path("/sys/module/zram").exists():
            self.compared = compare(sysfs.read_stores(), self._programs.entry_seen)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._programs.close()

    def _header(self, start: Snapshot, zsmalloc: Zsmalloc | None) -> Header:
        splits = "split_swap_cluster" in self._symbols.addresses({"split_swap_cluster"})
        return Header(
            kernel=platform.release(),
            machine=platform.machine(),
            page_size=sysfs.PAGE_SIZE,
            host=platform.node(),
            command=self._command,
            start_realtime=time.time_ns() - (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - start.time),
            start=start,
            probes=tuple(self._attached),
            missing=self._missing,
            recorder_tgid=os.getpid(),
            slots_by_discard=slots_by_discard(self._types),
            swaptrace=version() or "",
            zsmalloc=zsmalloc,
            cluster_slots=cluster_slots(self._types, _huge_slots(), splits=splits),
            ring_bytes=self._ring_bytes,
            labels=self._labels,
        )

    def _snapshot(self) -> Snapshot:
        pools, entry_size = self._programs.zswap_pools(), zram_entry_size(self._types)
        return take_snapshot(self._programs.swap_areas, zswap=self._zswap, pools=pools, entry_size=entry_size)

    def _end_snapshot(self) -> Snapshot:
        """The same; without areas if those come and go all the time: what was recorded is not to be lost for that."""
        try:
            return self._snapshot()
        except EnvironmentProblem:
            return Snapshot(time.clock_gettime_ns(time.CLOCK_MONOTONIC), (), sysfs.read_stores())

    def _present(self, start: Snapshot) -> list[EventBatch]:
        """What the stores hold already, and what happened while that was read.

        An entry whose first event since the start is a store was not there at the start, though it was when its turn
        to be read came. All others get the start's time: they were there before all that is recorded.
        """
        found = [sysfs.present_entries(store) for store in start.stores]
        meanwhile = self._ring.drain()
        since = meanwhile[meanwhile["time"] >= start.time]
        batches = []
        for store, present in zip(start.stores, found, strict=True):
            present["time"] = start.time
            batches.append(EventBatch(sysfs.without(present, _stored_first(since, store.id))))
        return [*batches, self._batch(meanwhile)]

    def _zsmalloc(self) -> Zsmalloc | None:
        """What this kernel says of its pools, for the trace header; None if it does not tell."""
        stores = sysfs.read_stores()
        pages = self._programs.pool_classes(Path("/dev") / stores[0].name if stores else None)
        if not any(pages):
            return None
        return Zsmalloc(pages_per_zspage=pages, fullness_rule=fullness_rule(self._types))

    def poll(self) -> EventBatch:
        """Wait a little, less the fuller the ring was, and return what has happened since the last call.

        No more than a batch at a time; there is no waiting then.
        """
        if self._ready:
            return self._ready.pop(0)
        if not self._more:
            time.sleep(self._wait)
            self._adapt(self._ring.pending())
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        events = self._ring.drain(_A_BATCH)
        self._more = len(events) == _A_BATCH
        if not self._more:
            self._seen_until = now
        return self._batch(events)

    def _adapt(self, pending: float) -> None:
        """The next wait, by the share of the ring that has filled during the last one."""
        if pending > 0.25:
            self._wait = max(self._wait / 2, _SHORTEST_WAIT)
        elif pending < 0.05:
            self._wait = min(self._wait * 1.5, _LONGEST_WAIT)

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        """The end snapshot, and all batches with what happened before it."""
        end = self._end_snapshot()
        batches, self._ready = self._ready, []
        left = self._ring.waiting()  # not until it is empty: on a busy machine it never is
        while left and len(events := self._ring.drain(min(left, _A_BATCH))):
            left -= len(events)
            batches.append(self._batch(events[events["time"] <= end.time]))
        batches += self._in_use(end)
        programs = self._programs
        return batches, Trailer(end, self._lost(), exit_status, reason, programs.free_path(), programs.missed())

    def _in_use(self, end: Snapshot) -> list[EventBatch]:
        """What the kernel's swap map says of each slot now; nothing where it cannot be read."""
        maps = read_swap_maps(self._types, swap_info(self._symbols))
        found = [in_use_events(area.swap_type, maps[area.swap_type][: area.slots], end.time)
                 for area in end.areas if area.swap_type in maps]  # fmt: skip
        return [EventBatch(events) for events in found if len(events)]

    def lost(self) -> int:
        """Slots whose events were lost so far."""
        return sum(self._lost().values())

    def moment(self) -> Moment:
        """How far it is. Looks for calls that never returned, for up to 0.2 s, and drains the ring meanwhile."""
        return Moment(self._seen_until, self._lost(), self._programs.missed(self._drain_for))

    def _drain_for(self, seconds: float) -> None:
        """Wait that long; what has happened until then is handed over by the next polls."""
        time.sleep(seconds)
        events = self._ring.drain(_A_BATCH)
        if len(events):
            self._ready.append(self._batch(events))

    def _lost(self) -> dict[str, int]:
        """In slots, by event kind: what the ring had no room for, and calls that could not be understood."""
        return dict(Counter(self._programs.lost()) - Counter(self._lost_before) + Counter(self._calls.lost))

    def _store_of(self, area: SwapArea) -> Store | None:
        return store_of(area, self._programs.zswap_pools(), zram_entry_size(self._types))

    def left_out(self) -> int:
        """What happened to zram devices that cannot be recorded: requests and dropped entries so far."""
        return self._programs.left_out()

    # -- from raw events to a batch

    def _batch(self, events: NDArray[np.void]) -> EventBatch:
        if not len(events):
            return EventBatch(events)
        names = events["kind"] == EventKind.TASK
        tasks = _task_names(events[names]) if names.any() else {}
        calls = []
        keep = ~names & (events["kind"] != EventKind.PATH) & (events["time"] >= self._start.time)
        for row in np.flatnonzero(np.isin(events["kind"], CALL_KINDS)):
            if events["kind"][row] == EventKind.PATH:
                self._calls.piece(events[row])
            elif keep[row]:
                later = events[row + 1 :]
                off = (later["kind"] == EventKind.SWAPOFF) & (later["device"] == events["device"][row])
                place = int(np.count_nonzero(keep[:row]))
                calls.append(self._calls.call(place, events[row], off_again=bool(off.any())))
        if not keep.all():
            events = events[keep]
        rows = [call.row for call in calls]
        for field in ("size", "run", "flags"):  # the calls have it
            events[field][rows] = 0
        events["arg"][rows] = [-call.result for call in calls]
        own = events["tgid"] == self._tgid
        if own.any():
            events["flags"][own] |= np.uint16(EventFlag.SELF)
        stored = events["arg"][events["kind"] == EventKind.STORE]
        return EventBatch(events, tasks, tuple(calls), self._cgroups.paths_of(np.unique(stored).tolist()))


def _stored_first(events: NDArray[np.void], store: int) -> NDArray[np.int64]:
    """The indexes of a store whose first event is a STORE."""
    kinds = (EventKind.STORE, EventKind.DROP, EventKind.NOTIFY)
    mine = events[(events["device"] == store) & np.isin(events["kind"], kinds)]
    index, first = np.unique(mine["slot"], return_index=True)
    return np.asarray(index[mine["kind"][first] == EventKind.STORE], np.int64)


def _task_names(events: NDArray[np.void]) -> dict[int, str]:
    """The bytes from `slot` on hold the command's name."""
    raw = np.ascontiguousarray(events).view(np.uint8).reshape(len(events), -1)
    names = raw[:, PATH_PLACE : PATH_PLACE + PATH_BYTES].copy().view(f"S{PATH_BYTES}")[:, 0]
    return {int(t): bytes(n).decode(errors="replace") for t, n in zip(events["tgid"], names, strict=True)}


def _huge_slots() -> int:
    """Pages of a huge page; 1 if the kernel has none."""
    try:
        size = int(Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 1
    return size // sysfs.PAGE_SIZE
