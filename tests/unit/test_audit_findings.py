"""Every rule of the audit on fake trees: what it finds, what it says, and when it is silent; and what is printed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import Audit, audit, judge
from swaptrace.audit.evidence import AreaEvidence, Evidence, Observed, gather
from swaptrace.audit.findings import Severity
from swaptrace.audit.text import print_audit
from swaptrace.errors import EnvironmentProblem
from swaptrace.live.machine import Extent
from tests.unit.test_stack import PAGE, Tree

PAGES = 2000  # entries in most trees: of 1000 compressed bytes each, so just short of 2 MiB


def ids(result: Audit) -> list[str]:
    return [finding.id for finding in result.findings]


def area(result: Audit) -> AreaEvidence:
    return result.evidence.areas[0]


def file_tree(tmp_path: Path, *, used: int = 0, extra: int = 0) -> Tree:
    """A swap file of 3000 pages on zram, PAGES entries in it, `extra` of the filesystem's own."""
    tree = Tree(tmp_path)
    inside = [1000 + page for page in range(PAGES)]
    tree.zram(pages=8192, entries=[*range(extra), *inside])
    path = tree.file("/mnt/a swap file", on="zram0", extents=[Extent(0, 1000 * PAGE, 3000 * PAGE)])
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(path, pages=2999, used=used)
    return tree


def test_nothing_at_all(tmp_path: Path) -> None:
    result = audit(machine=Tree(tmp_path).machine)
    assert result.clean
    assert not result.findings
    assert not result.evidence.notes


def test_no_swap_in_the_kernel(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tmp_path / "proc/swaps").unlink()
    with pytest.raises(EnvironmentProblem, match="no /proc/swaps"):
        audit(machine=tree.machine)


@pytest.mark.parametrize("root", [True, False])
def test_zram_itself_is_clean(tmp_path: Path, root: bool) -> None:
    tree = Tree(tmp_path, root=root)
    tree.swap_on(tree.zram(entries=list(range(101))), pages=1023, used=100)
    result = audit(machine=tree.machine)
    assert (ids(result), area(result).notified, area(result).stale_at_least) == ([], True, 0)
    assert area(result).entries == 101  # mm_stat tells it to everybody
    assert bool(result.evidence.notes) is not root


def test_file(tmp_path: Path) -> None:
    result = audit(machine=file_tree(tmp_path, used=300, extra=20).machine)
    assert ids(result) == ["stale-behind-file"]
    finding = result.findings[0]
    assert (finding.severity, finding.subject) == (Severity.WARNING, "/mnt/a swap file")
    assert finding.evidence["entries"] == PAGES
    assert finding.evidence["stale_entries_at_least"] == PAGES - 1 - 300
    assert finding.evidence["stale_compr_bytes_about"] == 1000 * (PAGES - 1 - 300)
    assert finding.advice[0].commands == (
        "swapoff '/mnt/a swap file'",
        "umount /mnt",
        "echo 1 > /sys/block/zram0/reset",
        "echo lz4 > /sys/block/zram0/comp_algorithm",
        f"echo {8192 * PAGE} > /sys/block/zram0/disksize",
        "mkswap /dev/zram0",
        "swapon -p 100 /dev/zram0",
    )
    assert finding.advice[1].commands[-1] == "swapon --discard=once -p 100 '/mnt/a swap file'"


def test_bound_is_never_below_zero(tmp_path: Path) -> None:
    """More slots in use than entries: zero-filled pages, zswap, the slot cache."""
    result = audit(machine=file_tree(tmp_path, used=2900).machine)
    assert area(result).stale_at_least == 0
    assert "may be in use" in result.findings[0].sentence


def test_file_without_root(tmp_path: Path) -> None:
    tree = file_tree(tmp_path)
    tree.root = False
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-file"]
    assert area(result).stale_at_least is None
    assert any("cannot be read (Permission denied)" in note for note in result.evidence.notes)
    assert any("root only" in note for note in result.evidence.notes)


def test_grave_if_it_is_much_of_the_memory(tmp_path: Path) -> None:
    tree = file_tree(tmp_path)
    tree.write("proc/meminfo", "MemTotal: 30000 kB\n")
    assert audit(machine=tree.machine).findings[0].severity == Severity.CRITICAL


def test_two_areas_on_one_device(tmp_path: Path) -> None:
    """The device is not free to become an area itself: another one is advised."""
    tree = file_tree(tmp_path)
    tree.swap_on(tree.file("/mnt/second", on="zram0", extents=[]), pages=99)
    first = audit(machine=tree.machine).findings[0]
    assert first.advice[0].commands[1].startswith("zramctl --find")


def test_loop(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=8192, entries=list(range(PAGES)))
    backing = tree.file("/mnt/image", on="zram0", extents=[Extent(0, 0, 4000 * PAGE)])
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(tree.loop(backing, pages=4000), pages=3999)
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-loop"]
    cure, now, lasting = result.findings[0].advice
    assert cure.commands[1:3] == ("losetup -d /dev/loop0", "umount /mnt")
    # a discard only makes a hole in the file: the filesystem has to pass it on
    assert now.commands[-1] == "fstrim /mnt"
    assert lasting.commands[-1] == "mount -o remount,discard /mnt"


