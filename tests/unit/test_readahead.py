"""What swap readahead read for nothing: the kernel's counters at both ends of a recording."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from builders import START, batch, header, store, trailer, zram_area
from click.testing import CliRunner

from swaptrace.areas import Store
from swaptrace.cli import cli
from swaptrace.machine.machine import Machine
from swaptrace.report.command import analyse
from swaptrace.report.words import heading
from swaptrace.results.file import encode
from swaptrace.trace.writer import TraceWriter

SECOND = 1_000_000_000
AREAS, STORES = [zram_area("/dev/zram0", 0, 64, 0)], [Store(0, "zram0", 64)]


def record(path: Path, before: dict[str, int], after: dict[str, int]) -> Path:
    """Two seconds, in which nothing happens but a store."""
    begun = header(AREAS, STORES, missing=())
    writer = TraceWriter(path, replace(begun, start=replace(begun.start, vmstat=before)))
    writer.feed(batch([store(START + SECOND, 0, 3, 1000)]))
    end = trailer(START + 2 * SECOND)
    writer.close(replace(end, end=replace(end.end, vmstat=after)))
    return path


def told(*arguments: object) -> object:
    done = CliRunner().invoke(cli, ["report", "--format", "json", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["trace"]["readahead"]


COUNTED = {"swap_ra": 1000, "swap_ra_hit": 400}, {"swap_ra": 4000, "swap_ra_hit": 1600}


def test_what_nobody_used_is_told(tmp_path: Path) -> None:
    path = record(tmp_path / "trace", *COUNTED)
    assert told(path) == {"pages": 3000, "unused": 1800}
    assert dict(heading(analyse(path)))["readahead"] == "3,000 pages, 1,800 of them (60 %) not used until the end"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {}, None),  # an older trace
        ({"swap_ra": 1}, {"swap_ra": 2}, None),
        (*reversed(COUNTED), None),  # counters that went back
        ({"swap_ra": 5, "swap_ra_hit": 0}, {"swap_ra": 7, "swap_ra_hit": 5}, {"pages": 2, "unused": 0}),
        ({"swap_ra": 5, "swap_ra_hit": 5}, {"swap_ra": 5, "swap_ra_hit": 5}, {"pages": 0, "unused": 0}),
    ],
)
def test_counters(tmp_path: Path, before: dict[str, int], after: dict[str, int], found: object) -> None:
    """What was read before the recording may be used in it. Of nothing that was read ahead nothing is said."""
    path = record(tmp_path / "trace", before, after)
    assert told(path) == found
    assert ("readahead" in dict(heading(analyse(path)))) == bool(found and found["pages"])  # type: ignore[index]


def test_it_is_known_of_a_whole_recording_only(tmp_path: Path) -> None:
    path, cut = record(tmp_path / "trace", *COUNTED), tmp_path / "cut"
    assert told(path, "--since", "0.5") is None
    cut.write_bytes(path.read_bytes()[:-1500])
    assert told(cut) is None


def test_results_have_it(tmp_path: Path) -> None:
    """A file of results is as the trace."""
    path, results = record(tmp_path / "trace", *COUNTED), tmp_path / "results"
    result = analyse(path)
    begun = header(AREAS, STORES, missing=())
    results.write_bytes(encode(replace(begun, start=replace(begun.start, vmstat=COUNTED[0])), result))
    assert told(results) == told(path)


def test_vmstat_is_counted(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 7\nswap_ra 12\nswap_ra_hit 9\nbad -\n")
    assert Machine(tmp_path).vmstat() == {"nr_free_pages": 7, "swap_ra": 12, "swap_ra_hit": 9}
    assert Machine(tmp_path / "nowhere").vmstat() == {}
