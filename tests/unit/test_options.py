"""Every option of every command with its edge values: what is refused, in which words, and what reaches the work.

The options are click's own: one without rows fails. A row has arguments, the exit status, and words of what is said, or
for what is accepted what has become of it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from builders import PAGE_SIZE, START, Event, batch, free, header, store, trailer, zram_area

from swaptrace import units
from swaptrace.analysis.analysis import Analysis, machine_of
from swaptrace.areas import Store, SwapArea
from swaptrace.cli import cli, main
from swaptrace.engine.zsmalloc import ChainRule, FullnessRule, geometry
from swaptrace.errors import UsageProblem
from swaptrace.events import EventFlag, EventKind
from swaptrace.report.charts import Chart
from swaptrace.report.command import Selection, _select, analyse
from swaptrace.report.plot import Plot
from swaptrace.results.catalogue import INTEGRAL_PARTS
from swaptrace.results.results import AreaResult
from swaptrace.trace.writer import TraceWriter

SECOND = 1_000_000_000
LENGTH = 10  # seconds that the recording below is long
AREAS = [zram_area("/dev/zram0", 0, 64, 0), zram_area("/dev/zram1", 1, 64, 1), SwapArea("/dev/sda2", 2, -3, 64)]
POLICIES = ["none", "discard", "discard_once", "notify", "observed"]


class Row(NamedTuple):
    """said: words on stderr, or on stdout if the exit status is 0. got: of the report or the call, is value."""

    parameter: str
    arguments: str
    status: int = 0
    said: str = ""
    got: Callable[[Any], object] | None = None
    value: object = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """swap.trace: ten seconds, at each of which a page is stored on zram0, and freed half a second later. idle.trace: a
    page that is stored, and stays for a minute and a second."""
    folder = tmp_path_factory.mktemp("options")
    stores = [Store(number, f"zram{number}", 64) for number in (0, 1)]
    events = [
        event
        for second in range(LENGTH)
        for event in (
            store(START + second * SECOND + 1, 0, second + 1, 1000 + 300 * second),
            free(START + second * SECOND + SECOND // 2, 0, second + 1),
            Event(START + second * SECOND + SECOND // 2, EventKind.NOTIFY, 0, second + 1,
                  size=1000 + 300 * second, flags=EventFlag.DROPPED),
        )
    ]  # fmt: skip
    for name, areas, told in (("swap.trace", AREAS, stores), ("disk.trace", AREAS[2:], [])):
        writer = TraceWriter(folder / name, header(areas, told))
        writer.feed(batch(events if told else [free(START + 5, 2, 3)]))
        writer.close(trailer(START + LENGTH * SECOND))
    writer = TraceWriter(folder / "idle.trace", header(AREAS, stores))
    writer.feed(batch([store(START + 1, 0, 3, 1000)]))
    writer.close(trailer(START + 61 * SECOND))
    writer = TraceWriter(folder / "cut.trace", header(AREAS, stores))
    writer.feed(batch(events))
    writer.flush()
    (folder / "precious").write_text("mine")
    return folder


def run(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr)."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return raised.value.code or 0, captured.out, captured.err  # type: ignore[return-value]


def complaint(err: str) -> str:
    """What is said of a mistake: click's usage and one line, or two of our own, and no more."""
    lines = err.splitlines()
    if lines[0].startswith(("Usage: ", "Error: ")):
        assert lines[-1].startswith("Error: ") and len(lines) <= 4, err
    else:
        assert lines[0].startswith("swaptrace: ") and len(lines) == 2, err
    return "\n".join(lines)


# -------------------------------------------------------------------------------------------------------------- report


def duration(report: Any) -> object:
    return report["trace"]["duration_s"]


def frees(report: Any) -> object:
    return report["areas"][0]["frees"]


def devices(report: Any) -> object:
    return [area["device"] for area in report["areas"]]


def policies(report: Any) -> object:
    return list(report["areas"][0]["policies"])


def what_ifs(report: Any) -> object:
    return [list(area["what_if"]) for area in report["areas"]]


def aged(report: Any) -> object:
    return [area["age"] is not None for area in report["areas"]]


def written_back(report: Any) -> object:
    ((found,),) = (area["what_if"].values() for area in report["areas"])
    return found["write_back"] and found["write_back"]["writes"]


def groups(report: Any) -> object:
    return [group["name"] for group in report["by"]["groups"]]


def others(report: Any) -> object:
    return report["by"]["others"] and report["by"]["others"]["frees"]


