"""The running kernel, with the probes that it has attached to it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from swaptrace import version
from swaptrace.areas import Snapshot
from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel.layout import assumed_zram, slots_by_discard, zram_entry_size
from swaptrace.kernel.probes import ZSWAP
from swaptrace.machine import sysfs
from swaptrace.machine.machine import Machine
from swaptrace.machine.snapshot import take_snapshot
from swaptrace.machine.zswap import read_zswap
from swaptrace.trace.header import Header
from swaptrace.tracing.assumed import compare
from swaptrace.tracing.ground import Ground, require
from swaptrace.tracing.programs import Programs

__all__ = ["KernelSource"]


class KernelSource:
    """Probes are chosen when it is made, and attached from _attach() until the context is left.

    compared: entries by which an assumed layout was found to be right; None if the kernel itself tells the layout.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        ground = Ground()
        require(ground)
        self._arch, self._types, self._symbols = ground.arch, ground.types, ground.symbols
        zswap = read_zswap(Machine())
        self._choices, self._untold = ground.choices, ground.missing()
        rows = [choice for choice in self._choices if choice.probe.feature == ZSWAP]
        self._zswap = zswap.in_use and all(choice.chosen for choice in rows)
        self._zswap_in_zsmalloc = zswap.in_use and zswap.allocator == "zsmalloc"
        self._command = command
        self.compared: int | None = None

    def _compile(self, ring_bytes: int, **options: Any) -> None:
        """options: those of Programs."""
        self._programs = Programs(self._choices, self._types, self._symbols, self._arch, ring_bytes, **options)

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

    def _snapshot(self) -> Snapshot:
        pools, entry_size = self._programs.zswap_pools(), zram_entry_size(self._types)
        return take_snapshot(self._programs.swap_areas, zswap=self._zswap, pools=pools, entry_size=entry_size)

    def _end_snapshot(self) -> Snapshot:
        """The same; without areas if those come and go all the time: what was recorded is not to be lost for that."""
        try:
            return self._snapshot()
        except EnvironmentProblem:
            return Snapshot(time.clock_gettime_ns(time.CLOCK_MONOTONIC), (), sysfs.read_stores())

    def _header(self, start: Snapshot, **more: Any) -> Header:
        """more: fields that not all recordings have."""
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
            **more,
        )
