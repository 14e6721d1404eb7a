"""Lifetimes alone, as one would write them in pandas, Polars and DuckDB, from the same file.

A lifetime begins with the first store of a slot that was free, and ends with its free. All rivals sort by slot and
time, keep what changes a slot's state, and look at the row before; none is made slower than its author would.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from swaptrace.events import EventKind
from swaptrace.results.results import AreaResult

__all__ = ["RIVALS", "Lifetimes", "lifetimes_of"]

_COLUMNS = ["time", "slot", "kind"]
_STORE, _FREE = EventKind.STORE.name, EventKind.FREE.name


class Lifetimes(NamedTuple):
    """Those that ended: how many, their sum and the longest (ns)."""

    count: int
    total: int
    longest: int


def lifetimes_of(area: AreaResult) -> Lifetimes:
    """What swaptrace's report says."""
    reasons = area.lifetime_by_reason.values()
    return Lifetimes(area.lifetime.count, sum(one.total for one in reasons), max(one.largest for one in reasons))


def _in_pandas(path: Path) -> Lifetimes:
    frame = pa.ipc.open_stream(pa.memory_map(str(path))).read_all().select(_COLUMNS).to_pandas()
    frame = frame[(frame.kind == _STORE) | (frame.kind == _FREE)].sort_values(["slot", "time"])
    again = (frame.slot == frame.slot.shift()) & (frame.kind == frame.kind.shift())
    frame = frame[~again]
    ended = (frame.kind == _FREE) & (frame.slot == frame.slot.shift())
    lives = frame.time.to_numpy()[ended] - frame.time.to_numpy()[np.flatnonzero(ended) - 1]
    return Lifetimes(len(lives), int(lives.sum()), int(pd.Series(lives).max()))


def _in_polars(path: Path) -> Lifetimes:
    kind, slot, time = pl.col("kind"), pl.col("slot"), pl.col("time")
    found = (
        pl.read_ipc_stream(path, columns=_COLUMNS)
        .lazy()
        .filter((kind == _STORE) | (kind == _FREE))
        .sort("slot", "time")
        .filter(((slot == slot.shift()) & (kind == kind.shift())).fill_null(False).not_())
        .select((time - time.shift()).filter((kind == _FREE) & (slot == slot.shift())).alias("life"))
        .select(count=pl.len(), total=pl.col("life").sum(), longest=pl.col("life").max())
        .collect()
    )
    return Lifetimes(*map(int, found.row(0)))


def _in_duckdb(path: Path) -> Lifetimes:
    with duckdb.connect() as connection:
        trace = pa.ipc.open_stream(pa.memory_map(str(path)))
        found = connection.from_arrow(trace).query(
            "trace",
            f"""
            with mine as (select time, slot, kind from trace where kind in ('{_STORE}', '{_FREE}')),
            before as (select *, lag(kind) over slots as kind_before from mine
                       window slots as (partition by slot order by time)),
            changes as (select * from before where kind_before is distinct from kind),
            lives as (select kind, time - lag(time) over (partition by slot order by time) as life from changes)
            select count(*), sum(life), max(life) from lives where kind = '{_FREE}' and life is not null
            """,
        )
        return Lifetimes(*map(int, found.fetchall()[0]))


#: By name.
RIVALS = {"pandas": _in_pandas, "Polars": _in_polars, "DuckDB": _in_duckdb}
