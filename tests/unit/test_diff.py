"""`swaptrace diff`: what has changed between recordings whose every event is known, and between golden ones."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from builders import PAGE_SIZE, START, Event, batch, free, header, notified_free, store, trailer, zram_area
from fixtures import DATA, FORMATS, KERNELS, TRACE
from hypothesis import given
from hypothesis import strategies as st
from test_by import rows as rows_of
from test_options import complaint, run

from swaptrace import units
from swaptrace.areas import Store, SwapArea
from swaptrace.console import Console
from swaptrace.diff import words
from swaptrace.diff.comparison import chance_of
from swaptrace.diff.diff import compare
from swaptrace.diff.document import Pair, Result, Row, Spread
from swaptrace.diff.figures import RATIOS, Interval
from swaptrace.diff.recordings import read
from swaptrace.diff.text import print_text
from swaptrace.engine import zsmalloc
from swaptrace.events import EventKind
from swaptrace.histogram import bucket_bounds, bucket_of
from swaptrace.report.command import analyse
from swaptrace.results.file import encode
from swaptrace.trace.header import Header
from swaptrace.trace.writer import TraceWriter
from tests.data.documents import DIFF_DOCUMENT, DIFF_SCHEMA, diff_schema, diff_schema_text, written

RENEW = "if this is as it should be: python -m tests.data.documents"
SECOND = 1_000_000_000
AREA = zram_area("/dev/zram0", 0, 64, 0)
ZRAM = Store(0, "zram0", 64, "lz4", allocator="zsmalloc")
NONE = "policies.none.stale_compr_bytes"
OBSERVED = "policies.observed.stale_compr_bytes"


def pool_of(chain: int) -> dict[str, Any]:
    rule, fullness = zsmalloc.ChainRule.LEAST_WASTE, zsmalloc.FullnessRule.TENTHS
    geometry = zsmalloc.geometry(PAGE_SIZE, chain, rule, fullness)
    return {"pages_per_zspage": geometry.arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}


class Work(NamedTuple):
    """Pages of `size` bytes are stored, one each second, and `freed` of them freed in the 11th second.

    notified: whether the store hears of it. The recording is `seconds` long.
    """

    pages: int = 8
    size: int = 1000
    freed: int = 4
    notified: bool = True
    seconds: int = 20

    @property
    def events(self) -> list[Event]:
        stored = [store(START + slot * SECOND, 0, slot, self.size) for slot in range(1, self.pages + 1)]
        at = START + 11 * SECOND
        how = (lambda slot: notified_free(at, 0, slot, self.size)) if self.notified else lambda slot: free(at, 0, slot)
        return [*stored, *map(how, range(1, self.freed + 1))]


USUAL = Work()


def record(
    path: Path,
    work: Work = USUAL,
    *,
    start: Header | None = None,
    lost: dict[str, int] | None = None,
    **changes: object,
) -> str:
    """Write a trace of that work, and return its path. changes: of its header."""
    start = start or header([AREA], [ZRAM], zsmalloc=pool_of(8), missing=())
    with_changes = replace(start, **changes)  # type: ignore[arg-type]
    writer = TraceWriter(path, with_changes)
    writer.feed(batch(work.events, {100: "stress"}))
    writer.close(trailer(START + work.seconds * SECOND, lost=lost or {}))
    return str(path)


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON document, which is as its schema says."""
    status, out, err = run(capsys, ["diff", "--format", "json", *arguments])
    assert status == 0, err
    document = json.loads(out)
    jsonschema.validate(document, diff_schema(), jsonschema.Draft202012Validator)
    return document


def figures(document: Any, area: int = 0) -> dict[str, Any]:
    return {row["name"]: row for row in document["areas"][area]["figures"]}


def medians(row: Any, measure: str) -> tuple[float, float]:
    return tuple(row["measures"][measure][side]["median"] for side in "ab")  # type: ignore[return-value]


