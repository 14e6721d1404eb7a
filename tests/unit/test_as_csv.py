"""report --format csv: the course of every area, as other programs read it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from swaptrace.policies import POLICIES
from swaptrace.report.as_csv import as_csv
from swaptrace.report.command import Selection, analyse
from swaptrace.results.results import TraceResult
from tests.unit.fixtures import DATA, TRACE


@pytest.fixture(scope="module")
def result() -> TraceResult:
    """Three areas, one of them shares its store."""
    return analyse(DATA / "6.1" / TRACE)


def read(result: TraceResult) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(as_csv(result)), dtype_backend="numpy_nullable")


def test_every_value_is_that_of_the_results(result: TraceResult) -> None:
    """And a row's cells are empty where the area has no such figure."""
    frame = read(result)
    assert list(frame.columns[:4]) == ["device", "swap_type", "generation", "time_s"]
    assert list(frame.columns[4:6]) == ["live_slots", "live_compr_bytes"]
    assert len(result.areas) > 1 and len(frame) == sum(len(area.series.time) for area in result.areas)
    rows = 0
    for area in result.areas:
        mine = frame[rows : rows + len(area.series.time)]
        rows += len(mine)
        assert set(mine.device) == {area.device}
        assert (set(mine.swap_type), set(mine.generation)) == ({area.swap_type}, {area.generation})
        np.testing.assert_array_equal(np.rint(mine.time_s.to_numpy(np.float64) * 1e9), area.series.time)
        series = area.series
        named = {
            "live_slots": series.slots["live"],
            "live_compr_bytes": series.bytes.get("live"),
            "duplicate_slots": series.slots["duplicate"],
            "duplicate_compr_bytes": series.bytes["duplicate"],
            **{f"policies.{name}.stale_slots": series.slots.get(name) for name in POLICIES},
            **{f"policies.{name}.stale_compr_bytes": series.bytes.get(name) for name in POLICIES},
            **{f"policies.{name}.pool_bytes": series.pool_bytes.get(name) for name in POLICIES},
        }
        assert [*frame.columns[4:]] == sorted(named, key=list(frame.columns).index)
        for name, values in named.items():
            if values is None:
                assert mine[name].isna().all(), name
            else:
                np.testing.assert_array_equal(mine[name].to_numpy(np.int64), values, name)


def test_courses_that_are_not_known_are_left_out(result: TraceResult) -> None:
    """As charts are: events of the area were lost."""
    first, *others = result.areas
    lossy = replace(first, unknown={"stores": "events were lost"})
    assert len(read(replace(result, areas=[lossy, *others]))) == len(read(replace(result, areas=others)))
    for none in ([lossy], []):
        assert as_csv(replace(result, areas=none)) == "device,swap_type,generation,time_s\n"


def test_areas_are_told_apart_as_in_json(result: TraceResult) -> None:
    """A device that gets another number when it is switched on again: it is the first of that number, too."""
    area = result.areas[0]
    frame = read(replace(result, areas=[area, replace(area, swap_type=area.swap_type + 1)]))
    assert frame.groupby(["device", "swap_type", "generation"]).size().tolist() == [len(area.series.time)] * 2


def test_times_are_those_of_the_recording(result: TraceResult) -> None:
    """Of what comes after --since, too."""
    since = result.trace["duration_s"] / 2
    times = read(analyse(DATA / "6.1" / TRACE, Selection(since=since))).time_s
    assert since < times.min() and times.max() == pytest.approx(result.trace["duration_s"])
