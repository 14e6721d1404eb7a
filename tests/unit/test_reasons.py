"""No figure is null without a reason: in `bounds` or `unknown` of its area, or where the document says when it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.degradation import DROPPED, NOTIFICATION, RECOMPRESSION, SLOT_ALLOCATED, STORED, WRITTEN_BACK
from swaptrace.engine import zsmalloc
from swaptrace.errors import UsageProblem
from swaptrace.events import EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.command import Selection, analyse
from swaptrace.report.text import print_text
from swaptrace.results.catalogue import FIGURES, figure_at
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Trailer
from tests.unit.builders import START, Event, batch, free, header, store, swap_call, told_zsmalloc, zram_area
from tests.unit.fixtures import DATA, KERNELS, TRACE

ROWS = {row.name: row for row in FIGURES}
ZRAM = Store(0, "zram0", 64, counters={"pages_stored": 0, "failed_writes": 0, "pages_compacted": 0}, table_bytes=4096)
AREA = replace(zram_area("/dev/zram0", 0, 64, 0), discards=False)
OTHER = replace(zram_area("/dev/zram0", 1, 64, 0), generation=1)


def behind_zswap(swap_type: int) -> SwapArea:
    return SwapArea(
        f"/dev/sd{swap_type}", swap_type, -2, 64, 0, "zswap", ZSWAP_STORES + swap_type, ((0, 0, 64),), discards=False
    )


def zswap(swap_type: int = 0, **how: Any) -> Store:
    return Store(ZSWAP_STORES + swap_type, "zswap", 64, **how)


def without_reason(area: dict[str, Any]) -> list[str]:
    """The names of the area's figures that are null, and nobody says why."""
    told = {**area["bounds"], **area["unknown"]}

    def nulls(value: Any, name: str) -> Iterator[str]:
        if value is None:
            yield name
        elif isinstance(value, dict):
            for key, inside in value.items():
                yield from nulls(inside, f"{name}.{key}".lstrip("."))

    def explained(name: str) -> bool:
        parts = name.split(".")
        names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        rows = (figure_at(place) for place in names)
        documented = any("null" in row.sentence.lower() and "`unknown`" not in row.sentence for row in rows if row)
        return bool(names & told.keys()) or documented

    figures = {name: value for name, value in area.items() if name not in ("bounds", "unknown")}
    return [name for name in nulls(figures, "") if not explained(name)]


def recorded(
    area: SwapArea | None = AREA, zram: Store | None = ZRAM, events: list[Event] | None = None, **how: Any
) -> TraceResult:
    """Of a page that is stored and freed, unless there are other events."""
    device = area.store if area is not None and area.store is not None else 0
    events = events or [store(START + 1, device, 3, 100), free(START + 3, 0, 3)]
    areas, stores = [one for one in (area, how.pop("second", None)) if one], [zram] if zram else []
    end = how.pop("end", Trailer(Snapshot(START + 9, (), tuple(stores))))
    cut = {name: how.pop(name) for name in ("since", "until") if name in how}
    analysis = Analysis(header(areas, stores + how.pop("stores", []), **{"missing": (), **how}), **cut)
    analysis.feed(batch(events))
    return analysis.finish(end)


POOL = told_zsmalloc()
MOVED = {"pages_stored": 1, "failed_writes": 4, "pages_compacted": 7}
BEFORE = Event(START, EventKind.PRESENT, 0, 8, run=5)
SHARED = [zswap(1, counters={})]