NO_MOMENT = "neither seconds, nor a time (14:05, 2026-03-01 14:05:30), nor a mark of the recording"
NOT_BEFORE = "is not before --until"
NOTHING_AFTER = "nothing was recorded after --since"
REPORT = [
    Row("trace", "", 2, "Missing argument 'TRACE'"),
    Row("trace", "missing", 4, "cannot read missing"),
    Row("trace", ".", 4, "it is a directory"),
    Row("trace", "''", 2, "Invalid value for 'TRACE': the name is empty"),
    Row("trace", ". --format html", 4, "it is a directory"),
    Row("trace", "precious", 4, "not a swaptrace trace"),
    Row("trace", "swap.trace disk.trace", 2, "unexpected extra argument"),
    Row("trace", "swap.trace", got=lambda report: report["trace"]["path"], value="swap.trace"),
    Row("since", "swap.trace --since 0", got=duration, value=10.0),
    Row("since", "swap.trace --since 0", got=frees, value=10),
    Row("since", "swap.trace --since 2.5", got=frees, value=8),  # the free at 2.5 s itself is in
    Row("since", "swap.trace --since 2.5", got=lambda report: report["trace"]["since_s"], value=2.5),
    Row("since", "swap.trace", got=lambda report: report["trace"]["since_s"], value=None),
    Row("since", "swap.trace --since 2.5", said="part      from 2.5 s after the start to the end"),
    Row("until", "swap.trace --until 4", said="part      from 0 ns after the start to 4.0 s"),
    Row("until", "swap.trace --until 4", got=lambda report: report["trace"]["until_s"], value=4.0),
    Row("since", "swap.trace --since 2.500000001", got=frees, value=7),
    Row("since", "swap.trace --since 9.999999999", got=duration, value=1e-9),
    Row("since", "swap.trace --since 9.6", got=frees, value=0),  # nothing happened, but it was recorded
    Row("since", "swap.trace --since 10", 2, f"{NOTHING_AFTER} 10: the recording is 10.0 s long"),
    Row("since", "swap.trace --since 11", 2, NOTHING_AFTER),
    Row("since", "swap.trace --since 11", 2, "\ngive less than that, in seconds after its start"),
    Row("since", "swap.trace --since 11 --until 12", 2, NOTHING_AFTER),
    Row("since", "cut.trace --since 9.5", 2, f"{NOTHING_AFTER} 9.5: the recording is 9.5 s long"),
    Row("since", "swap.trace --since 1e9", 2, NOTHING_AFTER),
    Row("since", "swap.trace --since 2e9", 2, "not in the range"),
    Row("since", "swap.trace --since -1", 2, "not in the range"),
    Row("since", "swap.trace --since nan", 2, "not a number of seconds"),
    Row("since", "swap.trace --since inf", 2, "not in the range"),
    Row("since", "swap.trace --since soon", 2, f"--since soon: {NO_MOMENT}"),
    Row("since", "swap.trace --since 24:61", 2, "--since 24:61: there is no such time"),
    Row("since", "swap.trace --since 1990-01-01T00:00:00Z", got=frees, value=10),  # long before: all of it
    Row("since", "swap.trace --since=", 2, "it is empty"),
    Row("until", "swap.trace --until soon", 2, f"--until soon: {NO_MOMENT}"),
    Row("until", "swap.trace --until 1990-01-01T00:00:00Z", 2, "before the recording began"),
    Row("since", "swap.trace --since 1 --since 2.5", got=frees, value=8),  # the last one counts
    Row("until", "swap.trace --until 1e-12", 2, "less than a nanosecond"),
    Row("until", "swap.trace --since 1 --until 1.0000000001", 2, "nothing lies between them"),  # the same nanosecond
    Row("until", "swap.trace --until 2.5", got=frees, value=2),  # the free at 2.5 s itself is not in
    Row("until", "swap.trace --until 2.5", got=duration, value=2.5),
    Row("until", "swap.trace --until 10", got=duration, value=10.0),
    Row("until", "swap.trace --until 1e9", got=duration, value=10.0),
    Row("until", "swap.trace --since 2.5 --until 4.5", got=duration, value=2.0),
    Row("until", "swap.trace --since 2.5 --until 4.5", got=frees, value=2),
    Row("until", "swap.trace --until 0", 2, "not in the range"),
    Row("until", "swap.trace --until -1", 2, "not in the range"),
    Row("until", "swap.trace --until nan", 2, "not a number of seconds"),
    Row("until", "swap.trace --until 1e300", 2, "not in the range"),
    Row("until", "swap.trace --since 3 --until 2", 2, f"--since 3 {NOT_BEFORE} 2"),
    Row("until", "swap.trace --since 3 --until 3", 2, f"--since 3 {NOT_BEFORE} 3"),
    Row("devices", "swap.trace", got=devices, value=["/dev/zram0", "/dev/zram1", "/dev/sda2"]),
    Row("devices", "swap.trace --device zram1", got=devices, value=["/dev/zram1"]),
    Row("devices", "swap.trace --device /dev/sda2", got=devices, value=["/dev/sda2"]),
    Row("devices", "swap.trace --device zram1 --device /dev/zram0", got=devices, value=["/dev/zram0", "/dev/zram1"]),
    Row("devices", "swap.trace --device zram1 --device zram1", got=devices, value=["/dev/zram1"]),
    Row("devices", "swap.trace --device zram9", 2, "no swap area zram9"),
    Row("devices", "swap.trace --device zram9", 2, "its swap areas: /dev/zram0, /dev/zram1, /dev/sda2"),
    Row("devices", "swap.trace --device zram1 --device zram9", 2, "no swap area zram9"),
    Row("devices", "swap.trace --device=", 2, "no swap area"),
    Row("devices", "swap.trace --device zram", 2, "no swap area zram"),  # no part of a name
    Row("policies", "swap.trace", got=policies, value=POLICIES),
    *(Row("policies", f"swap.trace --policy {name}", got=policies, value=[name]) for name in POLICIES),
    Row("policies", "swap.trace --policy notify --policy none", got=policies, value=["none", "notify"]),
    Row("policies", "swap.trace --policy none --policy none", got=policies, value=["none"]),
    Row("policies", "swap.trace --policy all", 2, "is not one of"),
    Row("policies", "swap.trace --policy NONE", 2, "is not one of"),
    Row("what_ifs", "swap.trace", got=what_ifs, value=[[], [], []]),
    Row("what_ifs", "swap.trace --what-if chain=8", got=what_ifs, value=[["chain=8"], ["chain=8"], []]),
    Row("what_ifs", "swap.trace --device zram0 --what-if chain=4 --what-if rule=used_percent,chain=4", got=what_ifs,
        value=[["chain=4", "rule=used_percent,chain=4"]]),
    Row("what_ifs", "swap.trace --device zram0 --what-if chain=5 --what-if chain=5", got=what_ifs, value=[["chain=5"]]),
    Row("what_ifs", "swap.trace --device zram0 --what-if fullness=quarters", got=what_ifs,
        value=[["fullness=quarters"]]),
    *(Row("what_ifs", f"swap.trace --what-if {text}", 2, "not a value that is known: chain is 4..16")
      for text in ("chain=3", "chain=17", "chain=-4", "chain=four", "chain=4.5", "chain=08", "chain=+8", "chain=1_0",
                   "chain=\u0668")),
    Row("what_ifs", "swap.trace --what-if rule=best", 2, "rule is least_waste|used_percent"),
    Row("what_ifs", "swap.trace --what-if fullness=full", 2, "fullness is tenths|quarters"),
    *(Row("what_ifs", f"swap.trace --what-if writeback={text}", 2,
          "not a value that is known: writeback is a time (90s, 15m, 1h, 2d)")
      for text in ("15", "m", "0s", "015m", "-1h", "1.5h", "15min", "1000000001s", "11575d", "\u0661h")),
    *(Row("what_ifs", f"{file} --device zram0 --what-if {text}", got=written_back, value=pages)
      for file, text, pages in (
          ("swap.trace", "chain=8", None), ("swap.trace", "writeback=1s", 0), ("idle.trace", "writeback=59s", 1),
          ("idle.trace", "writeback=1m", 1), ("idle.trace", "writeback=60s", 1), ("idle.trace", "writeback=61s", 0),
          ("idle.trace", "writeback=1h", 0), ("idle.trace", "chain=8,writeback=1m", 1),
          ("idle.trace", "writeback=11574d", 0),
      )),
    Row("what_ifs", "swap.trace --what-if writeback=1s,writeback=2s", 2, "writeback is there twice"),
    Row("what_ifs", "disk.trace --what-if writeback=1m", 2, "no swap area here has a"),
    *(Row("what_ifs", f"swap.trace --what-if={text}", 2, "is none of chain=..., rule=..., fullness=..., writeback=...")
      for text in ("", "chain", "chain=", "=4", "color=red", "chain=4,", "chain:4")),
    Row("what_ifs", "swap.trace --what-if chain=4,chain=8", 2, "chain is there twice"),
    Row("what_ifs", "disk.trace --what-if chain=8", 2, "no swap area here has a pool that can be replayed"),
    Row("what_ifs", "swap.trace --device /dev/sda2 --what-if chain=8", 2, "no swap area here has a pool"),
    Row("age", "swap.trace", got=aged, value=[False, False, False]),
    Row("age", "swap.trace --age", got=aged, value=[True, True, False]),
    Row("age", "idle.trace --age", said="What writing back idle entries would give"),
    Row("by", "swap.trace", got=lambda report: "by" in report, value=False),
    Row("by", "swap.trace --by area", got=groups, value=["/dev/zram0 (swap type 0)"]),
    Row("by", "swap.trace --by reason", got=groups, value=["other", "(in use)"]),
    Row("by", "swap.trace --by cgroup", got=groups, value=["(not known)"]),
    Row("by", "swap.trace --by process", got=groups, value=["? (100)", "(in use)"]),
    Row("by", "swap.trace --by area --device zram1", got=groups, value=[]),
    Row("by", "swap.trace --by area --device zram1", said="swaptrace report"),
    Row("by", "swap.trace --by color", 2, "is not one of 'cgroup', 'process', 'reason', 'area'"),
    Row("sort", "swap.trace --by reason --sort stores", got=groups, value=["(in use)", "other"]),
    Row("sort", "swap.trace --by reason --sort frees", got=groups, value=["other", "(in use)"]),
    Row("sort", "swap.trace --by reason --sort size", 2, "--sort size: there is no such column"),
    Row("sort", "swap.trace --by reason --sort=", 2, "--sort : there is no such column"),
    Row("sort", "swap.trace --sort frees", 2, "--sort and --top are of the tables that --by makes"),
    Row("top", "swap.trace --by reason --top 1", got=groups, value=["other"]),
    Row("top", "swap.trace --by reason --sort stores --top 1", got=others, value=10),
    Row("top", "swap.trace --by reason --top 2", got=others, value=None),
    Row("top", "swap.trace --by reason --top 0", got=groups, value=["other", "(in use)"]),
    Row("top", "swap.trace --by reason --top 0", said="(in use)"),
    Row("top", "swap.trace --top 1", 2, "--sort and --top are of the tables"),
    Row("top", "swap.trace --by reason --top -1", 2, "is not in the range"),
    Row("form", "swap.trace --format text", said="swaptrace report"),
    Row("form", "swap.trace --format html", said="swap.report/report.html"),
    Row("output", "--help", said="[default: stdout; of swap.trace,"),
    Row("form", "swap.trace --format pdf", 2, "is not one of 'text', 'json', 'csv', 'html'"),
    Row("form", "swap.trace --format JSON", 2, "is not one of"),
    Row("form", "swap.trace --format=", 2, "is not one of"),
    Row("form", "swap.trace --format html --format text", said="swaptrace report"),  # the last one counts
    Row("exact", "swap.trace", said="3.6 KiB"),
    Row("exact", "swap.trace --bytes", said="3,700 B"),
    Row("exact", "swap.trace --bytes --by reason", said=" B·s"),
    Row("output", "swap.trace -o -", said="swaptrace report"),
    Row("output", "swap.trace --format html -o -", 2, "an HTML report is a folder, which stdout cannot take"),
    Row("output", "swap.trace --format html -o page", said="page/report.html"),
    Row("output", "swap.trace --format html -o precious", 3, "cannot write the report: File exists"),
    Row("output", "swap.trace -o .", 3, "cannot write the report: Is a directory"),
    Row("output", "swap.trace -o nowhere/report", 3, "cannot write the report: No such file or directory"),
    Row("output", "swap.trace -o /dev/full", 3, "cannot write the report: No space left on device"),
    Row("output", "swap.trace -o swap.trace", 2, "swap.trace is the recording itself"),
    Row("output", "swap.trace --format json -o ./swap.trace", 2, "is the recording itself"),
    Row("output", "swap.trace --output=", 2, "the name is empty"),
    Row("output", "missing -o report", 4, "cannot read missing"),
    Row("output", "swap.trace --output", 2, "requires an argument"),
]  # fmt: skip