def text_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status, out, err = run(capsys, ["diff", *arguments])
    assert status == 0, err
    return out


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no name of a row is broken into lines."""
    monkeypatch.setenv("COLUMNS", "160")


def flat(text: str) -> str:
    return " ".join(text.split())


# ------------------------------------------------------------------------------------------------------ golden traces


@pytest.mark.parametrize("name", [*KERNELS, *FORMATS])
def test_a_recording_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = str(DATA / name / TRACE)
    document = compared(capsys, path, path)
    assert document["setup"] == document["not_compared"] == []
    for area in document["areas"]:
        assert {row["result"] for row in area["figures"]} <= {"same", "unknown"}
        assert area["setup"] == [] and area["verdict"].startswith("No difference in any of the figures")
    assert "No difference in any of the figures that are known (" in document["verdict"]


def test_kernels_with_other_chains(capsys: pytest.CaptureFixture[str]) -> None:
    """6.1 joins up to 4 pages, 6.12 up to 8: for the same bytes, pools differ."""
    document = compared(capsys, *(str(DATA / kernel / TRACE) for kernel in ("6.1", "6.12")))
    setup = {fact["name"]: (fact["a"], fact["b"]) for fact in document["setup"]}
    assert setup["zsmalloc chains"] == ("of up to 4 pages", "of up to 8 pages")
    assert setup["kernel"] == ("6.1.0-50-amd64", "6.12.117+deb13-amd64")
    assert setup["duration"] == ("4 min 25 s", "1 min 51 s")
    assert [area["title"] for area in document["areas"]] == [
        "/dev/zram0",
        "/dev/zram0, activation 2",
        "/tmp/areas/swap",
    ]
    lead = document["areas"][1]  # which has most at stake
    assert document["verdict"] == f"{lead['title']}: {lead['verdict']}"
    pool = figures(document, 2)["pool.peak"]
    reports = [analyse(DATA / kernel / TRACE).areas[2] for kernel in ("6.1", "6.12")]
    assert pool["result"] == "changed"
    assert medians(pool, "absolute") == tuple(area.pool.peak for area in reports if area.pool)
    assert medians(pool, "per_page_stored") == tuple(area.pool.peak / area.stores for area in reports if area.pool)
    assert {fact["name"]: (fact["a"], fact["b"]) for fact in document["areas"][0]["setup"]} == {
        "algorithm": ("lzo-rle", "lz4"),
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------- a known change


def test_what_changed_is_told_by_how_much(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where no notification comes, four pages of 1,000 bytes are stale for the last nine of twenty seconds."""
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(notified=False))
    document = compared(capsys, a, b)
    found = figures(document)
    stale = found[f"{OBSERVED}.byte_seconds"]
    assert medians(stale, "absolute") == (0, 4 * 1000 * 9)
    assert medians(stale, "per_page_stored") == (0, 4 * 1000 * 9 / 8)
    assert (stale["result"], stale["change"], stale["good"]) == ("changed", None, False)
    assert medians(found[f"{OBSERVED}.end"], "per_live_byte") == (0, 1)
    assert medians(found["stale_share.observed"], "absolute") == (0, 50)
    assert (found["stale_share.observed"]["change"], found["stale_share.observed"]["good"]) == (50, False)
    assert medians(found["notify_free"], "per_second") == (4 / 20, 0)
    assert (found["notify_free"]["change"], found["notify_free"]["good"]) == (-1, None)
    assert found["stores"]["result"] == found[f"{NONE}.byte_seconds"]["result"] == "same"
    assert document["verdict"].startswith(
        "Per page stored, B holds more in stale slots than A (4.4 KiB·s against 0 B·s) "
        "and takes 36 % more memory for its pool (17.0 KiB·s against 12.5 KiB·s); "
    )
    assert document["areas"][0]["setup"] == [{"name": "notified", "a": "yes", "b": "no"}]


def test_if_nothing_more_is_taken_the_sentence_is_of_what_would_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All is given back, and of the pool nothing is known: 2 of 8 pages would be stale for 9 s, or 6."""
    a, b = (record(tmp_path / str(freed), Work(freed=freed), zsmalloc=None) for freed in (2, 6))
    assert compared(capsys, a, b)["verdict"].startswith(
        "Per page stored, B would hold 200 % more in stale slots without notifications than A "
        "(6.6 KiB·s against 2.2 KiB·s); "
    )


def test_twice_the_work_is_no_change_per_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nor per second, in twice the time; what is held over time is the same for each page."""
    a = record(tmp_path / "a", Work(pages=4, freed=2, seconds=20))
    b = record(tmp_path / "b", Work(pages=8, freed=4, seconds=40))
    found = figures(compared(capsys, a, b))
    for name in ("frees", "stores", "notify_free"):
        assert found[name]["result"] == "same", name
    assert medians(found["frees"], "absolute") == (2, 4)
    assert medians(found["stores"], "per_second") == (4 / 20, 8 / 40)


