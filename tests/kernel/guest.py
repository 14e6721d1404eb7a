"""What the kernel tests do in the guest, as root: one scenario after the other, each with its traces and facts.

Usage: guest.py FOLDER. Every scenario has a folder of its own in FOLDER, where it leaves traces, what commands printed
(NAME.out, NAME.status) and the kernel's figures (facts.json, block_state). The host's side (test_*.py) compares.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import multiprocessing as mp
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
sys.path.insert(0, str(Path(__file__).parents[2]))
import numpy as np
from cgroups import CGROUPS, in_group, new_cgroup
from memory import MADV_PAGEOUT
from scenarios import SWAPTRACE, in_a_process, recording, run_all, run_logged, says, wait_for
from zram import hot_add, run, zram_swap

from swaptrace import cli
from swaptrace.degradation import NOTIFICATION, STORED
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventBatch
from swaptrace.kernel import layout, probes
from swaptrace.kernel.arch import architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.machine.sysfs import read_swaps
from swaptrace.record.workload import Process, Region, stay_on_one_processor
from swaptrace.trace.writer import TraceWriter
from swaptrace.tracing.programs import Programs
from swaptrace.tracing.source import LiveSource
from tests.documented import as_root

PRIME = 4099
PAIRS = 47  # of swapon and swapoff
HUGE_PAGES, HUGE_BYTES = 11, 2 << 20
HARD_PAGES, HARD_SECONDS = 8192, 12.0
CHARGED = ("hungry", "outer", "outer/one", "outer/two")  # cgroups of which the kernel says what they have in swap
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
        second = hot_add(16)
        run("mkswap", f"/dev/{second}")
        before = kernel_facts(device)
        with recording(folder, results=folder / "results"):
            in_a_process(partial(mixed_workload, folder, second))
        survivor = json.loads((folder / "workload.json").read_text())
        save(folder, device, before=before, **survivor)
        os.kill(survivor["pid"], signal.SIGTERM)


def mixed_workload(folder: Path, second: str) -> None:
    contents = ("compressible", "random", "same", "zero", "mixed")
    processes = [in_cgroup(f"mixed-{content}", 2500, content, seed) for seed, content in enumerate(contents)]
    groups = {process.pid: (CGROUPS / f"mixed-{content}").stat().st_ino
              for process, content in zip(processes, contents, strict=True)}  # fmt: skip
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
    facts = {"pid": pid, "paged_out": paged_out + prime_out, "failing": failing, "slots": slots, "prime": prime.pid,
             "groups": groups}  # fmt: skip
    (folder / "workload.json").write_text(json.dumps(facts))


def in_cgroup(name: str, pages: int, content: str, seed: int) -> Process:
    """A process that is in a new memory cgroup before it touches its pages."""
    with in_group(new_cgroup(name)):
        return Process(pages, content, seed)


def groups(folder: Path) -> None:
    """Three memory cgroups, two of them in another one: pages come back, pages go, a process ends, the others stay."""
    with zram_swap(megabytes=64) as device:
        before = kernel_facts(device)
        with recording(folder, results=folder / "results"):
            in_a_process(partial(groups_workload, folder))
        left = json.loads((folder / "workload.json").read_text())
        charged = {f"/{name}": int((CGROUPS / name / "memory.swap.current").read_text()) for name in CHARGED}
        save(folder, device, before=before, swap_current=charged, **left)
        for pid in left["pids"]:
            os.kill(pid, signal.SIGTERM)


def groups_workload(folder: Path) -> None:
    """No page is the same all over: the swap map of newer kernels keeps zeros without the store."""
    hungry, ends = (in_cgroup("hungry", pages, "compressible", pages) for pages in (3000, 500))
    one, two = (in_cgroup(f"outer/{name}", 900, "random", seed) for seed, name in enumerate(("one", "two"), 11))
    for process in (hungry, ends, one, two):
        process.page_out()
    out = hungry.swapped()
    hungry.page_in(step=2)
    came_back = out - hungry.swapped()
    one.give_back(250)
    ended = ends.pid
    ends.exit()
    facts = {"came_back": came_back, "hungry": hungry.pid, "ended": ended}
    facts["pids"] = [process.leave() for process in (hungry, one, two)]
    (folder / "workload.json").write_text(json.dumps(facts))


def in_use(folder: Path) -> None:
    """Pages of every kind stay: in the store alone, in the swap cache as well, of zeros; all shared by fork."""
    with zram_swap(megabytes=64) as device:
        before = kernel_facts(device)
        with recording(folder, results=folder / "results"):
            holder = mp.get_context("fork").Process(target=in_use_workload, args=(folder,))
            holder.start()
            wait_for((folder / "workload.json").exists, what="nothing was paged out")
        left = json.loads((folder / "workload.json").read_text())
        memory = {name: pages_of_meminfo(name) for name in ("SwapCached", "Zswapped")}
        save(folder, device, before=before, used=read_swaps()[0].used, memory=memory, **left)
        for pid in left["pids"]:
            os.kill(pid, signal.SIGTERM)
        holder.join()


def in_use_workload(folder: Path) -> None:
    """Slots that two processes have are read through the swap cache, and stay when one of them has read the page."""
    stay_on_one_processor()
    zeros, shared = Region(700, "zero", 1), Region(2000, "compressible", 5)
    out = {"zeros": zeros.page_out(), "shared": shared.page_out()}
    child = os.fork()
    if child == 0:
        signal.pause()
    shared.page_in(step=3)
    part = folder / "workload.part"
    part.write_text(json.dumps({**out, "pids": [os.getpid(), child]}))
    part.rename(folder / "workload.json")
    signal.pause()


def pages_of_meminfo(name: str) -> int | None:
    """A line of /proc/meminfo; None if there is none."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 // mmap.PAGESIZE if found else None


