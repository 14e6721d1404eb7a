"""The rules that machines and recordings have in common: from where on they find something, and where it is shown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.cli import cli
from swaptrace.degradation import RECOMPRESSION
from swaptrace.dimensions import DIMENSIONS
from swaptrace.findings import rules
from swaptrace.findings.finding import Finding, Severity
from swaptrace.findings.rules import AreaFacts, CgroupFacts, Facts, find
from swaptrace.report.as_json import as_json
from swaptrace.report.findings import facts_of, findings
from swaptrace.report.text import print_text
from swaptrace.results.file import encode, read_results
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Trailer
from swaptrace.trace.stream import StreamFile
from swaptrace.trace.writer import TraceWriter
from tests.unit.builders import START, Event, batch, free, header, store, zram_area

MIB = 1 << 20
ZRAM = Store(0, "zram0", 8192, counters={"pages_stored": 900, "compr_data_size": 2 * MIB, "mem_used_total": 2 * MIB})
FAST = AreaFacts("/dev/zram0", 100, 1000, 500, "zram", "zram0")
DISK = AreaFacts("/dev/sda2", -2, 9000, 10, "disk")


def facts(*areas: AreaFacts, stores: tuple[Store, ...] = (), seconds: float | None = 10.0, **more: Any) -> Facts:
    return Facts(areas or (FAST,), stores, **{"moved": {}, "seconds": seconds, **more})


def with_counters(**counters: int) -> Store:
    return replace(ZRAM, counters=ZRAM.counters | counters)


def moved(store_: str = "zram0", **counters: int) -> dict[str, dict[str, int]]:
    return {store_: counters}


def recorded(area: AreaFacts, stored: int, refaults: int = 0, swapins: int = 0) -> AreaFacts:
    return area.of_a_recording(stored, refaults, swapins)


FULL = replace(FAST, used=950)
ZSWAP = AreaFacts("/dev/sda2", -2, 9000, 10, "zswap", "zswap")
GROUPS = (CgroupFacts("/cold", 1000, 100, 1000, 0), CgroupFacts("/warm", 5000, 900, 5000, 1))

#: (what is known, ids that are found): each rule right below and right at its bound.
CASES = [
    (facts(FAST, DISK, stores=(ZRAM,)), []),
    (facts(stores=(ZRAM,), moved=moved(failed_writes=0)), []),
    (facts(stores=(ZRAM,), moved=moved(failed_writes=1)), ["failed-writes"]),
    (facts(stores=(with_counters(failed_writes=7),), moved=moved(failed_writes=0)), []),  # before the recording
    (facts(FAST, replace(DISK, priority=100)), []),
    (facts(FAST, replace(DISK, priority=101)), ["disk-before-zram"]),
    (facts(FAST, replace(DISK, priority=101, used=0)), []),
    (facts(replace(FAST, backing="zswap"), replace(DISK, priority=101)), []),
    (facts(recorded(FULL, 9, 0, 999), recorded(DISK, 0, 0, 1000)), ["priority-inversion"]),
    (facts(recorded(FULL, 9, 0, 998), recorded(DISK, 0, 0, 999)), []),
    (facts(recorded(FULL, 9, 0, 1000), recorded(DISK, 0, 0, 1000)), []),
    (facts(recorded(replace(FAST, used=949), 9, 0, 0), recorded(DISK, 0, 0, 5000)), []),
    (facts(recorded(FAST, 2000, 1000)), ["refault-storm"]),
    (facts(recorded(FAST, 2001, 1000)), []),
    (facts(recorded(FAST, 1998, 999)), []),
    (facts(recorded(FAST, 2000, 1000), seconds=10.01), []),
    (facts(recorded(FAST, 2000, 1000), seconds=None), []),
    (facts(recorded(ZSWAP, 95), moved=moved("zswap", pool_limit_hit=5)), ["zswap-refuses"]),
    (facts(recorded(ZSWAP, 96), moved=moved("zswap", pool_limit_hit=5)), []),
    (facts(ZSWAP, moved=moved("zswap", reject_compress_poor=1)), ["zswap-refuses"]),
    (facts(ZSWAP, moved=moved("zswap", written_back_pages=9)), []),
    (facts(stores=(replace(ZRAM, backing_dev="/dev/sdb"),)), ["backing-device-unused"]),
    (facts(stores=(replace(with_counters(bd_writes=1), backing_dev="/dev/sdb"),)), []),
    (facts(stores=(replace(with_counters(pages_stored=1), backing_dev="/dev/sdb"),)), []),
    (facts(stores=(with_counters(mem_used_total=3 * MIB),)), ["pool-fragmented"]),
    (facts(stores=(with_counters(mem_used_total=3 * MIB - 1),)), []),
    (facts(stores=(with_counters(compr_data_size=MIB, mem_used_total=2 * MIB - 1),)), []),  # less than 1 MiB
    (facts(stores=(replace(ZRAM, features=(RECOMPRESSION,)),)), ["recompression"]),
    (facts(cgroups=GROUPS), ["never-loads"]),
    (facts(cgroups=(replace(GROUPS[0], loaded=1), GROUPS[1])), []),
    (facts(cgroups=(replace(GROUPS[0], live=999), GROUPS[1])), []),
    (facts(cgroups=(replace(GROUPS[0], stored=999), GROUPS[1])), []),
    (facts(cgroups=(replace(GROUPS[0], held_bytes=99), GROUPS[1])), []),
]


@pytest.mark.parametrize(("known", "ids"), CASES, ids=str)
def test_rules(known: Facts, ids: list[str]) -> None:
    assert [finding.id for finding in find(known)] == ids


def test_every_rule_has_cases() -> None:
    found = {finding.id for known, _ in CASES for finding in find(known)}
    assert len(found) == len(rules.RULES) + 1  # priorities have two
    text = (Path(__file__).parents[2] / "docs" / "findings.md").read_text()
    assert all(f"| `{name}` |" in text for name in found)


def one(known: Facts) -> Finding:
    (finding,) = find(known)
    return finding


def test_what_is_said_of_writes_that_failed() -> None:
    limited = with_counters(mem_limit=MIB, mem_used_total=MIB)
    finding = one(facts(stores=(limited,), moved=moved(failed_writes=3468)))
    assert "zram0 refused 3,468 writes while recording (10.0 s)" in finding.sentence
    assert "Its mem_limit is 1.0 MiB, and its pool takes 1.0 MiB." in finding.sentence
    assert finding.advice[0].commands == ("echo 2097152 > /sys/block/zram0/mem_limit",)
    assert finding.evidence == {"failed_writes": 3468, "mem_limit_bytes": MIB, "mem_used_bytes": MIB}
    unlimited = one(facts(stores=(ZRAM,), moved=moved(failed_writes=1), seconds=None))
    assert unlimited.advice == () and "while recording" not in unlimited.sentence


def test_what_to_do_about_priorities() -> None:
    finding = one(facts(replace(FAST, path="/mnt/a file"), replace(DISK, priority=200)))
    assert finding.advice[0].commands == ("swapoff '/mnt/a file'", "swapon -p 201 '/mnt/a file'")
    highest = one(facts(FAST, replace(DISK, priority=32767)))
    assert highest.advice[0].commands == () and "lower priority" in highest.advice[0].sentence


def test_why_zswap_refused() -> None:
    finding = one(facts(ZSWAP, moved=moved("zswap", pool_limit_hit=2, reject_compress_poor=7)))
    assert "9 times" in finding.sentence and "they did not compress" in finding.sentence
    assert finding.severity == Severity.INFO and not finding.advice
    full = one(facts(ZSWAP, moved=moved("zswap", pool_limit_hit=7)))
    assert full.severity == Severity.WARNING and "max_pool_percent" in full.advice[0].commands[0]


def test_the_gravest_come_first() -> None:
    known = facts(FAST, replace(DISK, priority=200), stores=(replace(ZRAM, features=(RECOMPRESSION,)),))
    assert [finding.severity for finding in find(known)] == [Severity.WARNING, Severity.INFO]


# -- of recordings

AREA = zram_area("/dev/zram0", 0, 64, 0)
BEFORE = Store(0, "zram0", 64, counters={"pages_stored": 0, "failed_writes": 5})
AFTER = replace(BEFORE, counters={"pages_stored": 3, "failed_writes": 9, "mem_limit": 4096, "mem_used_total": 4096})
EVENTS = [store(START + 10 + slot, 0, slot, 100) for slot in range(1, 5)] + [free(START + 30, 0, 2)]
END = Snapshot(START + 10**9, (replace(AREA, used=3),), (AFTER,))


def result(events: list[Event] = EVENTS, *, complete: bool = True, by: str = "", **how: Any) -> TraceResult:
    lost = how.pop("lost", {})
    analysis = Analysis(header([AREA], [BEFORE]), by=DIMENSIONS.get(by), **how)
    analysis.feed(batch(events))
    return analysis.finish(Trailer(END, lost) if complete else None)


def test_facts_of_a_recording() -> None:
    found = facts_of(result(), END)
    (area,) = found.areas
    assert (area.path, area.slots, area.used, area.backing, area.store) == ("/dev/zram0", 63, 3, "zram", "zram0")
    assert (area.stored, area.refaults, area.swapins) == (4, 0, 0)
    assert found.moved["zram0"]["failed_writes"] == 4
    assert found.seconds == 1.0
    assert found.cgroups == ()


def test_what_is_not_known_makes_no_finding() -> None:
    assert [finding.id for finding in findings(result())] == ["failed-writes"]
    assert findings(result(complete=False)) == []
    assert findings(result(since=START + 20)) == findings(result(until=START + 20)) == []
    lossy = facts_of(result(lost={"STORE": 1}), END)
    assert lossy.areas[0].stored is None
    assert facts_of(result(by="cgroup", lost={"STORE": 1}), END).cgroups == ()


def test_cgroups_of_a_recording() -> None:
    (group,) = (group for group in facts_of(result(by="cgroup"), END).cgroups if group.stored)
    assert (group.live, group.held_bytes, group.stored, group.loaded) == (3, 400, 4, 0)


def test_a_file_of_results_has_them(tmp_path: Path) -> None:
    (tmp_path / "results").write_bytes(encode(header([AREA], [BEFORE]), result()))
    assert findings(read_results(StreamFile(tmp_path / "results"))) == findings(result())


def test_where_they_are_shown(tmp_path: Path) -> None:
    (finding,) = findings(result())
    assert as_json(result())["findings"] == [json.loads(json.dumps(finding.as_json()))]
    console = Console(file=io.StringIO(), width=100)
    print_text(result(), console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert said.index("failed-writes") < said.index("What the store holds")
    writer = TraceWriter(tmp_path / "trace", header([AREA], [BEFORE]))
    writer.feed(batch(EVENTS))
    writer.close(Trailer(END))
    page = CliRunner().invoke(
        cli, ["report", str(tmp_path / "trace"), "--format", "html", "-o", str(tmp_path / "page")]
    )
    assert page.exit_code == 0
    html = (tmp_path / "page" / "report.html").read_text()
    assert '<li class="finding warning">' in html and "echo 8192 &gt; /sys/block/zram0/mem_limit" in html


def test_names_are_text(tmp_path: Path) -> None:
    area = SwapArea("<script>[red]", 0, -1, 64, 5)
    finding = one(Facts((replace(FAST, path=area.path), replace(DISK, priority=500)), (), {}))
    console = Console(file=io.StringIO(), width=100)
    from swaptrace.findings.text import print_finding

    print_finding(finding, console)
    assert isinstance(console.file, io.StringIO)
    assert "<script>[red]" in console.file.getvalue()
