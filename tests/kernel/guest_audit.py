"""What the virtual machine does for test_audit.py: swap areas of many kinds, audited, mended as advised, audited again.

Each rig leaves what the audit said in NAME.json: {"steps": [[name, audit's JSON, facts], ...]}. The remedy that is
applied is the very list of commands that the audit gave.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from guest_advice import FEW, SCENES, play
from memory import Child, Memory, Steps
from rich.console import Console
from scenarios import SWAPTRACE, run_all, wait_for
from zram import hot_add, run, swap_on

from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import audit
from swaptrace.audit.text import print_audit
from swaptrace.record.workload import Process

PAGES = 1499
MOUNT = "/tmp/mnt"
DEVICE = Path("/sys/block/zram0")
ZSWAP = Path("/sys/module/zswap/parameters/enabled")


@dataclass
class Rig:
    """The steps of one rig."""

    folder: Path
    name: str
    steps: list[tuple[str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def audit(self, step: str, **facts: object) -> dict[str, Any]:
        """Audit in this process; the kernel's figures are kept beside it."""
        result = audit()
        found = as_json(result)
        with (self.folder / f"{self.name}-{step}.txt").open("w") as file:
            print_audit(result, Console(file=file, width=80))
        kernel = {"mm_stat": (DEVICE / "mm_stat").read_text().split(), "tables": tables(), **facts}
        self.steps.append((step, found, kernel))
        (self.folder / f"{self.name}.json").write_text(json.dumps({"steps": self.steps}))
        return found

    def command(self, step: str, *arguments: str) -> None:
        """The same through the command line; output and exit status are left in files."""
        stem = self.folder / f"{self.name}-{step}"
        with stem.with_suffix(".out").open("w") as out, stem.with_suffix(".err").open("w") as err:
            environment = {**os.environ, "COLUMNS": "80"}
            status = subprocess.call([*SWAPTRACE, "audit", *arguments], stdout=out, stderr=err, env=environment)
        stem.with_suffix(".status").write_text(str(status))


def tables() -> list[int]:
    """Bytes of all zram devices' tables: what vmalloc says, less the guard page behind each."""
    lines = Path("/proc/vmallocinfo").read_text().splitlines()
    found = [line.split() for line in lines if "zram_meta_alloc" in line or "disksize_store" in line]
    return sorted(int(words[1]) - os.sysconf("SC_PAGE_SIZE") for words in found)


def zswap() -> list[int]:
    """Bytes of its pool, and pages in it, by debugfs (which has nothing of it until it is switched on, since 6.3)."""
    return [int(Path("/sys/kernel/debug/zswap", name).read_text()) for name in ("pool_total_size", "stored_pages")]


def remedy(found: dict[str, Any], which: int = 0, number: int = 0) -> None:
    """Do what the audit advises."""
    for command in found["findings"][which]["advice"][number]["commands"]:
        run("sh", "-c", command)


def mend(rig: Rig, finding: str, **facts: object) -> None:
    """Do what the audit advises about a finding, beside others perhaps; then audit again."""
    found = rig.audit("before", **facts)
    (number,) = (place for place, each in enumerate(found["findings"]) if each["id"] == finding)
    remedy(found, number)
    rig.audit("mended")


def workload() -> int:
    """A process pages out and exits: all of its slots are free afterwards. How many there were.

    A page that is still being written when its process ends keeps its slot, until memory runs short.
    """
    process = Process(PAGES, "compressible", 3)
    swapped = process.page_out()
    wait_for(lambda: "\nnr_writeback 0\n" in Path("/proc/vmstat").read_text(), what="pages are still being written")
    process.exit()
    run("sync")
    return swapped


# -- the areas


def zram(megabytes: int = 96) -> None:
    run("modprobe", "zram", "num_devices=1")
    (DEVICE / "disksize").write_text(str((megabytes << 20) + 4096))  # its table is no whole number of pages


def filesystem() -> None:
    """ext4 on zram, with as little metadata as there can be."""
    zram()
    run("mkfs.ext4", "-q", "-m", "0", "-N", "64", "-O", "^has_journal", "/dev/zram0")
    Path(MOUNT).mkdir(exist_ok=True)
    run("mount", "/dev/zram0", MOUNT)


def swap_file(megabytes: int = 48) -> str:
    filesystem()
    path = f"{MOUNT}/a swap file"
    run("fallocate", "-l", f"{megabytes}M", path)
    Path(path).chmod(0o600)
    return path


