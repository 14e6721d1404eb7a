"""The table of lifetimes: a row for each life of each slot."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
import pyarrow as pa

from swaptrace.analysis.analysis import Analysis, Lived
from swaptrace.analysis.attribution import cgroup_name
from swaptrace.engine.counters import LifeBit
from swaptrace.engine.lives import known
from swaptrace.events import NAMES
from swaptrace.results.catalogue import Unit
from swaptrace.tables.columns import AREA, INTEGER, NAME, Column, Place, Table, integers, named, numbered, places

LIFETIMES = Table(
    "lifetimes",
    "one life of a slot: from the first store of a free slot to its free, and what becomes of its entry after that",
    (
        *AREA,
        Column("slot", INTEGER, "offset in the swap area", Unit.PAGES, always=True),
        Column("store", NAME, "the zram device's name, or `zswap`; null for a disk"),
        Column("page", INTEGER, "page of the store; null for a disk", Unit.PAGES),
        Column("stored_ns", INTEGER, "when the life began, since the recording began: the first store, of a disk the "
               "allocation; null if that was before the recording, or (with `stores` 1) if the slot was freed before "
               "the store was over", Unit.NS),
        Column("freed_ns", INTEGER, "when the slot was freed; null if it still was in use at the end", Unit.NS),
        Column("dropped_ns", INTEGER, "when the store dropped the entry, as observed; null if it held it at the end, "
               "and for a disk. Before the free, if zswap wrote it back or gave it up", Unit.NS),
        Column("replaced_ns", INTEGER, "when the entry was replaced by another slot's life, or went for another reason "
               "than its slot's free: until then a store without notifications (the policy `none`) holds it; null if "
               "that did not happen", Unit.NS),
        Column("reason", NAME, "why the slot was freed; one of `free_reasons` in docs/report-json.md"),
        Column("compr_bytes", INTEGER, "compressed size of the last entry, 0 if it is on zram's backing device; null "
               "if it is not known, and for a disk", Unit.BYTES),
        Column("same", pa.bool_(), "whether that is same-filled", always=True),
        Column("huge", pa.bool_(), "whether it does not compress", always=True),
        Column("written_back", pa.bool_(), "whether it is on zram's backing device", always=True),
        Column("missed", pa.bool_(), "whether a notification found the entry busy, so that it stayed", always=True),
        Column("stores", INTEGER, "how often a page was written to the slot; 0 if that was before the recording, and "
               "for a disk", Unit.PAGES, always=True),
        Column("loads", INTEGER, "how often it was read back", Unit.PAGES, always=True),
        Column("cgroup", NAME, "the memory cgroup that the page was last stored for; a path, or `cgroup` and the "
               "number of its directory"),
        Column("pid", INTEGER, "process id of the task that freed the slot", Unit.NUMBER),
        Column("process", NAME, "its command's name; null if it was gone before it could be looked up"),
    ),
)  # fmt: skip


def rows_of(lived: Lived, analysis: Analysis, devices: Collection[str] = ()) -> pa.RecordBatch:
    """Rows of the table. analysis: whose lives they are. devices: only these areas and stores; all if empty."""
    wanted = [
        number
        for number, area in enumerate(lived.areas)
        if not devices or area.path in devices or lived.store in devices
    ]
    rows = lived.rows[np.isin(lived.rows["area"], wanted)]
    tasks, cgroups = analysis.names
    freed, has_store = known(rows, LifeBit.FREED), np.full(len(rows), lived.store is not None)
    who = freed & (rows["reason"] > 0)
    times = {
        f"{name.lower()}_ns": integers(rows[name.lower()] - analysis.header.start.time, known(rows, LifeBit[name]))
        for name in ("STORED", "FREED", "DROPPED", "REPLACED")
    }
    return LIFETIMES.batch(
        {
            **places(rows["area"].astype(np.int64), map(Place.of, lived.areas)),
            **times,
            "slot": integers(rows["slot"]),
            "store": numbered(np.zeros(len(rows), np.int32), [lived.store or ""], has_store),
            "page": integers(rows["page"], has_store),
            "reason": numbered(rows["reason"], NAMES["reason"], who),
            "compr_bytes": integers(rows["size"], known(rows, LifeBit.SIZED)),
            "same": pa.array(known(rows, LifeBit.SAME)),
            "huge": pa.array(known(rows, LifeBit.HUGE)),
            "written_back": pa.array(known(rows, LifeBit.WRITTEN_BACK)),
            "missed": pa.array(known(rows, LifeBit.MISSED)),
            "stores": integers(rows["stores"]),
            "loads": integers(rows["loads"]),
            "cgroup": named(rows["cgroup"], partial(cgroup_name, cgroups), rows["cgroup"] > 0),
            "pid": integers(rows["tgid"], who),
            "process": named(rows["tgid"], tasks.get, who),
        }
    )
