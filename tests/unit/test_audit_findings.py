"""Every rule of the audit on fake trees: what it finds, what it says, and when it is silent; and what is printed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from swaptrace import units
from swaptrace.audit.advice import _new_device, mounts_anew
from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import Audit, audit, judge
from swaptrace.audit.evidence import AreaEvidence, Evidence, Observed, gather
from swaptrace.audit.text import print_audit
from swaptrace.errors import EnvironmentProblem
from swaptrace.findings.finding import Finding, Severity
from swaptrace.in_use import InUse
from swaptrace.machine.machine import Extent
from swaptrace.machine.stack import Filesystem
from swaptrace.machine.swap_map import CACHED, IN_USE, ZERO
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


def mapped(slots: int, **states: range) -> np.ndarray:
    """A swap map: the slots that are in use, and what else is said of them."""
    found = np.zeros(slots, np.uint8)
    for name, mine in states.items():
        found[mine] |= {"used": IN_USE, "cached": IN_USE | CACHED, "zero": IN_USE | ZERO}[name]
    return found


def with_map(tmp_path: Path, *maps: dict[int, np.ndarray], **file: int) -> AreaEvidence:
    """The area of file_tree(), 300 slots of which are in use, with what each look at the swap map shows."""
    tree = file_tree(tmp_path, used=300, **file)
    tree.maps = list(maps)
    return area(audit(machine=tree.machine))


#: Entries are those of slots 0 to 1999: of the slots in use, 250 have one.
SPLIT = {"used": range(1750, 1960), "zero": range(1960, 2030), "cached": range(2020, 2050)}


def test_where_the_slots_in_use_are(tmp_path: Path) -> None:
    found = with_map(tmp_path, {0: mapped(3000, **SPLIT)})
    assert found.in_use == InUse(with_entry=250, zero_filled=30, swap_cache=20, elsewhere=0, cached=30)
    assert found.stale == found.stale_at_least == PAGES - 1 - 250
    assert found.stale_bytes == 1000 * (PAGES - 1 - 250)


def test_a_swap_map_that_changes_is_not_told(tmp_path: Path) -> None:
    """Then it is the bound, as without one."""
    maps = [{0: mapped(3000, used=range(first, first + 300))} for first in range(1, 20)]
    found = with_map(tmp_path, *maps)
    assert (found.in_use, found.stale, found.stale_at_least) == (None, None, PAGES - 1 - 300)


def test_the_swap_map_of_another_area_is_not_told(tmp_path: Path) -> None:
    one = mapped(3000, **SPLIT)
    assert with_map(tmp_path, {0: one, 3: one}).in_use is None


def test_of_a_disk_all_is_elsewhere(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.disk("sda"), pages=2999, used=300)
    tree.maps = [{7: mapped(3000, **SPLIT)}]
    result = audit(machine=tree.machine)
    assert area(result).in_use == InUse(0, 70, 20, 210, 30)
    assert (area(result).stale, ids(result)) == (None, [])


@pytest.mark.parametrize(("zeros", "found"), [(255, False), (256, True), (300, True)])
def test_slots_without_entries(tmp_path: Path, zeros: int, found: bool) -> None:
    """From 1 MiB on, and 5 % of what is in use."""
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=8192, entries=list(range(1001))), pages=8191, used=1000 + zeros)
    tree.maps = [{0: mapped(8192, used=range(1, 1001), zero=range(1001, 1001 + zeros))}]
    result = audit(machine=tree.machine)
    assert ids(result) == (["slots-without-entries"] if found else [])
    assert result.clean
    if found:
        (finding,) = result.findings
        assert f"{zeros} of the {units.count(1000 + zeros)} slots in use have no entry in zram0" in finding.sentence
        assert f"{zeros} are of pages of zeros" in finding.sentence and "swap cache" not in finding.sentence
        assert finding.evidence["in_use_zero_filled"] == zeros


def test_slots_without_entries_are_a_large_part(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=8192, entries=list(range(7001))), pages=8191, used=7300)
    tree.maps = [{0: mapped(8192, used=range(1, 7001), zero=range(7001, 7301))}]
    assert ids(audit(machine=tree.machine)) == []  # 4.1 %


def test_the_split_is_printed(tmp_path: Path) -> None:
    tree = file_tree(tmp_path, used=300)
    tree.maps = [{0: mapped(3000, **SPLIT)}]
    result = audit(machine=tree.machine)
    text = printed(result)
    (line,) = (line for line in text.splitlines() if line.startswith("/mnt/a swap file ") and "250" in line)
    assert line.split()[-4:] == ["250", "30", "20", "0"]
    assert "1,749 entries are stale now" in text and "At least" not in text
    (told,) = as_json(result)["areas"]
    assert told["in_use"] == {"with_entry": 250, "zero_filled": 30, "swap_cache": 20, "elsewhere": 0, "cached": 30}
    assert told["stale_entries"] == 1749


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
    cure = audit(machine=tree.machine).findings[0].advice[0]
    # the new device before the old area goes; the file's entries go as well, which a deleted file alone would keep
    assert cure.commands == (
        "new=$(cat /sys/class/zram-control/hot_add)",
        "echo lz4 > /sys/block/zram$new/comp_algorithm",
        f"echo {3000 * PAGE} > /sys/block/zram$new/disksize",
        "mkswap /dev/zram$new",
        "swapon -p 101 /dev/zram$new",
        "swapoff '/mnt/a swap file'",
        "rm '/mnt/a swap file'",
        "sync -f /mnt",
        "fstrim /mnt",
    )
    assert "/mnt/second is on it, too. The old swap file is deleted." in cure.sentence


def test_a_new_device_where_nothing_is_known_of_the_old_one(tmp_path: Path) -> None:
    """It is not said which algorithm it is to have."""
    tree = file_tree(tmp_path)
    evidence = gather(tree.machine)
    for stores, named in ((evidence.stores, True), ((), False)):
        _, commands = _new_device(evidence.areas[0], replace(evidence, stores=stores), [])
        assert commands[0] == "new=$(cat /sys/class/zram-control/hot_add)"
        assert any("comp_algorithm" in command for command in commands) == named


def test_all_that_has_to_be_mounted_anew_is_named() -> None:
    points = [Filesystem(point, "xfs", discards) for point, discards in (("/a", False), ("/b", True), ("/c", False))]
    assert mounts_anew(points).startswith(" /a and /c has to be mounted anew for that ")
    assert mounts_anew(points[1:2]) == ""


def test_commands_are_never_broken(tmp_path: Path) -> None:
    """However narrow the terminal: they are there to be copied."""
    tree = file_tree(tmp_path)
    tree.swap_on(tree.file("/mnt/second", on="zram0", extents=[]), pages=99)
    result = audit(machine=tree.machine)
    console = Console(file=io.StringIO(), width=30)
    print_audit(result, console)
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    commands = result.findings[0].advice[0].commands
    assert any(len(command) > 30 for command in commands) and set(commands) <= set(lines)


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
    assert "so is every file on /mnt" in cure.sentence
    # a discard only makes a hole in the file: the filesystem has to pass it on, when its journal is written
    assert now.commands[-2:] == ("sync -f /mnt", "fstrim /mnt")
    assert lasting.commands[-3:] == ("sync -f /mnt", "fstrim /mnt", "mount -o remount,discard /mnt")
    assert (cure.cures, now.cures, lasting.cures) == (True, False, False)


def test_loop_on_xfs(tmp_path: Path) -> None:
    """Which takes a remount with the option discard, and stays as it was: no such command is printed."""
    tree = Tree(tmp_path)
    tree.zram(pages=8192, entries=list(range(PAGES)))
    backing = tree.file("/mnt/image", on="zram0", extents=[Extent(0, 0, 4000 * PAGE)], filesystem="xfs")
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(tree.loop(backing, pages=4000), pages=3999)
    lasting = audit(machine=tree.machine).findings[0].advice[2]
    assert lasting.commands[-2:] == ("sync -f /mnt", "fstrim /mnt")
    assert "/mnt has to be mounted anew" in lasting.sentence


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


def test_file_on_dm(tmp_path: Path) -> None:
    """Each layer is busy while the one above is there; the filesystem goes, and the sentence says so."""
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    tree.dm("a name", ["zram0"], f"0 {4000 * 8} linear 253:0 0", pages=4000)
    tree.swap_on(tree.file("/a mount/swap", on="dm-0", extents=[Extent(0, 0, 2000 * PAGE)]), pages=1999)
    tree.free["/a mount"] = 0
    cure = audit(machine=tree.machine).findings[0].advice[0]
    assert cure.commands[:4] == (
        "swapoff '/a mount/swap'", "umount '/a mount'", "dmsetup remove 'a name'", "echo 1 > /sys/block/zram0/reset"
    )  # fmt: skip
    assert "Everything else on zram0 is lost, and so is every file on /a mount" in cure.sentence


def test_area_beside_others_is_emptied(tmp_path: Path) -> None:
    """Nobody resets the device: what the old area holds would stay in memory."""
    tree = Tree(tmp_path)
    tree.zram(pages=8192, entries=list(range(PAGES)))
    backing = tree.file("/mnt/image", on="zram0", extents=[Extent(0, 0, 4000 * PAGE)])
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(tree.loop(backing, pages=4000), pages=3999)
    tree.dm("other", ["zram0"], "", pages=100)
    cure = audit(machine=tree.machine).findings[0].advice[0]
    assert cure.commands[-5:-2] == (
        "swapoff /dev/loop0",
        "swapon --discard=once -p 100 /dev/loop0",
        "swapoff /dev/loop0",
    )
    assert cure.commands[-2:] == ("sync -f /mnt", "fstrim /mnt")
    assert "dm-0 is on it, too. What the old area holds is discarded." in cure.sentence


def test_area_beside_others_that_cannot_be_emptied(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(pages=8192, entries=list(range(PAGES)))
    tree.dm("other", ["zram0"], "", pages=100)
    tree.swap_on(tree.loop("/dev/zram0", pages=4000, discards=False), pages=3999)
    cure = audit(machine=tree.machine).findings[0].advice[0]
    assert cure.commands[-1] == "swapoff /dev/loop0"
    assert "What it held stays in memory until it is written over: loop0 passes no discards on." in cure.sentence


@pytest.mark.parametrize("what", ["dm", "bind mount", "mount inside", "mount of another device", "loop"])
def test_who_else_is_on_the_device(tmp_path: Path, what: str) -> None:
    """Whatever is above the device and not part of the way down to it keeps it from being reset."""
    tree = file_tree(tmp_path)
    if what == "dm":
        tree.dm("other", ["zram0"], "", pages=100)
    elif what == "bind mount":
        tree.mount("zram0", "/elsewhere")
        tree.free["/elsewhere"] = tree.free["/mnt"]
    elif what == "mount inside":
        tree.disk("sda")
        tree.mount("sda", "/mnt/inside")
    elif what == "mount of another device":
        tree.disk("sda")
        tree.mount("sda", "/other")
    else:
        tree.loop("/mnt/image", pages=10)
    commands = audit(machine=tree.machine).findings[0].advice[0].commands
    assert any("reset" in command for command in commands) == (what == "mount of another device")


# -- room for a swapoff


def crowded(tmp_path: Path, *, used: int, available: int | None, disk: int = 0, second: int = 0) -> Finding:
    """An area behind device mapper with `used` slots in use, of 1000 bytes each; free slots on a disk, or on zram."""
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    tree.swap_on(tree.dm("swapdm", ["zram0"], f"0 {4000 * 8} linear 253:0 0", pages=4000), pages=3999, used=used)
    if disk:
        tree.swap_on(tree.disk("sda"), pages=disk)
    if second:
        tree.swap_on(tree.zram(1, entries=list(range(10))), pages=second + 9, used=9)
    if available is not None:
        tree.write("proc/meminfo", f"MemTotal: 2000000 kB\nMemAvailable: {available} kB\n")
    return audit(machine=tree.machine).findings[0]


@pytest.mark.parametrize(
    ("available", "disk", "second", "fits"),
    [
        (4000, 0, 0, True),
        (3996, 0, 0, False),  # one page less
        (3996, 1, 0, True),
        (2000, 500, 0, True),
        (2000, 499, 0, False),
        (0, 1000, 0, True),
        (3996, 0, 2, True),  # a page in zram costs a quarter of what it takes in memory
        (3996, 0, 1, False),
        (None, 0, 0, True),
    ],
)
def test_room_for_swapoff(tmp_path: Path, available: int | None, disk: int, second: int, fits: bool) -> None:
    """1000 pages of 4 KiB must find room."""
    finding = crowded(tmp_path, used=1000, available=available, disk=disk, second=second)
    cure = finding.advice[0]
    assert finding.evidence["swapoff_needs_bytes"] == 1000 * PAGE
    free = disk * PAGE + second * (PAGE - 1000)
    assert finding.evidence["swapoff_room_bytes"] == (None if available is None else available * 1024 + free)
    assert "swapoff brings 1,000 pages (3.9 MiB) back" in cure.sentence
    assert cure.commands[0] == ("swapoff /dev/dm-0" if fits else "new=$(cat /sys/class/zram-control/hot_add)")
    assert [bool(advice.commands) for advice in finding.advice[1:]] == [fits, fits]
    assert all(("does not fit" in advice.sentence) != fits for advice in finding.advice)
    if not fits:
        assert cure.commands.index("swapoff /dev/dm-0") > cure.commands.index("swapon -p 101 /dev/zram$new")
        assert cure.commands[-1] == "echo 1 > /sys/block/zram0/reset"  # whose memory comes back


def test_no_room_even_compressed(tmp_path: Path) -> None:
    """1024 pages of 1000 bytes each: 1000 KiB."""
    assert crowded(tmp_path / "enough", used=1024, available=1000).advice[0].commands
    finding = crowded(tmp_path / "short", used=1024, available=999)
    assert not any(advice.commands or advice.cures for advice in finding.advice)
    assert "make room first" in finding.advice[0].sentence


def test_nothing_in_use_needs_no_memory(tmp_path: Path) -> None:
    finding = crowded(tmp_path, used=0, available=0)
    assert "needs no memory" in finding.advice[0].sentence
    assert finding.advice[0].commands[0] == "swapoff /dev/dm-0"


def test_a_reset_forgets_all_settings(tmp_path: Path) -> None:
    tree = file_tree(tmp_path)
    tree.write("sys/block/zram0/backing_dev", "/dev/sdb\n")
    tree.write("sys/block/zram0/mm_stat", f"{PAGES * PAGE} 2000000 2000000 123456 0 0 0 0 0\n")
    commands = audit(machine=tree.machine).findings[0].advice[0].commands
    start = commands.index("echo 1 > /sys/block/zram0/reset")
    assert commands[start + 1 : start + 5] == (
        "echo lz4 > /sys/block/zram0/comp_algorithm",
        "echo /dev/sdb > /sys/block/zram0/backing_dev",
        f"echo {8192 * PAGE} > /sys/block/zram0/disksize",
        "echo 123456 > /sys/block/zram0/mem_limit",
    )


# -- what else is counted


def test_zswap_size_from_debugfs(tmp_path: Path) -> None:
    """/proc/meminfo has it since 5.19 only."""
    tree = Tree(tmp_path)
    tree.write("sys/module/zswap/parameters/enabled", "Y\n")
    found = gather(tree.machine)
    assert (found.zswap.pool_bytes, found.zswap.stored_bytes) == (None, None)
    assert any("how much zswap holds" in note for note in found.notes)
    tree.write("sys/kernel/debug/zswap/pool_total_size", "81920\n")
    tree.write("sys/kernel/debug/zswap/stored_pages", "77\n")
    found = gather(tree.machine)
    assert (found.zswap.pool_bytes, found.zswap.stored_bytes, found.notes) == (81920, 77 * PAGE, ())


@pytest.mark.parametrize(("entry", "table"), [(24, 7 * PAGE), (16, 5 * PAGE), (None, None)])
def test_table_of_a_device(tmp_path: Path, entry: int | None, table: int | None) -> None:
    """1025 entries, in whole pages."""
    tree = Tree(tmp_path, entry_size=entry)
    tree.zram(pages=1025)
    assert as_json(audit(machine=tree.machine))["stores"][0]["table_bytes"] == table


def test_dm_on_two_devices_cannot_be_told(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(0, entries=[0])
    tree.zram(1)
    tree.swap_on(tree.dm("both", ["zram0", "zram1"], "0 16384 striped 2 128 253:0 0 253:1 0", pages=2048), pages=2047)
    result = audit(machine=tree.machine)
    assert ids(result) == ["stale-behind-dm"]
    assert "cannot be told" in result.findings[0].sentence
    commands = result.findings[0].advice[0].commands
    assert commands[0].startswith("new=")
    assert commands[-3:] == (
        "dmsetup remove both", "echo 1 > /sys/block/zram0/reset", "echo 1 > /sys/block/zram1/reset"
    )  # fmt: skip


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


def test_left_behind_where_sizes_are_not_told(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(pages=4000, entries=list(range(PAGES))), pages=3999, used=100)
    (tmp_path / "sys/block/zram0/mm_stat").unlink()
    result = audit(machine=tree.machine)
    assert [(f.id, f.severity) for f in result.findings] == [("stale-left-behind", Severity.WARNING)]
    assert "compressed" not in result.findings[0].sentence
    assert result.findings[0].evidence["stale_compr_bytes_about"] is None


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
    """The counter only grows: what it says of entries that need not be there any more is no finding."""
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(entries=[0], miss_free=7), pages=1023)
    assert not ids(audit(machine=tree.machine))


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
    assert result.findings[0].advice[0].commands == ("sync -f '/a folder'", "fstrim '/a folder'")


def test_one_filesystem_on_two_devices(tmp_path: Path) -> None:
    """The mount names one of them; the other is in use as well, and what is free is told of both together (btrfs)."""
    tree = Tree(tmp_path)
    for number in range(2):
        tree.zram(number, pages=4000, entries=list(range(PAGES)))
        tree.write(f"sys/fs/btrfs/4c0f/devices/zram{number}/size", "32000\n")
    tree.mount("zram0", "/mnt", "btrfs", device="0:40")
    tree.free["/mnt"] = 7000 * PAGE
    result = audit(machine=tree.machine)
    assert ids(result) == []
    assert [[(found.point, free) for found, free in store.mounts] for store in result.evidence.stores] == [
        [("/mnt", None)],
        [("/mnt", None)],
    ]


@pytest.mark.parametrize("option", ["discard", "discard=async"])
def test_freed_blocks_where_discards_are_on(tmp_path: Path, option: str) -> None:
    """They come late, or were not on when the files were deleted: there is nothing more to be switched on."""
    tree = Tree(tmp_path)
    tree.zram(pages=4000, entries=list(range(PAGES)))
    tree.mount("zram0", "/mnt", "btrfs", options=f",{option}")
    tree.free["/mnt"] = 3900 * PAGE
    (advice,) = audit(machine=tree.machine).findings[0].advice
    assert advice.commands == ("sync -f /mnt", "fstrim /mnt")
    assert "/mnt is mounted with discard already" in advice.sentence


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
