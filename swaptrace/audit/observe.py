"""audit --trace: record for a while in this process, and tell per area what was freed, notified, and became stale.

This is the only part of the audit that needs bcc and the analysis (which compiles, with numba, when first used).
"""

from __future__ import annotations

import sys
from dataclasses import replace

from swaptrace.analysis.analysis import Analysis
from swaptrace.analysis.results import AreaResult
from swaptrace.areas import Snapshot, SwapArea
from swaptrace.audit.evidence import Observed
from swaptrace.console import Console
from swaptrace.events import EventBatch, EventKind, empty
from swaptrace.live.source import LiveSource
from swaptrace.report.compiling import compiling_shown
from swaptrace.running import run
from swaptrace.stopping import Stop, signals
from swaptrace.trace.header import Header, Trailer

__all__ = ["observe", "observed"]


def observe(seconds: float) -> dict[str, Observed]:
    """Trace for that long (or until a signal); what was seen of each area, by path. Raises Problem."""
    with LiveSource(("swaptrace", "audit")) as source:
        # without the pools' geometry: no finding asks for pool pages, and modelling them takes a while to compile
        header = replace(source.header, zsmalloc=None)
        with compiling_shown(Console(stderr=True)):
            _warm(header)  # before anything is counted on: events would be lost while numba compiles
        analysis = Analysis(header)
        stop = Stop(seconds)
        with signals(stop):  # which end the tracing, not the audit; from before it is said on
            print(f"tracing for {seconds:g} s; Ctrl-C ends it earlier ...", file=sys.stderr, flush=True)
            trailer = run(source, [analysis], stop)
    result = analysis.finish(trailer)
    known = {area.path for area in header.start.areas if area.store is not None and area.extents}
    length, lost = float(result.trace["duration_s"]), sum(result.lost.values())
    return {area.device: observed(area, length, lost, area.device in known) for area in result.areas}


def observed(area: AreaResult, seconds: float, lost: int, mapped: bool) -> Observed:
    """An area's results as evidence. mapped: its pages in the store are known, so the two sides could be joined."""
    stale = area.policies["observed"]
    return Observed(
        seconds=round(seconds, 3),
        frees=area.frees,
        notifications=area.notify_free if mapped else None,
        missed=area.miss_free if mapped else None,
        stored=area.stores if mapped else None,
        became_stale=stale.stale_slots_end if mapped else None,
        became_stale_bytes=stale.stale_compr_bytes.end if mapped else None,
        discarded=area.discarded if mapped else None,
        lost_events=lost,
    )


def _warm(header: Header) -> None:
    """Have all of the analysis compiled, on a single event."""
    area = SwapArea("/dev/zram0", 0, 0, 64, backing="zram", store=0, extents=((0, 0, 64),))
    start = Snapshot(1, (area,))
    analysis = Analysis(replace(header, start=start))
    events = empty(1)
    events["kind"], events["time"], events["run"], events["slot"] = EventKind.FREE, 2, 1, 5
    analysis.feed(EventBatch(events))
    analysis.finish(Trailer(start))
