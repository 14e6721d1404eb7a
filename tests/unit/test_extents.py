"""Pieces of an area on zram, through several layers at once, cut anywhere; and what is said where that is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swaptrace.machine.extents import NotTold, Segment, count_entries, pages_of, segments, slot_extents
from swaptrace.machine.machine import Extent
from swaptrace.machine.stack import BlockLayer, kernel_notifies, mount_of, resolve, stores_below, walk, way_down
from tests.unit.test_stack import PAGE, SECTORS, Tree


def sectors(pages: int) -> int:
    return pages * SECTORS


def test_file_on_a_table_of_several_targets(tmp_path: Path) -> None:
    """Each extent is cut where the targets meet; what lies in no target is on no zram."""
    tree = Tree(tmp_path)
    tree.zram()
    rows = [(0, 10, 100), (10, 10, 300), (30, 10, 500)]  # pages: begin, length, place on zram0
    table = "\n".join(f"{sectors(b)} {sectors(n)} linear 253:0 {sectors(at)}" for b, n, at in rows)
    tree.dm("joined", ["zram0"], table, pages=40)
    extents = [Extent(0, 5 * PAGE, 10 * PAGE), Extent(20 * PAGE, 18 * PAGE, 14 * PAGE)]
    top = resolve(tree.machine, tree.file("/mnt/swap", on="dm-0", extents=extents))
    assert way_down(top) == "file on ext4 > dm joined > zram0"
    assert segments(tree.machine, top) == [
        Segment(0, "zram0", 105 * PAGE, 5 * PAGE),
        Segment(5 * PAGE, "zram0", 300 * PAGE, 5 * PAGE),
        Segment(20 * PAGE, "zram0", 308 * PAGE, 2 * PAGE),
        Segment(32 * PAGE, "zram0", 500 * PAGE, 2 * PAGE),
    ]


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0, 30, [(0, 100, 10), (10, 200, 10), (20, 300, 10)]),
        (10, 10, [(0, 200, 10)]),
        (9, 12, [(0, 109, 1), (1, 200, 10), (11, 300, 1)]),
        (15, 3, [(0, 205, 3)]),
        (25, 30, [(0, 305, 5)]),
        (30, 5, []),
    ],
)
def test_part_of_a_file(tmp_path: Path, offset: int, size: int, expected: list[tuple[int, int, int]]) -> None:
    """A loop device begins and ends anywhere in its file."""
    tree = Tree(tmp_path)
    tree.zram()
    extents = [Extent(10 * n * PAGE, (100 + 100 * n) * PAGE, 10 * PAGE) for n in range(3)]
    backing = tree.file("/mnt/image", on="zram0", extents=extents)
    top = resolve(tree.machine, tree.loop(backing, pages=size, offset=offset * PAGE))
    found = segments(tree.machine, top)
    assert found == [Segment(at * PAGE, "zram0", page * PAGE, count * PAGE) for at, page, count in expected]


def test_pieces_come_in_the_areas_order(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    extents = [Extent(4 * PAGE, 0, PAGE), Extent(0, 9 * PAGE, PAGE)]
    top = resolve(tree.machine, tree.file("/mnt/swap", on="zram0", extents=extents))
    assert [piece.logical for piece in segments(tree.machine, top)] == [0, 4 * PAGE]


def test_crypt_with_and_without_options(tmp_path: Path) -> None:
    """cipher key iv_offset device offset [options]: the fourth number is the place."""
    tree = Tree(tmp_path)
    tree.zram()
    for table in (
        "0 80 crypt aes-xts-plain64 :64:logon:k 7 253:0 160",
        "0 80 crypt aes-xts-plain64 :64:logon:k 7 253:0 160 2 allow_discards sector_size:4096",
    ):
        tree.tables["secret"] = table
        if "/dev/dm-0" not in tree.numbers:
            tree.dm("secret", ["zram0"], table, pages=10)
        top = resolve(tree.machine, "/dev/dm-0")
        assert segments(tree.machine, top) == [Segment(0, "zram0", 20 * PAGE, 10 * PAGE)]


def raising(error: Exception):  # type: ignore[no-untyped-def]
    def fails(_: str) -> None:
        raise error

    return fails


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(95, "Operation not supported"), "Operation not supported"),
        (OSError("does not answer"), "does not answer"),
    ],
)
def test_file_or_table_that_cannot_be_read(tmp_path: Path, error: OSError, why: str) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    tree.dm("name", ["zram0"], "", pages=4)
    top = resolve(tree.machine, tree.file("/mnt/swap", on="zram0", extents=[]))
    with pytest.raises(NotTold) as told:
        segments(replace(tree.machine, file_extents=raising(error)), top)
    assert str(told.value) == f"where /mnt/swap is on its device cannot be read ({why})"
    with pytest.raises(NotTold) as told:
        segments(replace(tree.machine, dm_table=raising(error)), resolve(tree.machine, "/dev/dm-0"))
    assert str(told.value) == f"the device-mapper table of dm-0 cannot be read ({error})"


ZRAM = BlockLayer("zram", "zram0", {"size": 8 * PAGE})


@pytest.mark.parametrize(
    ("top", "why"),
    [
        (BlockLayer("md", "md0", {"size": PAGE}, (ZRAM,)), "how md0 maps its pages is not known"),
        (BlockLayer("disk", "bcache0", {"size": PAGE}, (ZRAM,)), "how bcache0 maps its pages is not known"),
        (BlockLayer("unknown", "8:9"), "how 8:9 maps its pages is not known"),
        (BlockLayer("loop", "loop0", {"size": PAGE}), "how loop0 maps its pages is not known"),
        (BlockLayer("file", "/swap", {"filesystem": "ext4"}), "how /swap maps its pages is not known"),
        (BlockLayer("file", "/swap", {}, (ZRAM,)), "None does not tell where on its device a file is"),
        (
            BlockLayer("file", "/swap", {"filesystem": "btrfs"}, (ZRAM,)),
            "btrfs does not tell where on its device a file is",
        ),
        (BlockLayer("dm", "dm-0", {"dm_name": "a"}, (ZRAM, ZRAM)), "dm-0 lies on several devices"),
        (BlockLayer("dm", "dm-1", {}, (ZRAM,)), "how dm-1 maps its pages is not known (dm target thin)"),
    ],
)
def test_layers_that_cannot_be_followed(tmp_path: Path, top: BlockLayer, why: str) -> None:
    tree = Tree(tmp_path)
    tree.tables |= {"a": "", "dm-1": "0 8 thin 253:2 1"}
    with pytest.raises(NotTold) as told:
        segments(tree.machine, top)
    assert str(told.value) == why


def test_a_disk_holds_nothing_of_zram(tmp_path: Path) -> None:
    assert segments(Tree(tmp_path).machine, BlockLayer("disk", "sda", {"size": PAGE})) == []


@pytest.mark.parametrize(
    ("physical", "length", "expected"),
    [
        (0, PAGE, [[0, 1]]),
        (1, PAGE, None),
        (1, 2 * PAGE, [[1, 1]]),
        (PAGE - 1, PAGE + 1, [[1, 1]]),
        (2 * PAGE, 3 * PAGE - 1, [[2, 2]]),
        (2 * PAGE, PAGE - 1, None),
        (2 * PAGE, 0, None),
    ],
)
def test_only_whole_pages_count(physical: int, length: int, expected: list[list[int]] | None) -> None:
    found = pages_of([Segment(0, "zram0", physical, length)])
    assert {store: rows.tolist() for store, rows in found.items()} == ({"zram0": expected} if expected else {})


def test_pages_by_store() -> None:
    pieces = [Segment(0, "b", 5 * PAGE, PAGE), Segment(PAGE, "a", 0, PAGE), Segment(2 * PAGE, "b", PAGE, 2 * PAGE)]
    found = pages_of(pieces)
    assert {store: rows.tolist() for store, rows in found.items()} == {"a": [[0, 1]], "b": [[1, 2], [5, 1]]}
    assert all(rows.dtype == np.int64 for rows in found.values())


@pytest.mark.parametrize(
    ("pieces", "slots", "expected"),
    [
        ([Segment(0, "a", 7 * PAGE, 3 * PAGE)], 10, ((0, 7, 3),)),
        ([Segment(0, "a", 7 * PAGE, 3 * PAGE + 5)], 10, ((0, 7, 3),)),
        ([Segment(0, "a", 7 * PAGE, 3 * PAGE)], 2, ((0, 7, 2),)),
        ([Segment(0, "a", 0, 2 * PAGE), Segment(2 * PAGE, "a", 9 * PAGE, PAGE)], 2, ((0, 0, 2),)),
        ([Segment(0, "a", 0, PAGE), Segment(PAGE, "b", 0, PAGE)], 9, ()),
        ([Segment(1, "a", 0, PAGE)], 9, ()),
        ([Segment(0, "a", 512, PAGE)], 9, ()),
        ([Segment(0, "a", 0, PAGE - 1), Segment(PAGE, "a", PAGE, PAGE)], 9, ((1, 1, 1),)),
        ([], 9, ()),
    ],
)
def test_slots_of_pieces(pieces: list[Segment], slots: int, expected: tuple[tuple[int, int, int], ...]) -> None:
    assert slot_extents(pieces, slots) == expected


def test_count_entries_at_the_edges() -> None:
    indexes = np.array([4, 5, 6, 7], np.int64)
    for first, count, found in ((4, 4, 4), (5, 2, 2), (0, 4, 0), (0, 5, 1), (7, 9, 1), (8, 1, 0), (5, 0, 0)):
        assert count_entries(indexes, np.array([[first, count]], np.int64)) == found


# -- layers


def test_words_for_layers() -> None:
    lower = (BlockLayer("zram", "zram3"), BlockLayer("unknown", "8:1"))
    top = BlockLayer(
        "file", "/a", {}, (BlockLayer("dm", "dm-4", {"dm_name": "x"}, (BlockLayer("dm", "dm-5", {}, lower),)),)
    )
    assert way_down(top) == "file on ? > dm x > dm dm-5 > zram3 > ?"
    assert [(depth, layer.name) for depth, layer in walk(top)] == [
        (0, "/a"), (1, "dm-4"), (2, "dm-5"), (3, "zram3"), (3, "8:1"),
    ]  # fmt: skip
    assert stores_below(BlockLayer("dm", "dm-6", {}, (*lower, *lower))) == ("zram3",)


@pytest.mark.parametrize(
    ("kind", "below", "notified"),
    [
        ("zram", (), True), ("partition", ("zram",), True), ("partition", ("disk",), False), ("partition", (), False),
        ("file", ("zram",), False), ("loop", ("zram",), False), ("dm", ("zram",), False), ("disk", (), False),
    ],
)  # fmt: skip
def test_who_is_notified(kind: str, below: tuple[str, ...], notified: bool) -> None:
    assert kernel_notifies(BlockLayer(kind, "x", {}, tuple(BlockLayer(name, "y") for name in below))) is notified


def test_numbers_of_a_layer() -> None:
    layer = BlockLayer("disk", "sda", {"size": 7, "filesystem": "ext4"})
    assert (layer.number("size"), layer.number("filesystem"), layer.number("none")) == (7, 0, 0)


def test_the_longest_mount_point_counts_and_of_several_the_last(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.disk("sda")
    tree.zram()
    tree.mount("sda", "/")
    tree.mount("sda", "/mnt", filesystem="xfs")
    tree.mount("zram0", "/mnt", filesystem="ext4")
    tree.mount("sda", "/mnt/deep", filesystem="f2fs")
    found = {
        path: mount_of(tree.machine, path) for path in ("/a", "/mnt", "/mnt/a", "/mntx", "/mnt/deep/a", "/mnt/deeper")
    }
    assert {path: mount and mount.filesystem for path, mount in found.items()} == {
        "/a": "ext4", "/mnt": "ext4", "/mnt/a": "ext4", "/mntx": "ext4", "/mnt/deep/a": "f2fs", "/mnt/deeper": "ext4",
    }  # fmt: skip
    assert found["/a"] is not None and found["/a"].point == "/"
    assert mount_of(Tree(tmp_path / "other").machine, "/a") is None


def test_facts_of_devices(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.disk("sda")
    part = resolve(tree.machine, tree.partition("sda", 1, start=2048, sectors=4096))
    queue = {"discard_max_bytes": 2147483648, "discard_granularity": 4096}
    assert part.facts == {"size": 4096 * 512, "start": 2048 * 512, **queue}
    assert part.below == (BlockLayer("disk", "sda", {"size": 1024 * PAGE, **queue}),)
    tree.zram()
    loop = resolve(tree.machine, tree.loop("/dev/zram0", pages=3, offset=512))
    assert loop.facts == {"size": 3 * PAGE, "offset": 512, **queue}
    mapped = resolve(tree.machine, tree.dm("a name", ["zram0"], "", pages=5))
    assert mapped.facts == {"size": 5 * PAGE, **queue, "dm_name": "a name", "dm_uuid": ""}


def test_array_of_devices(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for number in (0, 1):
        tree.zram(number)
    folder = tree.device("md0", 9, 0, 2048)
    (folder / "md").mkdir()
    (folder / "slaves").mkdir()
    for name in ("zram1", "zram0"):
        (folder / "slaves" / name).symlink_to(tmp_path / f"sys/devices/virtual/block/{name}")
    top = resolve(tree.machine, "/dev/md0")
    assert (top.kind, top.name, stores_below(top)) == ("md", "md0", ("zram0", "zram1"))


@pytest.mark.parametrize("option", ["yes", "no"])
def test_facts_of_files(tmp_path: Path, option: str) -> None:
    tree = Tree(tmp_path)
    tree.zram()
    options = ",discard" if option == "yes" else ""
    top = resolve(tree.machine, tree.file("/mnt/swap", on="zram0", extents=[], options=options))
    assert top.facts == {"filesystem": "ext4", "mount_point": "/mnt", "discard": option}
    assert [layer.kind for layer in top.below] == ["zram"]


def test_stacks_end_somewhere(tmp_path: Path) -> None:
    """A loop device on a file on itself: sixteen layers, and no more."""
    tree = Tree(tmp_path)
    tree.device("loop0", 7, 0, 4)
    backing = tree.file("/mnt/image", on="loop0", extents=[])
    tree.write("sys/block/loop0/loop/backing_file", f"{backing}\n")
    kinds = [layer.kind for _, layer in walk(resolve(tree.machine, "/dev/loop0"))]
    assert kinds == [("loop", "file")[n % 2] for n in range(17)]
