"""/proc/swaps and zram's files, as text: odd names, older and newer kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.areas import Store
from swaptrace.events import EventFlag, EventKind
from swaptrace.machine import sysfs
from swaptrace.machine.snapshot import describe_area

KIB = sysfs.PAGE_SIZE // 1024
HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def test_swaps() -> None:
    text = HEAD + (
        f"/dev/zram0                              partition\t{1000 * KIB}\t\t{7 * KIB}\t\t100\n"
        f"/swap/my\\040file                       file\t\t{2 * KIB}\t\t0\t\t-2\n"
        f"/a\\011b\\134c                           file\t\t{2 * KIB}\t\t0\t\t-3\n"
        f"/var/old\\040(deleted)                  file\t\t{2 * KIB}\t\t0\t\t-4\n"
        f"/a path/with spaces                     file\t\t{2 * KIB}\t\t0\t\t-5\n"
    )
    swaps = sysfs.read_swaps(text)
    assert swaps[0] == sysfs.SwapsLine("/dev/zram0", "partition", 1000, 7, 100)
    paths = ["/swap/my file", "/a\tb\\c", "/var/old (deleted)", "/a path/with spaces"]
    assert [line.path for line in swaps[1:]] == paths
    assert [line.priority for line in swaps[1:]] == [-2, -3, -4, -5]
    assert {line.kind for line in swaps[1:]} == {"file"}


def test_names_beyond_ascii() -> None:
    """The kernel escapes white space and backslashes only."""
    text = HEAD + f"/sw\u00e4p\\040\u00e9 file {KIB} 0 -2\n"
    assert sysfs.read_swaps(text)[0].path == "/sw\u00e4p \u00e9"


@pytest.mark.parametrize("text", ["", HEAD])
def test_no_swaps(text: str) -> None:
    assert sysfs.read_swaps(text) == []


def line(index: int, flags: str) -> bytes:
    """As read_block_state() in drivers/block/zram/zram_drv.c prints it."""
    return b"%12d %12d.%06d %s\n" % (index, 75, 33951, flags.encode())


@pytest.mark.parametrize("dots", ["", ".."])
def test_block_state(dots: str) -> None:
    """Four flags; six since recompression (r) and incompressible entries (n) came."""
    raw = (
        line(0, "..h." + dots) + line(7, "s..." + dots) + line(123_456_789_012, ".wh." + dots) + line(9, "...i" + dots)
    )
    index, flags = sysfs.read_block_state("zram0", raw)
    assert index.tolist() == [0, 7, 123_456_789_012, 9]
    huge, same, written = EventFlag.HUGE, EventFlag.SAME, EventFlag.WRITTEN_BACK
    assert flags.tolist() == [huge, same, written, 0]  # an object that is on the disk is none that is huge


def test_block_state_of_an_empty_device() -> None:
    index, flags = sysfs.read_block_state("zram0", b"")
    assert (len(index), len(flags)) == (0, 0)


def present(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> np.ndarray:
    (tmp_path / "zram3").mkdir()
    (tmp_path / "zram3" / "block_state").write_bytes(raw)
    monkeypatch.setattr(sysfs, "_DEBUG_ZRAM", tmp_path)
    return sysfs.present_entries(Store(3, "zram3", 1 << 20))


def test_present_entries_are_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run ends where an index is missing, and where the flags change."""
    raw = b"".join(
        line(i, f) for i, f in ((2, "...."), (3, "...."), (4, "s..."), (5, "s..."), (9, "s..."), (10, "...."))
    )
    events = present(tmp_path, monkeypatch, raw)
    assert list(zip(events["slot"].tolist(), events["run"].tolist(), events["flags"].tolist(), strict=True)) == [
        (2, 2, 0), (4, 2, EventFlag.SAME), (9, 1, EventFlag.SAME), (10, 1, 0)
    ]  # fmt: skip
    assert set(events["kind"]) == {EventKind.PRESENT}
    assert set(events["device"]) == {3}


