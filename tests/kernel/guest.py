"""What the kernel tests do in the guest, as root: one scenario after the other, each with its traces and facts.

Usage: guest.py FOLDER. Every scenario has a folder of its own in FOLDER, where it leaves traces, what commands printed
(NAME.out, NAME.status) and the kernel's figures (facts.json, block_state). The host's side (test_*.py) compares.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from zram import run, zram_swap

from swaptrace.live.workload import Process, Region

PRIME = 4099
SWAPTRACE = [sys.executable, "-m", "swaptrace"]
WORKLOAD = [sys.executable, __file__]


def kernel_facts(device: Path) -> dict[str, list[str]]:
    """The kernel's counters of a zram device, as words; and its block_state."""
    return {name: (device / name).read_text().split() for name in ("mm_stat", "io_stat", "debug_stat")}


def save(folder: Path, device: Path, **facts: object) -> None:
    """Leave the kernel's figures for the host's side."""
    (folder / "facts.json").write_text(json.dumps({**kernel_facts(device), **facts}))
    # cat asks for as much as the kernel gives at once; Python's read() would end too early
    state = subprocess.check_output(["cat", f"/sys/kernel/debug/zram/{device.name}/block_state"])
    (folder / "block_state").write_bytes(state)


def call(folder: Path, name: str, *command: str, env: dict[str, str] | None = None) -> int:
    """Run a command; its output and exit status are left in the folder."""
    # to files, not through pipes: a process that lives on would keep those open
    with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
        status = subprocess.call(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env)
    (folder / f"{name}.status").write_text(str(status))
    return status


def mixed(folder: Path) -> None:
    """All kinds of pages in several processes; a second area; a failing swapon; one process lives on."""
    with zram_swap(megabytes=96) as device:
        second = Path(f"/sys/block/zram{(Path('/sys/class/zram-control/hot_add')).read_text().strip()}")
        (second / "disksize").write_text("16M")
        run("mkswap", f"/dev/{second.name}")
        before = kernel_facts(device)
        call(folder, "record", *SWAPTRACE, "record", "-o", str(folder / "trace"), "--",
             *WORKLOAD, str(folder), "mixed-workload", second.name)  # fmt: skip
        survivor = json.loads((folder / "workload.json").read_text())
        save(folder, device, before=before, **survivor)
        os.kill(survivor["pid"], signal.SIGTERM)


def mixed_workload(folder: Path, second: str) -> None:
    contents = ("compressible", "random", "same", "zero", "mixed")
    processes = [Process(2500, content, seed) for seed, content in enumerate(contents)]
    paged_out = sum(process.page_out() for process in processes)
    processes[4].page_in(step=2)
    processes[0].give_back(311)
    for process in processes[1:4]:
        process.exit()
    failing = run("swapon", "/dev/zram0", check=False).returncode  # it is on already
    run("swapon", "-p", "7", f"/dev/{second}")
    prime = Process(PRIME, "random", 77)
    prime_out = prime.page_out()
    still_out = processes[4].swapped()
    paged_out += processes[4].page_out() - still_out
    run("swapoff", f"/dev/{second}")
    prime.exit()
    slots = processes[4].slots()
    processes[0].exit()
    pid = processes[4].leave()
    facts = {"pid": pid, "paged_out": paged_out + prime_out, "failing": failing, "slots": slots, "prime": prime.pid}
    (folder / "workload.json").write_text(json.dumps(facts))


def exact(folder: Path) -> None:
    """A prime number of slots from one process, which exits; then swapoff, while the recording goes on."""
    with zram_swap(megabytes=64) as device:
        call(
            folder,
            "record",
            *SWAPTRACE,
            "record",
            "-o",
            str(folder / "trace"),
            "--",
            *WORKLOAD,
            str(folder),
            "exact-workload",
        )
        save(folder, device)


def exact_workload(folder: Path) -> None:
    region = Region(PRIME, "random", 5)
    swapped = region.page_out()
    (folder / "workload.json").write_text(json.dumps({"swapped": swapped, "slots": region.slots().tolist()}))
    os._exit(0)  # with the region still mapped: its slots are freed by the exit itself