#: What to do about each of them: the second line. By words of the first one.
ADVICE = {
    "cannot read": "name a file that swaptrace record wrote",
    "not a swaptrace trace": "name a file that swaptrace record wrote",
    NO_MOMENT: "the recording has none: set them with swaptrace mark while it goes on",
    "there is no such time": "give one as 14:05 or 2026-03-01 14:05:30",
    "before the recording began": "give a later time",
    NOT_BEFORE: "give both in seconds after the start of the recording, the smaller one with --since",
    NOTHING_AFTER: "give less than that, in seconds after its start",
    "the recording has no swap area": "its swap areas: /dev/zram0, /dev/zram1, /dev/sda2",
    "no swap area here has a pool": "leave out --what-if, or choose another area with --device",
    "--what-if": "give chain=4..16, rule=least_waste|used_percent, fullness=tenths|quarters, "
    "writeback=a time (90s, 15m, 1h, 2d), several with commas",
    "an HTML report is a folder": "name a folder with -o",
    "there is no such column": "give one of live, duplicates, stale, recovered, held, stores, loads, refaults, frees, "
    "pool",
    "--sort and --top": "give --by, too",
    "cannot write the report": "choose another place with -o",
    "is the recording itself": "choose another place with -o",
}


def advice(said: str) -> str:
    """The second line of a complaint of our own; click's have none."""
    problem, _, advised = said.partition("\n")
    if problem.startswith("swaptrace: "):
        assert advised == next(words for known, words in ADVICE.items() if known in problem)
    return said


