"""The way from an area down to zram, on trees of /proc and /sys in a temporary folder; also for the rules' tests."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.machine.extents import NotTold, Segment, count_entries, pages_of, segments, slot_extents
from swaptrace.machine.machine import Extent, FilesystemSpace, Machine, Status
from swaptrace.machine.stack import (
    Filesystem,
    _number_of,
    filesystems,
    kernel_notifies,
    resolve,
    stores_below,
    users_above,
    way_down,
)

PAGE = 4096
SECTORS = PAGE // 512


@dataclass
class Tree:
    """Everything has the device numbers that it is given here; `root` false: as an ordinary user would see it."""

    folder: Path
    numbers: dict[str, tuple[bool, int, int]] = field(default_factory=dict)  # path: block device?, major, minor
    extents: dict[str, list[Extent]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    entries: dict[str, list[int]] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    swaps: list[str] = field(default_factory=list)
    root: bool = True
    entry_size: int | None = 24
    maps: list[dict[int, NDArray[np.uint8]]] = field(default_factory=lambda: [{}])  # one look after the other

    def __post_init__(self) -> None:
        (self.folder / "sys/dev/block").mkdir(parents=True)
        (self.folder / "sys/block").mkdir()
        (self.folder / "sys/class/block").mkdir(parents=True)
        self.write("proc/self/mountinfo", "")
        self.write("proc/meminfo", "MemTotal:       2000000 kB\n")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")

    @property
    def machine(self) -> Machine:
        return Machine(
            self.folder, self._stat, self._block_state, self._extents, self._table, self._space,
            lambda: self.entry_size, self._swap_maps,
        )  # fmt: skip

    def _swap_maps(self) -> dict[int, NDArray[np.uint8]]:
        return self.maps.pop(0) if len(self.maps) > 1 else self.maps[0]

    def _stat(self, path: str) -> Status:
        if path not in self.numbers:
            raise FileNotFoundError(path)
        block, major, minor = self.numbers[path]
        number = os.makedev(major, minor)
        mode = stat.S_IFBLK if block else stat.S_IFREG
        return SimpleNamespace(st_mode=mode, st_rdev=number if block else 0, st_dev=0 if block else number)

    def _refuse(self) -> None:
        if not self.root:
            raise PermissionError(13, "Permission denied")

    def _block_state(self, name: str) -> NDArray[np.int64]:
        self._refuse()
        if name not in self.entries:
            raise FileNotFoundError(name)
        return np.array(self.entries[name], np.int64)

    def _extents(self, path: str) -> list[Extent]:
        self._refuse()
        return self.extents[path]

    def _table(self, name: str) -> str:
        self._refuse()
        return self.tables[name]

    def _space(self, point: str) -> FilesystemSpace:
        return FilesystemSpace(self.free[point])

    # -- what there is

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def device(self, name: str, major: int, minor: int, pages: int, discards: bool = True) -> Path:
        """A disk in /sys/block, /sys/dev/block and /dev."""
        folder = f"sys/devices/virtual/block/{name}"
        self.write(f"{folder}/dev", f"{major}:{minor}\n")
        self.write(f"{folder}/size", f"{pages * SECTORS}\n")
        self.write(f"{folder}/queue/discard_max_bytes", "2147483648\n" if discards else "0\n")
        self.write(f"{folder}/queue/discard_granularity", "4096\n")
        (self.folder / f"sys/dev/block/{major}:{minor}").symlink_to(self.folder / folder)
        (self.folder / f"sys/block/{name}").symlink_to(self.folder / folder)
        (self.folder / f"sys/class/block/{name}").symlink_to(self.folder / folder)
        self.numbers[f"/dev/{name}"] = (True, major, minor)
        return self.folder / folder

    def zram(
        self, number: int = 0, pages: int = 1024, entries: list[int] | None = None, miss_free: int = 0, size: int = 1000
    ) -> str:
        """A zram device with entries of `size` compressed bytes each; its path."""
        name = f"zram{number}"
        self.device(name, 253, number, pages)
        held = entries or []
        self.entries[name] = held
        folder = f"sys/block/{name}"
        self.write(f"{folder}/disksize", f"{pages * PAGE}\n")
        self.write(f"{folder}/comp_algorithm", "lzo [lz4] zstd\n")
        self.write(f"{folder}/mm_stat", f"{len(held) * PAGE} {len(held) * size} {len(held) * size} 0 0 0 0 0 0\n")
        self.write(f"{folder}/io_stat", "0 0 0 7\n")
        self.write(f"{folder}/debug_stat", f"version: 1\n0 {miss_free}\n")
        self.write(f"{folder}/stat", "0 0 0 0 5 0 40 0 0 0 0\n")
        return f"/dev/{name}"

    def disk(self, name: str) -> str:
        self.device(name, 8, 0, 1024)
        return f"/dev/{name}"

    def partition(self, disk: str, number: int, start: int, sectors: int) -> str:
        """start and sectors: of 512 bytes."""
        folder = f"sys/devices/virtual/block/{disk}/{disk}p{number}"
        for file, value in (("partition", number), ("start", start), ("size", sectors)):
            self.write(f"{folder}/{file}", f"{value}\n")
        (self.folder / f"sys/dev/block/259:{number}").symlink_to(self.folder / folder)
        self.numbers[f"/dev/{disk}p{number}"] = (True, 259, number)
        return f"/dev/{disk}p{number}"

    def file(
        self,
        path: str,
        on: str,
        extents: list[Extent],
        filesystem: str = "ext4",
        anonymous: bool = False,
        options: str = "",
    ) -> str:
        """A file on a filesystem on a device, mounted on the file's folder."""
        _, major, minor = self.numbers[f"/dev/{on}"]
        number = (0, 45) if anonymous else (major, minor)
        self.numbers[path] = (False, *number)
        self.extents[path] = extents
        self.mount(on, str(Path(path).parent), filesystem, options, f"{number[0]}:{number[1]}")
        return path

    def mount(self, name: str, point: str, filesystem: str = "ext4", options: str = "", device: str = "") -> None:
        _, major, minor = self.numbers[f"/dev/{name}"]
        point = point.replace(" ", "\\040")
        line = f"30 1 {device or f'{major}:{minor}'} / {point} rw - {filesystem} /dev/{name} rw{options}\n"
        with (self.folder / "proc/self/mountinfo").open("a") as file:
            file.write(line)

    def loop(self, backing: str, pages: int, offset: int = 0, discards: bool = True) -> str:
        self.device("loop0", 7, 0, pages, discards)
        self.write("sys/block/loop0/loop/backing_file", f"{backing}\n")
        self.write("sys/block/loop0/loop/offset", f"{offset}\n")
        return "/dev/loop0"

    def dm(self, name: str, slaves: list[str], table: str, pages: int) -> str:
        folder = self.device("dm-0", 252, 0, pages)
        self.write("sys/block/dm-0/dm/name", f"{name}\n")
        self.write("sys/block/dm-0/dm/uuid", "\n")
        (folder / "slaves").mkdir()
        for slave in slaves:
            (folder / "slaves" / slave).symlink_to(self.folder / f"sys/devices/virtual/block/{slave}")
            holders = self.folder / f"sys/devices/virtual/block/{slave}/holders"
            holders.mkdir(exist_ok=True)
            (holders / "dm-0").symlink_to(folder)
        self.tables[name] = table
        return "/dev/dm-0"

    def swap_on(self, path: str, pages: int, used: int = 0, priority: int = 100) -> None:
        """An area of `pages` slots (without the header) in /proc/swaps."""
        kind = "partition" if self.numbers.get(path, (False,))[0] else "file"
        escaped = path.replace(" ", "\\040")
        with (self.folder / "proc/swaps").open("a") as file:
            file.write(f"{escaped} {kind} {pages * 4} {used * 4} {priority}\n")

    def zswap(self, pool: int = 8000, stored: int = 20000) -> None:
        """Enabled; KiB."""
        self.write("sys/module/zswap/parameters/enabled", "Y\n")
        with (self.folder / "proc/meminfo").open("a") as file:
            file.write(f"Zswap:          {pool} kB\nZswapped:       {stored} kB\n")


