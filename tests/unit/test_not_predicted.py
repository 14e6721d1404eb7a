"""Policies under which an area would use other slots than were recorded: null with a reason, everywhere."""

from __future__ import annotations

import dataclasses
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import START, Event, batch, free, header, store, swap_call, told_zsmalloc, trailer, zram_area
from rich.console import Console

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store, SwapArea
from swaptrace.degradation import SLOT_ALLOCATED
from swaptrace.events import EventFlag, EventKind
from swaptrace.kernel.btf import Field
from swaptrace.kernel.layout import slots_by_discard
from swaptrace.machine import sysfs
from swaptrace.machine.snapshot import KernelArea, kernel_area, take_snapshot
from swaptrace.report import tables, words
from swaptrace.report.as_json import as_json
from swaptrace.report.charts import CHARTS
from swaptrace.report.command import Selection, _select
from swaptrace.report.html import write_html
from swaptrace.report.pictures import draw
from swaptrace.report.text import print_text
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.header import Header, from_json, to_json
from tests.unit.fixtures import KERNELS, fixture

STORE = Store(0, "zram0", 16)
AREA = zram_area("/dev/zram0", 0, 16, 0)
ALL = {"none", "discard", "discard_once", "notify", "observed"}
PLAIN, DISCARDING = {"none", "discard_once"}, {"discard"}  # what other areas do than one that is not such


def record(*, by: bool | None, discards: bool | None, area: SwapArea = AREA, **changes: Any) -> Analysis:
    """Two pages go out, one slot is freed; a kernel that chooses slots by the area's flag, or not (None: not told)."""
    area = dataclasses.replace(area, discards=discards)
    analysis = Analysis(header([area], [STORE], slots_by_discard=by, **{"zsmalloc": told_zsmalloc(), **changes}))
    gone = Event(START + 30, EventKind.NOTIFY, 0, 5, size=1000, flags=EventFlag.DROPPED, arg=9)
    analysis.feed(batch([store(START + 10, 0, 5, 1000), store(START + 20, 0, 6, 700), free(START + 30, 0, 5), gone]))
    return analysis


def result(**how: Any) -> TraceResult:
    return record(**how).finish(trailer(START + 100))


def area_of(**how: Any) -> AreaResult:
    return result(**how).areas[0]


# ------------------------------------------------------------------------------------------------ which


@pytest.mark.parametrize(
    ("by", "discards", "gone"),
    [
        (False, False, set()),
        (False, True, set()),
        (False, None, set()),
        (True, False, DISCARDING),
        (True, True, PLAIN),
        (True, None, PLAIN | DISCARDING),
        (None, False, DISCARDING),
        (None, True, PLAIN),
        (None, None, PLAIN | DISCARDING),
    ],
)
def test_by_kernel_and_by_flag(by: bool | None, discards: bool | None, gone: set[str]) -> None:
    found, known = area_of(by=by, discards=discards), area_of(by=False, discards=discards)
    assert set(found.not_predicted) == gone
    assert found.policies == {name: policy for name, policy in known.policies.items() if name not in gone}
    assert set(known.policies) == ALL
    assert known.policies["none"].stale_slots_end == 1
    assert known.policies["discard"].stale_slots_end == 1  # there is another slot in use in its cluster of four
    for kind in ("slots", "bytes", "pool_bytes"):
        names = set(getattr(found.series, kind))
        assert not names & gone
        assert ("recovered" in names) == ("none" not in gone and "recovered" in getattr(known.series, kind))
    assert (found.recovered == {"compr_bytes": None, "pool_bytes": None}) == ("none" in gone)
    assert found.leaked == known.leaked
    assert found.exact  # nothing was lost


def test_the_reasons_differ() -> None:
    said = {
        area_of(by=by, discards=discards).not_predicted["discard"]
        for by, discards in ((True, False), (True, None), (None, None))
    }
    assert len(said) == 3
    assert area_of(by=True, discards=True).not_predicted["none"].endswith("and this one does")


def test_without_a_store_nothing_is_stale_under_any_policy() -> None:
    assert area_of(by=True, discards=False, area=SwapArea("/dev/sda2", 0, -3, 14)).not_predicted == {}