#: By what is the matter: the trace, and what is said of its pool ("" if that is known).
TRACES: dict[str, tuple[TraceResult, str]] = {
    "nothing": (recorded(zsmalloc=POOL), ""),
    "older": (recorded(), "the trace does not tell how this kernel's zsmalloc is built"),
    "held before": (
        recorded(events=[BEFORE, store(START + 1, 0, 3, 10)], zsmalloc=POOL),
        "the size of 5 entries that the store held when the recording began was not told",
    ),
    "disk": (recorded(SwapArea("/dev/sda", 0, -2, 64), None), "the area is on a disk"),
    "not understood": (
        recorded(SwapArea("/x", 0, -2, 64, 0, "unknown", not_told="its file is gone"), None), "its file is gone",
    ),
    "recompression": (recorded(zram=replace(ZRAM, features=(RECOMPRESSION,)), zsmalloc=POOL), "it recompresses"),
    "zswap": (recorded(behind_zswap(0), zswap(), zsmalloc=POOL), ""),
    "zswap, other pool": (
        recorded(behind_zswap(0), zswap(allocator="zbud"), zsmalloc=POOL), "is zbud, of which there is no model",
    ),
    "zswap, pools": (recorded(behind_zswap(0), zswap(allocator=""), zsmalloc=POOL), "it has several pools"),
    "zswap, held before": (
        recorded(behind_zswap(0), zswap(counters={"pages_stored": 3}), zsmalloc=POOL), "zswap held pages when",
    ),
    "zswap, two areas": (
        recorded(behind_zswap(0), zswap(), second=behind_zswap(1), stores=SHARED, zsmalloc=POOL),
        "zswap keeps the pages of several swap areas in one pool",
    ),
    "large": (
        recorded(zram=replace(ZRAM, pages=zsmalloc.MOST_SLOTS + 1), zsmalloc=POOL), "the store has more pages than",
    ),
    "compacted": (
        recorded(zsmalloc=POOL, end=Trailer(Snapshot(START + 9, (), (replace(ZRAM, counters=MOVED),)))), "compacted",
    ),
    "discards": (recorded(replace(AREA, discards=True), slots_by_discard=True, zsmalloc=POOL), ""),
    "lost": (
        recorded(zsmalloc=POOL, end=Trailer(Snapshot(START + 9), {"STORE": 3, "FREE": 1, "LOAD": 2})), "lost",
    ),
    "lost, no pool": (recorded(end=Trailer(Snapshot(START + 9), {"STORE": 3})), "does not tell how"),
    "missed": (recorded(zsmalloc=POOL, end=Trailer(Snapshot(START + 9), missed={"NOTIFY": 1})), "probes did not run"),
    "killed": (recorded(zsmalloc=POOL, end=None), ""),
    "since": (recorded(zsmalloc=POOL, since=START + 2), ""),
    "until": (recorded(zsmalloc=POOL, until=START + 2), ""),
    "off": (recorded(events=[swap_call(START + 5, "swapoff", AREA)], zsmalloc=POOL), ""),
    **{
        f"without {event}": (recorded(zsmalloc=POOL, missing=(event,)), why)
        for event, why in (
            (STORED, STORED), (DROPPED, DROPPED), (WRITTEN_BACK, WRITTEN_BACK), (NOTIFICATION, ""), (SLOT_ALLOCATED, "")
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_of_real_traces(name: str) -> None:
    report = as_json(analyse(DATA / name / TRACE))
    assert [found for area in report["areas"] if (found := without_reason(area))] == []


@pytest.mark.parametrize("matter", TRACES)
def test_of_a_trace_with(matter: str) -> None:
    result, why = TRACES[matter]
    (area, *_) = as_json(result)["areas"]
    assert without_reason(area) == []
    assert (area["pool"] is None) == bool(why)
    assert why in area["unknown"].get("pool", "") and bool(area["unknown"].get("pool")) == bool(why)


@pytest.mark.parametrize("policy", ["none", "observed"])
@pytest.mark.parametrize("matter", TRACES)
def test_of_some_policies(matter: str, policy: str) -> None:
    """Nothing is said of others."""
    result, _ = TRACES[matter]
    areas = [replace(area, shown=(policy,)) for area in result.areas]
    (area, *_) = as_json(replace(result, areas=areas))["areas"]
    assert without_reason(area) == []
    named = {name.split(".")[1] for name in area["unknown"] if name.startswith("policies.")}
    assert named <= {policy}


def test_a_null_without_a_reason_is_found() -> None:
    area = as_json(TRACES["older"][0])["areas"][0]
    del area["unknown"]["pool"]
    assert without_reason(area) == ["pool"]
    assert without_reason(area | {"frees": None}) == ["frees", "pool"]


def said(result: TraceResult) -> str:
    out = io.StringIO()
    print_text(result, Console(file=out, width=100))
    return " ".join(out.getvalue().split())


def test_the_text_says_why_there_are_no_pool_bytes() -> None:
    """Beside what is stale in bytes of the store; and it warns of nothing."""
    text = said(analyse(DATA / "6.1" / TRACE))
    assert "What that is in pages of memory is not known: the size of" in text and "was not told." in text
    assert "WARNING" not in text
    assert "pages of memory is not known" not in said(TRACES["nothing"][0])


def test_what_if_says_why_it_gives_nothing() -> None:
    """6.1: the one store held entries before, the other one did not."""
    path = DATA / "6.1" / TRACE
    result = analyse(path, Selection(what_ifs=("chain=8",)))
    areas = {area["device"]: area for area in as_json(result)["areas"]}
    assert list(areas["/tmp/areas/swap"]["what_if"]) == ["chain=8"]
    assert areas["/dev/zram0"]["what_if"] == {}
    assert "was not told" in areas["/dev/zram0"]["unknown"]["what_if"]
    assert "what_if" not in areas["/tmp/areas/swap"]["unknown"]
    assert "--what-if tells nothing of it: the size of" in said(result)
    with pytest.raises(UsageProblem, match=r"--what-if chain=8: .*/dev/zram0: the size of .* was not told"):
        analyse(path, Selection(what_ifs=("chain=8",), devices=("/dev/zram0",)))


def test_without_what_if_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert all("what_if" not in area["unknown"] for area in as_json(analyse(DATA / "6.1" / TRACE))["areas"])
