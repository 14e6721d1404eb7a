"""What the virtual machine does for test_areas.py: one recording, and in it swap areas and pages of every kind.

Usage: guest_areas.py FOLDER [RIG...]. Between its steps a rig checks: when nothing moves, all counters that the kernel
has of its swap areas and zram devices are noted with the time. The host compares them with the model at that time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from memory import (
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    Child,
    Steps,
    anonymous,
    perforated,
    refused,
    shared_by_fork,
    shared_memory,
    under_pressure,
)
from scenarios import recording, run_all, wait_for
from zram import run, swap_on

BLOCK = Path("/sys/block")
MOUNT = Path("/tmp/areas")
CGROUPS = Path("/tmp/cgroups")
CGROUP_PATHS = ("first", "outer/second")  # below that, which is mounted while recording
MTHP = Path("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled")
COUNTERS = ("mm_stat", "io_stat", "debug_stat", "bd_stat", "stat")
PRESSURE_SECONDS = 60.0
CGROUP_BYTES = 24 << 20


class Session:
    """The recording, and the notes that are taken meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks: list[dict[str, Any]] = []
        self.rig = ""

    def check(self, step: str, **facts: object) -> None:
        """Note the counters at a moment when they do not change."""
        wait_for(lambda: "\nnr_writeback 0\n" in Path("/proc/vmstat").read_text(), what="pages are still being written")
        for _ in range(100):  # a filesystem may write something of its own at any time
            before, now = counters(), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            states = {device: block_state(device) for device in before["zram"]}
            if before == counters():
                break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"{self.rig}: the counters never stood still")
        for device, state in states.items():
            (self.folder / f"{len(self.checks)}-{device}").write_bytes(state)
        self.checks.append({"rig": self.rig, "step": step, "time": now, **before, "facts": facts})
        (self.folder / "checks.json").write_text(json.dumps(self.checks))


def block_state(device: str) -> bytes:
    # cat asks for as much as the kernel gives at once; Python's read() would end too early
    return subprocess.check_output(["cat", f"/sys/kernel/debug/zram/{device}/block_state"])


def counters() -> dict[str, Any]:
    """Words of the counter files of each zram device that is set up, and /proc/swaps."""
    devices = [path for path in BLOCK.glob("zram*") if (path / "disksize").read_text().strip() != "0"]
    zram = {d.name: {name: (d / name).read_text().split() for name in COUNTERS if (d / name).exists()} for d in devices}
    return {"zram": zram, "swaps": Path("/proc/swaps").read_text()}


# -- devices


def set_up(megabytes: int, number: int = 0, algorithm: str | None = None, backing: str | None = None) -> str:
    """A zram device, reset first; its path."""
    device = BLOCK / f"zram{number}"
    if not device.exists():
        Path("/sys/class/zram-control/hot_add").read_text()
    (device / "reset").write_text("1")
    if backing:
        (device / "backing_dev").write_text(backing)
    if algorithm:
        (device / "comp_algorithm").write_text(algorithm)
    (device / "disksize").write_text(f"{megabytes}M")
    return f"/dev/zram{number}"


def disk() -> str:
    """A RAM disk stands for a disk: it is one to the swap code."""
    run("modprobe", "brd", "rd_nr=1", "rd_size=131072", "max_part=4")
    return "/dev/ram0"


def swap_file(device: str, filesystem: str, megabytes: int = 24) -> str:
    """A file on a filesystem on a device."""
    options = {"ext4": ["-q", "-m", "0", "-O", "^has_journal"], "btrfs": ["-q", "-f", "-d", "single", "-m", "single"]}
    run(f"mkfs.{filesystem}", *options[filesystem], device)
    run("modprobe", filesystem)
    MOUNT.mkdir(exist_ok=True)
    run("mount", "-t", filesystem, device, str(MOUNT))
    path = MOUNT / "swap"
    path.touch(0o600)
    if filesystem == "btrfs":
        run("chattr", "+C", str(path))  # a file that is copied on write cannot be swapped to
    run("fallocate", "-l", f"{megabytes}M", str(path))
    run("sync")
    return str(path)