def loop_device() -> str:
    run("modprobe", "loop")
    return run("losetup", "--find", "--show", "--direct-io=on", swap_file()).stdout.strip()


def dm_linear() -> str:
    zram()
    run("modprobe", "dm-mod")
    sectors = (DEVICE / "size").read_text().strip()
    run("dmsetup", "create", "swapdm", "--noudevsync", "--table", f"0 {sectors} linear /dev/zram0 0")
    # not /dev/mapper/swapdm: that is made by udev, which the guest may not have
    return "/dev/" + run("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", "swapdm").stdout.strip()


@contextlib.contextmanager
def clean_slate() -> Iterator[None]:
    """Take down whatever a rig has left."""
    try:
        yield
    finally:
        ZSWAP.write_text("N")
        run("swapoff", "-a", check=False)
        for swap in Path("/proc/swaps").read_text().splitlines()[1:]:
            run("swapoff", swap.split()[0].replace("\\040", " "))
        run("losetup", "-D", check=False)
        run("dmsetup", "remove_all", check=False)
        run("umount", MOUNT, check=False)
        if DEVICE.exists():
            (DEVICE / "reset").write_text("1")


# -- the rigs


def zram_itself(rig: Rig) -> None:
    zram()
    partition = run("addpart", "/dev/zram0", "1", "2048", "65536", check=False).returncode
    swap_on("/dev/zram0")
    keeper = Process(200, "random", 1)
    kept = keeper.page_out()
    rig.audit("before", paged_out=workload() + kept, partition=partition)
    keeper.exit()


def behind(make: Callable[[], str], *options: str) -> Callable[[Rig], None]:
    """An area that gets no notifications: nothing is stale at first; a workload; what discards do; the cure."""

    def rig_of(rig: Rig) -> None:
        path = make()
        swap_on(path, *options)
        rig.audit("fresh")
        found = rig.audit("before", paged_out=workload())
        if rig.name == "file":
            rig.command("text")
        remedy(found, 0, 1)
        rig.audit("discarded")
        remedy(found)
        rig.audit("after", paged_out=workload())

    return rig_of


def plain_disk(rig: Rig) -> None:
    """A RAM disk stands for the disk; then with zswap in front."""
    zram()  # only for the figures: nothing is on it
    run("modprobe", "brd", "rd_nr=1", "rd_size=65536")
    swap_on("/dev/ram0")
    rig.audit("before", paged_out=workload())
    ZSWAP.write_text("Y")
    keeper = Process(200, "compressible", 1)
    keeper.page_out()
    rig.audit("zswap", paged_out=workload(), zswap=zswap())
    keeper.exit()


def zswap_on_zram(rig: Rig) -> None:
    zram()
    swap_on("/dev/zram0")
    ZSWAP.write_text("Y")
    found = rig.audit("before", paged_out=workload())
    remedy(found)
    rig.audit("after", paged_out=workload())


def left_behind(rig: Rig) -> None:
    """A filesystem's data, and then mkswap over it: the new area knows nothing of it."""
    filesystem()
    Path(f"{MOUNT}/data").write_bytes(os.urandom(4096 * PAGES))
    run("umount", MOUNT)
    swap_on("/dev/zram0")
    found = rig.audit("before")
    remedy(found)
    rig.audit("after", paged_out=workload())


def deleted_file(rig: Rig) -> None:
    """A swap file that is off and deleted: its entries stay, in blocks that are free."""
    path = swap_file()
    swap_on(path)
    workload()
    run("swapoff", path)
    Path(path).unlink()
    run("sync")
    found = rig.audit("before")
    remedy(found)
    rig.audit("after")


def nobody(rig: Rig) -> None:
    """A device that holds data of a swap area behind device mapper, which is gone."""
    path = dm_linear()
    swap_on(path)
    workload()
    run("swapoff", path)
    run("dmsetup", "remove", "--noudevsync", "swapdm")
    found = rig.audit("before")
    remedy(found)
    rig.audit("after")