def test_zram_itself(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    top = resolve(tree.machine, "/dev/zram0")
    assert (top.kind, stores_below(top), kernel_notifies(top)) == ("zram", ("zram0",), True)
    assert segments(tree.machine, top) == [Segment(0, "zram0", 0, 1024 * PAGE)]


def test_file_on_zram(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    path = tree.file(
        "/mnt/a swap file", on="zram0", extents=[Extent(0, 10 * PAGE, 2 * PAGE), Extent(2 * PAGE, 0, PAGE)]
    )
    top = resolve(tree.machine, path)
    assert way_down(top) == "file on ext4 > zram0"
    assert top.facts["mount_point"] == "/mnt"
    assert not kernel_notifies(top)
    pieces = segments(tree.machine, top)
    assert pages_of(pieces)["zram0"].tolist() == [[0, 1], [10, 2]]
    assert slot_extents(pieces, 3) == ((0, 10, 2), (2, 0, 1))
    assert slot_extents(pieces, 2) == ((0, 10, 2),)


def test_file_whose_extents_are_out_of_step_with_pages(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    path = tree.file("/mnt/swap", on="zram0", extents=[Extent(0, 1024, 4 * PAGE)])
    pieces = segments(tree.machine, resolve(tree.machine, path))
    assert pages_of(pieces)["zram0"].tolist() == [[1, 3]]
    assert slot_extents(pieces, 4) == ()


def test_partition_shifts(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    path = tree.partition("zram0", 1, start=2048, sectors=4096)
    top = resolve(tree.machine, path)
    assert (top.kind, kernel_notifies(top), top.number("start")) == ("partition", True, 2048 * 512)
    assert segments(tree.machine, top) == [Segment(0, "zram0", 2048 * 512, 4096 * 512)]


def test_loop_over_file(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    extents = [Extent(0, 100 * PAGE, 8 * PAGE), Extent(8 * PAGE, 50 * PAGE, 8 * PAGE)]
    path = tree.loop(tree.file("/mnt/image", on="zram0", extents=extents), pages=6, offset=4 * PAGE)
    top = resolve(tree.machine, path)
    assert way_down(top) == "loop0 > file on ext4 > zram0"
    assert not kernel_notifies(top)
    assert segments(tree.machine, top) == [
        Segment(0, "zram0", 104 * PAGE, 4 * PAGE),
        Segment(4 * PAGE, "zram0", 50 * PAGE, 2 * PAGE),
    ]


def test_loop_over_the_device(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    top = resolve(tree.machine, tree.loop("/dev/zram0", pages=1024))
    assert way_down(top) == "loop0 > zram0"
    assert pages_of(segments(tree.machine, top))["zram0"].tolist() == [[0, 1024]]


def test_dm_linear_and_crypt(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    table = "0 800 linear 253:0 80\n800 1600 crypt aes-xts-plain64 :64:logon:k 0 253:0 1600 1 allow_discards\n"
    top = resolve(tree.machine, tree.dm("swapdm", ["zram0"], table, pages=300))
    assert (way_down(top), kernel_notifies(top)) == ("dm swapdm > zram0", False)
    assert pages_of(segments(tree.machine, top))["zram0"].tolist() == [[10, 100], [200, 200]]


@pytest.mark.parametrize(
    ("table", "slaves", "why"),
    [
        ("0 2400 striped 2 128 253:0 0 253:1 0", ["zram0", "zram1"], "several devices"),
        ("0 2400 thin 253:2 1", ["zram0"], "dm target thin"),
        ("", ["zram0"], None),
    ],
)
def test_dm_that_cannot_be_followed(tmp_path: Path, table: str, slaves: list[str], why: str | None) -> None:
    tree = Tree(tmp_path)
    tree.zram(0)
    tree.zram(1)
    top = resolve(tree.machine, tree.dm("swapdm", slaves, table, pages=300))
    assert stores_below(top) == tuple(slaves)
    if why is None:
        assert segments(tree.machine, top) == []
    else:
        with pytest.raises(NotTold, match=why):
            segments(tree.machine, top)


def test_disk_and_file_on_disk(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.disk("sda")
    assert stores_below(resolve(tree.machine, "/dev/sda")) == ()
    top = resolve(tree.machine, tree.file("/swap", on="sda", extents=[]))
    assert (way_down(top), stores_below(top)) == ("file on ext4 > sda", ())


def test_filesystem_without_a_device_number_of_its_own(tmp_path: Path) -> None:
    """btrfs: found through the mount's source; its addresses are no addresses on that device."""
    tree = Tree(tmp_path)
    tree.zram()
    path = tree.file("/mnt/swap", on="zram0", extents=[Extent(0, 0, PAGE)], filesystem="btrfs", anonymous=True)
    top = resolve(tree.machine, path)
    assert stores_below(top) == ("zram0",)
    with pytest.raises(NotTold, match="btrfs does not tell"):
        segments(tree.machine, top)


def test_what_is_not_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert resolve(tree.machine, "/swapfile (deleted)").kind == "unknown"
    tree.numbers["/dev/gone"] = (True, 99, 1)
    assert resolve(tree.machine, "/dev/gone").kind == "unknown"


def test_loop_on_itself_ends(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    path = tree.loop("/dev/loop0", pages=4)
    top = resolve(tree.machine, path)
    assert stores_below(top) == ()
    with pytest.raises(NotTold):
        segments(tree.machine, top)


@pytest.mark.parametrize(
    ("options", "discards"), [("", False), (",discard", True), (",discard=async", True), (",nodiscard", False)]
)
def test_filesystem_that_a_file_is_on(tmp_path: Path, options: str, discards: bool) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    path = tree.file("/mnt/swap", on="zram0", extents=[], options=options)
    assert filesystems([resolve(tree.machine, path)]) == [Filesystem("/mnt", "ext4", discards)]


def test_who_is_on_a_device(tmp_path: Path) -> None:
    """Its filesystem, its partition, and a loop device over a file on it, but not over one elsewhere."""
    tree = Tree(tmp_path)
    tree.zram()
    tree.disk("sda")
    tree.partition("zram0", 1, 8, 800)
    for number, folder in enumerate(("/mnt", "/other")):
        tree.file(f"{folder}/image", on=("zram0", "sda")[number], extents=[])
    tree.loop("/mnt/image", pages=8)
    assert users_above(tree.machine, "zram0") == ("/mnt", "zram0p1", "loop0")
    for elsewhere in ("/other/image", "/of/no/mount"):
        tree.write("sys/block/loop0/loop/backing_file", f"{elsewhere}\n")
        assert users_above(tree.machine, "zram0") == ("/mnt", "zram0p1")


def test_only_block_devices_have_a_number(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram(3)
    tree.numbers["/dev/shm/file"] = (False, 0, 45)
    found = [_number_of(tree.machine, source) for source in ("/dev/zram3", "/dev/shm/file", "/dev/none", "tmpfs")]
    assert found == ["253:3", "", "", ""]


def test_count_entries() -> None:
    indexes = np.array([0, 1, 5, 6, 9], np.int64)
    assert count_entries(indexes, np.array([[1, 5], [9, 10]], np.int64)) == 3
    assert count_entries(indexes[:0], np.array([[0, 5]], np.int64)) == 0


def test_swap_area_behind_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recording is told of an area: its store, and the store's pages that its slots are."""
    from swaptrace.areas import Store
    from swaptrace.machine import snapshot

    tree = Tree(tmp_path)
    tree.zram()
    extents = [Extent(0, 1000 * PAGE, 2000 * PAGE), Extent(2000 * PAGE, 5000 * PAGE, 1000 * PAGE)]
    path = tree.file("/mnt/swap", on="zram0", extents=extents)
    monkeypatch.setattr(snapshot.sysfs, "read_store", lambda device: Store(int(device.name[4:]), device.name, 8192))
    area = snapshot.describe_area(path, 1, 5, 2499, 7, tree.machine)
    assert (area.backing, area.store, area.extents) == ("zram", 0, ((0, 1000, 2000), (2000, 5000, 500)))
    assert (area.swap_type, area.priority, area.slots, area.used) == (1, 5, 2500, 7)