def earlier(folder: Path) -> None:
    """Slots that were in use before the recording; tracefs is not mounted while recording; frees are timed."""
    with zram_swap(megabytes=64) as device:
        old, kept = Process(1500, "compressible", 1), Process(700, "random", 2)
        old.page_out(), kept.page_out()
        before = kernel_facts(device)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " tracefs " in line]
        for mount in mounts:
            run("umount", mount)
        (folder / "commands").write_text(str(old.pid))
        recorder = subprocess.Popen(
            [*SWAPTRACE, "record", "-o", str(folder / "trace"), "-d", "600", "--time-frees"],
            stderr=(folder / "record.err").open("w"),
        )
        wait_for(lambda: "recording to" in (folder / "record.err").read_text())
        new = Process(900, "mixed", 3)
        new.page_out()
        old.exit()
        recorder.send_signal(signal.SIGINT)
        (folder / "record.status").write_text(str(recorder.wait()))
        save(folder, device, before=before)
        new.exit(), kept.exit()
        for mount in mounts:
            run("mount", "-t", "tracefs", "none", mount, check=False)  # debugfs brings its own back by itself


def killed(folder: Path) -> None:
    """The recorder is killed in mid-run."""
    # on a filesystem of the guest's own: a killed process's writes to a shared folder are cut off by the kill as well
    trace = Path("/tmp/killed.trace")
    with zram_swap(megabytes=64):
        recorder = subprocess.Popen([*SWAPTRACE, "record", "-o", str(trace)], stderr=(folder / "record.err").open("w"))
        wait_for(lambda: "recording to" in (folder / "record.err").read_text())
        process = Process(1009, "random", 3)
        before = trace.stat().st_size
        process.page_out()
        wait_for(lambda: trace.stat().st_size > before)
        time.sleep(3)  # a flush comes every second
        recorder.kill()
        recorder.wait()
        process.exit()
    (folder / "trace").write_bytes(trace.read_bytes())


def full_disk(folder: Path) -> None:
    """The disk fills up while recording."""
    small = folder / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=96k", "none", str(small))
    with zram_swap(megabytes=64):
        status = call(
            folder, "record", *SWAPTRACE, "record", "-o", str(small / "trace"), "--", *WORKLOAD, str(folder), "churn"
        )
        (folder / "trace").write_bytes((small / "trace").read_bytes())
        (folder / "record.status").write_text(str(status))
    run("umount", str(small))


def churn(folder: Path) -> None:
    for seed in range(6):
        process = Process(2000, "random", seed)
        process.page_out()
        process.exit()
        time.sleep(1.2)


def commands(folder: Path) -> None:
    """check and selftest; an output that cannot be written; lost events are counted when the ring is too small."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": os.environ["SWAPTRACE_NUMBA"],
    }
    call(folder, "check", *SWAPTRACE, "check")
    call(folder, "unwritable", *SWAPTRACE, "record", "-o", "/proc/trace", "--", "true")
    call(folder, "selftest", *SWAPTRACE, "selftest", env=environment)
    (folder / "swaps").write_text(Path("/proc/swaps").read_text())


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the recorder did not start")
        time.sleep(0.1)


SCENARIOS = {
    "mixed": mixed,
    "exact": exact,
    "earlier": earlier,
    "killed": killed,
    "full-disk": full_disk,
    "commands": commands,
}


def main() -> None:
    folder = Path(sys.argv[1])
    match sys.argv[2:]:
        case ["mixed-workload", second]:
            mixed_workload(folder, second)
        case ["exact-workload"]:
            if os.fork() == 0:
                exact_workload(folder)
            os.wait()
            run("swapoff", "/dev/zram0")
        case ["churn"]:
            churn(folder)
        case names:
            for name in names or SCENARIOS:
                start = time.monotonic()
                (folder / name).mkdir(parents=True, exist_ok=True)
                SCENARIOS[name](folder / name)
                print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
