"""All that the audit says of a scene, word for word: text and JSON, compared with tests/unit/data/audit.

After a change that was meant: SWAPTRACE_RENEW=1 pytest tests/unit/test_audit_scenes.py, and read the difference.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import Audit, audit, judge
from swaptrace.audit.evidence import Observed, gather
from swaptrace.audit.text import print_audit
from swaptrace.machine.machine import Extent, FilesystemSpace
from swaptrace.machine.stack import Filesystem
from tests.unit.test_stack import PAGE, Tree

GOLDEN = Path(__file__).parent / "data/audit"
SMALL = 1 << 20  # bytes from which on something is worth a warning
RENEW = "SWAPTRACE_RENEW" in os.environ


def nothing(tree: Tree) -> None:
    tree.disk("sda")


def clean(tree: Tree) -> None:
    tree.swap_on(tree.zram(entries=list(range(101))), pages=1023, used=100)


def disk(tree: Tree) -> None:
    tree.swap_on(tree.disk("sda"), pages=1023, used=500, priority=-2)


def not_root(tree: Tree) -> None:
    tree.root = False
    whole = tree.zram(0, entries=list(range(101)))
    tree.swap_on(whole, pages=1023, used=40)
    tree.zram(1)
    tree.swap_on(tree.file("/mnt/swap", on="zram1", extents=[]), pages=99)
    tree.free["/mnt"] = 0


def file(tree: Tree) -> None:
    """A swap file of 3000 pages in two pieces, and others' entries before, between and behind them."""
    inside = [*range(1000, 2000), *range(5000, 6000)]
    tree.zram(pages=8192, entries=sorted([*range(20), *range(2000, 2010), *inside, *range(6000, 6020)]))
    extents = [Extent(0, 1000 * PAGE, 1000 * PAGE), Extent(1000 * PAGE, 5000 * PAGE, 2000 * PAGE)]
    path = tree.file("/mnt/a swap file", on="zram0", extents=extents, options=",discard")
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(path, pages=2999, used=300)


def file_in_use(tree: Tree) -> None:
    tree.zram(pages=4000, entries=list(range(1000)))
    tree.free["/mnt"] = 0
    tree.swap_on(tree.file("/mnt/swap", on="zram0", extents=[Extent(0, 0, 3000 * PAGE)]), pages=2999, used=999)


def file_without_block_state(tree: Tree) -> None:
    file(tree)
    tree.entries.clear()


def file_on_btrfs(tree: Tree) -> None:
    tree.zram(entries=[1, 2, 3])
    path = tree.file("/data/swap", on="zram0", extents=[], filesystem="btrfs", anonymous=True)
    tree.free["/data"] = 500 * PAGE
    tree.swap_on(path, pages=99, used=1)


def two_files(tree: Tree) -> None:
    """Grave: more than a twentieth of the memory."""
    tree.write("proc/meminfo", "MemTotal: 30000 kB\n")
    tree.zram(pages=8192, entries=list(range(4000)))
    tree.free["/mnt"] = 8 * PAGE
    tree.swap_on(tree.file("/mnt/one", on="zram0", extents=[Extent(0, 0, 2000 * PAGE)]), pages=1999, priority=0)
    second = tree.file("/mnt/two", on="zram0", extents=[Extent(0, 2000 * PAGE, 2000 * PAGE)])
    tree.swap_on(second, pages=1999, used=1998, priority=-3)


def loop(tree: Tree) -> None:
    tree.zram(pages=8192, entries=list(range(2000)))
    backing = tree.file("/mnt/the image", on="zram0", extents=[Extent(0, 0, 4000 * PAGE)])
    tree.free["/mnt"] = 4000 * PAGE
    tree.swap_on(tree.loop(backing, pages=4000), pages=3999)


def loop_without_discards(tree: Tree) -> None:
    tree.zram(pages=4000, entries=[0])
    tree.swap_on(tree.loop("/dev/zram0", pages=4000, discards=False), pages=3999)


def mapped(tree: Tree) -> None:
    tree.zram(pages=4000, entries=list(range(2000)))
    tree.swap_on(tree.dm("a name", ["zram0"], f"0 {4000 * 8} linear 253:0 0", pages=4000), pages=3999, used=10)


def striped(tree: Tree) -> None:
    tree.zram(0, entries=[0])
    tree.zram(1)
    tree.swap_on(tree.dm("both", ["zram0", "zram1"], "0 16384 striped 2 128 253:0 0 253:1 0", pages=2048), pages=2047)