@pytest.mark.parametrize("count", [1, 65534, 65535, 65536, 65537, 200_000])
def test_present_entries_of_a_long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """No run is longer than its 16 bits hold, and nothing gets lost at the seams."""
    events = present(tmp_path, monkeypatch, b"".join(line(5 + i, "....") for i in range(count)))
    runs = events["run"].astype(np.int64)
    assert int(runs.sum()) == count
    assert int(runs.min()) >= 1
    assert len(runs) == -(-count // 65535)
    assert (events["slot"][1:] == events["slot"][:-1] + runs[:-1]).all()
    assert events["slot"][0] == 5


def test_present_entries_long_after_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a run counts from its own beginning, or cautiously from earlier: never from later."""
    indexes = [*range(10), *range(100, 100 + 140_000)]
    events = present(tmp_path, monkeypatch, b"".join(line(i, "....") for i in indexes))
    found = [
        slot + step
        for slot, run in zip(events["slot"].tolist(), events["run"].tolist(), strict=True)
        for step in range(run)
    ]
    assert found == indexes


def test_present_entries_without_debugfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysfs, "_DEBUG_ZRAM", tmp_path / "not mounted")
    assert len(sysfs.present_entries(Store(3, "zram3", 16))) == 0
    (tmp_path / "empty").mkdir()
    assert len(present(tmp_path / "empty", monkeypatch, b"")) == 0


def device(folder: Path, **files: str) -> Path:
    folder = folder / "zram1"
    folder.mkdir()
    for name, text in {"dev": "253:1\n", "disksize": f"{64 * sysfs.PAGE_SIZE}\n", **files}.items():
        (folder / name).write_text(text)
    return folder


def test_store_of_a_full_kernel(tmp_path: Path) -> None:
    page = sysfs.PAGE_SIZE
    folder = device(
        tmp_path,
        mm_stat=f"  {3 * page} 5000 8192 0 8192 2 0 1 4 0\n",  # a column more than is known
        io_stat="       1        2        3        4\n",
        bd_stat="5 6 7\n",
        debug_stat="version: 1\n       8       9\n",
        comp_algorithm="lzo [lzo-rle] zstd\n",
    )
    store = sysfs.read_store(folder)
    assert (store.id, store.name, store.pages, store.algorithm) == (1, "zram1", 64, "lzo-rle")
    assert store.counters == {
        "orig_data_size": 3 * page, "compr_data_size": 5000, "mem_used_total": 8192, "mem_limit": 0,
        "mem_used_max": 8192, "same_pages": 2, "pages_compacted": 0, "huge_pages": 1, "huge_pages_since": 4,
        "failed_reads": 1, "failed_writes": 2, "invalid_io": 3, "notify_free": 4, "bd_count": 5, "bd_reads": 6,
        "bd_writes": 7, "miss_free": 9, "pages_stored": 3,
    }  # fmt: skip


def test_store_of_a_lean_kernel(tmp_path: Path) -> None:
    """No backing device, fewer columns, one number in debug_stat, no algorithm: what is not told is left out."""
    store = sysfs.read_store(device(tmp_path, mm_stat="0 0 0 0 0 0 0\n", debug_stat="version: 1\n       8\n"))
    assert store.algorithm == ""
    assert store.counters["miss_free"] == 8
    assert "huge_pages" not in store.counters
    assert "notify_free" not in store.counters


def test_area_that_is_gone(tmp_path: Path) -> None:
    area = describe_area(str(tmp_path / "missing"), 3, -2, 15, 4)
    assert (area.backing, area.store, area.extents) == ("unknown", None, ())
    assert "missing" in area.not_told
    assert (area.slots, area.used, area.swap_type) == (16, 4, 3)


def test_stores_are_those_that_are_set_up_in_their_numbers_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, pages in ((10, 3), (2, 5), (1, 0)):
        folder = tmp_path / f"zram{number}"
        folder.mkdir()
        (folder / "dev").write_text(f"253:{number}\n")
        (folder / "disksize").write_text(f"{pages * sysfs.PAGE_SIZE}\n")
    (tmp_path / "sda").mkdir()
    monkeypatch.setattr(sysfs, "_BLOCK", tmp_path)
    assert [(store.id, store.name, store.pages) for store in sysfs.read_stores()] == [
        (2, "zram2", 5),
        (10, "zram10", 3),
    ]


def test_places_are_the_kernels() -> None:
    assert (str(sysfs._BLOCK), str(sysfs._DEBUG_ZRAM)) == ("/sys/block", "/sys/kernel/debug/zram")


@pytest.mark.parametrize("held", [1, 2])
def test_size_of_a_single_entry_is_what_mm_stat_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    (tmp_path / "zram3").mkdir()
    (tmp_path / "zram3" / "block_state").write_bytes(line(0, "...."))
    monkeypatch.setattr(sysfs, "_DEBUG_ZRAM", tmp_path)
    monkeypatch.setattr(sysfs.time, "clock_gettime_ns", lambda clock: 77 if clock == sysfs.time.CLOCK_MONOTONIC else 0)
    counters = {"pages_stored": held, "compr_data_size": 63}
    events = sysfs.present_entries(Store(3, "zram3", 16, counters=counters))
    assert (events["size"].tolist(), events["time"].tolist()) == ([63 if held == 1 else 0], [77])


def test_without_some_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"".join(
        line(i, f) for i, f in ((2, "...."), (3, "...."), (4, "s..."), (5, "s..."), (6, "s..."), (9, "...."))
    )
    events = present(tmp_path, monkeypatch, raw)

    def rest(*indexes: int) -> list[tuple[int, int, int]]:
        found = sysfs.without(events, np.array(indexes, np.int64))
        return [(int(e["slot"]), int(e["run"]), int(e["flags"])) for e in found]

    same = int(EventFlag.SAME)
    assert rest() == [(2, 2, 0), (4, 3, same), (9, 1, 0)]
    assert rest(3, 5, 7) == [(2, 1, 0), (4, 1, same), (6, 1, same), (9, 1, 0)]
    assert rest(2, 3, 4, 5, 6, 9) == []
    assert len(sysfs.without(events[:0], np.array([1], np.int64))) == 0


@pytest.mark.parametrize(
    ("pages", "entry", "size"), [(1, 24, 4096), (512, 16, 8192), (513, 16, 3 * 4096), (1 << 24, 16, 256 << 20)]
)
def test_table_in_whole_pages(pages: int, entry: int, size: int) -> None:
    """The last is a device of 64 GiB."""
    assert sysfs.table_bytes(pages, entry) == size
    assert sysfs.table_bytes(pages, None) is None
