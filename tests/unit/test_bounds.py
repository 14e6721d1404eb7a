"""Figures of a trace with losses: the true ones lie within the bounds that are given, and no others are given.

Whole streams, of the kernel's imitation and of garbage, are robbed of some of their events, which are counted as the
recorder counts them.
"""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import CLUSTER_SLOTS, PAGE_SIZE, START, Event, batch, free, header, store, told_zsmalloc, zram_area
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_replay import Trace, garbage, plausible, reproducible

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.events import EventFlag, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.html import write_html
from swaptrace.report.tables import EQUAL
from swaptrace.report.text import print_text
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Trailer

AREA, ZRAM = zram_area("/dev/zram0", 0, 64, 0), Store(0, "zram0", 64, counters={"pages_stored": 0})
STRUCTURE = {EventKind.SWAPON, EventKind.SWAPOFF, EventKind.RESET}
#: Counted in slots; and failed writes, in how many the kernel has counted.
RUNS = {EventKind.FREE, EventKind.ALLOC, EventKind.LOAD, EventKind.FAILED}
DEAR = ("lifetime_ns", "leaks", "mem_used_total", "pool", "ramzswap")


def rob(trace: Trace, seed: int, share: float) -> tuple[Trace, dict[str, int]]:
    """Without some events; and how many slots were lost, by kind: a single event, some of one kind, or some of all."""
    random_ = random.Random(seed)
    may = [n for n, event in enumerate(trace.events) if event.kind not in STRUCTURE | {EventKind.PRESENT}]
    if seed % 3 == 0:
        gone = set(random_.sample(may, min(len(may), 1)))
    else:
        kinds = {trace.events[n].kind for n in may}
        kinds = {random_.choice(sorted(kinds))} if kinds and seed % 3 == 1 else kinds
        gone = {n for n in may if trace.events[n].kind in kinds and random_.random() < share}
    lost: Counter[str] = Counter()
    for event in (trace.events[n] for n in gone):
        lost[event.kind.name] += event.run if event.kind in RUNS else 1
        lost["NOTIFY"] += bool(event.flags & EventFlag.NOTIFIED)
    return replace(trace, events=[event for n, event in enumerate(trace.events) if n not in gone]), dict(+lost)


def report(trace: Trace, lost: dict[str, int] | None = None, **how: Any) -> list[dict[str, Any]]:
    """The areas of the JSON report."""
    analysis = Analysis(header(trace.areas, trace.stores, missing=()), **how)
    analysis.feed(batch(trace.events))
    return as_json(analysis.finish(Trailer(Snapshot(trace.end), lost or {})))["areas"]  # type: ignore[no-any-return]


