"""The guest's side of the counterfactual: the same workloads on every rig, with the kernel's figures at checkpoints.

Usage: counterfactual_guest.py FOLDER [WORKLOAD ...]. For each workload, FOLDER/WORKLOAD gets the recording of the run
on zram itself (zram.trace) and RIG.json for every rig: what mm_stat said at each checkpoint, and what there was before
swapping began. What swaps is always the same, page by page and on the same CPU; only what lies below the swap area
differs.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from memory import MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT
from numpy.typing import NDArray
from scenarios import says, wait_for
from zram import run

from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import slots_by_discard
from swaptrace.machine.sysfs import read_block_state
from swaptrace.record.workload import CONTENTS, PAGE_SIZE

AREA_MIB = 64  # of every rig's swap area
DISK_MIB = 160  # of the zram disk below a filesystem
POOL_PAGES = 4096  # different pages that workloads pick theirs from
HUGE_PAGE = 2 << 20
PRESENT, SWAPPED = np.uint64(1 << 63), np.uint64(1 << 62)
MM_STAT = (
    "orig_data_size",
    "compr_data_size",
    "mem_used_total",
    "mem_limit",
    "mem_used_max",
    "same_pages",
    "pages_compacted",
    "huge_pages",
)
DEVICE = Path("/sys/block/zram0")
BLOCK_STATE = "/sys/kernel/debug/zram/zram0/block_state"
MOUNT = Path("/tmp/counterfactual")
WORKLOAD_CPU, RECORDER_CPU = 0, 1


# ------------------------------------------------------------------------------------------------ what swaps


@cache
def content_pool(content: str) -> NDArray[np.uint8]:
    """Pages to pick from: made once, for making them takes longer than swapping them."""
    return CONTENTS[content](POOL_PAGES, np.random.default_rng(2009))


class Memory:
    """Anonymous memory of a process, filled with pages that its seed picks."""

    def __init__(self, pages: int, content: str, seed: int, huge: bool = False) -> None:
        self.pages = pages
        self._map = mmap.mmap(-1, pages * PAGE_SIZE + huge * HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = np.frombuffer(self._map, np.uint8)
        self._first = -whole.ctypes.data % HUGE_PAGE if huge else 0
        self._map.madvise(MADV_HUGEPAGE if huge else MADV_NOHUGEPAGE)
        self._array = whole[self._first : self._first + pages * PAGE_SIZE].reshape(pages, PAGE_SIZE)
        pool, picks = content_pool(content), np.random.default_rng(seed).integers(0, POOL_PAGES, pages)
        self._bytes = pool[picks, 0]
        self._order = np.random.default_rng([seed, 1]).permutation(pages)
        self._kept = pages
        for first in range(0, pages, 256):
            self._array[first : first + 256] = pool[picks[first : first + 256]]

    def out(self) -> int:
        """Push everything to swap; the pages that are there afterwards."""
        for _ in range(50):
            self._map.madvise(MADV_PAGEOUT, self._first, self.pages * PAGE_SIZE)
            if (swapped := self.swapped()) == self.pages:
                break
            time.sleep(0.02)
        return swapped

    def swapped(self) -> int:
        with Path("/proc/self/pagemap").open("rb") as file:
            file.seek(self._array.ctypes.data // PAGE_SIZE * 8)
            entries = np.frombuffer(file.read(self.pages * 8), np.uint64)
        return int(((entries & SWAPPED > 0) & (entries & PRESENT == 0)).sum())

    def touch(self, first: int, last: int, step: int) -> None:
        """Write the byte into every step-th page that is there: the page comes in, and its slot is freed at once.

        Reading would do on zram; on device mapper, which is not synchronous, a page that was only read stays in the
        swap cache and keeps its slot, so that the swap maps would no longer be the same (see read_back).
        """
        for page in range(first, last, step):
            self._array[page, 0] = self._bytes[page]

    def read(self, step: int) -> int:
        """Read a byte of every step-th page; their sum."""
        return int(self._array[::step, 0].sum(dtype=np.int64))

    def give_back(self, first: int, count: int) -> None:
        self._map.madvise(mmap.MADV_DONTNEED, self._first + first * PAGE_SIZE, count * PAGE_SIZE)

    def keep(self, left: int) -> None:
        """Give back all but `left` pages, one by one, in an order that chance (its seed) has decided beforehand."""
        for page in self._order[left : self._kept].tolist():
            self.give_back(page, 1)
        self._kept = min(left, self._kept)


class Actor:
    """A process with Memory that does what it is told; told nothing, it does nothing."""

    def __init__(self, *what: Any, cpu: int = WORKLOAD_CPU, memory: type[Memory] = Memory) -> None:
        self._here, there = mp.Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._here.close()
            os.sched_setaffinity(0, {cpu})
            _act(there, memory, what)
        there.close()
        self.wait()

    def send(self, name: str, *arguments: int) -> None:
        self._here.send((name, arguments))

    def wait(self) -> Any:
        return self._here.recv()

    def do(self, name: str, *arguments: int) -> Any:
        self.send(name, *arguments)
        return self.wait()

    def exit(self) -> None:
        """End it: when this returns, its memory is gone."""
        self._here.send(None)
        self.reap()

    def reap(self) -> None:
        os.waitpid(self.pid, 0)
        self._here.close()


def _act(connection: Connection, kind: type[Memory], what: tuple[Any, ...]) -> None:
    """The forked process: never returns. Its children ("fork") share its memory, and have the next number each."""
    try:
        memory = kind(*what)
        connection.send(None)
        children: list[tuple[int, Connection]] = []
        while (told := connection.recv()) is not None:
            name, arguments = told
            if name == "fork":
                here, there = mp.Pipe()
                pid = os.fork()
                if pid == 0:
                    connection, children = there, []
                    continue
                there.close()
                children.append((pid, here))
                connection.send(None)
            elif name == "child":  # tell a child: its number, what to do
                number, verb, *rest = arguments
                pid, child = children[number]
                if verb == "exit":
                    child.send(None)
                    os.waitpid(pid, 0)
                    connection.send(None)
                else:
                    child.send((verb, tuple(rest)))
                    connection.send(child.recv())
            else:
                connection.send(getattr(memory, name)(*arguments))
    finally:
        os._exit(0)


# ------------------------------------------------------------------------------------------------ the workloads

Checkpoint = Callable[[str], None]


def churn(checkpoint: Checkpoint) -> None:
    """Processes that start, swap out and exit, again and again; a small one now and then that stays."""
    staying = []
    for turn in range(30):
        if turn % 3 == 0:
            staying.append(Actor(120, "mixed", 1000 + turn))
            staying[-1].do("out")
        process = Actor(1500, "mixed", turn)
        process.do("out")
        process.exit()
        if turn % 3 == 2:
            checkpoint(f"{turn + 1} processes")
    for process in staying:
        process.exit()
    checkpoint("all gone")


def long_lived(checkpoint: Checkpoint) -> None:
    """One process that lives long: parts of it come back in, go out again, and are given back."""
    process = Actor(7000, "mixed", 1)
    process.do("out")
    checkpoint("all out")
    process.do("touch", 0, 7000, 3)
    checkpoint("a third back in")
    process.do("out")
    checkpoint("out again")
    process.do("touch", 1000, 4000, 1)
    checkpoint("3,000 in a row back in")
    process.do("out")
    checkpoint("out again, too")
    process.do("give_back", 4500, 2200)
    checkpoint("2,200 given back")
    process.do("touch", 0, 4500, 2)
    process.do("out")
    checkpoint("half in and out")
    process.exit()
    checkpoint("gone")


def fork_shared(checkpoint: Checkpoint) -> None:
    """Pages that a parent and its children share: their slots are freed with the last one that has them."""
    parent = Actor(5000, "mixed", 2)
    parent.do("out")
    checkpoint("all out")
    for _ in range(3):
        parent.do("fork")
    checkpoint("three children")
    parent.do("touch", 0, 2000, 1)
    checkpoint("2,000 back in, in the parent")
    for number in range(2):
        parent.do("child", number, "exit")
        checkpoint(f"child {number + 1} gone")
    parent.do("child", 2, "exit")
    checkpoint("child 3 gone")
    parent.do("out")
    checkpoint("out again")
    parent.exit()
    checkpoint("parent gone")


def thp(checkpoint: Checkpoint) -> None:
    """Transparent huge pages: out, partly given back, gone; and others over the same slots."""
    first = Actor(10 * 512, "mixed", 3, True)
    checkpoint("filled")
    first.do("out")
    checkpoint("all out")
    first.do("give_back", 700, 1500)
    checkpoint("1,500 given back")
    second = Actor(8 * 512, "mixed", 4, True)
    second.do("out")
    checkpoint("a second one out")
    first.exit()
    checkpoint("the first one gone")
    second.do("give_back", 300, 900)
    third = Actor(9 * 512, "mixed", 5, True)
    third.do("out")
    checkpoint("a third one out")
    second.exit()
    third.exit()
    checkpoint("all gone")


def thp_swapin(checkpoint: Checkpoint) -> None:
    """Transparent huge pages that come back in part, small page by small page, and go out again."""
    process = Actor(10 * 512, "mixed", 6, True)
    process.do("out")
    checkpoint("all out")
    process.do("touch", 100, 3000, 2)
    checkpoint("1,450 back in")
    process.do("out")
    checkpoint("out again")
    process.exit()
    checkpoint("gone")


def read_back(checkpoint: Checkpoint) -> None:
    """Pages that come back by being read, not written: where zram is not used directly, they may keep their slots."""
    process = Actor(4000, "mixed", 7)
    process.do("out")
    checkpoint("all out")
    process.do("read", 2)
    checkpoint("half read back")
    process.do("out")
    checkpoint("out again")
    process.exit()
    checkpoint("gone")


def parallel(checkpoint: Checkpoint) -> None:
    """Four processes at once, on one CPU.

    On two, zsmalloc's lock is taken by one after the other in an order that the events, which are made after it, need
    not have: a zspage may be filled by other objects than in the model. The same is so on one that is taken away from
    a process between the two: on 6.18 ("lazy") the pool was off by one page, at one checkpoint of eight.
    """
    not_preempted()
    for turn in range(4):
        actors = [Actor(1500, "mixed", 100 * turn + number) for number in range(4)]
        for _ in range(2):
            for actor in actors:
                actor.send("out")
            for actor in actors:
                actor.wait()
            for actor in actors:
                actor.send("touch", 0, 1500, 3)
            for actor in actors:
                actor.wait()
        checkpoint(f"turn {turn + 1}, in and out")
        for actor in actors:
            actor.send("give_back", 0, 1500)
        for actor in actors:
            actor.wait()
        checkpoint(f"turn {turn + 1}, given back")
        for actor in actors:
            actor.exit()


def not_preempted() -> None:
    """From here on the kernel does not preempt itself, where it offers that (Documentation/admin-guide, preempt=)."""
    mode = Path("/sys/kernel/debug/sched/preempt")
    if mode.exists() and "none" in mode.read_text().split():
        mode.write_text("none")


WORKLOADS = {
    "churn": churn,
    "long-lived": long_lived,
    "fork-shared": fork_shared,
    "thp": thp,
    "thp-swapin": thp_swapin,
    "read-back": read_back,
    "parallel": parallel,
}


# ------------------------------------------------------------------------------------------------ the rigs


def _disk(mebibytes: int) -> None:
    (DEVICE / "disksize").write_text(f"{mebibytes}M")


def _reset() -> None:
    (DEVICE / "reset").write_text("1")


@contextlib.contextmanager
def _file() -> Iterator[tuple[Path, list[tuple[int, int]]]]:
    """A swap file on ext4 on zram; and its extents (first page of zram, pages)."""
    _disk(DISK_MIB)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "/dev/zram0")
    MOUNT.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", "noatime", "/dev/zram0", str(MOUNT))
    try:
        file = MOUNT / "swap"
        run("fallocate", "-l", f"{AREA_MIB}M", str(file))
        file.chmod(0o600)
        yield file, _extents(file)
    finally:
        run("umount", str(MOUNT))
        _reset()


def _extents(file: Path) -> list[tuple[int, int]]:
    """Of lines like "   0:        0..   16383:      34816..     51199:  16384:  ..." of filefrag, in pages."""
    found = []
    for line in run("filefrag", "-b4096", "-v", str(file)).stdout.splitlines():
        parts = [part.strip() for part in line.split(":")]
        if len(parts) > 3 and parts[0].isdigit():
            found.append((int(parts[2].split("..")[0]), int(parts[3])))
    if sum(count for _, count in found) != AREA_MIB << 8:
        raise RuntimeError(f"extents of the swap file: {found}")
    return found


@contextlib.contextmanager
def _plain() -> Iterator[tuple[Path, list[tuple[int, int]]]]:
    """zram itself."""
    _disk(AREA_MIB)
    try:
        yield Path("/dev/zram0"), [(0, AREA_MIB << 8)]
    finally:
        _reset()


@contextlib.contextmanager
def _mapped() -> Iterator[tuple[Path, list[tuple[int, int]]]]:
    """Device mapper, one linear target, on zram."""
    _disk(AREA_MIB)
    run("dmsetup", "create", "--noudevsync", "over", "--table", f"0 {AREA_MIB << 11} linear /dev/zram0 0")
    try:
        # no udev makes the name in /dev/mapper; the kernel makes this one
        yield Path("/dev", *(path.name for path in Path("/sys/block").glob("dm-*"))), [(0, AREA_MIB << 8)]
    finally:
        run("dmsetup", "remove", "--noudevsync", "--retry", "over")
        _reset()


#: By name: what lies below the swap area, and how it is switched on.
RIGS = {
    "zram": (_plain, ()),
    "file": (_file, ()),
    "file, discard": (_file, ("--discard",)),
    "file, discard=pages": (_file, ("--discard=pages",)),
    "file, discard=once": (_file, ("--discard=once",)),
    "dm": (_mapped, ()),
    "dm, discard": (_mapped, ("--discard",)),
}


#: On which rigs a workload runs, if not on all of them.
SOME_RIGS = {"thp-swapin": ("zram", "file", "dm"), "read-back": ("zram", "file", "dm"), "parallel": ("zram",)}
#: On which rigs it is recorded, if not on zram alone: a swap file never takes a huge page as a whole (on 6.1), so that
#: slots come in another order there, which is another trace.
RECORDED = {"thp": ("zram", "file")}
#: Where the kernel takes other slots in an area that discards its free clusters, a plain area's recording does not tell
#: of such a rig. What it holds can be told by its own recording alone, so it is recorded as well.
#: There, which slots a page gets hangs on how large it is as well, for single pages take clusters first that are partly
#: in use. A file has its huge pages split (thp_swpout_fallback), and from 7.3 on they come back from device mapper as a
#: whole, unlike from zram itself: other slots are free then, and other ones taken.
BY_SIZE = {"thp-swapin": ("file", "dm")}
DISCARDING = tuple(rig for rig, (_, options) in RIGS.items() if {"--discard", "--discard=pages"} & set(options))
#: What is recorded with the time that the slot-free path takes.
TIMED = ("churn",)


def figures(extents: list[tuple[int, int]], name: str) -> dict[str, Any]:
    """The kernel's figures, once they stand still: a discard is done by a worker, later."""
    before, same = "", 0
    for _ in range(100):
        now = (DEVICE / "mm_stat").read_text()
        same = same + 1 if now == before else 0
        if same == 4:
            break
        before = now
        time.sleep(0.05)
    moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    words = list(map(int, (DEVICE / "mm_stat").read_text().split()))
    swaps = Path("/proc/swaps").read_text().splitlines()[1:]
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    # cat asks for as much as the kernel gives at once; Python's read() would end too early
    state = subprocess.check_output(["cat", BLOCK_STATE])
    stored = read_block_state(DEVICE.name, state)[0]
    inside = sum(int(((stored >= first) & (stored < first + count)).sum()) for first, count in extents)
    return {
        "name": name,
        "time": moment,
        **dict(zip(MM_STAT, words, strict=False)),
        "pages_stored": words[0] // PAGE_SIZE,
        "used_slots": int(swaps[0].split()[3]) * 1024 // PAGE_SIZE if swaps else 0,
        "area_pages": inside,
        "other_pages": len(stored) - inside,
        "notify_free": int((DEVICE / "io_stat").read_text().split()[3]),
        "thp_out": int(vmstat.get("thp_swpout", 0)),
        "thp_split": int(vmstat.get("thp_swpout_fallback", 0)),
    }


