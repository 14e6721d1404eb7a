"""What every area's store held over time, as a table for other programs: CSV, one row per area and moment."""

from __future__ import annotations

import pandas as pd

from swaptrace.report.cells import safe
from swaptrace.results.over_time import over_time
from swaptrace.results.results import AreaResult, TraceResult

_AREA = ["device", "swap_type", "generation", "time_s"]


def as_csv(result: TraceResult) -> str:
    """The courses of all areas, one after the other. Cells are empty where an area has no such figure.

    An area of which events were lost has no rows, as it has no charts: what its store held is not known.
    """
    known = [course(area, result.begin) for area in result.areas if area.exact]
    frame = pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=_AREA)
    return frame.to_csv(index=False, lineterminator="\n")


def course(area: AreaResult, begin: int) -> pd.DataFrame:
    """One area's: a row at the end of each time bin; an area has the names and numbers that the JSON report gives it.

    begin: of what was counted (`--since`), ns since the recording began, from which time_s counts. The rest is Int64:
    slots, compressed bytes, and bytes of the store's whole pool.
    """
    series, figures = area.series, over_time(area)
    frame = pd.DataFrame(figures, index=range(len(series.time)), dtype="Int64")
    return frame.assign(
        device=safe(area.device),
        swap_type=area.swap_type,
        generation=area.generation,
        time_s=(begin + series.time) / 1e9,
    )[[*_AREA, *figures]]