@pytest.mark.parametrize("row", REPORT, ids=lambda row: f"{row.parameter}: {row.arguments}")
def test_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, row: Row) -> None:
    monkeypatch.chdir(folder)
    before = (folder / "swap.trace").read_bytes()
    form = ["--format", "json"] if row.got else []
    status, out, err = run(capsys, ["report", *shlex.split(row.arguments), *form])
    assert status == row.status, err
    assert (folder / "swap.trace").read_bytes() == before
    if status:
        assert row.said in advice(complaint(err)) and not out
    elif row.got:
        assert row.got(json.loads(out)) == row.value
    else:
        assert row.said in out


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_report_to_a_file_is_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, form: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    printed = run(capsys, ["report", "swap.trace", "--format", form])[1]
    assert run(capsys, ["report", "swap.trace", "--format", form, "-o", "written"])[:2] == (0, "")
    assert (folder / "written").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("form", ["text", "json", "csv", "html"])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_reaches_every_format(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path, form: str, policy: str
) -> None:
    """Rows, fields and lines of that policy alone (what they hold, and what charts draw: test_tables, test_charts)."""
    monkeypatch.chdir(folder)
    drawn: list[tuple[str, ...]] = []

    def plot(area: AreaResult) -> Plot:
        drawn.append(area.shown)
        return Plot("x", "x")

    monkeypatch.setattr("swaptrace.report.html.CHARTS", (Chart("x", "x", plot, "x"),))
    _, out, _ = run(
        capsys, ["report", "swap.trace", "--format", form, "--policy", policy, "-o", "page" if form == "html" else "-"]
    )
    said = (folder / "page" / "report.html").read_text(encoding="utf-8") if form == "html" else out
    row = {
        "text": r"^{} +[\d.]+",
        "json": r'"{}": {{\s+"stale_slots_end"',
        "csv": r",policies\.{}\.stale_slots,",
        "html": r'<th scope="row">{}</th>',
    }[form]
    assert [name for name in POLICIES if re.search(row.format(name), said, re.MULTILINE)] == [policy]
    assert drawn == [(policy,)] * 3 if form == "html" else not drawn


