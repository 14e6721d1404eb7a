"""What tracing costs, in instructions a page: the guest's side. Run under `tests/vm/run --icount --cpus 1`.

Usage: overhead_guest.py FOLDER ROUNDS ALGORITHM ... FOLDER/overhead.json gets, per algorithm, way to trace and round,
the instructions that a page costs the task that swaps it: paged out, read back (half of them), freed (the other half),
and all; and, beside that, what it costs the tracer's own process.

Starting a tracer takes longer than all else, so each is started once: there is an area for every algorithm, and the one
that was measured is switched off, so that pages go to the next.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from memory import MADV_PAGEOUT
from scenarios import says, wait_for
from zram import run, zram_area

from swaptrace.record.workload import Region

PAGES = 2000
PATIENCE = 1200  # seconds of the guest's, which count instructions
SETTLES = 2  # seconds: an idle guest's clock jumps

_LAST_KPROBE = "zram_slot_free_notify", Path("/sys/kernel/debug/kprobes/list")  # the last in bpftrace's script

Round = dict[str, float]
Start = Callable[[], "Tracer | None"]


def spent(do: Callable[[], object]) -> int:
    """The instructions that this task executes for it: its CPU time, which counts them here."""
    start = time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID)
    do()
    return time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID) - start


def one_round(region: Region) -> Round:
    """Instructions a page, by phase; `whole` is the life of a page, of which half are read back."""
    half = region.pages // 2
    out = spent(lambda: region._memory.madvise(MADV_PAGEOUT))
    assert len(region.slots()) == region.pages
    back = spent(lambda: region._array[:half, 0].sum())
    free = spent(lambda: region.give_back(half, region.pages - half))
    region._array[half:, :] = region._array[:half, :]
    return {
        "out": out / region.pages,
        "in": back / half,
        "free": free / (region.pages - half),
        "whole": (out + back + free) / region.pages,
    }


class Tracer:
    """A tracer's process, once it says that it is ready (in `tells`, or its log), until close()."""

    def __init__(self, command: list[str], log: Path, ready: str = "ready", tells: Path | None = None) -> None:
        with log.open("w") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        process = self._process
        what = f"{command} did not start"
        wait_for(lambda: process.poll() is not None or says(tells or log, ready), PATIENCE, what)
        if process.poll() is not None:
            raise RuntimeError(f"{what}: {log.read_text()}")

    def spent(self) -> int:
        """The instructions that it has executed so far, all threads together."""
        time.sleep(SETTLES)
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()


def tracers(folder: Path) -> dict[str, Start]:
    """Ways to trace, by name. Untraced twice, first and last: what lies between the two is no tracer's doing."""
    command = [sys.executable, "-m", "swaptrace", "record", "--force"]
    record, summary = [*command, "-o", str(folder / "trace")], [*command, "--summary", str(folder / "results")]
    rival = [sys.executable, "-m", "tests.bench.rival_tracers"]
    lines = folder / "bpftrace.txt"
    return {
        "untraced": lambda: None,
        "record's probes, empty": lambda: Tracer([*rival, "empty", "-"], folder / "empty.log"),
        "record": lambda: Tracer(record, folder / "record.log", "recording to"),
        "record --kprobes": lambda: Tracer([*record, "--kprobes"], folder / "kprobes.log", "recording to"),
        "record --summary": lambda: Tracer(summary, folder / "summary.log", "recording to"),
        "BCC": lambda: Tracer([*rival, "bcc", str(folder / "bcc.txt")], folder / "bcc.log"),
        # it says nothing in time when its output is a file
        "bpftrace": lambda: Tracer([*rival, "bpftrace", str(lines)], folder / "bpftrace.log", *_LAST_KPROBE),
        "untraced, again": lambda: None,
    }


@contextmanager
def areas(algorithms: list[str]) -> Iterator[list[Path]]:
    """A zram area for each algorithm; pages go to the first one as long as it is on."""
    run("modprobe", "zram", f"num_devices={len(algorithms)}")
    with ExitStack() as stack:
        yield [
            stack.enter_context(zram_area(f"zram{number}", 32, algorithm, priority=100 - number))
            for number, algorithm in enumerate(algorithms)
        ]


def measure(region: Region, start: Start, algorithms: list[str], rounds: int) -> list[list[Round]]:
    """The rounds of each algorithm."""
    found = []
    with areas(algorithms) as devices:
        tracer = start()
        for device in devices:
            one_round(region)
            before = tracer.spent() if tracer else 0
            found.append([one_round(region) for _ in range(rounds)])
            own = (tracer.spent() - before if tracer else 0) / (rounds * region.pages)
            for one in found[-1]:
                one["tracer"] = own
            run("swapoff", f"/dev/{device.name}")
        if tracer:
            tracer.close()
    return found


def main() -> None:
    folder, rounds, algorithms = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    found: dict[str, dict[str, list[Round]]] = {algorithm: {} for algorithm in algorithms}
    region = Region(PAGES, "compressible", 1)
    for name, start in tracers(folder).items():
        for algorithm, values in zip(algorithms, measure(region, start, algorithms, rounds), strict=True):
            found[algorithm][name] = values
            print(f"{algorithm}, {name}: {[round(one['whole']) for one in values]}", flush=True)
        (folder / "overhead.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
