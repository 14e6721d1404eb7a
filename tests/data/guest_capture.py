"""The guest's side of capture.py: copy what the kernel says of itself, or record the workload of the golden traces.

Usage: guest_capture.py FOLDER types|trace...
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
from guest_areas import BLOCK, Session, cgroup, clean_slate, disk, set_up, swap_file
from memory import MADV_HUGEPAGE, Child, Memory, anonymous, shared_by_fork, shared_memory
from scenarios import recording
from zram import run, swap_on

from swaptrace.record.workload import Process

MODULES = ("zram", "zsmalloc")  # the latter may be built in
#: Every file of these that exists is among the facts.
FACTS = ("sys/kernel/debug/sched/preempt", "sys/kernel/mm/transparent_hugepage/hpage_pmd_size")


def types(folder: Path) -> None:
    """The type information, all symbols, and facts that are in neither."""
    for name in ("vmlinux", *MODULES):
        source = Path("/sys/kernel/btf", name)
        if source.exists():
            shutil.copyfile(source, folder / name)
    shutil.copyfile("/proc/kallsyms", folder / "kallsyms")
    facts = {
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "files": {name: Path("/", name).read_text() for name in FACTS if Path("/", name).exists()},
        "zram": sorted(path.name for path in (BLOCK / "zram0").iterdir() if path.is_file()),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


# -- the golden trace: little of everything


def trace(folder: Path) -> None:
    """One recording of all kinds of events, on areas of all kinds. What is in the swap area before, is seen as such."""
    session = Session(folder)
    with clean_slate():
        swap_on(set_up(16))
        before = Process(101, "mixed", 9)
        before.page_out()
        with recording(folder, "--label", "made=golden", trace=folder / "trace.swaptrace") as recorder:
            session.check("start")
            small_pages(session)
            huge_page(session)
            shared(session)
            before.give_back(50)
            before.page_in(2)
            before.exit()
            swapped_off(session)
            file_on_zram(session)
            under_a_limit(session)
            written_back(session)
            ctypes.CDLL(None).swapon(b"/nowhere", 0)
            on_a_disk(session)
            session.check("end")
            assert recorder.is_alive(), (folder / "record.err").read_text()


def small_pages(session: Session) -> None:
    """Of every content: paged out, half read back, a quarter written again, and an exit."""
    for seed, (content, number) in enumerate({"mixed": 211, "random": 31, "same": 41, "zero": 23}.items()):
        process = Child(anonymous(number, content, seed))
        for _ in range(3):
            process.step()
        process.exit()
    session.check("small pages")


def huge_page(session: Session) -> None:
    process = Child(anonymous(512, "compressible", 5, MADV_HUGEPAGE))
    for _ in range(3):
        process.step()
    session.check("huge page out")
    process.exit()


def shared(session: Session) -> None:
    """Slots with two references; shared memory, of which the half is given up."""
    process = Child(shared_by_fork(64, 3))
    for _ in range(4):
        process.step()
    process.exit()
    process = Child(shared_memory(67, 4))
    for _ in range(4):
        process.step()
    process.exit()
    session.check("shared")


def swapped_off(session: Session) -> None:
    """swapoff with pages in use; the same swap type again, whose free clusters are discarded."""
    process = Process(97, "mixed", 6)
    process.page_out()
    run("swapoff", "/dev/zram0")
    session.check("off")
    swap_on(set_up(16), "--discard=pages")
    process.page_out()
    other = Child(anonymous(1031, "same", 7))
    other.step()
    other.exit()
    process.exit()
    session.check("on again")


def file_on_zram(session: Session) -> None:
    """A swap file, whose store is told of no free slot: stale slots, which are used again."""
    swap_on(swap_file(set_up(32, 1), "ext4", 8), priority=200)
    for seed in (11, 12):
        process = Child(anonymous(149, "mixed", seed))
        for _ in range(3):
            process.step()
        session.check(f"file {seed}")
        process.exit()
    session.check("file")
    run("swapoff", "/tmp/areas/swap")
    run("umount", "/tmp/areas")
    (BLOCK / "zram1/reset").write_text("1")


def under_a_limit(session: Session) -> None:
    """A cgroup that loses most of its memory; then its process wants some of that back."""

    def steps() -> Iterator[int]:
        memory = Memory(1201, "compressible", 13)
        yield memory.swapped()
        memory.touch(4)
        memory.bytes[::6, 5] += 1
        yield memory.swapped()

    folder = cgroup("limited", 64 << 20)
    process = Child(steps, folder)
    process.step()
    (folder / "memory.max").write_text(str(4 << 20))
    process.step()
    process.exit()
    session.check("limited")


def written_back(session: Session) -> None:
    """Pages go from zram to its backing device, where the kernel's zram can do that."""
    run("swapoff", "/dev/zram0")
    backed = (BLOCK / "zram0/backing_dev").exists()
    swap_on(set_up(16, backing=disk() if backed else None))
    process = Child(anonymous(83, "mixed", 8))
    process.step()
    if backed:
        (BLOCK / "zram0/idle").write_text("all")
        (BLOCK / "zram0/writeback").write_text("idle")
    session.check("written back")
    process.step()
    process.step()
    process.exit()
    session.check("exited")


def on_a_disk(session: Session) -> None:
    """An area without a store; what is left at the end."""
    run("modprobe", "loop")
    image = Path("/tmp/disk")
    with image.open("wb") as file:
        file.truncate(8 << 20)
    run("mount", "-t", "tmpfs", "none", "/tmp/areas")
    shutil.copyfile(image, "/tmp/areas/disk")
    loop = run("losetup", "--find", "--show", "/tmp/areas/disk").stdout.strip()
    swap_on(loop, priority=300)
    for seed in (21, 22):
        process = Child(anonymous(59, "mixed", seed))
        process.step()
    session.check("disk")


def main() -> None:
    folder = Path(sys.argv[1])
    run("modprobe", "zram", "num_devices=1")
    for what in sys.argv[2:]:
        (folder / what).mkdir(exist_ok=True)
        {"types": types, "trace": trace}[what](folder / what)


if __name__ == "__main__":
    main()