@contextlib.contextmanager
def clean_slate() -> Iterator[None]:
    """Take down whatever a rig has left."""
    try:
        yield
    finally:
        Child.end_all()
        for swap in Path("/proc/swaps").read_text().splitlines()[1:]:
            run("swapoff", swap.split()[0], check=False)
        run("umount", str(MOUNT), check=False)
        run("losetup", "-D", check=False)
        run("dmsetup", "remove_all", check=False)
        for device in BLOCK.glob("zram*"):
            with contextlib.suppress(OSError):  # busy
                (device / "reset").write_text("1")


# -- rigs


def work(session: Session, pages: int = 1501, content: str = "compressible", seed: int = 1) -> None:
    """A process pages out, reads half, changes a quarter, pages out again and exits."""
    process = Child(anonymous(pages, content, seed))
    for step in ("out", "half read", "out again"):
        session.check(step, swapped=process.step())
    process.exit()
    session.check("exited")


def pages(session: Session) -> None:
    """Small pages of every content on zram itself."""
    swap_on(set_up(96))
    processes = {}
    for seed, (content, number) in enumerate({"compressible": 1501, "random": 503, "same": 701, "zero": 307}.items()):
        processes[content] = Child(anonymous(number, content, seed))
        session.check(content, swapped=processes[content].step(), pages=number)
    for content, process in processes.items():
        process.step(), process.step()
        session.check(f"{content} again")
        process.exit()
    session.check("exited")


def huge(session: Session) -> None:
    """Huge pages, and those of 64 KiB where the kernel has them."""
    swap_on(set_up(64))
    process = Child(anonymous(3 * 512, "compressible", 1, MADV_HUGEPAGE))
    session.check("huge", swapped=process.step())
    process.step(), process.step()
    session.check("huge again")
    process.exit()
    session.check("huge exited", mthp=MTHP.exists())
    if MTHP.exists():
        enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled")
        before = {path: path.read_text().split("[")[1].split("]")[0] for path in (enabled, MTHP)}
        enabled.write_text("madvise"), MTHP.write_text("madvise")
        (enabled.parent / "hugepages-2048kB/enabled").write_text("never")
        process = Child(anonymous(40 * 16, "compressible", 2, MADV_HUGEPAGE))
        session.check("64k", swapped=process.step())
        process.exit()
        session.check("64k exited")
        (enabled.parent / "hugepages-2048kB/enabled").write_text("inherit")
        for path, value in before.items():
            path.write_text(value)


def shared(session: Session) -> None:
    """Slots with several references, and pages that wait in the swap cache."""
    swap_on(set_up(64))
    process = Child(shared_by_fork(1024, 3))
    session.check("out", swapped=process.step())
    swapped = process.step()
    Path("/proc/sys/vm/stat_refresh").write_text("1")  # what the CPUs have counted for themselves
    session.check("read ahead", swapped=swapped, meminfo=Path("/proc/meminfo").read_text())
    process.step()
    session.check("one of two gone")
    process.step()
    session.check("the other gone")
    process.exit()
    session.check("exited")


def files(session: Session) -> None:
    """Shared memory and tmpfs."""
    swap_on(set_up(64))
    MOUNT.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "none", str(MOUNT))
    for name, path in (("shmem", None), ("tmpfs", MOUNT / "file")):
        process = Child(shared_memory(800, 4, path))
        for step in ("out", "read", "half gone", "all gone"):
            process.step()
            session.check(f"{name} {step}")
        process.exit()
        session.check(f"{name} exited")