def leaves(figure: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(figure, dict) or not figure:
        return {name: figure}
    return {path: value for key in figure for path, value in leaves(figure[key], f"{name}.{key}".lstrip(".")).items()}


def check(truth: dict[str, Any], told: dict[str, Any]) -> Counter[str]:
    """Every figure is the true one, or null; and then its bounds hold it, or there is a reason."""
    seen: Counter[str] = Counter()
    true = leaves(truth)
    for figure, (low, high) in told["bounds"].items():
        at_least_none = max(true[figure], 0)  # more frees than stores, say, make a figure that no kernel has
        assert low <= at_least_none <= max(high, 0), (figure, low, true[figure], high)
        seen["tight" if low == true[figure] or high == true[figure] else "wide"] += 1
    for figure, value in true.items():
        if figure.startswith(("bounds", "unknown", "kernel.")):
            continue
        withheld = figure in told["bounds"] or any(f"{figure}.".startswith(f"{name}.") for name in told["unknown"])
        if withheld:
            seen["withheld"] += 1
        else:
            assert leaves(told).get(figure) == value, figure
            seen["exact"] += 1
    assert all(told["unknown"].values())
    return seen


def compare(trace: Trace, seed: int, share: float) -> Counter[str]:
    robbed, lost = rob(trace, seed, share)
    truth, told = report(trace), report(robbed, lost)
    assert len(truth) == len(told)
    return sum((check(*pair) for pair in zip(truth, told, strict=True)), Counter())


seeds = st.integers(0, 2**32)
shares = st.sampled_from([0.01, 0.05, 0.2, 0.7])


def test_a_lost_failed_write_is_as_many_as_the_kernel_has_counted() -> None:
    trace = Trace([AREA], [ZRAM], [Event(START + 5, EventKind.FAILED, 0, 7, run=4, arg=2)], START + 9)
    assert rob(trace, 0, 0.0)[1] == {"FAILED": 4}
    assert compare(trace, 0, 0.0)["tight"] > 0


@given(plausible, seeds, shares)
@reproducible
def test_true_figures_lie_within_bounds(trace: Trace, seed: int, share: float) -> None:
    compare(trace, seed, share)


@given(garbage, seeds, shares)
@reproducible
def test_bounds_hold_for_any_stream(trace: Trace, seed: int, share: float) -> None:
    """As long as no entry is larger than a page, and what no policy is about is not told by a notification."""

    def tamed(event: Event) -> Event:
        flags = event.flags & ~EventFlag.ANY_POLICY if event.kind == EventKind.NOTIFY else event.flags
        return event._replace(size=min(event.size, PAGE_SIZE), flags=int(flags))

    events = [tamed(event) for event in trace.events]
    compare(replace(trace, events=events), seed, share)


# ------------------------------------------------------------------------------------------------------------- by hand


EVENTS = [
    *(store(START + number, 0, number, 100 * number) for number in (1, 2, 3)),
    free(START + 10, 0, 2),
    Event(START + 11, EventKind.NOTIFY, 0, 2, size=200, flags=EventFlag.DROPPED),
]


def by_hand(lost: dict[str, int], missed: dict[str, int] | None = None, **how: Any) -> dict[str, Any]:
    """Three slots stored, one freed and notified."""
    return as_json(analysed(EVENTS, lost, missed or {}, **how))["areas"][0]  # type: ignore[no-any-return]


def analysed(events: list[Event], lost: dict[str, int], missed: dict[str, int], **how: Any) -> TraceResult:
    """The kernel's counters at the end say what the events say, but for one page."""
    analysis = Analysis(header([AREA], [ZRAM], missing=(), zsmalloc=told_zsmalloc()), **how)
    analysis.feed(batch(events))
    kernel = {"pages_stored": 2, "compr_data_size": 400, "huge_pages": 7}
    return analysis.finish(Trailer(Snapshot(START + 100, (), (replace(ZRAM, counters=kernel),)), lost, missed=missed))


def test_nothing_lost() -> None:
    area = by_hand({})
    assert (area["bounds"], area["unknown"]) == ({}, {})
    assert (area["stores"], area["frees"], area["pages_stored"]) == (3, 1, 2)


def test_lost_frees() -> None:
    area = by_hand({"FREE": 2})
    bounds = area["bounds"]
    assert (area["stores"], area["pages_stored"], area["compr_data_size"]) == (3, 2, 400)  # nothing to do with frees
    assert area["frees"] is None and bounds["frees"] == [1, 3]
    assert bounds["rewrites"] == [0, 0] or area["rewrites"] is None
    assert bounds["policies.none.stale_slots_end"] == [1, 3]
    assert bounds["policies.none.stale_compr_bytes.end"] == [200, 200 + 2 * PAGE_SIZE]
    assert bounds["live_slots_end"] == [0, 2]
    assert bounds["policies.discard.stale_slots_end"] == [0, 3]  # never more than under none
    assert CLUSTER_SLOTS > 2
    assert area["policies"]["none"] == {
        "stale_slots_end": None, "stale_slots_peak": None, "stale_pool_bytes": None,
        "stale_compr_bytes": {"end": None, "peak": None, "mean": None, "byte_seconds": None},
    }  # fmt: skip
    assert area["unknown"]["lifetime_ns"] == "lost: 2 FREE"
    assert all(area[name] is None for name in DEAR if name != "ramzswap")
    assert area["notified"] is True


def test_lost_stores_leave_frees_exact() -> None:
    area = by_hand({"STORE": 1})
    assert (area["frees"], area["free_reasons"]["other"], area["notify_free"]) == (1, 1, 1)
    assert area["bounds"]["stores"] == [3, 4]
    assert area["bounds"]["pages_stored"] == [2, 3]
    assert area["bounds"]["compr_data_size"] == [0, 400 + PAGE_SIZE]


def test_lost_allocations_concern_discards_only() -> None:
    """What is not stale under `none`, which is known, is not under `discard` either."""
    area = by_hand({"ALLOC": 1})
    assert area["policies"]["none"]["stale_slots_end"] == 1
    assert area["bounds"]["policies.discard.stale_slots_end"] == [0, 1]
    assert area["bounds"]["used_slots"] == [0, 0]


def test_no_more_slots_are_stale_than_the_area_has() -> None:
    """However many were lost; bytes have no such limit, as the size of an entry is not known."""
    bounds = by_hand({"STORE": 100, "FREE": 100})["bounds"]
    for policy in ("none", "discard", "discard_once", "notify", "observed"):
        assert [bounds[f"policies.{policy}.stale_slots_{when}"][1] for when in ("end", "peak")] == [AREA.slots] * 2
    assert bounds["policies.none.stale_compr_bytes.end"][1] > AREA.slots * PAGE_SIZE
    assert bounds["stores"] == [3, 103]


def test_a_lost_allocation_makes_the_free_of_a_disks_slot_one_of_a_slot_never_written() -> None:
    """Nothing else tells that a disk's slot is in use."""
    disk = SwapArea("/dev/sda2", 0, -2, 64)
    events = [Event(START + 1, EventKind.ALLOC, 0, 5), free(START + 2, 0, 5)]
    (truth,) = report(Trace([disk], [], events, START + 9))
    (told,) = report(Trace([disk], [], events[1:], START + 9), {"ALLOC": 1})
    assert truth["frees_unwritten"] == 0 and told["bounds"]["frees_unwritten"] == [0, 1]
    check(truth, told)


def test_names_alone_are_no_loss_of_figures() -> None:
    area = by_hand({"TASK": 9})
    assert (area["bounds"], area["unknown"]) == ({}, {})


def test_probes_that_did_not_run() -> None:
    """Nobody knows for how many slots: what was counted is a lower bound of counts, and there is no other."""
    area = by_hand({}, {"FREE": 1})
    assert area["bounds"]["frees"] == [1, None]
    assert area["bounds"]["stores"] == [3, None]
    assert area["policies"]["none"]["stale_slots_end"] is None
    assert "policies.none.stale_slots_end" in area["unknown"]


@pytest.mark.parametrize("kind", sorted(kind.name for kind in STRUCTURE))
def test_without_the_structure_nothing_is_known(kind: str) -> None:
    area = by_hand({kind: 1})
    assert area["bounds"] == {}
    assert area["stores"] is None and area["unknown"]["stores"] == f"lost: 1 {kind}"


@pytest.mark.parametrize("how", [{"since": START + 5}, {"until": START + 5}])
def test_a_part_of_a_recording_with_losses(how: dict[str, int]) -> None:
    """Nobody knows which part they belong to."""
    area = by_hand({"FREE": 1}, **how)
    assert area["bounds"] == {}
    assert area["stores"] is None and area["policies"]["none"]["stale_slots_end"] is None
    assert by_hand({}, **how)["unknown"] == {}


# ------------------------------------------------------------------------------------------------------------ in words


def text_of(result: TraceResult) -> str:
    out = io.StringIO()
    print_text(result, Console(file=out, width=100))
    return out.getvalue()


def row(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(name))[1:]


def test_text_states_no_equality() -> None:
    exact, told = text_of(analysed(EVENTS, {}, {})), text_of(analysed(EVENTS, {"STORE": 3}, {}))
    assert row(exact, "pages_stored") == ["2", "2", EQUAL]
    assert EQUAL not in told and "model - kernel" not in told
    assert row(told, "pages_stored") == ["2", "5", "2", "within"]
    assert row(told, "huge_pages") == ["0", "3", "7", "OUTSIDE"]
    assert row(told, "none: slots, end")[2:] == ["0", "4"]
    assert row(told, "stores")[:2] == ["3", "6"]
    assert "Stale slots would hold between 0 B and 12.2 KiB at the end" in " ".join(told.split())
    assert "How long slots are in use" in exact and "How long slots are in use" not in told


def test_text_when_probes_did_not_run() -> None:
    told = " ".join(text_of(analysed(EVENTS, {}, {"STORE": 1})).split())
    assert EQUAL not in told
    assert "What stale slots hold is not known: probes did not run" in told


def test_html_states_no_equality_and_draws_nothing(tmp_path: Path) -> None:
    page = write_html(analysed(EVENTS, {"STORE": 3}, {}), tmp_path).read_text()
    assert f">{EQUAL}<" not in page and 'class="chart"' not in page
    assert ">within<" in page and re.search('class="apart"[^>]*>OUTSIDE<', page)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