def exact(folder: Path) -> None:
    """A prime number of slots from one process, which exits; then swapoff. Recorded as users do, around a command."""
    with zram_swap(megabytes=64) as device:
        record = (*SWAPTRACE, "record", "-o", str(folder / "trace"), "--summary", str(folder / "results"))
        call(folder, "record", *record, "--", *WORKLOAD, str(folder), "exact-workload")
        save(folder, device)


def exact_workload(folder: Path) -> None:
    stay_on_one_processor()
    region = Region(PRIME, "random", 5)
    swapped = region.page_out()
    (folder / "workload.json").write_text(json.dumps({"swapped": swapped, "slots": region.slots().tolist()}))
    os._exit(0)  # with the region still mapped: its slots are freed by the exit itself


def huge(folder: Path) -> None:
    """Huge pages: allocated, stored and freed as a whole, where the kernel finds whole clusters for them."""
    with zram_swap(megabytes=64) as device:
        with recording(folder, results=folder / "results"):
            in_a_process(partial(huge_workload, folder))
        save(folder, device)


def huge_workload(folder: Path) -> None:
    size = HUGE_PAGES * HUGE_BYTES
    memory = mmap.mmap(-1, size + HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.uint8)
    first = -array.ctypes.data % HUGE_BYTES
    rng = np.random.default_rng(9)
    for place in range(first, first + size, HUGE_BYTES):  # half of each page is noise
        array[place : place + HUGE_BYTES : 2] = rng.integers(0, 256, HUGE_BYTES // 2, np.uint8)
    rollup = Path("/proc/self/smaps_rollup").read_text()
    found = int(re.search(r"AnonHugePages:\s+(\d+) kB", rollup)[1]) * 1024
    memory.madvise(MADV_PAGEOUT, first, size)
    pages = array.ctypes.data // mmap.PAGESIZE + first // mmap.PAGESIZE
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(pages * 8)
        entries = np.frombuffer(file.read(size // mmap.PAGESIZE * 8), np.uint64)
    swapped = int(np.count_nonzero(entries & np.uint64(1 << 62)))
    (folder / "workload.json").write_text(json.dumps({"huge_bytes": found, "swapped": swapped}))


def earlier(folder: Path) -> None:
    """Slots that were in use before the recording; tracefs is not mounted while recording; frees are timed."""
    with zram_swap(megabytes=64) as device:
        old, kept = Process(1500, "compressible", 1), Process(700, "random", 2)
        old.page_out(), kept.page_out()
        before = kernel_facts(device)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " tracefs " in line]
        for mount in mounts:
            run("umount", mount)
        with recording(folder, "-d", "600", "--time-frees", "--kprobes", results=folder / "results") as recorder:
            new = Process(900, "mixed", 3)
            new.page_out()
            results_of_the_moment(folder, recorder.pid or 0)
            old.exit()
        save(folder, device, before=before)
        new.exit(), kept.exit()
        for mount in mounts:
            run("mount", "-t", "tracefs", "none", mount, check=False)  # debugfs brings its own back by itself


def results_of_the_moment(folder: Path, recorder: int) -> None:
    """Ask for them while nothing happens; they are in `then`."""
    time.sleep(2)
    results = folder / "results"
    before = results.stat().st_ino  # another file takes its place
    os.kill(recorder, signal.SIGUSR1)
    wait_for(lambda: results.stat().st_ino != before, what="no results came")
    (folder / "then").write_bytes(results.read_bytes())
    time.sleep(1)


def killed(folder: Path) -> None:
    """The recorder is killed in mid-run."""
    # on a filesystem of the guest's own: a killed process's writes to a shared folder are cut off by the kill as well
    trace = Path("/tmp/killed.trace")
    with zram_swap(megabytes=64), recording(folder, trace=trace) as recorder:
        process = Process(1009, "random", 3)
        before = trace.stat().st_size
        process.page_out()
        wait_for(lambda: trace.stat().st_size > before)
        time.sleep(3)  # a flush comes every second
        recorder.kill()
        recorder.join()
        process.exit()
    (folder / "trace").write_bytes(trace.read_bytes())
    at_once = Path("/tmp/at-once")
    at_once.mkdir()
    with recording(at_once, results=at_once / "results") as recorder:
        recorder.kill()
        recorder.join()
    (folder / "results").write_bytes((at_once / "results").read_bytes())


def full_disk(folder: Path) -> None:
    """The disk fills up while recording."""
    small = folder / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=48k", "none", str(small))
    with zram_swap(megabytes=64):
        with recording(folder, trace=small / "trace"):
            churn()
        (folder / "trace").write_bytes((small / "trace").read_bytes())
    run("umount", str(small))


def churn() -> None:
    for seed in range(6):
        process = Process(2000, "random", seed)
        process.page_out()
        process.exit()
        time.sleep(1.2)


def calls(folder: Path) -> None:
    """Many swapon and swapoff calls within milliseconds, from both processors; files by paths that are not whole."""
    run("modprobe", "zram", "num_devices=1")
    devices = [hot_add(16), hot_add(16), hot_add(64)]
    for name in devices[:2]:
        run("mkswap", f"/dev/{name}")
    mounted = Path("/tmp/calls")
    mounted.mkdir()
    run("mkfs.ext4", "-q", f"/dev/{devices[2]}")
    run("mount", f"/dev/{devices[2]}", str(mounted))
    for name in ("stays", "gone"):
        run("fallocate", "-l", "8M", str(mounted / name))
        (mounted / name).chmod(0o600)
        run("mkswap", str(mounted / name))
    run("dmesg", "-C")
    with recording(folder) as recorder:
        names = [f"/dev/{name}" for name in devices[:2]]
        in_a_process(partial(calls_workload, folder, names, mounted, recorder.pid or 0))
    facts = json.loads((folder / "workload.json").read_text())
    added = run("dmesg").stdout.count(": Adding ") or run("dmesg").stdout.count("Adding ")
    (folder / "workload.json").write_text(json.dumps({**facts, "added": added, "devices": devices}))
    run("umount", str(mounted))
    for name in devices:
        Path("/sys/class/zram-control/hot_remove").write_text(name.removeprefix("zram"))


def calls_workload(folder: Path, devices: list[str], mounted: Path, recorder: int) -> None:
    begin = time.monotonic()
    for number in range(PAIRS):
        for function, processor in ((swapon, number % 2), (swapoff, (number + 1) % 2)):
            os.sched_setaffinity(0, {processor})
            function(devices[number % 2], number)
    seconds = time.monotonic() - begin
    os.chdir(mounted)
    swapon("stays", PAIRS)
    # the recorder has looked at it as soon as it has written of it: notes are not compressed
    wait_for(lambda: b'"path":"stays"' in (folder / "trace").read_bytes(), what="the recorder did not see the swapon")
    swapoff("stays", 0)
    os.kill(recorder, signal.SIGSTOP)  # it does not look before the file is gone
    swapon("gone", PAIRS + 1)
    swapoff("gone", 0)
    Path("gone").unlink()
    os.kill(recorder, signal.SIGCONT)
    (folder / "workload.json").write_text(json.dumps({"seconds": seconds}))


_LIBC = ctypes.CDLL(None, use_errno=True)
_PREFER = 0x8000  # SWAP_FLAG_PREFER: the rest is the priority


def swapon(path: str, priority: int) -> None:
    if _LIBC.swapon(path.encode(), _PREFER | priority):
        raise OSError(ctypes.get_errno(), f"swapon {path}")


def swapoff(path: str, _: int) -> None:
    if _LIBC.swapoff(path.encode()):
        raise OSError(ctypes.get_errno(), f"swapoff {path}")


def signals(folder: Path) -> None:
    """selftest and record are ended by signals at several moments; what a killed selftest leaves, the next one ends."""
    run("modprobe", "zram", "num_devices=1")
    before = [device.name for device in Path("/sys/block").glob("zram*")]
    begun = partial(has_device, len(before))
    moments = (("SIGINT", begun), ("SIGTERM", areas_on), ("SIGHUP", area_used), ("SIGKILL", area_used))
    ends = [ended(folder, name, moment) for name, moment in moments]
    left = areas_on()
    ends.append(ended(folder, "SIGTERM", lambda: bool(areas_on() - left)))
    with recording(folder) as recorder:  # which stops by itself then
        os.kill(recorder.pid, signal.SIGHUP)
        recorder.join(60)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    (folder / "nohup").mkdir()
    with recording(folder / "nohup") as recorder:
        os.kill(recorder.pid, signal.SIGHUP)
        time.sleep(2)
        survived = recorder.is_alive()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    on_terminal(folder / "terminal")
    facts = {"before": before, "ends": ends, "survived": survived}
    (folder / "workload.json").write_text(json.dumps(facts))


def ended(folder: Path, name: str, moment: Callable[[], object]) -> dict[str, object]:
    """End a selftest by a signal at that moment: its status, and what is left of it."""
    log = folder / f"{name}.err"
    process = mp.get_context("fork").Process(target=run_logged, args=(log, ["selftest"]))
    process.start()
    wait_for(lambda: moment() or not process.is_alive(), what="the selftest did not get that far")
    os.kill(process.pid or 0, signal.Signals[name])
    process.join(120)
    devices = [device.name for device in Path("/sys/block").glob("zram*")]
    return {"signal": name, "status": process.exitcode, "devices": devices, "swaps": Path("/proc/swaps").read_text(),
            "said": log.read_text()}  # fmt: skip


def has_device(before: int) -> bool:
    """Its device is there, which may have no swap area yet. Before that, a signal ends it as any other program."""
    return len(list(Path("/sys/block").glob("zram*"))) > before


def areas_on() -> set[int]:
    """The inodes of their devices in sysfs: the next device has another one, if it has the same number too."""
    with contextlib.suppress(FileNotFoundError):  # it is just going
        return {
            Path("/sys/block", Path(line.path).name).stat().st_ino for line in read_swaps() if line.priority == 32767
        }
    return set()


def area_used() -> bool:
    return any(line.priority == 32767 and line.used > 500 for line in read_swaps())


def on_terminal(folder: Path) -> None:
    """A recorder whose terminal is closed."""
    folder.mkdir()
    child, terminal = pty.fork()
    if child == 0:
        try:
            cli.main(["record", "-o", str(folder / "trace")])
        except SystemExit as end:
            os._exit(int(end.code or 0))
    said = b""
    while b"recording to" not in said:
        said += os.read(terminal, 1000)
    time.sleep(1)
    os.close(terminal)
    (folder / "record.status").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def degraded(folder: Path) -> None:
    """A kernel without a probe for notifications; then one whose returns are missed; and another machine's programs.

    The recorder is this process, so that it can be robbed of its probes.
    """
    without_notifications = tuple(
        replace(probe, candidates=()) if probe.event == NOTIFICATION else probe for probe in probes.PROBES
    )
    # forked first: a process that holds a copy of a probe's file descriptor keeps the probe alive
    told, missed = Process(907, "compressible", 1), Process(503, "random", 2)
    probes.PROBES, all_probes = without_notifications, probes.PROBES
    with zram_swap(megabytes=64) as device, LiveSource((), kprobes=True) as source:
        probes.PROBES = all_probes
        writer = TraceWriter(folder / "trace", source.header)
        told.page_out()
        told.exit()
        writer.feed(everything(source))
        save(folder, device)
        until = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        bpf = source._programs._bpf
        for row in source.header.probes:
            if row["event"] == STORED:
                for function in row["functions"]:
                    bpf.detach_kretprobe(event=function)
        swapped = missed.page_out()
        batches, trailer = source.finish(None, "end")
        for batch in batches:
            writer.feed(batch)
        writer.close(trailer)
        missed.exit()
    facts = {"until": until, "swapped": swapped, "loaded": other_machine(), "refused": wrong_layout(),
             "module_types": Path("/sys/kernel/btf/zram").exists()}  # fmt: skip
    (folder / "workload.json").write_text(json.dumps(facts))


def wrong_layout() -> str:
    """What is said when an assumed layout is wrong; nothing where the kernel tells the layout itself."""
    if layout.assumed_zram(KernelTypes()) is None:
        return ""
    layout._ASSUMED_ZRAM["SIZE_ZRAM_ENTRY"] -= 8  # as without CONFIG_ZRAM_MEMORY_TRACKING
    with zram_swap(megabytes=64):
        process = Process(41, "compressible", 1)
        process.page_out()
        try:
            with LiveSource(()):
                return "it was not refused"
        except EnvironmentProblem as problem:
            return problem.what
        finally:
            process.exit()
            layout._ASSUMED_ZRAM["SIZE_ZRAM_ENTRY"] += 8


def everything(source: LiveSource) -> EventBatch:
    """All that has happened so far."""
    found = []
    while True:
        batch = source.poll()
        found.append(batch)
        if not len(batch) and len(found) > 3:
            return EventBatch.concatenate(found)


def other_machine() -> list[str]:
    """Compile all programs for arm64's registers; the names of those that the verifier takes. They are not attached."""
    types, symbols, arm = KernelTypes(), probes.Symbols(), architecture("aarch64")
    choices = probes.choose(types, symbols, architecture())
    bpf = Programs(choices, types, symbols, arm, 1 << 20, kprobes=True)._bpf
    names = {name for choice in choices for c in choice.chosen for name in (c.entry, c.exit) if name}
    for name in names:
        bpf.load_func(name, bpf.KPROBE)
    return sorted(names)


def commands(folder: Path) -> None:
    """check and selftest; an output that cannot be written; lost events are counted when the ring is too small."""
    call(folder, "check", *SWAPTRACE, "check")
    call(folder, "unwritable", *SWAPTRACE, "record", "-o", "/proc/trace", "--", "true")
    call(folder, "selftest", *SWAPTRACE, "selftest")
    (folder / "swaps").write_text(Path("/proc/swaps").read_text())


def documented_commands(folder: Path) -> None:
    """What README and docs have users type as root, as they type it; what records is ended by Ctrl-C, after a mark."""
    home = folder.resolve() / "home"
    for place in ("checkout/.venv/bin", "swaptrace/bin"):
        (home / place).mkdir(parents=True)
        program = home / place / "swaptrace"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(SWAPTRACE)} "$@"\n')
        program.chmod(0o755)
    marks = [command for command in as_root() if " mark " in command]
    found = {}
    with zram_swap(megabytes=64):
        keeper = Process(300, "compressible", 1)
        keeper.page_out()
        for command in as_root():
            if command in marks:
                continue
            shell, log = typed(home, command), home / "stderr"
            if " record " in command or " --trace " in command:
                wait_for(partial(has_begun, shell, log))
                for mark in marks if " record " in command else ():
                    marker = typed(home, mark, "mark.stderr")
                    found[mark] = [marker.wait(120), (home / "mark.stderr").read_text()]
                with contextlib.suppress(ProcessLookupError):  # it failed: its status says so
                    os.killpg(shell.pid, signal.SIGINT)
            found[command] = [shell.wait(600), log.read_text()]
        keeper.exit()
    (folder / "facts.json").write_text(json.dumps(found))


def has_begun(shell: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether what was typed records, or is over already."""
    said = re.search(r"^(recording|tracing) ", log.read_text(), re.MULTILINE)
    return said is not None or shell.poll() is not None


def typed(home: Path, command: str, log: str = "stderr") -> subprocess.Popen[bytes]:
    """A command in a shell of its own, by somebody who is root already."""
    with (home / log).open("w") as file:
        return subprocess.Popen(
            ["bash", "-c", f'sudo() {{ "$@"; }}; {command}'], cwd=home / "checkout",
            env={**os.environ, "HOME": str(home)}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip


def pressed(folder: Path) -> None:
    """Two processors swap as fast as they can; then the kernel is asked for the recorder's own memory."""
    group = new_cgroup("pressed")
    with zram_swap(megabytes=256) as device:
        with in_group(group):
            other = Process(3001, "random", 1)
            recorder = start_recorder(folder)
        before = time.monotonic()
        hard = [mp.get_context("fork").Process(target=swap_hard, args=(number,)) for number in (1, 2)]
        for process in hard:
            process.start()
        for process in hard:
            process.join()
        seconds = time.monotonic() - before
        asked = (group / "memory.reclaim").exists()  # since 5.19
        if asked:
            with contextlib.suppress(OSError):  # not that much was to be had
                (group / "memory.reclaim").write_text("400M")
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{recorder.pid}/status").read_text().splitlines())
        status = {name: int(fields[name].split()[0]) for name in ("VmSwap", "VmLck", "VmRSS", "VmHWM")}
        facts = {"seconds": seconds, "asked": asked, "others": other.swapped(), "status": status, "pid": recorder.pid}
        end_recorder(folder, recorder)
        save(folder, device, **facts)
        other.exit()


def swap_hard(number: int) -> None:
    """Out and gone again, pages that the store need not compress."""
    size = HARD_PAGES * mmap.PAGESIZE
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    end = time.monotonic() + HARD_SECONDS
    while time.monotonic() < end:
        np.frombuffer(memory, np.uint64)[:] = number
        memory.madvise(MADV_PAGEOUT)
        memory.madvise(mmap.MADV_DONTNEED)


def robbed(folder: Path) -> None:
    """The recorder stands still while more happens than its ring has room for."""
    with zram_swap(megabytes=256) as device:
        recorder = start_recorder(folder, "--ring", "1")
        first, second = Process(12_007, "mixed", 1), Process(12_011, "compressible", 2)
        recorder.send_signal(signal.SIGSTOP)
        out = first.page_out() + second.page_out()
        first.exit()
        recorder.send_signal(signal.SIGCONT)
        time.sleep(2)
        third = Process(2003, "random", 3)
        out += third.page_out()
        third.exit()
        end_recorder(folder, recorder)
        save(folder, device, out=out)
        second.exit()


def start_recorder(
    folder: Path, *options: str, name: str = "record", output: Path | None = None
) -> subprocess.Popen[bytes]:
    """As a user starts it: a process of its own, which records when this returns, into FOLDER/trace or `output`."""
    log = folder / f"{name}.err"
    command = [*SWAPTRACE, "record", "-o", str(output or folder / "trace"), *options]
    recorder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log.open("w"))
    wait_for(lambda: says(log, "\nrecording ") or recorder.poll() is not None)
    if recorder.poll() is not None:
        raise RuntimeError(f"the recorder did not start: {log.read_text()}")
    return recorder


def end_recorder(folder: Path, recorder: subprocess.Popen[bytes], name: str = "record") -> None:
    recorder.send_signal(signal.SIGINT)
    (folder / f"{name}.status").write_text(str(recorder.wait(120)))


SCENARIOS = {
    "mixed": mixed,
    "exact": exact,
    "huge": huge,
    "groups": groups,
    "in-use": in_use,
    "earlier": earlier,
    "killed": killed,
    "full-disk": full_disk,
    "degraded": degraded,
    "calls": calls,
    "signals": signals,
    "commands": commands,
    "documented": documented_commands,
    "pressed": pressed,
    "robbed": robbed,
}


def in_its_folder(folder: Path, scenario: Callable[[Path], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scenario(folder)


def main() -> None:
    folder = Path(sys.argv[1])
    match sys.argv[2:]:
        case ["exact-workload"]:
            if os.fork() == 0:
                exact_workload(folder)
            os.wait()
            run("swapoff", "/dev/zram0")
        case names:
            run_all(names, {name: partial(in_its_folder, folder / name, do) for name, do in SCENARIOS.items()})


if __name__ == "__main__":
    main()