def test_results_may_not_tell_of_all_policies(folder: Path) -> None:
    """What is not there is not left out in silence."""
    found = analyse(folder / "swap.trace")
    brief = [replace(area, policies={"none": area.policies["none"]}) for area in found.areas]
    with pytest.raises(UsageProblem, match="does not tell what the policy discard does") as raised:
        _select(replace(found, areas=brief), Selection(policies=("none", "discard")))
    assert raised.value.remedy == "it tells of: none"


WHAT_IFS = {
    "chain=4": (4, ChainRule.LEAST_WASTE, FullnessRule.TENTHS),
    "chain=8": (8, ChainRule.LEAST_WASTE, FullnessRule.TENTHS),
    "chain=16": (16, ChainRule.LEAST_WASTE, FullnessRule.TENTHS),
    "rule=used_percent,chain=4": (4, ChainRule.USED_PERCENT, FullnessRule.TENTHS),
    "chain=4,rule=used_percent": (4, ChainRule.USED_PERCENT, FullnessRule.TENTHS),
    "rule=used_percent": (8, ChainRule.USED_PERCENT, FullnessRule.TENTHS),
    "fullness=quarters,chain=5": (5, ChainRule.LEAST_WASTE, FullnessRule.QUARTERS),
}


def test_what_if_is_a_replay_with_that_pool(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each specification's figures are those of an analysis with that geometry, and not those of another one."""
    events = [store(START + n, 0, n, size) for n, size in enumerate(range(400, 4000, 61), 1)]
    events += [free(START + 500 + n, 0, n) for n in range(1, 40, 3)]
    path, start = tmp_path / "pool.trace", header(AREAS[:1], [Store(0, "zram0", 64)])
    writer = TraceWriter(path, start)
    writer.feed(batch(events))
    writer.close(trailer(START + SECOND))
    arguments = [word for text in WHAT_IFS for word in ("--what-if", text)]
    _, out, _ = run(capsys, ["report", str(path), "--format", "json", *arguments])
    (area,) = json.loads(out)["areas"]
    assert list(area["what_if"]) == list(WHAT_IFS)
    ends = set()
    for text, (chain, rule, fullness) in WHAT_IFS.items():
        machine = replace(machine_of(start), geometry=geometry(PAGE_SIZE, chain, rule, fullness))
        analysis = Analysis(start, machine=machine)
        analysis.feed(batch(events))
        analysis.finish(trailer(START + SECOND))
        (expected,) = analysis.what_if()
        assert expected is not None
        found = area["what_if"][text]
        for one, integral in (
            (found["mem_used_total"], expected.mem_used_total),
            *((found["stale_pool_bytes"][name], stale) for name, stale in expected.stale_pool_bytes.items()),
        ):
            assert one == {part: getattr(integral, part) for part in INTEGRAL_PARTS}, text
        assert list(found["stale_pool_bytes"]) == list(expected.stale_pool_bytes)
        ends.add(found["mem_used_total"]["end"])
    assert len(ends) >= 4  # they do differ


# -------------------------------------------------------------------------------- record, audit, check and selftest


def files(call: Any) -> tuple[Path | None, Path | None]:
    """Where events and results go."""
    return call["output"], call["summary"]


RECORD = [
    Row("output", "", got=lambda call: call["output"], value=Path("swap.trace")),
    Row("output", "-o new", got=lambda call: call["output"], value=Path("new")),
    Row("output", "-o", 2, "requires an argument"),
    Row("output", "-o ''", 2, "the name is empty"),
    Row("duration", "", got=lambda call: call["duration"], value=None),
    Row("duration", "-d 0.5", got=lambda call: call["duration"], value=0.5),
    Row("duration", "-d 0", 2, "not in the range"),
    Row("duration", "-d -1", 2, "not in the range"),
    Row("duration", "-d nan", 2, "not a number of seconds"),
    Row("duration", "-d inf", 2, "not in the range"),
    Row("duration", "-d 1h", 2, "not a valid"),
    Row("age", "--summary", got=lambda call: call["ages"], value=False),
    Row("age", "--summary --age", got=lambda call: call["ages"], value=True),
    Row("age", "-o full --age", 2, "--age is of the results that --summary keeps"),
    Row("force", "", got=lambda call: call["force"], value=False),
    Row("force", "--force", got=lambda call: call["force"], value=True),
    Row("ring_mib", "", got=lambda call: call["ring_bytes"], value=None),
    Row("ring_mib", "--ring 1", got=lambda call: call["ring_bytes"], value=1 << 20),
    Row("ring_mib", "--ring 1024", got=lambda call: call["ring_bytes"], value=1 << 30),
    Row("ring_mib", "--ring 0", 2, "not in the range"),
    Row("ring_mib", "--ring 1025", 2, "not in the range"),
    Row("ring_mib", "--ring 1.5", 2, "not a valid integer"),
    Row("ring_mib", "--ring 3", 2, "a power of two"),
    Row("labels", "", got=lambda call: call["labels"], value={}),
    Row("labels", "--label pool=a --label kube/node.1=", got=lambda call: call["labels"],
        value={"pool": "a", "kube/node.1": ""}),
    Row("labels", "--label key=a=b", got=lambda call: call["labels"], value={"key": "a=b"}),
    Row("labels", "--label pool", 2, "is not KEY=VALUE"),
    Row("labels", "--label =a", 2, "is not KEY=VALUE"),
    Row("labels", "--label -a=b", 2, "is not KEY=VALUE"),
    Row("labels", "--label po\u00f6l=a", 2, "is not KEY=VALUE"),
    Row("labels", "--label a=1 --label a=2", 2, "a is given twice"),
    Row("time_frees", "", got=lambda call: call["time_frees"], value=False),
    Row("time_frees", "--time-frees", got=lambda call: call["time_frees"], value=True),
    Row("kprobes", "", got=lambda call: call["kprobes"], value=False),
    Row("kprobes", "--kprobes", got=lambda call: call["kprobes"], value=True),
    Row("summary", "", got=files, value=(Path("swap.trace"), None)),
    Row("summary", "--summary", got=files, value=(None, Path("swap.summary"))),
    Row("summary", "--summary -d 2", got=files, value=(None, Path("swap.summary"))),
    Row("summary", "--summary brief -d 2", got=files, value=(None, Path("brief"))),
    Row("summary", "--summary -- true", got=lambda call: (call["summary"], call["command"]),
        value=(Path("swap.summary"), ("true",))),
    Row("summary", "-o full --summary brief", got=files, value=(Path("full"), Path("brief"))),
    Row("summary", "--summary=", 2, "the name is empty"),
    Row("summary", "-o full --summary full", 2, "cannot both go to full"),
    Row("summary", "-o full --summary nowhere/../full", 2, "cannot both go to full"),
    Row("summary", "-o swap.summary --summary", 2, "cannot both go to swap.summary"),
    Row("arguments", "", got=lambda call: call["command"], value=()),
    Row("arguments", "--", got=lambda call: call["command"], value=()),
    Row("arguments", "-- true -d x", got=lambda call: call["command"], value=("true", "-d", "x")),
    Row("arguments", "true -d x", got=lambda call: call["command"], value=("true", "-d", "x")),
    Row("arguments", "-d 1 true --force", got=lambda call: (call["command"], call["force"]),
        value=(("true", "--force"), False)),
]  # fmt: skip

AUDIT = [
    Row("seconds", "", got=lambda call: call["seconds"], value=None),
    Row("seconds", "--trace 0.5", got=lambda call: call["seconds"], value=0.5),
    Row("seconds", "--trace 0", 2, "not in the range"),
    Row("seconds", "--trace -1", 2, "not in the range"),
    Row("seconds", "--trace nan", 2, "not a number of seconds"),
    Row("seconds", "--trace inf", 2, "not in the range"),
    Row("seconds", "--trace", 2, "requires an argument"),
    Row("form", "", said="text"),
    Row("form", "--format text", said="text"),
    Row("form", "--format json", said="json"),
    Row("form", "--format html", 2, "is not one of 'text', 'json'"),
    Row("exact", "", said="4.0 KiB"),
    Row("exact", "--bytes", said="4,096 B"),
]
DIFF = [
    Row("recordings", "", 2, "Missing argument 'A... [--] B...'"),
    Row("recordings", "a", 2, "there is but one file"),
    Row("recordings", "a b", got=lambda call: call["sides"], value=(["a"], ["b"])),
    Row("recordings", "a b c", 2, "which of these 3 files are on which side?"),
    Row("recordings", "a -- b", got=lambda call: call["sides"], value=(["a"], ["b"])),
    Row("recordings", "a b -- c", got=lambda call: call["sides"], value=(["a", "b"], ["c"])),
    Row("recordings", "a -- b c d", got=lambda call: call["sides"], value=(["a"], ["b", "c", "d"])),
    Row("recordings", "-- a b", 2, "once between two sides"),
    Row("recordings", "a b --", 2, "once between two sides"),
    Row("recordings", "--", 2, "once between two sides"),
    Row("recordings", "a -- b -- c", 2, "once between two sides"),
    Row("recordings", "a -- b -x", 2, "No such option"),
    Row("form", "a b", got=lambda call: call["form"], value="text"),
    Row("form", "a b --format json", got=lambda call: call["form"], value="json"),
    Row("form", "a b --format html", got=lambda call: call["form"], value="html"),
    Row("form", "a -- b c --format json", got=lambda call: (call["form"], call["sides"][1]), value=("json", [*"bc"])),
    Row("form", "a b --format csv", 2, "is not one of 'text', 'json', 'html'"),
    Row("output", "a b", got=lambda call: call["output"], value=None),
    Row("output", "a b -o c", got=lambda call: str(call["output"]), value="c"),
    Row("output", "a b -o -", got=lambda call: str(call["output"]), value="-"),
    Row("output", "a b -o", 2, "requires an argument"),
    Row("since", "a b", got=lambda call: call["selection"], value=Selection()),
    Row("since", "a b --since 2", got=lambda call: call["selection"], value=Selection(since=2.0)),
    Row("since", "a b --since 'a mark'", got=lambda call: call["selection"], value=Selection(since="a mark")),
    Row("since", "a b --since nan", 2, "is not a number of seconds"),
    Row("until", "a b --until 3", got=lambda call: call["selection"], value=Selection(until=3.0)),
    Row("devices", "a b --device c --device d", got=lambda call: call["selection"],
        value=Selection(devices=("c", "d"))),
    Row("everything", "a b", got=lambda call: call["everything"], value=False),
    Row("everything", "a b --all", got=lambda call: call["everything"], value=True),
]  # fmt: skip
MARK = [
    Row("text", "here", got=lambda call: call["text"], value="here"),
    Row("text", "the build begins", got=lambda call: call["text"], value="the build begins"),
    Row("text", "-- --force", got=lambda call: call["text"], value="--force"),
    Row("text", "", 2, "Missing argument 'TEXT...'"),
    Row("text", "--force", 2, "No such option"),
]


def exporting(call: Any) -> Any:
    return call["wanted"]


EXPORT = [
    Row("recording", "", 2, "Missing argument 'FILE'"),
    Row("recording", "some.trace --to csv", got=lambda call: call["path"], value=Path("some.trace")),
    Row("to", "some.trace --to pdf", 2, "is not one of 'parquet', 'csv', 'perfetto', 'openmetrics'"),
    *(Row("to", f"x --to {to}", got=lambda call: exporting(call).to, value=to)
      for to in ("parquet", "csv", "perfetto", "openmetrics")),
    Row("output", "x --to csv", got=lambda call: exporting(call).output, value=None),
    Row("output", "x --to csv -o -", got=lambda call: exporting(call).output, value=Path("-")),
    Row("what", "x --to csv", got=lambda call: exporting(call).tables, value=()),
    Row("what", "x --to csv --what series --what areas", got=lambda call: exporting(call).tables,
        value=("series", "areas")),
    Row("what", "x --to csv --what all", 2, "is not one of 'events', 'lifetimes', 'series', 'areas'"),
    Row("since", "x --to csv --since 0", got=lambda call: exporting(call).selection, value=Selection(since=0)),
    Row("since", "x --to csv --since -1", 2, "not in the range"),
    Row("until", "x --to csv --until 2.5", got=lambda call: exporting(call).selection, value=Selection(until=2.5)),
    Row("until", "x --to csv --until 0", 2, "not in the range"),
    Row("devices", "x --to csv --device a --device b", got=lambda call: exporting(call).selection,
        value=Selection(devices=("a", "b"))),
    Row("force", "x --to csv", got=lambda call: exporting(call).force, value=False),
    Row("force", "x --to csv --force", got=lambda call: exporting(call).force, value=True),
]  # fmt: skip
NO_OPTIONS = [
    Row("", "", got=lambda call: call["what"], value="called"),
    Row("", "extra", 2, "unexpected extra argument"),
    Row("", "--trace 1", 2, "No such option"),
]
GROUP = [
    Row("version", "--version", said="swaptrace, version "),
    Row("", "--help", said="Usage: swaptrace "),
    Row("", "-h", said="Usage: swaptrace "),
    Row("", "nonsense", 2, "No such command 'nonsense'"),
    Row("", "--nonsense", 2, "No such option"),
    *(Row("", f"{name} --help", said=f"Usage: swaptrace {name} ") for name in cli.list_commands(None)),
]


class Call(dict[str, Any]):
    """What a command has called, and with what."""

    def by(self, what: str, result: object, *names: str) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            self.update(dict(zip(names, arguments, strict=False)) | named | {"what": what})
            return result

        return called


class Found:
    """A result of check and audit."""

    possible = clean = True


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """The commands' work, replaced by a note of how it was called."""
    call = Call()
    record = ("output", "summary", "command")
    monkeypatch.setattr("swaptrace.record.recorder.record", call.by("trace", 0, *record))
    monkeypatch.setattr("swaptrace.export.command.export", call.by("export", None, "path", "wanted"))
    monkeypatch.setattr("swaptrace.audit.audit.audit", call.by("audit", Found(), "seconds"))
    monkeypatch.setattr("swaptrace.audit.as_json.as_json", lambda found: "json")
    monkeypatch.setattr("swaptrace.audit.text.print_audit", lambda found, console: print("text", units.size(4096)))
    compared = call.by("diff", None, "sides", "form", "output", "selection", "everything")
    monkeypatch.setattr(
        "swaptrace.diff.command.diff", lambda a, b, *others: compared(([*map(str, a)], [*map(str, b)]), *others)
    )
    monkeypatch.setattr("swaptrace.marks.set_mark", call.by("text", 1, "text"))
    monkeypatch.setattr("swaptrace.record.check.check", call.by("called", Found()))
    monkeypatch.setattr("swaptrace.record.check.print_check", lambda found, console: None)
    monkeypatch.setattr("swaptrace.record.selftest.selftest", call.by("called", []))
    return call


OTHERS = {
    "record": RECORD,
    "audit": AUDIT,
    "diff": DIFF,
    "export": EXPORT,
    "mark": MARK,
    "check": NO_OPTIONS,
    "selftest": NO_OPTIONS,
    "": GROUP,
}


@pytest.mark.parametrize(
    ("command", "row"),
    [(command, row) for command, rows in OTHERS.items() for row in rows],
    ids=lambda value: value if isinstance(value, str) else value.arguments,
)
def test_other_commands(capsys: pytest.CaptureFixture[str], call: Call, command: str, row: Row) -> None:
    status, out, err = run(capsys, [*([command] if command else []), *shlex.split(row.arguments)])
    assert status == row.status, err
    if status:
        assert row.said in complaint(err) and not call
    elif row.got:
        assert row.got(call) == row.value
    else:
        assert row.said in out


def test_record_runs_the_command_that_it_is_given(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is no option of record's is the command: one that there is not."""
    status, _, err = run(capsys, ["record", "-o", str(tmp_path / "new"), "--frobnicate"])
    assert status == 2 and "--frobnicate: command not found" in complaint(err)


def test_every_option_has_rows() -> None:
    context = click.Context(cli)
    commands = {"": cli, **{name: cli.get_command(context, name) for name in cli.list_commands(context)}}
    parameters = {
        (name, parameter.name) for name, command in commands.items() if command for parameter in command.params
    }
    rows = {(name, row.parameter) for name, rows in {**OTHERS, "report": REPORT}.items() for row in rows}
    assert parameters == {(name, parameter) for name, parameter in rows if parameter}