def partition(tree: Tree) -> None:
    tree.zram(entries=[256, *range(300, 340)])
    tree.swap_on(tree.partition("zram0", 1, start=2048, sectors=4096), pages=511, used=7)


def deleted(tree: Tree) -> None:
    tree.swap_on("/gone", pages=100, used=3)


def zswap_and_disk(tree: Tree) -> None:
    disk(tree)
    tree.zswap(pool=8000, stored=20000)


def zswap_and_zram(tree: Tree) -> None:
    tree.swap_on(tree.zram(0), pages=1023)
    tree.swap_on(tree.zram(1), pages=1023, priority=5)
    tree.swap_on(tree.disk("sda"), pages=1023, priority=-2)
    tree.zswap()


def left_behind(tree: Tree) -> None:
    """And one entry that a missed notification explains."""
    area = tree.zram(pages=4000, entries=list(range(2000)), miss_free=1)
    tree.swap_on(area, pages=3999, used=100)


def just_worth_a_warning(tree: Tree) -> None:
    tree.swap_on(tree.zram(pages=4000, entries=list(range(1025)), size=1024), pages=3999)


def not_worth_a_warning(tree: Tree) -> None:
    tree.swap_on(tree.zram(pages=4000, entries=list(range(1024)), size=1024), pages=3999)


def just_grave(tree: Tree) -> None:
    tree.write("proc/meminfo", f"MemTotal: {20 * 1024} kB\n")
    just_worth_a_warning(tree)


def missed(tree: Tree) -> None:
    tree.swap_on(tree.zram(entries=list(range(20)), miss_free=7, size=500), pages=1023, used=14, priority=-2)


def missed_and_gone(tree: Tree) -> None:
    tree.swap_on(tree.zram(entries=[0], miss_free=7), pages=1023)


def without_user(tree: Tree) -> None:
    tree.zram(0, entries=[0])
    tree.zram(1, entries=[0, 1])
    tree.zram(2, pages=4000, entries=list(range(2000)))
    tree.zram(10, pages=4000, entries=list(range(1500)))
    tree.dm("other", ["zram10"], "", pages=4000)


def freed_blocks(tree: Tree) -> None:
    tree.zram(pages=4000, entries=list(range(2000)))
    tree.mount("zram0", "/a folder")
    tree.free["/a folder"] = 3900 * PAGE


def no_freed_blocks(tree: Tree) -> None:
    """As many entries as blocks in use."""
    tree.zram(pages=4000, entries=list(range(2000)))
    tree.mount("zram0", "/data")
    tree.free["/data"] = 2000 * PAGE


def mounted_twice(tree: Tree) -> None:
    tree.zram(pages=4000, entries=list(range(2000)))
    for point in ("/one", "/two"):
        tree.mount("zram0", point)
        tree.free[point] = 3900 * PAGE


def mounted_and_full(tree: Tree) -> None:
    """A swap file on a device with more entries than blocks in use; nothing is known of where another one is."""
    tree.zram(0, pages=4000, entries=list(range(2000)))
    tree.free["/mnt"] = 3500 * PAGE
    tree.swap_on(tree.file("/mnt/swap", on="zram0", extents=[Extent(0, 0, 300 * PAGE)]), pages=299, used=299)
    tree.zram(1, pages=4000, entries=list(range(2000)))
    tree.free["/data"] = 3500 * PAGE
    path = tree.file("/data/swap", on="zram1", extents=[], filesystem="btrfs", anonymous=True)
    tree.swap_on(path, pages=99, used=1)


def not_set_up(tree: Tree) -> None:
    tree.zram(0, pages=0)
    tree.write("sys/block/zram0/stat", "0 0\n")
    tree.zram(1, entries=[0])
    tree.write("sys/block/zram1/stat", "0 0 0 0 5 0\n")
    tree.write("sys/block/zram1/comp_algorithm", "\n")
    tree.swap_on("/dev/zram1", pages=1023)
    tree.write("sys/module/zswap/parameters/enabled", "1\n")


SCENES: tuple[Callable[[Tree], None], ...] = (
    nothing, clean, disk, not_root, file, file_in_use, file_without_block_state, file_on_btrfs, two_files, loop,
    loop_without_discards, mapped, striped, partition, deleted, zswap_and_disk, zswap_and_zram, left_behind,
    just_worth_a_warning, not_worth_a_warning, just_grave, missed, missed_and_gone, without_user, freed_blocks,
    no_freed_blocks, mounted_twice, mounted_and_full, not_set_up,
)  # fmt: skip

