"""Several swap areas on one store: pool bytes are the store's, and every report says so beside them."""

from __future__ import annotations

import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.report import words
from swaptrace.report.tables import area_tables
from swaptrace.results.results import TraceResult
from tests.unit.builders import START, batch, free, header, store, told_zsmalloc, trailer, zram_area
from tests.unit.test_reasons import said

ZRAM = Store(0, "zram0", 64, counters={"pages_stored": 0})
AREAS = [zram_area(f"/swap{number}", number, 16, 0, ((0, 16 * number, 16),)) for number in range(3)]


def recorded(number: int) -> TraceResult:
    """That many areas on one store; a slot of the first one becomes stale, none of the others."""
    analysis = Analysis(header(AREAS[:number], [ZRAM], zsmalloc=told_zsmalloc()))
    analysis.feed(batch([store(START + 1, 0, 3, 4096), store(START + 2, 0, 20, 100), free(START + 5, 0, 3)]))
    return analysis.finish(trailer(START + 9))


@pytest.mark.parametrize(("number", "others"), [(1, ""), (2, "another swap area"), (3, "2 other swap areas")])
def test_pool_bytes_are_the_whole_stores(number: int, others: str) -> None:
    result = recorded(number)
    note = f"Pool bytes are those of the whole store, zram0, which {others} of this recording used as well."
    for area in result.areas:
        assert area.policies["none"].stale_pool_bytes is not None
        assert area.policies["none"].stale_pool_bytes.end == 4096  # the same of all of them
        notes = {table.name: table.note for table in area_tables(area, 1.0)}
        for name in ("stale-pool", "recovered"):
            assert (note in notes[name]) == (number > 1) == ("whole store" in notes[name])
    for area in result.areas[1:]:
        assert words.headline(area) == "No slot of this area was ever stale, with notifications or without them."
    assert said(result).count(note) == (2 * number if number > 1 else 0)