@pytest.mark.parametrize(("function", "gone"), [("get_swap_pages", set()), ("alloc_swap_scan_cluster", DISCARDING)])
def test_older_traces_are_known_by_a_function_that_has_gone(function: str, gone: set[str]) -> None:
    probes = ({"event": SLOT_ALLOCATED, "functions": [function]},)
    assert set(area_of(by=None, discards=False, probes=probes).not_predicted) == gone


@pytest.mark.parametrize(
    ("flags", "told", "gone"),
    [
        (0x8005, None, DISCARDING),  # a priority
        (0x20000, None, DISCARDING),  # nothing without the flag that it qualifies
        (0x10000, None, PLAIN | DISCARDING),  # whether it does depends on the device
        (0x50000, None, PLAIN | DISCARDING),
        (0x30000, None, DISCARDING),  # once, at swapon
        (0x10000, True, PLAIN),  # the kernel's own flag says more
        (0x10000, False, DISCARDING),
    ],
)
def test_swapon_in_older_traces_tells_what_does_not_discard(flags: int, told: bool | None, gone: set[str]) -> None:
    area = dataclasses.replace(AREA, discards=told)
    analysis = Analysis(header([], [STORE], slots_by_discard=None))
    event = swap_call(START + 5, "swapon", area, STORE)
    assert event.call is not None
    on = event._replace(call=dataclasses.replace(event.call, flags=flags))
    analysis.feed(batch([on, store(START + 10, 0, 5, 1000)]))
    (found,) = analysis.finish(trailer(START + 100)).areas
    assert set(found.not_predicted) == gone


def test_what_if_leaves_them_out() -> None:
    analysis = record(by=True, discards=False, zsmalloc=_zsmalloc())
    analysis.finish(trailer(START + 100))
    (found,) = analysis.what_if()
    assert found is not None
    assert set(found.stale_pool_bytes) == ALL - DISCARDING


def _zsmalloc() -> dict[str, Any]:
    from swaptrace.engine import zsmalloc

    pages = zsmalloc.geometry(4096).arrays.classes["pages_per_zspage"].tolist()
    return {"pages_per_zspage": pages, "fullness_rule": "TENTHS"}


# ------------------------------------------------------------------------------------------------ how it is known


class Fields:
    """A kernel whose swap_info_struct has these fields."""

    def __init__(self, *names: str) -> None:
        self._names = {f"swap_info_struct.{name}" for name in names}

    def field(self, path: str) -> Field | None:
        return Field(0, 8) if path in self._names else None


@pytest.mark.parametrize(
    ("fields", "by"),
    [
        (("flags", "cluster_next_cpu"), False),  # up to 6.11
        (("flags", "nonfull_clusters", "frag_cluster_nr"), False),  # 6.12 to 6.17
        (("flags", "nonfull_clusters"), True),  # since 6.18
    ],
)
def test_the_kernel_is_known_by_its_fields(fields: tuple[str, ...], by: bool) -> None:
    assert slots_by_discard(SimpleNamespace(vmlinux=Fields(*fields))) is by  # type: ignore[arg-type]


def test_real_kernels_are_known_by_theirs() -> None:
    assert [name for name in KERNELS if slots_by_discard(fixture(name).types)] == ["6.18", "7.3"]


@pytest.mark.parametrize(("flags", "discards"), [(0x803, False), (0x203, False), (0x607, True)])
def test_the_area_is_known_by_its_flags(flags: int, discards: bool) -> None:
    """0x200: SWP_AREA_DISCARD (once, at swapon); 0x400: SWP_PAGE_DISCARD."""
    seen = SimpleNamespace(flags=flags, swap_file=1, pages=9, priority=-3)
    assert kernel_area(2, seen) == KernelArea(2, 1, 9, -3, discards)


def test_an_area_that_is_off_is_none() -> None:
    assert kernel_area(2, SimpleNamespace(flags=0x606, swap_file=1, pages=9, priority=-3)) is None


@pytest.mark.parametrize("discards", [None, False, True])
def test_the_snapshot_has_it(discards: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysfs, "read_swaps", lambda: [sysfs.SwapsLine("/dev/nothing", "partition", 9, 0, -3)])
    snapshot = take_snapshot(lambda: [KernelArea(2, 1, 9, -3, discards)])
    assert [(area.swap_type, area.discards) for area in snapshot.areas] == [(2, discards)]