ALL = Observed(12.5, 5000, 4000, 30, 6000, 900, 2_500_000, 70, 0)
UNTOLD = Observed(0.25, 500, None, None, None, None, None, None, 3)
NONE = Observed(10.0, 500, 0, 0, 0, 0, 0, 0, 0)
TRACED: dict[str, tuple[Callable[[Tree], None], Observed | None]] = {
    "traced_clean": (clean, ALL),
    "traced_unnotified": (clean, NONE),
    "traced_file": (file, replace(ALL, notifications=0, lost_events=12)),
    "traced_untold": (file_on_btrfs, UNTOLD),
    "traced_and_off": (disk, None),
}


def text(result: Audit, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_audit(result, console)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def said(result: Audit) -> str:
    """The text, then the JSON."""
    return f"{text(result)}\n\n{json.dumps(as_json(result), indent=1, allow_nan=False)}\n"


def compare(name: str, found: str) -> None:
    kept = GOLDEN / f"{name}.txt"
    if RENEW:
        GOLDEN.mkdir(parents=True, exist_ok=True)
        kept.write_text(found)
    assert found == kept.read_text()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(tmp_path: Path, scene: Callable[[Tree], None]) -> None:
    tree = Tree(tmp_path)
    scene(tree)
    result = audit(machine=tree.machine)
    compare(scene.__name__, said(result))
    for advice in (advice for finding in result.findings for advice in finding.advice):
        assert advice.commands or not advice.cures, advice.sentence  # words alone end nothing


@pytest.mark.parametrize("name", TRACED)
def test_traced_scene(tmp_path: Path, name: str) -> None:
    scene, observed = TRACED[name]
    tree = Tree(tmp_path)
    scene(tree)
    evidence = gather(tree.machine)
    areas = tuple(replace(area, observed=observed) for area in evidence.areas)
    seconds = observed.seconds if observed else 10.0
    compare(name, said(judge(replace(evidence, areas=areas, seconds=seconds))))


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_names_are_never_broken(tmp_path: Path, scene: Callable[[Tree], None], width: int) -> None:
    """However narrow the terminal is; what is no command and has no name that is too long, is no wider than it."""
    tree = Tree(tmp_path)
    scene(tree)
    result = audit(machine=tree.machine)
    lines = text(result, width).splitlines()
    first = next((at for at, line in enumerate(lines) if line.startswith(("info", "warning", "critical"))), len(lines))
    stores = result.evidence.stores
    names = [
        *(area.path for area in result.evidence.areas),
        *(
            name
            for store in stores
            for name in (store.store.name, *store.areas, *(user.point for user, _ in store.mounts))
        ),
    ]
    for name in names:
        assert any(name in line for line in lines[:first]), name
    longest = max((len(name) + 12 for name in names), default=0)
    assert all(len(line) <= max(width, longest) for line in lines[:first] if " > " not in line)


def test_a_table_that_is_too_wide_has_a_line_for_each_figure(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(entries=list(range(101))), pages=1023, used=100)
    narrow, wide = (text(audit(machine=tree.machine), width) for width in (50, 100))
    assert "/dev/zram0\n  zram0\n    notified: yes\n    slots: 1,023\n    in use: 100\n" in narrow
    assert "    used by: /dev/zram0\n" in narrow and "─" not in narrow
    assert "used by: " not in wide and "─" in wide


def test_colours_say_how_grave_it_is(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    two_files(tree)
    tree.zram(1, pages=4000, entries=list(range(2000)))
    tree.zram(2, entries=[0, 1])
    tree.swap_on(tree.disk("sda"), pages=9)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    print_audit(audit(machine=tree.machine), console)
    assert isinstance(console.file, io.StringIO)
    compare("colours", console.file.getvalue())


def test_ascii_terminals_get_no_dashes(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    file_without_block_state(tree)
    tree.swap_on("/näher", pages=1)

    class Ascii(io.StringIO):
        encoding = "ascii"  # type: ignore[assignment]

    console = Console(file=Ascii(), width=100)
    print_audit(audit(machine=tree.machine), console)
    assert isinstance(console.file, Ascii)
    said_ = console.file.getvalue()
    assert "note: /n?her: what lies behind it" in said_


def test_filesystem_that_does_not_tell_its_room(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    freed_blocks(tree)

    def fails(_: str) -> FilesystemSpace:
        raise OSError(5, "Input/output error")

    result = audit(machine=replace(tree.machine, space=fails))
    assert [store.mounts for store in result.evidence.stores] == [((Filesystem("/a folder", "ext4", False), None),)]
    assert not result.findings


def test_every_scene_that_is_kept_is_looked_at() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {scene.__name__ for scene in SCENES} | set(TRACED) | {"colours"}
