"""record --summary: the running kernel works the events out itself, and its figures are read once a second."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.analysis.results import Leak
from swaptrace.areas import Snapshot, Store
from swaptrace.errors import EnvironmentProblem
from swaptrace.live import sysfs
from swaptrace.live.kernel import KernelSource
from swaptrace.live.recorder import Status, prepare_output, say, say_what_is_missing, settled
from swaptrace.live.snapshot import KernelArea, take_snapshot
from swaptrace.running import due, end_of
from swaptrace.stopping import Stop, signals
from swaptrace.summary.figures import Count
from swaptrace.summary.file import SummaryWriter
from swaptrace.summary.plan import Plan
from swaptrace.summary.state import Late, Maps, collect, leaks_of, look_at_pages, prepare
from swaptrace.trace.header import Trailer, modelled

__all__ = ["SummarySource", "record_summary"]

_STEP = 1.0  # seconds between two looks at the figures
_LOOK_SHARE = 100  # a look at all pages is taken once that many times as long as it takes has passed
_RING_BYTES = 4 << 20  # for what happens while the start is read; afterwards, nothing is handed over
_SETTLES = 0.01  # seconds, after which no program is running that has seen the switch as it was before


class SummarySource(KernelSource):
    """The running kernel. Entering the context attaches all probes and begins to summarise.

    Use: `with SummarySource(command) as source`, then step() every second, then finish() once.
    """

    def __init__(self, command: tuple[str, ...], *, kprobes: bool = False) -> None:
        """kprobes: attach by kprobes even where BPF trampolines, which cost less, would do."""
        super().__init__(command)
        self._epoch = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        # the types are not known yet, but how many areas there are and how large they are
        rough = Plan.of(take_snapshot(_untyped, zswap=self._zswap))
        self._limits = rough.limits(_processors(), self._epoch, sysfs.PAGE_SIZE)
        self._compile(_RING_BYTES, kprobes=kprobes, summary=self._limits)
        self._look_at, self._look_took = 0.0, 0.0

    def __enter__(self) -> SummarySource:
        try:
            self._attach()
            self._maps = Maps.of(self._limits, self._programs.summary_map)
            start = self._begin()
        except BaseException:
            self._programs.close()
            raise
        self.header = self._header(start)
        return self

    @property
    def epoch(self) -> int:
        return self._epoch

    # -- the start

    def _begin(self) -> Snapshot:
        """Fill the maps with what the stores hold, and switch on.

        What happens meanwhile comes through the ring and corrects what was read. The last of it comes after the switch:
        that is corrected in the maps, page by page, unless the programs have been there already.
        """
        snapshot = self._snapshot()
        plan = Plan.of(modelled(snapshot, self._missing))
        if not plan.fits(self._limits):
            raise EnvironmentProblem("a swap area or zram device was set up just now", "record again")
        for store in plan.snapshot.stores:
            plan.hold(sysfs.present_entries(store))
        plan.correct(self._ring.drain())
        # time and counters are those of the switch; the rest is the same, or else an area came or went: see step()
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        plan.begin_at(now)
        prepare(self._maps, plan, self._epoch)
        plan.correct(self._ring.drain())
        prepare(self._maps, plan, self._epoch)
        self._maps.switch(True)
        start = replace(snapshot, time=now, stores=_with_counters(snapshot.stores))
        time.sleep(_SETTLES)
        self._late = Late(*plan.correct_late(self._ring.drain(), self._maps.pages), self._epoch)
        self._plan, self._left_censored = plan, plan.left_censored()
        return start

    # -- the figures

    def step(self) -> NDArray[np.void]:
        """The figures now. The pages themselves are looked at now and then, as often as a hundredth of a CPU allows."""
        vector = self._collect(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        now = time.monotonic()
        if now - self._look_at >= _LOOK_SHARE * self._look_took:
            look_at_pages(self._maps, self._plan, vector)
            self._look_at, self._look_took = now, time.monotonic() - now
            self._looked = vector
        else:
            for name in ("running", "swap_header"):
                vector["areas"][name] = self._looked["areas"][name]
            vector["looked"] = self._looked["looked"]
        return vector

    def _collect(self, now: int) -> NDArray[np.void]:
        return collect(self._maps, self._plan, self._left_censored, now, self._late)

    def finish(self, exit_status: int | None, reason: str) -> tuple[NDArray[np.void], Trailer, list[list[Leak]]]:
        """The end snapshot, the last figures, and the leaked slots."""
        end = self._end_snapshot()
        self._maps.switch(False)
        time.sleep(_SETTLES)
        vector = self._collect(end.time)
        look_at_pages(self._maps, self._plan, vector)
        lost = self._programs.lost()
        cut_off = int(vector["areas"]["counts"][0][:, Count.CUT_OFF].sum())
        if cut_off:
            lost["FREE"] = lost.get("FREE", 0) + cut_off
        trailer = Trailer(end, lost, exit_status, reason, missed=self._programs.missed())
        return vector, trailer, leaks_of(self._maps, self._plan)


def _untyped() -> list[KernelArea]:
    """The areas that are on, numbered from 0 on."""
    return [KernelArea(number, 0, line.pages, line.priority) for number, line in enumerate(sysfs.read_swaps())]


def _processors() -> int:
    """How many processors there may ever be: the kernel's numbers for them are below that."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text()
    return int(ranges.strip().replace(",", "-").split("-")[-1]) + 1


