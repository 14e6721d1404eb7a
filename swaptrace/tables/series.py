"""The table of series: what every area's store held, live and stale, over time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from swaptrace.results.catalogue import Unit
from swaptrace.results.over_time import OVER_TIME, over_time
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.tables.columns import AREA, INTEGER, MOMENT, Column, Place, Table, integers, moments, places

SERIES = Table(
    "series",
    "one swap area at the end of one time bin, of which there are at most 1024; areas of which events were lost have "
    "no rows. Figures are null where they are not modelled, or not predicted",
    (
        Column("time_ns", INTEGER, "when, since the recording began", Unit.NS, always=True),
        Column("time", MOMENT, "the same by the wall clock"),
        *AREA,
        *(Column(row.name, INTEGER, row.sentence, row.unit) for row in OVER_TIME),
    ),
)


def series(result: TraceResult) -> pa.Table:
    """The whole table."""
    begin = int(result.header["start_realtime"])
    return pa.Table.from_batches(
        [_rows(area, result.begin, begin) for area in result.areas if area.exact], SERIES.schema
    )


def _rows(area: AreaResult, begin: int, start_realtime: int) -> pa.RecordBatch:
    """One area's. begin: of what was counted, and start_realtime: of the recording, as in TraceResult (ns)."""
    time = begin + area.series.time
    nothing = dict.fromkeys((row.name for row in OVER_TIME), None)
    return SERIES.batch(
        {
            "time_ns": integers(time),
            "time": moments(time, start_realtime),
            **places(np.zeros(len(time), np.int64), [Place(area.device, area.swap_type, area.generation)]),
            **{
                name: pa.nulls(len(time), INTEGER) if values is None else integers(values)
                for name, values in (nothing | over_time(area)).items()
            },
        }
    )