def compressors(session: Session) -> None:
    """Every compressor that zram is used with, as far as the kernel has it."""
    offered = (BLOCK / "zram0/comp_algorithm").read_text().replace("[", "").replace("]", "").split()
    for algorithm in ("lzo-rle", "lz4", "zstd"):
        if algorithm in offered:
            swap_on(set_up(32, algorithm=algorithm))
            process = Child(anonymous(809, "mixed", 5))
            session.check(algorithm, swapped=process.step())
            process.exit()
            run("swapoff", "/dev/zram0")
            session.check(f"{algorithm} off", offered=offered)


def several(session: Session) -> None:
    """Two zram devices and a disk, filled in the order of their priorities; freed; filled again."""
    swap_on(set_up(4, 0), priority=30)
    swap_on(set_up(4, 1), priority=20)
    swap_on(disk(), priority=10)
    work(session, 3001, "mixed")


def partition(session: Session) -> None:
    """zram itself takes no partitions; a loop device on it does, and a disk."""
    refused = run("addpart", set_up(64), "1", "2048", "65536", check=False).returncode
    run("modprobe", "loop")
    options = ("--find", "--show", "--partscan", "--direct-io=on", "--sector-size=4096")
    loop = run("losetup", *options, "/dev/zram0").stdout.strip()
    run("addpart", loop, "1", "2048", "65536")
    swap_on(f"{loop}p1")
    session.check("on", refused=refused)
    work(session)
    run("swapoff", f"{loop}p1")
    run("addpart", disk(), "1", "4096", "65536")
    swap_on("/dev/ram0p1")
    work(session)
    run("swapoff", "/dev/ram0p1")
    run("delpart", "/dev/ram0", "1")


def plain_disk(session: Session) -> None:
    swap_on(disk())
    work(session, 2003, "mixed")


def ext4_on_zram(session: Session) -> None:
    swap_on(swap_file(set_up(96), "ext4"))
    work(session)


def ext4_on_disk(session: Session) -> None:
    swap_on(swap_file(disk(), "ext4"))
    work(session)


def btrfs_on_zram(session: Session) -> None:
    swap_on(swap_file(set_up(128), "btrfs"))
    work(session)


def btrfs_on_disk(session: Session) -> None:
    swap_on(swap_file(disk(), "btrfs"))
    work(session)


def dm_linear(session: Session) -> None:
    """The second half of a zram device, through device mapper."""
    run("modprobe", "dm-mod")
    table = f"0 65536 linear {set_up(64)} 65536"
    run("dmsetup", "create", "swapdm", "--noudevsync", "--table", table)
    # not /dev/mapper/swapdm: that is made by udev, which the guest may not have
    name = run("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", "swapdm").stdout.strip()
    swap_on(f"/dev/{name}")
    work(session)


def discard(session: Session) -> None:
    """swapon --discard: on zram itself, on a file on it."""
    swap_on(set_up(64), "--discard")
    session.check("on zram")
    work(session)
    run("swapoff", "/dev/zram0")
    path = swap_file(set_up(96), "ext4")
    swap_on(path, "--discard")
    session.check("on a file")
    work(session, 3001)


def type_reused(session: Session) -> None:
    """swapoff while slots are in use; another device gets the type; then a new size for the first one."""
    swap_on(set_up(32, 0))
    process = Child(anonymous(907, "compressible", 6))
    session.check("out", swapped=process.step())
    run("swapoff", "/dev/zram0")
    session.check("off in use")
    swap_on(disk())
    process.step(), process.step()
    session.check("on a disk")
    run("swapoff", "/dev/ram0")
    swap_on(set_up(160, 0))
    process.exit()
    session.check("a new size")
    work(session)


