"""What the virtual machine does for test_zswap.py: zswap in front of disks, recorded, with the kernel's figures beside.

Usage: guest_zswap.py FOLDER [SCENARIO...]. As guest.py: every scenario has a folder of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "vm"))  # which has a guest.py, too
from guest import call
from scenarios import SWAPTRACE, in_a_process, recording, run_all, wait_for
from zram import run, swap_on

from swaptrace.record.workload import Process, Region, stay_on_one_processor

PARAMETERS = Path("/sys/module/zswap/parameters")
COUNTERS = Path("/sys/kernel/debug/zswap")
GROUPS = tuple(f"zswap-groups{name}" for name in ("", "/hungry", "/outer", "/outer/one", "/outer/two"))
MANY = 300  # pages, of some thousands


def figures() -> dict[str, object]:
    """The kernel's own figures of zswap and of the swap areas, now. None: 5.10 has no such figure."""
    counters = {file.name: int(file.read_text()) for file in COUNTERS.iterdir()} if COUNTERS.is_dir() else {}
    lines = Path("/proc/meminfo").read_text().splitlines()
    memory = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines}
    swaps = [line.split() for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    used = {words[0]: int(words[3]) for words in swaps}
    cgroup_charged = cgroup() / "memory.zswap.current"
    charged = {name: cgroup().parent / name / "memory.zswap.current" for name in GROUPS}
    return {
        "zswap": counters,
        "Zswap": memory.get("Zswap"),
        "Zswapped": memory.get("Zswapped"),
        "used_kib": used,
        "shrinker": (PARAMETERS / "shrinker_enabled").exists(),
        "cgroup": cgroup().stat().st_ino,
        "cgroup_zswap": int(cgroup_charged.read_text()) if cgroup_charged.exists() else None,
        "groups_zswap": {name: int(file.read_text()) for name, file in charged.items() if file.exists()},
    }


def cgroup() -> Path:
    """The memory cgroup of the workloads, for which the kernel counts compressed bytes; made if it is not there."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), Path("/tmp/cgroup"))
    if not root.exists():
        root.mkdir()
        run("mount", "-t", "cgroup2", "none", str(root))
    folder = root / "zswap-workload"
    if not folder.exists():
        (root / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
    return folder


@contextlib.contextmanager
def zswap(allocator: str, enabled: bool = True) -> Iterator[None]:
    """zswap on, with an allocator where the kernel gives a choice; off afterwards, when nothing is left in it."""
    zpool = PARAMETERS / "zpool"
    if zpool.exists():
        zpool.write_text(allocator)
    (PARAMETERS / "enabled").write_text("Y" if enabled else "N")
    try:
        yield
    finally:
        (PARAMETERS / "enabled").write_text("N")


@contextlib.contextmanager
def loop_swap(name: str, megabytes: int, priority: int = 100) -> Iterator[str]:
    """A swap area on a loop device, whose pages go through the swap cache; yields its path."""
    run("modprobe", "loop")
    file = Path(f"/tmp/{name}.swap")
    run("truncate", "-s", f"{megabytes}M", str(file))
    device = run("losetup", "--find", "--show", str(file)).stdout.strip()
    swap_on(device, priority=priority)
    try:
        yield device
    finally:
        run("swapoff", device)
        run("losetup", "-d", device)
        file.unlink()


@contextlib.contextmanager
def brd_swap(megabytes: int) -> Iterator[str]:
    """A swap area on a RAM disk, from which the kernel reads pages past the swap cache; yields its path."""
    run("modprobe", "brd", "rd_nr=1", f"rd_size={megabytes * 1024}")
    swap_on("/dev/ram0")
    try:
        yield "/dev/ram0"
    finally:
        run("swapoff", "/dev/ram0")
        run("rmmod", "brd")


def record(folder: Path, workload: str) -> None:
    """Record a workload; the kernel's figures before, and after it, when what it left in swap is there still."""
    before = figures()
    with recording(folder):
        in_a_process(partial(swap, folder, workload))
    left = json.loads((folder / "workload.json").read_text())
    (folder / "facts.json").write_text(json.dumps({"before": before, "after": figures(), **left}))
    for pid in left["pids"]:
        end_process(pid)


def swap(folder: Path, workload: str) -> None:
    """What is recorded, in a process of its own, whose pages are charged to the cgroup."""
    if workload == "end-old":  # whose pages are charged to no cgroup of their own
        leave(folder, end_old(folder))
    else:
        (cgroup() / "cgroup.procs").write_text(str(os.getpid()))
        leave(folder, WORKLOADS[workload]())


def end_process(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    status = Path(f"/proc/{pid}/status")  # nobody waits for the process: it stays, without memory
    wait_for(lambda: "\nVmSize" not in status.read_text(), what=f"process {pid} does not end")


def leave(folder: Path, processes: list[Process]) -> None:
    """End the workload; those processes live on. Their slots are told, as they see them."""
    slots = [process.slots() for process in processes]
    pids = [process.leave() for process in processes]
    (folder / "workload.json").write_text(json.dumps({"pids": pids, "slots": slots}))


def settle() -> None:
    """Wait until zswap writes nothing back any more, and the kernel writes nothing out."""
    last, same = -1, 0
    for _ in range(600):
        now = int((COUNTERS / "written_back_pages").read_text())
        quiet = "\nnr_writeback 0\n" in Path("/proc/vmstat").read_text()
        same = same + 1 if now == last and quiet else 0
        last = now
        if same == 20:
            return
        time.sleep(0.05)
    raise TimeoutError("zswap does not stop writing back")


# -- workloads


def mixed() -> list[Process]:
    """All kinds of pages in several processes; some come back, some change and go out again, most processes end.

    What is left: compressible pages that never came back, and a process of which much did.
    """
    contents = ("compressible", "random", "same", "zero", "mixed")
    processes = [Process(1500, content, seed) for seed, content in enumerate(contents)]
    for process in processes:
        process.page_out()
    processes[4].page_in(step=2)
    processes[0].give_back(311)
    processes[2].page_in(step=3)
    change_and_go_out()
    for process in processes[1:4]:
        process.exit()
    processes[4].page_out()
    late = Process(700, "compressible", 9)
    late.page_out()
    processes[0].exit()
    return [late, processes[4]]


def change_and_go_out() -> None:
    """Pages that are read, then written to, then paged out again: they may have their slots still."""
    stay_on_one_processor()
    region = Region(900, "compressible", 21)
    region.page_out()
    region.page_in(step=2)
    region.write(step=4)
    region.page_out()


def shrink() -> None:
    """Where reclaim can ask zswap for pages (since 6.8): what drops the kernel's caches does, a few at a time.

    Every entry gets a second chance, so many rounds pass before the first one is written back.
    """
    switch = PARAMETERS / "shrinker_enabled"
    if not switch.exists():
        return
    before, written_back = switch.read_text(), int((COUNTERS / "written_back_pages").read_text())
    switch.write_text("Y")
    for _ in range(500):
        Path("/proc/sys/vm/drop_caches").write_text("2")
        if int((COUNTERS / "written_back_pages").read_text()) - written_back > MANY:
            break
    switch.write_text(before)


def groups() -> list[Process]:
    """Three memory cgroups, two of them in another one: pages come back, pages go, a process ends, two stay.

    In cgroups of their own: one that shares memory out may have no process, as that of the other workloads has.
    """
    (cgroup().parent / "cgroup.procs").write_text(str(os.getpid()))
    hungry, ends = (in_group("hungry", Process, pages, "compressible", pages) for pages in (1500, 400))
    one, two = (in_group(f"outer/{name}", Process, 600, "mixed", seed) for seed, name in enumerate(("one", "two"), 11))
    for process in (hungry, ends, one, two):
        process.page_out()
    hungry.page_in(step=2)
    one.give_back(150)
    ends.exit()
    two.page_out()
    one.exit()
    return [hungry, two]


def in_group(name: str, start: Callable[..., Process], *arguments: object) -> Process:
    """A process that is started in a cgroup below that of the groups, and stays there."""
    folder = cgroup().parent
    for part in Path("zswap-groups", name).parts:
        (folder / "cgroup.subtree_control").write_text("+memory")
        folder = folder / part
        folder.mkdir(exist_ok=True)
    (folder / "cgroup.procs").write_text(str(os.getpid()))
    try:
        return start(*arguments)
    finally:
        (cgroup().parent / "cgroup.procs").write_text(str(os.getpid()))


def write_back(percent: str = "0") -> list[Process]:
    """The pool's limit is set to nothing: what comes now is refused, and what is there goes to the disk.

    What is left: compressible pages that came after that, and those of a process that lived through it. percent: the
    limit, of memory.
    """
    limit = PARAMETERS / "max_pool_percent"
    before = limit.read_text()
    kept, ends, early = Process(1800, "compressible", 1), Process(900, "mixed", 2), Process(400, "compressible", 6)
    for process in (early, kept, ends):
        process.page_out()
    early.exit()  # while zswap has its pages
    limit.write_text(percent)
    refused = Process(500, "compressible", 3)
    refused.page_out()
    shrink()
    settle()
    limit.write_text(before)
    ends.exit()
    refused.exit()
    back = Process(400, "compressible", 4)
    back.page_out()
    back.page_in(step=2)
    back.exit()
    after = Process(300, "compressible", 5)
    after.page_out()
    return [after, kept]


def refused() -> list[Process]:
    """Pages that zswap has nothing to do with: it is off."""
    process = Process(600, "compressible", 7)
    process.page_out()
    return [process]


def end_old(folder: Path) -> list[Process]:
    """The process of before ends, after pages that zswap does not take any more."""
    left = refused()
    end_process(int((folder / "old").read_text()))
    return left


def give_way() -> list[Process]:
    """The same, but that the limit is not reached: only reclaim asks zswap for pages, where it can."""
    return write_back("20")


WORKLOADS = {"mixed": mixed, "groups": groups, "write-back": write_back, "give-way": give_way, "refused": refused}

# -- scenarios


def pool(folder: Path) -> None:
    with zswap("zsmalloc"), loop_swap("pool", 96):
        record(folder, "mixed")


def in_groups(folder: Path) -> None:
    with zswap("zsmalloc"), loop_swap("groups", 64):
        record(folder, "groups")


def ram_disk(folder: Path) -> None:
    with zswap("zsmalloc"), brd_swap(64):
        record(folder, "mixed")


def writes_back(folder: Path) -> None:
    with zswap("zbud"), loop_swap("back", 64):
        record(folder, "write-back")


def two_areas(folder: Path) -> None:
    """The kernel fills both by turns."""
    with zswap("zsmalloc"), loop_swap("first", 64), loop_swap("second", 48):
        record(folder, "mixed")


def held_before(folder: Path) -> None:
    """zswap is off already when the recording begins, but what it took is there still."""
    with loop_swap("before", 64):
        with zswap("zsmalloc"):
            old = Process(1100, "compressible", 6)
            old.page_out()
        call(folder, "check", *SWAPTRACE, "check")
        (folder / "old").write_text(str(old.leave()))
        record(folder, "end-old")


def off(folder: Path) -> None:
    with loop_swap("off", 64):
        call(folder, "check", *SWAPTRACE, "check")
        record(folder, "refused")


def shrinks(folder: Path) -> None:
    with zswap("zsmalloc"), loop_swap("shrink", 64):
        record(folder, "give-way")


SCENARIOS = {
    "shrinks": shrinks,
    "pool": pool,
    "two-areas": two_areas,
    "held-before": held_before,
    "off": off,
    "ram-disk": ram_disk,
    "groups": in_groups,
    "writes-back": writes_back,  # the last one: on 6.1, a pool that was full once stays in zswap's list for ever
}


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    for name in SCENARIOS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    run_all(names, {name: partial(scenario, folder / name) for name, scenario in SCENARIOS.items()})


if __name__ == "__main__":
    main()
