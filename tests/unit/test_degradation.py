"""What a report says of a kernel that does not tell everything: null and a warning, never what was counted instead."""

from __future__ import annotations

import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.degradation import BLIND
from swaptrace.events import EventFlag, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.words import warnings
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Trailer
from tests.unit.builders import START, Event, batch, free, header, store, zram_area

STORE = Store(0, "zram0", 64, counters={"pages_stored": 0, "compr_data_size": 0})
AREA = zram_area("/dev/zram0", 0, 64, 0)


def result(*missing: str, trailer: Trailer | None = None) -> TraceResult:
    """Two slots stored, one of them freed; the kernel tells all but those events."""
    events = [store(START + 1, 0, 3, 100), store(START + 2, 0, 4, 200), free(START + 3, 0, 3)]
    if "notification" in missing:
        events.append(Event(START + 4, EventKind.DROP, 0, 3, size=100))
    else:
        flags = EventFlag.MISSED if "store entry dropped" in missing else EventFlag.DROPPED
        events.append(Event(START + 4, EventKind.NOTIFY, 0, 3, size=100, arg=7, flags=flags))
    kinds = {EventKind.STORE} if "slot stored and loaded" in missing else set()
    analysis = Analysis(header([AREA], [STORE], missing=missing))
    analysis.feed(batch([event for event in events if event.kind not in kinds]))
    return analysis.finish(trailer)


def test_all_is_told() -> None:
    area = as_json(result())["areas"][0]
    assert (area["stores"], area["frees"], area["notify_free"], area["compr_data_size"]) == (2, 1, 1, 200)
    assert not any("DID NOT TELL" in said for said in warnings(result()))


def test_without_notifications() -> None:
    """The drops themselves tell what the store holds; only what is about notifications is unknown."""
    told = result("notification")
    report = as_json(told)
    area = report["areas"][0]
    assert report["not_told"] == ["notification"]
    assert (area["stores"], area["frees"], area["compr_data_size"]) == (2, 1, 200)
    assert area["policies"]["observed"]["stale_slots_end"] == 0
    for name in ("notified", "notify_free", "miss_free", "discarded", "notification_ns"):
        assert area[name] is None
    assert any("DID NOT TELL OF: notification" in said for said in warnings(told))


@pytest.mark.parametrize("event", sorted(BLIND))
def test_without_what_the_store_model_needs(event: str) -> None:
    report = as_json(result(event))
    (area,) = report["areas"]
    assert area["frees"] == 1 and area["free_reasons"]["other"] == 1
    known = {
        "device", "swap_type", "generation", "backing", "slots", "frees", "free_reasons", "kernel", "what_if", "bounds",
        "unknown",
    }  # fmt: skip
    told = {name for name, value in area.items() if value is not None}
    assert told == known | {"written_back", "used_slots"}


def test_missed_returns_are_losses() -> None:
    """Beside what the ring had no room for: the same warning, and the reason by itself."""
    start = header([AREA], [STORE]).start
    told = result(trailer=Trailer(start, {"STORE": 5}, missed={"STORE": 2, "LOAD": 1}))
    report = as_json(told)
    assert report["losses"] == {"STORE": 7, "LOAD": 1}
    assert report["missed"] == {"STORE": 2, "LOAD": 1}
    assert report["trace"]["lost_events"] == 8
    (said,) = [said for said in warnings(told) if "LOST" in said]
    assert said.startswith("8 EVENTS WERE LOST (7 store, 1 load, 3 of them by probes that did not run): ")