def _with_counters(stores: tuple[Store, ...]) -> tuple[Store, ...]:
    """The same stores, with their counters as they are now."""
    now = {store.id: store.counters for store in sysfs.read_stores()}
    return tuple(replace(store, counters=now.get(store.id, store.counters)) for store in stores)


def record_summary(
    output: Path, command: tuple[str, ...], *, duration: float | None, force: bool, kprobes: bool = False
) -> int:
    """As swaptrace.live.recorder.record, but for a summary."""
    prepare_output(output, command, force=force)
    compiled, refused = settled(lambda: SummarySource(command, kprobes=kprobes))
    with compiled as source:
        writer = SummaryWriter(output, source.header, source.epoch, force=force)
        say_what_is_missing(source.header, refused)
        if not source.header.start.areas:
            say("no swap area is on: a summary is of the areas that are on when it begins")
        stop = Stop(duration)
        with signals(stop):  # before it is said: who reads that may send one at once
            say(f"recording a summary to {output}" + ("" if command or duration else "; stop with Ctrl-C"))
            vector, trailer = _run(source, writer, command, stop)
    came = int(vector["came"][0])
    if came:
        say(f"{came} swap areas were switched on meanwhile: they are not in this summary")
    say(f"\n{_line(vector)}\n{output}: {units.size(writer.whole)}; see it with: swaptrace report {output}")
    return trailer.exit_status or 0


def _run(
    source: SummarySource, writer: SummaryWriter, command: tuple[str, ...], stop: Stop
) -> tuple[NDArray[np.void], Trailer]:
    child = subprocess.Popen(command) if command else None
    status = Status()
    next_step = time.monotonic() + _STEP
    try:
        while not due(stop, child):
            time.sleep(max(min(next_step - time.monotonic(), 0.1), 0))
            if time.monotonic() >= next_step:
                vector = source.step()
                writer.write(vector)
                status.show(_line(vector))
                # on a busy machine a step may be late; those that were missed are not made up for
                next_step += _STEP * (1 + int((time.monotonic() - next_step) / _STEP))
    finally:
        exit_status = end_of(child, stop.reason)
    vector, trailer, leaks = source.finish(exit_status, stop.reason or "end")
    writer.close(vector, trailer, leaks)
    return vector, trailer


def _line(vector: NDArray[np.void]) -> str:
    events, counts = vector["events"][0], vector["areas"]["counts"][0].sum(axis=0)
    return (
        f"{units.count(int(events.sum()))} events, "
        f"{units.count(int(counts[Count.STORES]))} slots stored, {units.count(int(counts[Count.FREES]))} freed"
    )
