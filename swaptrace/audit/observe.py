"""audit --trace: record for a while in this process, and tell per area what was freed, notified, and became stale.

This is the only part of the audit that needs bcc and the analysis.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from swaptrace.analysis.analysis import Analysis
from swaptrace.audit.evidence import Observed
from swaptrace.progress import LiveLine
from swaptrace.record.recorder import StatusLine
from swaptrace.results.results import AreaResult
from swaptrace.running import run
from swaptrace.stopping import Stop, signals
from swaptrace.tracing.source import LiveSource


def observe(seconds: float) -> dict[str, Observed]:
    """Trace for that long (or until a signal); what was seen of each area, by path. Raises Problem."""
    with LiveLine("compiling and attaching BPF programs ...") as live, LiveSource(("swaptrace", "audit")) as source:
        # without the pools' geometry: no finding asks for pool pages
        header = replace(source.header, zsmalloc=None)
        analysis = Analysis(header)
        stop = Stop(seconds)
        with signals(stop):  # which end the tracing, not the audit; from before it is said on
            live.clear()
            print(f"tracing for {seconds:g} s; Ctrl-C ends it earlier ...", file=sys.stderr, flush=True)
            trailer = run(source, [analysis, StatusLine(live)], stop)
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
