"""What the virtual machine does for test_stress.py: stress-ng's memory stressors, each in a memory cgroup of its own.

Usage: guest_stress.py FOLDER [RIG...]. One processor, so that pages reach the pool in the order in which their stores
are told of: see in_turns(). Each stressor runs for some seconds, with more memory than its cgroup may have. It is
frozen on the way, when the counters are noted, and they are noted again when it has gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "vm")]
from guest_areas import MOUNT, Session, cgroup, cgroups, in_its_place, set_up  # noqa: E402
from scenarios import recording, run_all, wait_for  # noqa: E402
from zram import run, swap_on  # noqa: E402

LIMIT_BYTES = 12 << 20
SECONDS = 3  # of running, before it is frozen; and as many after that
HELD_BYTES = 1 << 20  # in swap when it is frozen: more to give back than slot caches keep when it is gone
THROTTLE = Path("/proc/sys/kernel/sched_rt_runtime_us")
FAIR_SERVERS = Path("/sys/kernel/debug/sched/fair_server")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

VM = ("--vm", "1", "--vm-bytes", "16M")  # so that pages go out, whatever the stressor itself has

#: The arguments of each stressor.
STRESSORS: dict[str, tuple[str, ...]] = {
    "vm": ("--vm", "1", "--vm-bytes", "24M", "--vm-keep"),
    "brk": ("--brk", "1", *VM),
    "bigheap": ("--bigheap", "1", "--bigheap-growth", "256K"),
    "stack": ("--stack", "1", "--stack-fill", *VM),
    "fork": ("--fork", "1", "--fork-vm", *VM),
    "shm": ("--shm", "1", "--shm-bytes", "4M", "--shm-objs", "5"),
    "tmpfs": ("--tmpfs", "1", *VM),
    "thp": ("--vm", "1", "--vm-bytes", "32M", "--vm-madvise", "hugepage"),
    "mremap": ("--mremap", "1", "--mremap-bytes", "20M"),
    "mmap": ("--mmap", "1", "--mmap-bytes", "20M", *VM),
    "madvise": ("--madvise", "1", *VM),
    "pageswap": ("--pageswap", "1", *VM),
    "mlock": ("--mlock", "1", *VM),
    "oom-pipe": ("--oom-pipe", "1", "--pathological", *VM),
    "swap": ("--swap", "1", *VM),
}


def stressed(session: Session, arguments: tuple[str, ...]) -> None:
    """One stressor, frozen in the middle."""
    swap_on(set_up(192))
    MOUNT.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=96m", "none", str(MOUNT))
    group = cgroup("stress", LIMIT_BYTES)
    command = ["stress-ng", *arguments, "--seed", "1"]  # which begins anew when it was killed for its memory
    with (session.folder / f"{session.rig}.out").open("w") as log:
        stress = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=MOUNT, preexec_fn=partial(join, group), process_group=0
        )
    time.sleep(SECONDS)
    wait_for(lambda: frozen_with_swap(group), what=f"{session.rig} never has {HELD_BYTES} bytes in swap")
    session.check("frozen", events=events_of(group), swapped=swapped_out(group))
    freeze(group, False)
    time.sleep(SECONDS)
    stress.send_signal(signal.SIGINT)
    status = stress.wait(120)
    kill_rest(group)
    run("umount", str(MOUNT))
    session.check("gone", status=status, swapped=swapped_out(group))


def frozen_with_swap(group: Path) -> bool:
    """Freeze it; it goes on if it happens to have next to nothing in swap."""
    freeze(group, True)
    if swapped_out(group) >= HELD_BYTES:
        return True
    freeze(group, False)
    return False


def join(group: Path) -> None:
    """The current process, and what it starts, is in that cgroup from now on."""
    (group / "cgroup.procs").write_text("0")


def freeze(group: Path, frozen: bool) -> None:
    (group / "cgroup.freeze").write_text(str(int(frozen)))
    state = f"frozen {int(frozen)}\n"
    wait_for(lambda: state in (group / "cgroup.events").read_text(), what=f"the cgroup is not yet: {state}")


def kill_rest(group: Path) -> None:
    """Wait until nobody is left: a killed process gives its memory back a while later."""
    for pid in (group / "cgroup.procs").read_text().split():
        run("kill", "-9", pid, check=False)
    wait_for(lambda: "populated 0\n" in (group / "cgroup.events").read_text(), what="the stressor is still there")


def events_of(group: Path) -> dict[str, int]:
    """memory.events of the cgroup: how often its limit was reached, for one."""
    lines = map(str.split, (group / "memory.events").read_text().splitlines())
    return {name: int(count) for name, count in lines}


def swapped_out(group: Path) -> int:
    """memory.swap.current, bytes."""
    return int((group / "memory.swap.current").read_text())


def huge_pages(session: Session, arguments: tuple[str, ...]) -> None:
    """The same with huge pages, where a process asks for them."""
    before = HUGE_PAGES.read_text().split("[")[1].split("]")[0]
    HUGE_PAGES.write_text("madvise")
    stressed(session, arguments)
    HUGE_PAGES.write_text(before)


def in_turns(session: Session) -> None:
    """Two cgroups that swap at once, and nobody who swaps is preempted in the kernel."""
    with unpreempted():
        cgroups(session)


@contextlib.contextmanager
def unpreempted() -> Iterator[None]:
    """What is started from here, and kswapd, gives the processor up only where it asks to.

    One processor is not enough for that: a kernel that preempts itself may do so between an object's allocation and
    its store, and let another process allocate one. (Seen on 7.3: the pool was 1 to 4 pages of 7,100 apart in 3 of 4
    runs.) Tasks of SCHED_FIFO are preempted by those of a higher priority only; unless they leave none of the processor
    to all others (real-time throttling, and the fair server of 6.12 on), which was seen as well: 2 of 6 runs.
    """
    kswapd = int(run("pgrep", "-x", "kswapd0").stdout)
    limits = {THROTTLE: "-1"} | dict.fromkeys(FAIR_SERVERS.glob("cpu*/runtime"), "0")
    before = {path: path.read_text() for path in limits}
    for path, limit in limits.items():
        path.write_text(limit)
    for pid in (0, kswapd):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        for pid in (0, kswapd):
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        for path, limit in before.items():
            path.write_text(limit)


RIGS: dict[str, Callable[[Session], None]] = {
    **{name: partial(huge_pages if name == "thp" else stressed, arguments=a) for name, a in STRESSORS.items()},
    "cgroups": in_turns,
}


def main() -> None:
    session = Session(Path(sys.argv[1]))
    run("modprobe", "zram", "num_devices=1")
    swap_on(set_up(48))  # whose pool tells the recorder how the kernel builds it
    with recording(session.folder, "-d", "3000"):
        run("swapoff", "/dev/zram0")
        run_all(sys.argv[2:], {name: partial(in_its_place, session, name, rig) for name, rig in RIGS.items()})


if __name__ == "__main__":
    main()