def test_traces_keep_both() -> None:
    whole = header([dataclasses.replace(AREA, discards=True)], [STORE], slots_by_discard=True)
    again = from_json(Header, to_json(whole))
    assert (again.slots_by_discard, again.start.areas[0].discards) == (True, True)
    older = to_json(header([AREA])).replace(',"slots_by_discard":false', "").replace(',"discards":null', "")
    again = from_json(Header, older)
    assert (again.slots_by_discard, again.start.areas[0].discards) == (None, None)


# ------------------------------------------------------------------------------------------------ what reports say


def test_json_has_null_and_the_reason() -> None:
    whole = result(by=True, discards=False)
    (found,) = as_json(whole)["areas"]
    why = whole.areas[0].not_predicted["discard"]
    assert found["policies"]["discard"] is None
    assert found["unknown"] == {"policies.discard": why}
    assert found["policies"]["none"]["stale_slots_end"] == 1
    assert found["discards"] is False


def test_json_of_an_area_that_discards() -> None:
    (found,) = as_json(result(by=True, discards=True))["areas"]
    null = {"policies.none", "policies.discard_once", "recovered.compr_bytes", "recovered.pool_bytes"}
    assert set(found["unknown"]) == null
    assert found["policies"]["none"] is found["policies"]["discard_once"] is found["recovered"]["compr_bytes"] is None
    assert found["policies"]["discard"]["stale_slots_end"] == 1
    assert found["leaked"]["compr_bytes"]["end"] == 0


def test_json_has_only_policies_that_were_asked_for() -> None:
    whole = result(by=True, discards=False)
    (found,) = as_json(_select(whole, Selection(policies=("discard",))))["areas"]
    assert found["policies"] == {"discard": None}
    (found,) = as_json(_select(whole, Selection(policies=("none",))))["areas"]
    assert "discard" not in found["policies"]
    assert set(found["unknown"]) == {"recovered", "leaked", "leaks"}  # which compare it with another one


def text_of(whole: TraceResult) -> str:
    out = StringIO()
    print_text(whole, Console(file=out, width=100))
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("discards", [False, True])
def test_text_and_html_leave_out_and_say_why(discards: bool, tmp_path: Path) -> None:
    whole = result(by=True, discards=discards)
    gone = "none, discard_once" if discards else "discard"
    said = f"Not predicted: {gone}, for this kernel takes other slots in an area that discards its free clusters"
    assert said in text_of(whole)
    page = " ".join(write_html(whole, tmp_path).read_text().split())
    assert said in page
    table = tables.slots_table(whole.areas[0], None)
    assert table is not None
    assert set(table.rows) == ALL - set(gone.split(", "))
    assert "Not predicted" not in text_of(result(by=False, discards=discards))


def test_headlines_rest_on_nothing_that_is_not_known() -> None:
    said = words.headline(area_of(by=True, discards=True))
    assert said.startswith("Stale slots hold 0 B (0 % of the store) at the end; what they would hold without")
    assert said.endswith("and this one does.")
    assert words.headline(area_of(by=True, discards=False)) == words.headline(area_of(by=False, discards=False))


def test_charts_draw_none_of_them() -> None:
    charts = {chart.name: chart for chart in CHARTS}
    plain, discarding = area_of(by=True, discards=False), area_of(by=True, discards=True)
    (axes,) = draw(charts["policies"].plot(plain)).axes
    assert [line.get_label().split(":")[0] for line in axes.lines] == ["none", "notify", "observed"]
    assert any("not predicted: discard" in text.get_text() for text in draw(charts["policies"].plot(plain)).texts)
    assert charts["map"].plot(plain).panels
    assert not charts["map"].plot(discarding).panels
    content = draw(charts["content"].plot(discarding))
    assert any("1 slots were live at the end" in text.get_text() for text in content.texts)
    assert not any("no stale one" in text.get_text() for text in content.texts)
    assert "stale without notifications" not in content.axes[0].get_legend_handles_labels()[1]