def test_the_chain_shows_in_the_pool(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same events; longer chains leave more of a page unused until they are full."""
    work = Work(pages=9, size=1700)
    paths = [record(tmp_path / str(chain), work, zsmalloc=pool_of(chain)) for chain in (4, 8)]
    document = compared(capsys, *paths)
    ratio = figures(document)["pool_per_compressed_byte"]
    areas = [analyse(Path(path)).areas[0].model for path in paths]
    assert medians(ratio, "absolute") == tuple(
        area.mem_used_total / area.compr_data_size for area in areas if area.mem_used_total and area.compr_data_size
    )
    assert ratio["result"] == "changed" and ratio["better"] == "less"
    assert re.match(r"Per page stored, B takes [\d.]+ % (more|less) memory for its pool than A \(", document["verdict"])
    assert [fact["name"] for fact in document["setup"]] == ["zsmalloc chains"]
    others = {row["name"] for row in document["areas"][0]["figures"] if row["result"] == "changed"}
    assert all("pool" in name or name == "mem_used_total" for name in others)


def test_times_differ_by_their_ratio(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Slots that lived 10 to 7 s, and one that lived 10 s; of notifications, each took 500 ns."""
    found = figures(compared(capsys, record(tmp_path / "a", Work(freed=1)), record(tmp_path / "b", Work(freed=4))))
    low, high = (float(bucket_bounds()[int(bucket_of(10 * SECOND)) + step]) for step in (0, 1))  # type: ignore[call-overload]
    a, b = medians(found["lifetime_ns.max"], "absolute")
    assert a == b == 10 * SECOND and low <= a <= high
    assert medians(found["notification_mean_ns"], "absolute") == (500, 500)
    assert "notification_ns.total" not in found  # of those alone that were timed
    assert list(found["lifetime_ns.p50"]["measures"]) in ([], ["absolute"])


# ------------------------------------------------------------------------------------------------------- several runs


def test_inside_of_the_spread_there_is_no_difference(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of three runs and two: what lies between is none, what lies beyond all is one."""
    a = [record(tmp_path / f"a{size}", Work(size=size)) for size in (1000, 1100, 1200)]
    b = [record(tmp_path / f"b{size}", Work(size=size, freed=6)) for size in (1150, 1250)]
    document = compared(capsys, *a, "--", *b)
    found = figures(document)
    assert document["chance"] == pytest.approx(2 / 10)
    size = found["compressed_share"]
    assert size["result"] == "within_spread" and size["change"] is None
    absolute = found["compr_data_size"]["measures"]["absolute"]
    assert absolute["a"] == {"median": 4 * 1100, "min": 4 * 1000, "max": 4 * 1200}
    assert absolute["b"] == {"median": 2 * 1200, "min": 2 * 1150, "max": 2 * 1250}
    assert (found["frees"]["result"], found["frees"]["change"]) == ("changed", pytest.approx(0.5))
    assert found["stores"]["result"] == "same"


def test_no_difference_is_said_to_be_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = (
        [record(tmp_path / f"{side}{size}", Work(size=size)) for size in sizes]
        for side, sizes in (("a", (1000, 1400)), ("b", (1100, 1300)))
    )
    out = flat(text_of(capsys, *a, "--", *b))
    assert re.search(r"No difference beyond the spread of the runs in any of the figures that are known \(\d+\)\.", out)
    assert "2 and 2 runs: medians, and from the least to the most." in out
    assert "that happens to 33 % of the figures by chance" in out
    assert re.search(r"No difference beyond the spread of the runs: \d+ figures\.", out)


def test_cells_have_the_median_and_from_where_to_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a = [record(tmp_path / f"a{size}", Work(size=size, freed=0), zsmalloc=None) for size in (1000, 1200, 1400)]
    b = [record(tmp_path / f"b{size}", Work(size=size, freed=0), zsmalloc=None) for size in (1600, 1800)]
    out = text_of(capsys, *a, "--", *b)
    table = out.partition("Memory and slots, per page stored")[2]
    assert re.search(
        r"^live compr bytes end +1\.2 KiB +1\.7 KiB +\+42 %\n +1000 B\.\.1\.4 KiB +1\.6\.\.1\.8 KiB *$", table, re.M
    )
    assert "live compr bytes end than A (1.7 KiB [1.6..1.8 KiB] against 1.2 KiB [1000 B..1.4 KiB]); 2 of " in flat(out)
    assert "other figures differ by more than the runs' own spread, too." in flat(out)


def row(name: str, result: Result, a: float = 1, b: float = 1) -> Row:
    """A row by hand, of one exact run a side."""
    pair = Pair(Spread(a, a, a), Spread(b, b, b))
    measures = {} if result is Result.UNKNOWN else {"absolute": pair}
    change = (b - a) / a if result is Result.CHANGED else None
    return Row(name, "count", "events", None, result, next(iter(measures), None), measures, change, None, None)


ONE, SAME, WITHIN = row("loads", Result.CHANGED, 2, 3), row("frees", Result.SAME), row("stores", Result.WITHIN)
VERDICTS = [
    ([ONE, SAME], 1, "B has more of loads than A (3 against 2); nothing else that is known differs."),
    ([ONE, ONE, SAME], 1, "B has more of loads than A (3 against 2); 1 of 2 other figures differ, too, and one run a "
     "side does not tell how much of that is chance."),
    ([row("loads", Result.CHANGED, 3, 2)], 1, "B has less of loads than A (2 against 3); nothing else that is known "
     "differs."),
    ([ONE, WITHIN], 0.1, "B has more of loads than A (3 against 2); everything else that is known differs by no "
     "more than the runs' own spread."),
    ([SAME, WITHIN], 0.1, "No difference beyond the spread of the runs in any of the figures that are known (2)."),
    ([SAME], 1, "No difference in any of the figures that are known (1)."),
    ([row("loads", Result.UNKNOWN), row("frees", Result.UNDECIDED)], 1,
     "Nothing can be compared: no figure is known well enough on both sides."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "chance", "sentence"), VERDICTS)
def test_verdicts(rows: list[Row], chance: float, sentence: str) -> None:
    assert words.verdict(rows, chance) == sentence


@pytest.mark.parametrize(
    ("a", "b", "chance"), [(1, 1, 1), (2, 1, 2 / 3), (2, 2, 2 / 6), (3, 2, 2 / 10), (5, 5, 2 / 252)]
)
def test_the_chance_of_a_difference(a: int, b: int, chance: float) -> None:
    """Counted: of all ways to deal so many runs, those with one side's below or above all of the other's."""
    from itertools import combinations

    deals = list(combinations(range(a + b), a))
    apart = [deal for deal in deals if set(deal) in ({*range(a)}, {*range(b, a + b)})]
    assert chance_of(a, b) == pytest.approx(chance) == pytest.approx(len(apart) / len(deals))


def test_a_run_twice_is_no_second_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b")
    status, _, err = run(capsys, ["diff", a, a, "--", b])
    assert status == 2 and f"{a} is on side A twice" in complaint(err)


# -------------------------------------------------------------------------------------------------- losses, and nulls


def test_lost_events_leave_bounds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two lost frees: 4 to 6 are as many as 5, and more than 1; by how much is not said."""
    a = record(tmp_path / "a", lost={"FREE": 2})
    near = figures(compared(capsys, a, record(tmp_path / "near", Work(freed=5))))["frees"]
    assert near["result"] == "undecided"
    assert near["measures"]["absolute"]["a"] == {"median": None, "min": 4, "max": 6}
    document = compared(capsys, a, record(tmp_path / "far", Work(freed=1)))
    far = figures(document)["frees"]
    assert (far["result"], far["change"]) == ("changed", None)
    assert figures(document)["lifetime_ns.max"]["why"] == "lost: 2 FREE"
    assert any("2 EVENTS WERE LOST" in warning and warning.startswith(a) for warning in document["warnings"])
    out = text_of(capsys, a, str(tmp_path / "far"))
    assert rows_of(out, "What happened, per page stored")["frees"][:3] == ["0.500..0.750", "0.125", "-"]
    assert "Not known, lost: 2 FREE: " in flat(out)
    assert "Not to be told, as events were lost and bounds overlap: " in flat(
        text_of(capsys, a, str(tmp_path / "near"))
    )


def test_if_all_is_lost_the_sentence_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a", lost={"SWAPON": 1}), record(tmp_path / "b")
    document = compared(capsys, a, b)
    results = {row["result"] for row in document["areas"][0]["figures"]}
    assert "changed" not in results and "unknown" in results


def test_what_the_kernel_does_not_tell_is_not_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", missing=("slot stored and loaded",))
    found = figures(compared(capsys, a, b))
    assert found["stores"]["result"] == "unknown"
    assert found["stores"]["why"] == "the kernel does not tell of: slot stored and loaded"
    assert (found["frees"]["result"], found["frees"]["measure"]) == ("same", "per_second")  # no page is known of


def test_a_pool_that_is_not_modelled_has_a_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", zsmalloc=None)
    found = figures(compared(capsys, a, b))
    why = "the trace does not tell how this kernel's zsmalloc is built"
    assert {found[name]["why"] for name in ("mem_used_total", "pool.peak", "pool_per_compressed_byte")} == {why}
    assert found[f"{NONE}.end"]["result"] == "same"
    assert f"Not known, {why}: " in flat(text_of(capsys, a, b))


def test_what_one_side_has_none_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing was freed in A: no share of it has a reason. In neither, there is no such figure."""
    a, b = record(tmp_path / "a", Work(freed=0)), record(tmp_path / "b")
    found = figures(compared(capsys, a, b))
    assert (found["free_share.other"]["result"], found["free_share.other"]["why"]) == ("unknown", "A has none")
    assert "unread_share.exit" not in found


# ------------------------------------------------------------------------------------------------------------- set-up


def test_what_is_not_the_same_comes_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    start = header([AREA], [replace(ZRAM, algorithm="zstd")], zsmalloc=pool_of(8), missing=())
    a = record(tmp_path / "a", labels={"discard": "no", "run": "7"})
    b = record(
        tmp_path / "b", Work(seconds=30), start=start, labels={"discard": "yes", "run": "7"}, page_size=16384,
        kernel="6.12", host="other",
    )  # fmt: skip
    document = compared(capsys, a, b)
    assert {fact["name"]: (fact["a"], fact["b"]) for fact in document["setup"]} == {
        "host": ("tester", "other"),
        "kernel": ("6.1.0-test", "6.12"),
        "page size": ("4.0 KiB", "16.0 KiB"),
        "label discard": ("no", "yes"),
        "duration": ("20.0 s", "30.0 s"),
    }
    assert document["areas"][0]["setup"] == [{"name": "algorithm", "a": "lz4", "b": "zstd"}]
    assert document["warnings"][-1].startswith("PAGES ARE NOT OF ONE SIZE")
    out = text_of(capsys, a, b)
    assert rows_of(out, "What is not the same of the set-up")["label discard"] == ["no", "yes"]
    assert out.index("label discard") < out.index("What happened")


def test_of_several_runs_the_set_up_is_what_they_have(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a = [record(tmp_path / f"a{number}", Work(seconds=20 + number), host=f"host{number}") for number in (1, 2)]
    b = [record(tmp_path / f"b{number}", Work(seconds=30 + number), host="host1") for number in (1, 2)]
    document = compared(capsys, *a, "--", *b)
    assert {fact["name"]: (fact["a"], fact["b"]) for fact in document["setup"]} == {
        "host": ("host1 / host2", "host1"), "duration": ("21.0 s to 22.0 s", "31.0 s to 32.0 s"),
    }  # fmt: skip
    mixed = compared(capsys, *a, "--", b[0], record(tmp_path / "b", Work(seconds=21)))
    assert [fact["name"] for fact in mixed["setup"]] == ["host"]


# -------------------------------------------------------------------------------------------------- which area is which

DISK = SwapArea("/dev/sda2", 1, -3, 64)
OTHER = zram_area("/dev/zram1", 1, 64, 1)
TWO = header([AREA, OTHER], [ZRAM, replace(ZRAM, id=1, name="zram1")], zsmalloc=pool_of(8), missing=())


def test_areas_of_one_name_are_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", start=TWO)
    document = compared(capsys, a, b)
    assert [area["title"] for area in document["areas"]] == ["/dev/zram0"]
    assert document["not_compared"] == [{"title": "/dev/zram1", "why": "A has none"}]
    assert "/dev/zram1: A has none" in text_of(capsys, a, b)


def test_the_only_ones_are_compared_whatever_they_are_called(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    a = record(tmp_path / "a")
    b = record(tmp_path / "b", start=replace(TWO, start=replace(TWO.start, areas=(replace(AREA, path="/dev/zram7"),))))
    document = compared(capsys, a, b)
    assert [area["title"] for area in document["areas"]] == ["/dev/zram0 / /dev/zram7"]
    assert document["areas"][0]["setup"][0] == {"name": "device", "a": "/dev/zram0", "b": "/dev/zram7"}


def test_a_device_is_chosen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By its path or its store's name, on the sides that have it."""
    a, b = record(tmp_path / "a", start=TWO), record(tmp_path / "b", start=TWO)
    for device in ("/dev/zram1", "zram1"):
        assert [area["title"] for area in compared(capsys, a, b, "--device", device)["areas"]] == ["/dev/zram1"]
    assert "not_compared" in compared(capsys, a, b, "--device", "zram1")
    status, _, err = run(capsys, ["diff", a, b, "--device", "zram9"])
    assert status == 2 and "none of the recordings has a swap area zram9" in complaint(err)


def test_a_part_of_each_is_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By its own time: what is stored in six seconds of the twenty."""
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(pages=4))
    document = compared(capsys, a, b, "--since", "2.5", "--until", "8.5", "--all")
    stores = figures(document)["stores"]
    assert medians(stores, "absolute") == (6, 2)
    assert medians(stores, "per_second") == (6 / 6, 2 / 6)
    status, _, err = run(capsys, ["diff", a, b, "--since", "no such mark"])
    assert status == 2 and "no such mark" in err


def test_a_store_is_not_compared_with_a_disk(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), tmp_path / "b"
    writer = TraceWriter(b, header([replace(DISK, path="/dev/zram0")]))
    writer.feed(batch([free(START + 5, 1, 3)]))
    writer.close(trailer(START + SECOND))
    status, _, err = run(capsys, ["diff", a, str(b)])
    assert status == 2 and "on zram in A, on disk in B" in complaint(err)


def test_disks_are_compared_by_what_they_tell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = []
    for name, slots in (("a", 2), ("b", 5)):
        writer = TraceWriter(tmp_path / name, header([DISK], missing=()))
        writer.feed(batch([Event(START + 1, EventKind.ALLOC, 1, 1, 8), free(START + 5 * SECOND, 1, 1, slots)]))
        writer.close(trailer(START + 10 * SECOND))
        paths.append(str(tmp_path / name))
    found = figures(compared(capsys, *paths))
    assert (found["frees"]["measure"], medians(found["frees"], "per_second")) == ("per_second", (0.2, 0.5))
    assert rows_of(text_of(capsys, *paths), "What happened")["frees (per second)"][:3] == ["0.20/s", "0.50/s", "+150 %"]


def test_without_an_area_there_is_nothing_to_compare(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        TraceWriter(tmp_path / name, header()).close(trailer(START + SECOND))
    status, _, err = run(capsys, ["diff", *(str(tmp_path / name) for name in ("a", "b"))])
    assert status == 2 and "no swap area was active" in complaint(err)


def test_files_of_results_are_compared_as_traces_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(notified=False))
    start = header([AREA], [ZRAM], zsmalloc=pool_of(8), missing=())
    (tmp_path / "results").write_bytes(encode(start, analyse(Path(b))))
    document = compared(capsys, b, str(tmp_path / "results"))
    assert document["verdict"].startswith("No difference in any of the") and document["setup"] == []
    assert figures(compared(capsys, a, str(tmp_path / "results"))) == figures(compared(capsys, a, b))


# ----------------------------------------------------------------------------------------------- the terminal, the page


def test_cells_are_those_of_the_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(size=1500, freed=2))
    out = text_of(capsys, a, b, "--all")
    found = figures(compared(capsys, a, b))
    happened, memory = (rows_of(out, f"{what}, per page stored") for what in ("What happened", "Memory and slots"))
    assert happened["frees"] == ["0.500", "0.250", "-50 %", "4", "2"]
    assert happened["loads"] == ["0", "0", "same", "0", "0"]
    assert memory["live compr bytes end"] == ["500 B", "1.1 KiB", "+125 %", "3.9 KiB", "8.8 KiB"]
    assert medians(found["live_compr_bytes_end"], "absolute") == (4000, 9000)
    assert medians(found["live_compr_bytes_end"], "per_page_stored") == (500, 1125)
    assert rows_of(out, "Shares and ratios")["compressed share"] == ["24 %", "37 %", "+12 pp"]
    assert rows_of(out, "What happened")["stores (per second)"] == ["0.40/s", "0.40/s", "same", "8", "8"]


def test_changes_come_first_by_their_size(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(size=1500, freed=2))
    rows = compared(capsys, a, b)["areas"][0]["figures"]
    order = ["changed", "same", "within_spread", "undecided", "unknown"]
    assert [row["result"] for row in rows] == sorted((row["result"] for row in rows), key=order.index)

    def size(row: Any) -> float:
        one, other = medians(row, row["measure"])
        return abs(other - one) / (100 if row["unit"] == "%" else max(abs(one), abs(other)))

    sizes = [size(row) for row in rows if row["result"] == "changed"]
    assert len(sizes) > 5 and sizes == sorted(sizes, reverse=True)


def test_what_no_table_shows_is_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """All figures are in a table, or in a sentence below."""
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(size=1500, freed=2))
    out, document = text_of(capsys, a, b), compared(capsys, a, b)
    shown = sum(
        len(rows_of(out, title))
        for title in ("Memory and slots, per", "What happened, per", "Shares and ratios", "Durations")
        if title in out
    )
    below = sum(int(number) for number in re.findall(r": (\d+) figures?\.", flat(out)))
    assert shown + below == len(document["areas"][0]["figures"])
    assert "(--all shows them)" not in text_of(capsys, a, b, "--all")


def test_the_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a = [record(tmp_path / f"a{size}", Work(size=size)) for size in (1000, 1100)]
    b = [record(tmp_path / f"b{size}", Work(size=size, notified=False)) for size in (1000, 1100)]
    status, out, _ = run(capsys, ["diff", *a, "--", *b, "--format", "html", "-o", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert (status, out) == (0, "")
    assert "<title>swaptrace diff</title>" in page and "http" not in page
    assert page.index("B holds more in stale slots than A") < page.index("What is not the same of the area")
    assert re.search(
        r'<th scope="row">stale share, observed</th><td>0 %</td><td>50 %</td><td class="apart">\+50 pp</td>', page
    )
    assert re.search(r"<td>4\.6 KiB·s\n4\.4\.\.4\.8 KiB·s</td>", page)


def test_names_are_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Devices, hosts and labels are what the recorded machine called them: no markup, here or there."""
    name = "/mnt/[bold]<script>x</script>"
    area = replace(AREA, path=name)
    start = header([area], [ZRAM], zsmalloc=pool_of(8), missing=(), host="<b>", labels={"[red]": "<i>"})
    a, b = record(tmp_path / "a"), record(tmp_path / "b", start=start)
    assert name in flat(text_of(capsys, a, b))
    page = text_of(capsys, a, b, "--format", "html")
    assert "<script>" not in page and "&lt;script&gt;" in page and "&lt;i&gt;" in page


def test_news_have_colours(tmp_path: Path) -> None:
    """Green is good, red is bad, and what is neither has none."""
    a, b = (Path(record(tmp_path / name, Work(notified=name == "b", freed=3 + (name == "b")))) for name in "ab")
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, color_system="standard")
    print_text(compare(*read(([a], [b]))), console, everything=False)
    lines = {line.split("  ")[0]: line for line in out.getvalue().splitlines()}
    assert "\x1b[32m" in lines["stale share, observed"]  # nothing is stale any more
    assert "\x1b[31m" in lines["stale share, none"]
    assert "\x1b[" not in lines["notify free"]


def test_a_narrow_terminal_keeps_figures_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b", Work(size=1500, freed=2))
    monkeypatch.setenv("COLUMNS", "80")
    out = text_of(capsys, a, b)
    assert "…" not in out and max(map(len, out.splitlines())) <= 80


# --------------------------------------------------------------------------------------------------- files, and places


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("contents", [b"", b"nothing of the kind\n" * 100, None])
def test_what_is_no_recording(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, side: int, contents: bytes | None
) -> None:
    paths = [record(tmp_path / "good")]
    bad = tmp_path / "bad"
    if contents is not None:
        bad.write_bytes(contents)
    paths.insert(side, str(bad))
    status, out, err = run(capsys, ["diff", *paths])
    assert (status, out) == (4, "") and str(bad) in complaint(err)


def test_a_damaged_recording_is_compared_and_said_to_be_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), tmp_path / "b"
    b.write_bytes(Path(a).read_bytes()[:-200])
    out = flat(text_of(capsys, a, str(b)))
    assert f"WARNING {b}: THE TRACE IS INCOMPLETE" in out