@contextlib.contextmanager
def _recording(trace: Path, *options: str) -> Iterator[None]:
    """swaptrace record, from when it says that it has begun until this is left."""
    log = trace.with_suffix(".err")
    command = ["taskset", "-c", str(RECORDER_CPU), sys.executable, "-m", "swaptrace", "record", "--force", *options]
    with log.open("w") as file:
        recorder = subprocess.Popen([*command, "-o", str(trace)], stderr=file, stdin=subprocess.DEVNULL)
    wait_for(lambda: recorder.poll() is not None or says(log, "recording to"))
    if recorder.poll() is not None:
        raise RuntimeError(f"the recorder did not start: {log.read_text()}")
    try:
        yield
    finally:
        recorder.send_signal(signal.SIGINT)
        status = recorder.wait()
    if status != 0:
        raise RuntimeError(f"the recorder failed: {log.read_text()}")


@cache
def _recorded(workload: str) -> tuple[str, ...]:
    """The rigs on which a workload is recorded."""
    others = (*DISCARDING, *BY_SIZE.get(workload, ())) if slots_by_discard(KernelTypes()) else ()
    return RECORDED.get(workload, ("zram",)) + others


def measure(folder: Path, workload: str, rig: str) -> None:
    """One workload on one rig, recorded if it is to be."""
    make, options = RIGS[rig]
    record = rig in _recorded(workload)
    timed = ["--time-frees"] if workload in TIMED else []
    recording = _recording(folder / f"{rig}.trace", *timed) if record else contextlib.nullcontext()
    with make() as (device, extents), recording:
        run("mkswap", str(device))
        os.sync()
        run("swapon", *options, str(device))
        found: list[dict[str, Any]] = []
        try:
            baseline = figures(extents, "before")
            WORKLOADS[workload](lambda name: found.append(figures(extents, name)))
            run("swapoff", str(device))
            run("swapon", *options, str(device))
            found.append(figures(extents, "switched off and on"))
        finally:
            run("swapoff", str(device))
        facts = {"baseline": baseline, "checkpoints": found, "extents": extents}
        (folder / f"{rig}.json").write_text(json.dumps(facts))


def main() -> None:
    folder = Path(sys.argv[1])
    os.sched_setaffinity(0, {WORKLOAD_CPU})
    for module in ("zram num_devices=1", "ext4", "dm_mod"):
        run("modprobe", *module.split(), check=False)
    Path("/sys/kernel/mm/transparent_hugepage/enabled").write_text("madvise")
    # one page at a time: what is read ahead stays in the swap cache, on some rigs and not on others
    Path("/proc/sys/vm/page-cluster").write_text("0")
    content_pool("mixed")
    for workload in sys.argv[2:] or WORKLOADS:
        (folder / workload).mkdir(parents=True, exist_ok=True)
        for rig in SOME_RIGS.get(workload, RIGS):
            start = time.monotonic()
            measure(folder / workload, workload, rig)
            print(f"{workload} on {rig}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