def writeback(session: Session) -> None:
    """zram's backing device: huge pages, idle ones, single ones; read back, freed, overwritten."""
    swap_on(set_up(64, algorithm="zstd", backing=disk()))  # with which only random pages are huge
    device = BLOCK / "zram0"
    processes = [Child(anonymous(number, content, number)) for content, number in WRITTEN_BACK.items()]
    for process in processes:
        process.step()
    session.check("out")
    (device / "writeback").write_text("huge")
    session.check("huge written back")
    lines = block_state("zram0").decode().splitlines()
    plain = [words[0] for words in map(str.split, lines) if not set("wsh") & set(words[2])]
    try:
        (device / "writeback").write_text(f"page_index={plain[-1]}")
        singles = 1
    except OSError:  # 5.10 writes back no single page
        singles = 0
    session.check("one written back", singles=singles)
    (device / "idle").write_text("all")
    (device / "writeback").write_text("idle")
    session.check("idle written back")
    for process in processes:
        process.step()
    session.check("half read")
    for process in processes:
        process.step()
    session.check("out again")
    for process in processes:
        process.exit()
    session.check("exited")
    run("swapoff", "/dev/zram0")
    session.check("off")


def limit(session: Session) -> None:
    """zram's mem_limit is reached: by small pages, huge ones, ones written again; then over entries that are stale."""
    swap_on(set_up(64))
    (BLOCK / "zram0/mem_limit").write_text("1500K")
    for name, steps in {
        "small": refused(1201, "mixed", 11),
        "huge": refused(3 * 512, "mixed", 12, MADV_HUGEPAGE),
        "random": refused(307, "random", 13),
    }.items():
        process = Child(steps)
        session.check(name, swapped=process.step())
        session.check(f"{name} again", swapped=process.step())
        process.exit()
        session.check(f"{name} exited")
    run("swapoff", "/dev/zram0")
    run("modprobe", "dm-mod")
    run("dmsetup", "create", "swapdm", "--noudevsync", "--table", f"0 65536 linear {set_up(32)} 0")
    name = run("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", "swapdm").stdout.strip()
    swap_on(f"/dev/{name}")
    for bound, step in (("0", "filled"), ("1500K", "over stale entries"), ("800K", "over more")):
        (BLOCK / "zram0/mem_limit").write_text(bound)
        for advice in (MADV_NOHUGEPAGE, MADV_HUGEPAGE):
            process = Child(refused(1024, "mixed", len(step), advice))
            session.check(f"{step}, {advice}", swapped=process.step())
            session.check(f"{step}, {advice} again", swapped=process.step())
            process.exit()
    session.check("stale")
    run("swapoff", f"/dev/{name}")


def limit_many(session: Session) -> None:
    """The same by several processes at once."""
    swap_on(set_up(64))
    (BLOCK / "zram0/mem_limit").write_text("2M")
    kinds = ((MADV_NOHUGEPAGE, "mixed"), (MADV_HUGEPAGE, "compressible"), (MADV_NOHUGEPAGE, "random"))
    processes = [Child(refused(1024, content, 20 + n, advice)) for n, (advice, content) in enumerate(kinds)]
    for step in ("out", "again"):
        for process in processes:
            process.ask()
        session.check(step, swapped=[process.answer() for process in processes])
    for process in processes:
        process.exit()
    session.check("exited")


def compact(session: Session) -> None:
    """Somebody has the kernel compact a pool that has holes."""
    swap_on(set_up(64))
    process = Child(perforated(3001, "compressible", 31))
    process.step()
    session.check("holes", swapped=process.step())
    (BLOCK / "zram0/compact").write_text("1")
    session.check("compacted")
    process.exit()
    session.check("exited")


WRITTEN_BACK = {"random": 401, "compressible": 601, "same": 101}


def cgroups(session: Session) -> None:
    """Two processes, each in a memory cgroup that has not room enough for it, swap at once; then page out the rest."""
    swap_on(set_up(256))
    folders = [cgroup(name, CGROUP_BYTES) for name in CGROUP_PATHS]
    steps = [
        under_pressure(10_007, content, seed, PRESSURE_SECONDS)
        for seed, content in enumerate(("mixed", "compressible"))
    ]
    processes = [Child(step, folder) for step, folder in zip(steps, folders, strict=True)]
    inodes = {str(process.pid): folder.stat().st_ino for process, folder in zip(processes, folders, strict=True)}
    for step in ("filled", "pressed", "out"):
        for process in processes:
            process.ask()
        swapped = [process.answer() for process in processes]
        session.check(step, swapped=swapped, inodes=inodes)
    for process in processes:
        process.exit()
    for folder in folders:
        folder.rmdir()
    session.check("exited", inodes=inodes)