def traced(rig: Rig) -> None:
    """audit --trace on a swap file and on zram itself at once: what the file has no room for goes to zram."""
    path = swap_file(8)
    swap_on(path)
    second = hot_add(64)
    swap_on(f"/dev/{second}", priority=50)
    stem = rig.folder / rig.name
    with stem.with_suffix(".out").open("w") as out, stem.with_suffix(".err").open("w") as err:
        command = [*SWAPTRACE, "audit", "--trace", "240", "--format", "json"]
        tracer = subprocess.Popen(command, stdout=out, stderr=err)
        wait_for(lambda: "tracing for" in stem.with_suffix(".err").read_text() or tracer.poll() is not None)
        paged_out = workload()
        rest = Process(3001, "random", 7)
        rest_out = rest.page_out()
        rest.exit()
        tracer.send_signal(signal.SIGINT)
        stem.with_suffix(".status").write_text(str(tracer.wait(120)))
    facts = {"paged_out": paged_out, "rest_out": rest_out, "second": f"/dev/{second}"}
    rig.audit("before", **facts)
    run("swapoff", f"/dev/{second}")
    Path(f"/sys/block/{second}/reset").write_text("1")


def one_of(part: int, pages: int) -> Steps:
    """Page out; give all pages up but one of so many, wherever they are."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, "compressible", part)
        yield memory.page_out()
        for page in range(pages):
            if page % part:
                memory.advise(mmap.MADV_DONTNEED, page, 1)
        yield memory.swapped()

    return steps


def fragmented(rig: Rig) -> None:
    """Of what was stored, one page of 16 is still there, and whole pages of memory around each."""
    zram()
    swap_on("/dev/zram0")
    keeper = Child(one_of(16, 6000))
    keeper.step(), keeper.step()
    mend(rig, "pool-fragmented")
    keeper.exit()


def disk_first(rig: Rig) -> None:
    """A disk (a RAM disk stands for it) with a higher priority than zram, and in use."""
    zram()
    run("modprobe", "brd", "rd_nr=1", "rd_size=65536")
    swap_on("/dev/ram0", priority=10)
    swap_on("/dev/zram0", priority=5)
    keeper = Process(300, "compressible", 1)
    keeper.page_out()
    mend(rig, "disk-before-zram")
    keeper.exit()


def never_written_back(rig: Rig) -> None:
    """zram has a backing device. The audit's commands mark what is idle; what its sentence leaves to a timer is done
    after them."""
    run("modprobe", "zram", "num_devices=1")
    run("modprobe", "brd", "rd_nr=1", "rd_size=65536")
    (DEVICE / "backing_dev").write_text("/dev/ram0")
    zram()
    swap_on("/dev/zram0")
    keeper = Process(300, "compressible", 1)
    kept = keeper.page_out()
    mend(rig, "backing-device-unused")
    (DEVICE / "writeback").write_text("idle")
    rig.audit("later", kept=kept, bd_stat=(DEVICE / "bd_stat").read_text().split())
    keeper.exit()


def refused(rig: Rig) -> None:
    """zram may take 2 MiB, and is asked for more."""
    zram()
    (DEVICE / "mem_limit").write_text(str(2 << 20))
    swap_on("/dev/zram0")
    keeper = Process(1000, "random", 1)
    keeper.page_out()
    mend(rig, "failed-writes", io_stat=(DEVICE / "io_stat").read_text().split())
    keeper.exit()


RIGS: dict[str, Callable[[Rig], None]] = {
    "zram": zram_itself,
    "file": behind(swap_file),
    "file-discard": behind(swap_file, "--discard"),
    "file-pages": behind(swap_file, "--discard=pages"),
    "file-once": behind(swap_file, "--discard=once"),
    "loop": behind(loop_device),
    "dm": behind(dm_linear),
    "dm-discard": behind(dm_linear, "--discard"),
    "disk": plain_disk,
    "zswap-zram": zswap_on_zram,
    "left-behind": left_behind,
    "deleted-file": deleted_file,
    "nobody": nobody,
    "traced": traced,
    "fragmented": fragmented,
    "disk-first": disk_first,
    "never-written-back": never_written_back,
    "refused": refused,
}


def on_a_clean_slate(rig: Rig, do: Callable[[Rig], None]) -> None:
    with clean_slate():
        do(rig)


def main() -> None:
    folder, programs, *names = Path(sys.argv[1]), *sys.argv[2:]
    os.environ["PATH"] += f":{programs}"  # what the machine need not have: mdadm
    rigs = {name: partial(on_a_clean_slate, Rig(folder, name), do) for name, do in RIGS.items()}
    scenes = {f"scene {name}": partial(play, scene, folder, name) for name, scene in SCENES.items()}
    run_all([*rigs, *(f"scene {name}" for name in names or FEW)], rigs | scenes)


if __name__ == "__main__":
    main()