def test_loop_without_discards(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=[0])
    tree.swap_on(tree.loop("/dev/zram0", pages=4000, discards=False), pages=3999)
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-loop"]
    assert "loop0 does not pass them on" in result.findings[0].advice[1].sentence


def test_dm(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    table = f"0 {4000 * 8} linear 253:0 0"
    tree.swap_on(tree.dm("swapdm", ["zram0"], table, pages=4000), pages=3999, used=10)
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-dm"]
    assert area(result).stale_at_least == PAGES - 11
    assert "dmsetup remove swapdm" in result.findings[0].advice[0].commands


def test_dm_on_two_devices_cannot_be_told(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(0, entries=[0])
    tree.zram(1)
    tree.swap_on(tree.dm("both", ["zram0", "zram1"], "0 16384 striped 2 128 253:0 0 253:1 0", pages=2048), pages=2047)
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-dm"]
    assert "cannot be told" in result.findings[0].sentence
    assert result.findings[0].advice[0].commands[1].startswith("zramctl --find")


def test_partition_of_zram(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(entries=[256])
    tree.swap_on(tree.partition("zram0", 1, start=2048, sectors=4096), pages=511)
    result = audit(machine=tree.machine)
    assert [(f.id, f.severity) for f in result.findings] == [("notifications-shifted", Severity.CRITICAL)]
    assert result.findings[0].evidence["partition_start"] == 256


def test_disk_is_clean(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.disk("sda"), pages=1023, used=500)
    result = audit(machine=tree.machine)
    assert (ids(result), result.clean, area(result).notified) == ([], True, None)


def test_zswap_before_a_disk_informs_only(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.disk("sda"), pages=1023, used=500)
    tree.zswap(pool=8000)
    result = audit(machine=tree.machine)
    assert (ids(result), result.clean) == (["zswap-enabled"], True)
    assert result.findings[0].evidence["zswap_pool_bytes"] == 8000 * 1024


def test_zswap_before_zram(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(), pages=1023)
    tree.zswap()
    result = audit(machine=tree.machine)
    assert ids(result) == ["zswap-before-zram"]
    assert result.findings[0].advice[0].commands == ("echo N > /sys/module/zswap/parameters/enabled",)


def test_left_behind(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=4000, entries=list(range(PAGES))), pages=3999, used=100)
    result = audit(machine=tree.machine)
    assert [(f.id, f.severity) for f in result.findings] == [("stale-left-behind", Severity.WARNING)]
    assert result.findings[0].advice[0].commands[-1] == "swapon --discard=once -p 100 /dev/zram0"


def test_missed_notifications(tmp_path: Path) -> None:
    """What miss_free explains is not laid at another door; a few of them are no reason for a warning."""
    tree = Tree(tmp_path)
    tree.swap_on(
        tree.zram(pages=4000, entries=list(range(PAGES)), miss_free=7), pages=3999, used=PAGES - 6, priority=-2
    )
    result = audit(machine=tree.machine)
    assert [(f.id, f.severity) for f in result.findings] == [("missed-notifications", Severity.INFO)]
    assert "At least 5 of those" in result.findings[0].sentence
    assert result.findings[0].advice[0].commands[-1] == "swapon --discard=once /dev/zram0"
    assert result.clean


def test_missed_notifications_that_are_gone(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(entries=[0], miss_free=7), pages=1023)
    assert "None need be there" in audit(machine=tree.machine).findings[0].sentence


def test_many_missed_notifications_and_more(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=8000, entries=list(range(2 * PAGES)), miss_free=PAGES), pages=7999)
    result = audit(machine=tree.machine)
    assert {f.id: f.severity for f in result.findings} == {
        "stale-left-behind": Severity.WARNING,
        "missed-notifications": Severity.WARNING,
    }


def test_store_without_user(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    result = audit(machine=tree.machine)
    assert [(f.id, f.severity) for f in result.findings] == [("store-without-user", Severity.WARNING)]
    assert result.findings[0].advice[0].commands == ("echo 1 > /sys/block/zram0/reset",)


def test_store_with_a_header_only_or_with_a_holder(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(0, entries=[0])
    tree.zram(1, pages=4000, entries=list(range(PAGES)))
    tree.dm("other", ["zram1"], "", pages=4000)
    tree.zram(2, pages=4000, entries=list(range(PAGES)))
    tree.loop("/dev/zram2", pages=4000)
    assert not ids(audit(machine=tree.machine))


def test_freed_blocks(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    tree.mount("zram0", "/a folder")
    tree.free["/a folder"] = 3900 * PAGE
    result = audit(machine=tree.machine)
    assert ids(result) == ["freed-blocks-kept"]
    assert result.findings[0].evidence["freed_entries_at_least"] == PAGES - 100
    assert result.findings[0].advice[0].commands == ("fstrim '/a folder'",)


def test_swap_file_is_no_freed_block(tmp_path: Path) -> None:
    """4192 of 8192 pages are in use, 3000 of them the file's: 1300 entries beside it are more than the other 1192."""
    tree = file_tree(tmp_path, extra=900)
    assert ids(audit(machine=tree.machine)) == ["stale-behind-file"]
    tree.entries["zram0"] += range(5000, 5400)
    tree.write("sys/block/zram0/mm_stat", f"{(PAGES + 1300) * PAGE} 3300000 3300000 0 0 0 0 0 0\n")
    result = audit(machine=tree.machine)
    assert result.findings[1].id == "freed-blocks-kept"
    assert result.findings[1].evidence["freed_entries_at_least"] == 1300 - 1192


def test_area_that_cannot_be_seen(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on("/gone", pages=100)
    result = audit(machine=tree.machine)
    assert (ids(result), area(result).notified) == ([], None)
    assert "another mount namespace" in result.evidence.notes[0]


def test_no_block_state(tmp_path: Path) -> None:
    tree = file_tree(tmp_path)
    tree.entries.clear()
    result = audit(machine=tree.machine)
    assert area(result).stale_at_least is None
    assert any("CONFIG_ZRAM_MEMORY_TRACKING" in note for note in result.evidence.notes)


def test_what_is_written_during_the_look_is_not_counted(tmp_path: Path) -> None:
    """Every look at block_state finds 50 pages more written: they may be entries of slots that were not in use then."""
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=4000, entries=list(range(1000))), pages=3999, used=900)
    machine, writes = tree.machine, 0

    def busy(name: str):  # type: ignore[no-untyped-def]
        nonlocal writes
        writes += 50
        tree.write("sys/block/zram0/stat", f"0 0 0 0 5 0 {writes * 8} 0 0 0 0\n")
        return tree.machine.block_state(name)

    evidence = gather(replace(machine, block_state=busy))
    assert evidence.areas[0].stale_at_least == 1000 - 1 - 900 - 50
    assert evidence.notes == (
        "swapping went on while zram0 was looked at: what was written meanwhile is not counted as stale",
    )


# -- traced


def seen(**changes: int | None) -> Observed:
    fields = dict.fromkeys(("notifications", "missed", "stored", "became_stale", "became_stale_bytes", "discarded"), 0)
    return Observed(**{"seconds": 10.0, "frees": 500, "lost_events": 0, **fields, **changes})  # type: ignore[arg-type]


def traced(tree: Tree, observed: Observed) -> Audit:
    evidence = gather(tree.machine)
    areas = tuple(replace(area, observed=observed) for area in evidence.areas)
    return judge(replace(evidence, areas=areas, seconds=10.0))


def test_frees_that_nobody_was_told_of(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(), pages=1023)
    assert ids(traced(tree, seen())) == ["frees-not-notified"]
    assert not ids(traced(tree, seen(notifications=500)))
    assert not ids(traced(tree, seen(lost_events=3)))  # they may have been the notifications
    assert not ids(traced(tree, seen(frees=0)))


def test_traced_numbers_are_in_the_finding(tmp_path: Path) -> None:
    result = traced(file_tree(tmp_path), seen(became_stale=480, became_stale_bytes=123456, discarded=20))
    assert result.findings[0].evidence["traced_became_stale"] == 480
    assert result.findings[0].evidence["traced_s"] == 10.0
    assert "500 slots were freed, 0 notified" in printed(result)
    assert "cannot be told" in printed(traced(file_tree(tmp_path / "b"), seen(notifications=None)))


# -- what is printed


def printed(result: Audit) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_audit(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_text(tmp_path: Path) -> None:
    text = printed(audit(machine=file_tree(tmp_path).machine))
    assert text.startswith("swaptrace audit: 1 warning\n")
    assert "stale-behind-file" in text
    # commands are there to be copied: each on one line
    assert "    swapon --discard=once -p 100 '/mnt/a swap file'\n" in "\n".join(
        line.rstrip() for line in text.splitlines()
    ) + "\n"  # fmt: skip
    assert max(map(len, text.splitlines())) <= 80


def test_json_is_plain(tmp_path: Path) -> None:
    result = audit(machine=file_tree(tmp_path, used=300).machine)
    report = json.loads(json.dumps(as_json(result), allow_nan=False))
    assert (report["schema_version"], report["clean"], report["traced_s"]) == (1, False, None)
    assert [layer["kind"] for layer in report["areas"][0]["layers"]] == ["file", "zram"]
    assert report["findings"][0]["severity"] == "warning"
    assert report["findings"][0]["advice"][0]["commands"][0] == "swapoff '/mnt/a swap file'"
    assert report["stores"][0]["counters"]["pages_stored"] == PAGES


def test_every_finding_says_something_to_do_or_only_informs(tmp_path: Path) -> None:
    evidence: Evidence = gather(file_tree(tmp_path).machine)
    for finding in judge(evidence).findings:
        assert finding.advice or finding.severity == Severity.INFO