def cgroup(name: str, limit: int) -> Path:
    """A memory cgroup that may have so many bytes in memory; swap is not limited."""
    if not (CGROUPS / "cgroup.controllers").exists():
        CGROUPS.mkdir(exist_ok=True)
        run("mount", "-t", "cgroup2", "none", str(CGROUPS))
    folder = CGROUPS / name
    folder.mkdir(exist_ok=True, parents=True)
    for outer in reversed([place for place in folder.parents if place.is_relative_to(CGROUPS)]):
        (outer / "cgroup.subtree_control").write_text("+memory")
    (folder / "memory.max").write_text(str(limit))
    return folder


def kswapd(session: Session) -> None:
    """Pressure on the whole guest: kswapd wants more free memory than there is, and two processes fill some."""
    swap_on(set_up(512))
    huge_pages, scale = Path("/proc/sys/vm/nr_hugepages"), Path("/proc/sys/vm/watermark_scale_factor")
    swappiness, before = Path("/proc/sys/vm/swappiness"), scale.read_text()
    processes = [Child(anonymous_filled(20_011, content)) for content in ("mixed", "compressible")]
    for process in processes:
        process.step()
    free = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemFree" in line)
    huge_pages.write_text(str(max(free // 1024 - 200, 0) // 2))  # memory that is neither free nor to be reclaimed
    taken = huge_pages.read_text().strip()
    swappiness.write_text("200")
    scale.write_text("1500")
    processes.append(Child(anonymous_filled(20_011, "random")))
    processes[-1].step()  # kswapd is woken by who allocates
    for process in processes:
        process.ask()
    swapped = [process.answer() for process in processes]
    scale.write_text(before)
    huge_pages.write_text("0")
    swappiness.write_text("60")
    session.check("pressed", swapped=swapped, free=free, taken=taken)
    for process in processes:
        process.exit()
    session.check("exited")


def anonymous_filled(number: int, content: str) -> Steps:
    """The first step fills memory, the second changes and reads it for some seconds."""
    return under_pressure(number, content, number, 15.0)


RIGS: dict[str, Callable[[Session], None]] = {
    "pages": pages,
    "huge": huge,
    "shared": shared,
    "files": files,
    "compressors": compressors,
    "several": several,
    "partition": partition,
    "disk": plain_disk,
    "ext4-zram": ext4_on_zram,
    "ext4-disk": ext4_on_disk,
    "btrfs-zram": btrfs_on_zram,
    "btrfs-disk": btrfs_on_disk,
    "dm": dm_linear,
    "discard": discard,
    "type": type_reused,
    "writeback": writeback,
    "limit": limit,
    "limit-many": limit_many,
    "compact": compact,
    "cgroups": cgroups,
    "kswapd": kswapd,
}


def in_its_place(session: Session, name: str, rig: Callable[[Session], None]) -> None:
    session.rig = name
    with clean_slate():
        rig(session)


def main() -> None:
    session = Session(Path(sys.argv[1]))
    run("modprobe", "zram", "num_devices=1")
    swap_on(set_up(48))
    with recording(session.folder, "-d", "3000"):
        session.rig = "start"
        session.check("start")
        run("swapoff", "/dev/zram0")
        run_all(sys.argv[2:], {name: partial(in_its_place, session, name, rig) for name, rig in RIGS.items()})
        session.rig = "end"
        swap_on(set_up(16), priority=20)
        swap_on(disk(), priority=10)
        process = Child(anonymous(5003, "mixed", 7))
        session.check("end", swapped=process.step())
    process.exit()


if __name__ == "__main__":
    main()