def test_every_byte_may_be_another_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of a file that was damaged anywhere: a comparison, or two lines of what is wrong."""
    a, b = record(tmp_path / "a"), tmp_path / "b"
    whole = Path(a).read_bytes()
    for place in range(8, len(whole), len(whole) // 40):
        b.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        status, _, err = run(capsys, ["diff", a, str(b)])
        assert status in (0, 2, 4)
        assert status == 0 or complaint(err)


def test_it_is_not_written_over_a_recording(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b")
    before = Path(b).read_bytes()
    status, _, err = run(capsys, ["diff", a, b, "-o", b])
    assert status == 2 and f"{b} is one of the recordings" in complaint(err) and Path(b).read_bytes() == before


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_a_place_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str) -> None:
    a, b = record(tmp_path / "a"), record(tmp_path / "b")
    status, _, err = run(capsys, ["diff", a, b, "--format", form, "-o", str(tmp_path / "nowhere" / "out")])
    assert status == 3 and "cannot write the comparison: No such file or directory" in complaint(err)


# ----------------------------------------------------------------------------------------------------- words, documents


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.4, "+12"), (-12.6, "-13"), (9.94, "+9.9"), (0.26, "+0.3"), (0.01, "+0.01"), (-100, "-100"),
     (-99.7, "-99.7"), (-99.99, "-99.99"), (-99.9999999, "-99.999999"), (1234.5, "+1,234")],
)  # fmt: skip
def test_percentages(value: float, text: str) -> None:
    assert words._signed(value) == text


CELLS = [
    ("bytes", "absolute", 1500, "1.5 KiB"), ("bytes", "absolute", 0.9034, "0.903 B"),
    ("bytes", "per_page_stored", 12.5, "12.5 B"), ("bytes * s", "absolute", 2048, "2.0 KiB·s"),
    ("slots", "absolute", 12345, "12,345"), ("slots", "per_page_stored", 0.125, "0.125"),
    ("events", "per_second", 2.5, "2.5/s"), ("ns", "per_second", 2500, "2.5 µs/s"), ("ns", "absolute", 2.5, "2.50 ns"),
    ("ns", "absolute", 0, "0 ns"), ("ns", "absolute", 10, "10 ns"), ("%", "absolute", 12.5, "12 %"),
    ("number", "absolute", 1.09, "1.09"), ("bytes", "absolute", None, units.DASH),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "measure", "number", "text"), CELLS)
def test_cells(unit: str, measure: str, number: float | None, text: str) -> None:
    assert words.value(number, replace(ONE, unit=unit), measure) == text


_NUMBER = st.floats(0, 1e12) | st.integers(0, 1 << 50)


@given(st.tuples(_NUMBER, _NUMBER), st.tuples(_NUMBER, _NUMBER), st.floats(0, 1), st.floats(0, 1))
def test_a_quotient_of_intervals_has_all_quotients(
    over: tuple[float, float], by: tuple[float, float], where: float, there: float
) -> None:
    found = Interval(min(over), max(over)).over(Interval(min(by), max(by)))
    above, below = (min(pair) + share * (max(pair) - min(pair)) for pair, share in ((over, where), (by, there)))
    if found is None:
        assert max(by) == 0
    elif below > 0:
        assert found.low <= above / below * (1 + 1e-9)
        assert found.high is None or above / below <= found.high * (1 + 1e-9)


def test_the_document_is_as_the_classes_say() -> None:
    text = DIFF_DOCUMENT.read_text(encoding="utf-8")
    assert written(text) == text, RENEW
    assert DIFF_SCHEMA.read_text(encoding="utf-8") == diff_schema_text(), RENEW
    described = set(re.findall(r"<!-- figures of diff (\w+) -->", text))
    assert described == set(diff_schema()["$defs"]) - {"Result"}
    assert all(f"`{name}`" in text for name in RATIOS)


def test_the_schema_refuses_what_is_none() -> None:
    for wrong in ({}, {"schema_version": 1}, {"areas": 7}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, diff_schema(), jsonschema.Draft202012Validator)


def test_the_commands_of_the_document_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("before", "after", "before1", "before2", "after1", "after2")):
        record(Path(f"{name}.trace"), Work(size=1000 + number))
    (block,) = re.findall(r"^```\n(.*?)^```", DIFF_DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    commands = [line.partition("#")[0].split() for line in block.splitlines()]
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "~/swaptrace/bin/swaptrace" and run(capsys, arguments)[0] == 0


def test_the_documents_table_of_chances() -> None:
    text = DIFF_DOCUMENT.read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d) and (\d) \| ([\d.]+) % \|$", text, re.MULTILINE)
    assert len(told) == 5
    for a, b, percent in told:
        assert float(percent) == pytest.approx(100 * chance_of(int(a), int(b)), rel=0.02)
