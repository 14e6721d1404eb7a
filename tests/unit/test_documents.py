"""The documents: tables that parse as such, and every field of the JSON report in its own row, by its path."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import START, Event, batch, free, header, store, told_zsmalloc, trailer, zram_area
from test_report import result
from test_report import zram_area as made_up

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store
from swaptrace.dimensions import DIMENSIONS
from swaptrace.events import EVENT, EventFlag, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.by import breakdown
from swaptrace.results.results import Range
from swaptrace.trace.header import Trailer

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path for folder in ("", "docs", "reports", "reports/*") for path in sorted(ROOT.glob(f"{folder}/*.md".lstrip("/")))
]
SEPARATOR = re.compile(r"\|(\s*:?-+:?\s*\|)+")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def tables(text: str) -> Iterator[list[str]]:
    """Lines that follow each other and begin with a bar; none of code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line.lstrip().startswith("|")]
        if lines:
            yield lines


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_are_tables(path: Path) -> None:
    """A head, a separator, and rows of as many cells: what a blank line cuts off is none, and is shown as bars."""
    for lines in tables(path.read_text(encoding="utf-8")):
        assert len(lines) > 2 and SEPARATOR.fullmatch(lines[1].strip()), lines[0]
        assert {len(cells(line)) for line in lines} == {len(cells(lines[0]))}, lines[0]


def test_a_table_that_is_cut_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "cut.md"
    path.write_text("| a | b |\n|---|---|\n| 1 | 2 |\n\n| 3 | 4 |\n")
    with pytest.raises(AssertionError):
        test_tables_are_tables(path)


# ------------------------------------------------------------------------------------------------------ the JSON report

#: Objects whose keys differ from report to report, and how the document names these.
BY = {
    "losses": "KIND",
    "missed": "KIND",
    "areas[].policies": "POLICY",
    "areas[].what_if": "SPECIFICATION",
    "areas[].what_if.SPECIFICATION.stale_pool_bytes": "POLICY",
    "areas[].lifetime_by_reason_ns": "REASON",
    "areas[].bounds": "FIGURE",
    "areas[].unknown": "FIGURE",
    "by.unknown": "FIGURE",
}
INTEGRAL = {"end", "peak", "mean", "byte_seconds"}


def documented() -> dict[str, str]:
    """What is said of each field, by its path."""
    found: dict[str, str] = {}
    for lines in tables((ROOT / "docs" / "report-json.md").read_text(encoding="utf-8")):
        head, rows = cells(lines[0])[0], [cells(line) for line in lines[2:]]
        if not head.startswith("field"):
            continue
        roots = re.findall(r"`([^`]+)`", head) or ["an integral" if head.endswith("integral") else ""]
        for fields, *_, what in rows:
            names = re.findall(r"`([^`]+)`", fields)
            assert names and fields == ", ".join(f"`{name}`" for name in names), fields
            for path in (f"{root}.{name}".lstrip(".") for root in roots for name in names):
                assert path not in found, f"{path} is there twice"
                found[path] = what
    return found


def paths(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all fields; keys that differ from report to report are not fields."""
    if isinstance(value, dict):
        for key, item in value.items():
            if path in BY:
                yield from paths(item, f"{path}.{BY[path]}")
            else:
                here = f"{path}.{key}".lstrip(".")
                yield here, item
                yield from paths(item, here)
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[]")


def reports() -> list[dict[str, Any]]:
    """With everything that a report may have: made up, with losses, and of a trace."""
    whole = made_up()
    lossy = dataclasses.replace(whole, ranges={"frees": Range(1, 2)}, unknown={"stores": "lost"})
    area, zram = zram_area("/dev/zram0", 0, 64, 0), Store(0, "zram0", 64, table_bytes=4096)
    analysis = Analysis(header([area], [zram], zsmalloc=told_zsmalloc()))
    analysis.feed(batch([store(START + 1, 0, 1, 100), store(START + 1, 0, 2, 100), free(START + 2, 0, 1)]))
    analysis.feed(batch([Event(START + 3, EventKind.IN_USE, 0, 2)]))
    ended = Trailer(Snapshot(START + 9, (area,), (zram,), {"MemTotal": 1 << 30}))
    whose = Analysis(header([zram_area("/dev/zram0", 0, 64, 0)], [Store(0, "zram0", 64)]), by=DIMENSIONS["cgroup"])
    whose.feed(batch([store(START + 1, 0, 1, 100), store(START + 2, 0, 2, 100)._replace(arg=7)]))
    groups = whose.finish(trailer(START + 9))
    return [
        as_json(result(whole)), as_json(result(lossy, lost=3)), as_json(analysis.finish(ended)),
        as_json(groups, breakdown(groups, None, 1)),
    ]  # fmt: skip


def test_every_json_field_has_a_row() -> None:
    said = documented()
    fields: dict[str, Any] = {}
    for report in reports():
        for path, value in paths(report):
            if fields.get(path) is None:
                fields[path] = value
    integrals = {path for path, value in fields.items() if isinstance(value, dict) and set(value) == INTEGRAL}
    below = {path for path in fields if path.rpartition(".")[0] in integrals}
    by_policy = {path for path in fields if path.startswith("areas[].what_if.SPECIFICATION.stale_pool_bytes.")}
    wanted = set(fields) - below - by_policy
    assert wanted - set(said) == set()  # every field has a row
    assert {path for path in said if not path.startswith("an integral.")} - wanted == set()  # and every row a field
    assert {path.removeprefix("an integral.") for path in said if path.startswith("an integral.")} == INTEGRAL
    assert {path for path in integrals if "integral" not in said[path]} == set()
    assert {path for path in BY if not re.search(r"\bby\b|keys|figures", said[path])} == set()


def test_the_trace_files_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """On the golden trace in place of the demo's."""
    text = (ROOT / "docs/trace-file.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    trace = ROOT / "tests/data/format2/trace.swaptrace"
    assert code.count('"build/demo/demo.swaptrace"') == 1
    exec(code.replace("build/demo/demo.swaptrace", str(trace)), {})
    out = capsys.readouterr().out
    assert out.startswith("6.12") and "'made': 'golden'" in out and "'/limited'" in out


def test_the_trace_file_is_described() -> None:
    """Each column, kind and flag that there is."""
    text = (ROOT / "docs/trace-file.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"\b[A-Z_]{3,}\b", text))
    hidden = {"TASK", "PATH"}  # in the ring alone
    wanted = {*(EVENT.names or ()), *(kind.name for kind in EventKind), *(flag.name for flag in EventFlag)} - hidden
    assert wanted <= named, wanted - named
