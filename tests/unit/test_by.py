"""`report --by`: what its tables, JSON, CSV and page say, against figures worked out by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from builders import PAGE_SIZE, START, Event, header, told_zsmalloc, trailer, zram_area
from builders import batch as batch_of
from test_options import run

from swaptrace.areas import Store, SwapArea
from swaptrace.events import EventBatch, EventFlag, EventKind, FreeReason
from swaptrace.report.as_json import SCHEMA_VERSION
from swaptrace.trace.header import Header
from swaptrace.trace.writer import TraceWriter
from tests.data.documents import schema

SECOND = 1_000_000_000
WEB = f"/system.slice/docker-3f2a9c0d1e4b{'5' * 52}.scope"
DB = "/system.slice/db.service"
CGROUPS = {11: WEB, 12: DB, 13: f"{DB}/worker"}
TASKS = {500: "web", 600: "db", 40: "kswapd0"}


def stored(at: int, slot: int, cgroup: int, size: int) -> Event:
    return Event(START + at * SECOND, EventKind.STORE, 0, slot, size=size, arg=cgroup, tgid=40)


def loaded(at: int, slot: int, tgid: int) -> Event:
    return Event(START + at * SECOND, EventKind.LOAD, 0, slot, tgid=tgid)


def freed(at: int, slot: int, tgid: int, reason: FreeReason, size: int) -> Event:
    flags = EventFlag.NOTIFIED | EventFlag.DROPPED
    return Event(
        START + at * SECOND, EventKind.FREE, 0, slot, size=size, flags=flags, tgid=tgid, reason=reason + 1
    )  # fmt: skip


#: Ten seconds: web has two pages at the end, one of them read back; db had three, of which its worker has one left.
EVENTS = [
    stored(1, 1, 11, 1000), stored(1, 2, 11, 2000), stored(2, 3, 12, 3000), stored(2, 4, 12, 500),
    stored(2, 5, 13, 700), loaded(3, 1, 500), loaded(4, 1, 500), loaded(4, 3, 600),
    freed(5, 3, 600, FreeReason.SWAPIN, 3000), freed(6, 4, 600, FreeReason.EXIT, 500),
]  # fmt: skip
AREA = zram_area("/dev/zram0", 0, 64, 0)


def written(
    path: Path, events: list[Event] = EVENTS, lost: dict[str, int] | None = None, start: Header | None = None
) -> Path:
    writer = TraceWriter(
        path, start or header([AREA], [Store(0, "zram0", 64, allocator="zsmalloc")], zsmalloc=told_zsmalloc())
    )
    made = batch_of(events, TASKS)
    writer.feed(EventBatch(made.events, made.tasks, made.calls, CGROUPS))
    writer.close(trailer(START + 10 * SECOND, lost=lost or {}))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return str(written(tmp_path / "swap.trace"))


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status, out, err = run(capsys, ["report", "--format", "json", *arguments])
    assert status == 0, err
    return json.loads(out)["by"]


def test_cgroups(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    by = reported(capsys, recording, "--by", "cgroup")
    web, worker, db = (next(g for g in by["groups"] if g["name"] == name) for name in (WEB, f"{DB}/worker", DB))
    assert [web[name] for name in ("live_slots_end", "live_compr_bytes_end", "stale_slots_end")] == [2, 3000, 0]
    assert (web["duplicate_slots_end"], web["duplicate_compr_bytes_end"]) == (1, 1000)
    assert web["live_compr_byte_seconds"] == 9 * 3000
    assert web["duplicate_compr_byte_seconds"] == 7 * 1000
    assert (web["stores"], web["loads"], web["refaults"], web["frees"]) == (2, 2, 1, 0)
    assert (db["live_slots_end"], db["stale_slots_end"], db["stale_compr_bytes_end"]) == (0, 2, 3500)
    assert (db["recovered_compr_bytes_end"], db["recovered_compr_byte_seconds"]) == (3500, 5 * 3000 + 4 * 500)
    assert (db["frees"], db["frees_swapin"], db["frees_exit"], db["frees_unmap"]) == (2, 1, 1, 0)
    assert (worker["live_compr_bytes_end"], worker["held_compr_bytes_end"]) == (700, 700)
    assert (web["label"], db["label"], worker["label"]) == ("docker 3f2a9c0d1e4b", "db.service", "db.service/worker")


def test_a_tree_adds_up(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    """Of a cgroup that has nothing of its own, too, where several come together."""
    by = reported(capsys, recording, "--by", "cgroup")
    trees = {group["name"]: group["tree"] for group in by["groups"]}
    assert list(trees) == ["/", "/system.slice", WEB, DB, f"{DB}/worker"]
    assert trees["/"] == trees["/system.slice"] == by["total"]
    assert (trees[DB]["live_compr_bytes_end"], trees[DB]["stores"]) == (700, 3)
    assert trees[f"{DB}/worker"]["stores"] == 1
    assert next(group for group in by["groups"] if group["name"] == "/system.slice")["stores"] == 0


def test_processes_read_and_free(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    by = reported(capsys, recording, "--by", "process")
    found = {group["name"]: group for group in by["groups"]}
    assert list(found) == ["db (600)", "(in use)", "web (500)"]
    assert [found["db (600)"][name] for name in ("loads", "refaults", "stale_slots_end")] == [1, 1, 2]
    assert (found["web (500)"]["loads"], found["web (500)"]["refaults"], found["web (500)"]["frees"]) == (2, 1, 0)
    assert (found["(in use)"]["stores"], found["(in use)"]["live_slots_end"]) == (5, 3)
    assert "tree" not in found["db (600)"] and found["db (600)"]["label"] is None


def test_reasons(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    found = {group["name"]: group for group in reported(capsys, recording, "--by", "reason")["groups"]}
    assert {name: group["stale_compr_bytes_end"] for name, group in found.items()} == {
        "swapin": 3000, "exit": 500, "(in use)": 0,
    }  # fmt: skip


def test_the_pool_is_charged(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    """By shares of 3,700 bytes: the sum is the pool, and each share is as large as its bytes."""
    status, out, _ = run(capsys, ["report", "--format", "json", recording, "--by", "cgroup"])
    report = json.loads(out)
    pool = report["areas"][0]["mem_used_total"]
    shares = {group["name"]: group["pool_bytes_end"] for group in report["by"]["groups"]}
    assert status == 0 and pool > 0
    assert shares[WEB] + shares[f"{DB}/worker"] == report["by"]["total"]["pool_bytes_end"] == pool
    assert shares[WEB] == pytest.approx(pool * 3000 / 3700, abs=1)
    assert shares[DB] == 0


ROW = re.compile(r"^(\S.*?) {2,}(.*\S)\s*$", re.MULTILINE)


def rows(out: str, title: str) -> dict[str, list[str]]:
    """The cells of a table in the terminal, by the name of the row."""
    table = out.partition(title)[2].partition("\n\n")[0]
    return {name: re.split(r" {2,}", cells) for name, cells in ROW.findall(table) if "─" not in name}


def test_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, recording: str) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    status, out, _ = run(capsys, ["report", recording, "--by", "cgroup"])
    assert status == 0
    memory, stale = rows(out, "What each cgroup has at the end"), rows(out, "What is stale without notifications")
    assert memory["docker 3f2a9c0d1e4b"][:3] == ["2", "2.9 KiB", "1000 B"]
    assert memory["db.service"] == ["0", "0 B", "0 B", "0 B", "700 B"]  # its worker's
    assert memory["all"][:3] == ["3", "3.6 KiB", "1000 B"]
    assert "subtree: live of the cgroup and of all below it." in " ".join(out.split())
    assert stale["db.service"] == ["3.4 KiB", "3.4 KiB", "16.6 KiB·s", "16.6 KiB·s"]
    assert stale["docker 3f2a9c0d1e4b"] == ["0 B", "0 B", "0 B·s", "0 B·s"]
    assert rows(out, "What happened")["docker 3f2a9c0d1e4b"] == ["2", "2", "1", "0"]
    assert rows(out, "Why slots were freed")["db.service"] == ["1", "1"]
    assert rows(out, "What was live over time")["docker 3f2a9c0d1e4b"][0] == "26.4 KiB·s"
    assert "/dev/zram0 (swap type 0)" not in out  # areas have reports of their own


@pytest.mark.parametrize("columns", ["80", "60"])
def test_figures_are_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, recording: str, columns: str
) -> None:
    """It is names that give way, in more lines; where that is not enough, each figure has a line."""
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run(capsys, ["report", recording, "--by", "cgroup"])
    assert "2.9 KiB" in out and max(map(len, out.splitlines())) <= int(columns)
    assert "…" not in out and ("\n    live: 2.9 KiB\n" in out) == (columns == "60")


def test_the_rest_is_summed_up(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    _, out, _ = run(capsys, ["report", recording, "--by", "cgroup", "--sort", "stores", "--top", "3"])
    others = rows(out, "What happened")["(2 others)"]
    by = reported(capsys, recording, "--by", "cgroup", "--sort", "stores", "--top", "3")
    shown = sum(group["stores"] for group in by["groups"])
    assert others[0] == str(5 - shown) == str(by["others"]["stores"]) and len(by["groups"]) == 3


def test_csv(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    _, out, _ = run(capsys, ["report", recording, "--by", "reason", "--format", "csv"])
    table = list(csv.DictReader(io.StringIO(out)))
    assert [(row["reason"], row["frees"], row["stale_compr_bytes_end"]) for row in table] == [
        ("exit", "1", "500"), ("swapin", "1", "3000"), ("(in use)", "0", "0"),
    ]  # fmt: skip


def test_the_page(capsys: pytest.CaptureFixture[str], recording: str, tmp_path: Path) -> None:
    status, _, err = run(
        capsys, ["report", recording, "--by", "cgroup", "--format", "html", "-o", str(tmp_path / "page")]
    )
    assert status == 0, err
    page = (tmp_path / "page/report.html").read_text()
    assert page.index("By cgroup: the memory cgroup that a page was stored for.") < page.index(
        "/dev/zram0 (swap type 0)"
    )
    assert re.search(r'<th scope="row">docker 3f2a9c0d1e4b</th><td[^>]*>2</td><td[^>]*>2\.9 KiB</td>', page)
    assert re.search(r'<tfoot>\s*<tr><th scope="row">all</th>', page)


def test_nothing_is_told_if_events_were_lost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(written(tmp_path / "lost.trace", lost={"STORE": 3}))
    _, out, _ = run(capsys, ["report", path, "--by", "cgroup"])
    assert "Nothing is told of it: 3 events were lost, and nothing tells whose they were." in " ".join(out.split())
    by = reported(capsys, path, "--by", "cgroup")
    assert by["groups"] is None and by["total"] is None and "3 events were lost" in by["unknown"]["groups"]


def test_what_the_kernel_does_not_tell_is_no_figure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    start = header([AREA], [Store(0, "zram0", 64)], missing=("slot stored and loaded",))
    by = reported(capsys, str(written(tmp_path / "blind.trace", start=start)), "--by", "area")
    assert by["unknown"]["stores"] == "the kernel does not tell of: slot stored and loaded"
    (group,) = by["groups"]
    assert [group[name] for name in ("stores", "live_slots_end", "pool_bytes_end", "frees")] == [None, None, None, 2]


def test_policies_that_are_left_out(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    by = reported(capsys, recording, "--by", "cgroup", "--policy", "notify")
    assert by["total"]["stale_slots_end"] is None and by["total"]["recovered_compr_bytes_end"] is None
    assert by["unknown"]["stale_slots_end"] == "--policy leaves it out"
    assert by["total"]["live_slots_end"] == 3


def test_a_disk_beside_it_has_no_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And takes nothing from what is known of the others."""
    start = header(
        [AREA, SwapArea("/dev/sda2", 1, -3, 64)],
        [Store(0, "zram0", 64, allocator="zsmalloc")],
        zsmalloc=told_zsmalloc(),
    )
    events = [*EVENTS, Event(START + 7 * SECOND, EventKind.FREE, 1, 9, tgid=600, reason=FreeReason.EXIT + 1)]
    by = reported(capsys, str(written(tmp_path / "two.trace", events, start=start)), "--by", "area")
    disk = next(group for group in by["groups"] if group["name"].startswith("/dev/sda2"))
    assert (disk["frees"], disk["live_compr_bytes_end"], disk["pool_bytes_end"]) == (1, 0, 0)
    assert by["total"]["pool_bytes_end"] >= PAGE_SIZE


@pytest.mark.parametrize("by", ["cgroup", "process", "reason", "area"])
@pytest.mark.parametrize("lost", [{}, {"FREE": 1}])
def test_the_schema_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path, by: str, lost: dict[str, int]) -> None:
    path = str(written(tmp_path / "swap.trace", lost=lost))
    _, out, _ = run(capsys, ["report", "--format", "json", path, "--by", by, "--top", "1"])
    jsonschema.validate(json.loads(out), schema(SCHEMA_VERSION), jsonschema.Draft202012Validator)


def test_the_sum_is_the_same_whatever_is_asked(capsys: pytest.CaptureFixture[str], recording: str) -> None:
    """Sorting comes before showing: whatever is asked for, the sum is the same."""
    totals = [reported(capsys, recording, "--by", by)["total"] for by in ("cgroup", "process", "reason", "area")]
    assert totals[0] == totals[1] == totals[2] == totals[3]
