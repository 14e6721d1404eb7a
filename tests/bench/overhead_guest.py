"""What tracing costs, in instructions a page: the guest's side. Run under `tests/vm/run --icount --cpus 1`.

Usage: overhead_guest.py FOLDER ALGORITHM ROUNDS. For each way to trace, FOLDER/overhead.json gets the instructions that
pages cost the task that swaps them, per round: paged out, read back (half of them), freed (the other half), and all.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from memory import MADV_PAGEOUT
from scenarios import says, wait_for
from zram import zram_swap

from swaptrace.live.workload import Region

PAGES = 6000
PATIENCE = 1200  # seconds of the guest's, which count instructions


def spent(do: Callable[[], object]) -> int:
    """The instructions that this task executes for it: its CPU time, which counts them here."""
    start = time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID)
    do()
    return time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID) - start


def one_round(region: Region) -> dict[str, float]:
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


@contextmanager
def background(command: list[str], log: Path, tells: Path | None = None, ready: str = "ready") -> Iterator[None]:
    """A tracer, from when it says that it is ready (in `tells`, or its log) until this is left."""
    with log.open("w") as file:
        tracer = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    wait_for(lambda: tracer.poll() is not None or says(tells or log, ready), PATIENCE, f"{command} did not start")
    if tracer.poll() is not None:
        raise RuntimeError(f"{command} did not start: {log.read_text()}")
    time.sleep(3)
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def tracers(folder: Path) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    """Ways to trace, by name; each gives a context in which it runs."""
    record = [sys.executable, "-m", "swaptrace", "record", "--force", "-o", str(folder / "trace")]
    rival = [sys.executable, "-m", "tests.bench.rival_tracers"]
    lines = folder / "bpftrace.txt"
    return {
        "untraced": nullcontext,
        "swaptrace record": lambda: background(record, folder / "record.log", ready="recording to"),
        "swaptrace record --kprobes": lambda: background(
            [*record, "--kprobes"], folder / "kprobes.log", ready="recording to"
        ),
        "bcc, perf buffer": lambda: background([*rival, "bcc", str(folder / "bcc.txt")], folder / "bcc.log"),
        "bpftrace": lambda: background([*rival, "bpftrace", str(lines)], folder / "bpftrace.log", lines),
    }


def main() -> None:
    folder, algorithm, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    found: dict[str, list[dict[str, float]]] = {}
    region = Region(PAGES, "compressible", 1)
    for name, tracer in tracers(folder).items():
        with zram_swap(64, algorithm), tracer():
            one_round(region)
            found[name] = [one_round(region) for _ in range(rounds)]
            print(name, found[name], flush=True)
    (folder / "overhead.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
