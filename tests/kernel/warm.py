"""Compiles the analysis' loops for the processor that NUMBA_CPU_NAME names, into NUMBA_CACHE_DIR."""

from __future__ import annotations

import numpy as np

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.events import EventBatch, EventKind, empty
from swaptrace.store import zsmalloc
from swaptrace.trace.header import Header, Trailer


def compile_all() -> None:
    """Run a few events through all of it."""
    area = SwapArea("/dev/zram0", 0, 0, 64, backing="zram", store=0, extents=((0, 0, 64),))
    start = Snapshot(1, (area,), (Store(0, "zram0", 64),))
    pages = zsmalloc.geometry(4096).arrays.classes["pages_per_zspage"].tolist()
    pool = {"pages_per_zspage": pages, "fullness_rule": "TENTHS"}  # without it, pools are not modelled
    analysis = Analysis(Header("", "", 4096, "", (), 0, start, zsmalloc=pool))
    events = empty(4)
    events["kind"] = (EventKind.STORE, EventKind.LOAD, EventKind.FREE, EventKind.NOTIFY)
    events["slot"], events["run"], events["time"] = 5, 1, np.arange(2, 6)
    analysis.feed(EventBatch(events))
    analysis.finish(Trailer(start))
