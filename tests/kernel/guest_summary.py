"""What the tests of `record --summary` do in the guest, as root: a summary beside a recording of the same run.

Usage: guest_summary.py FOLDER. See guest.py, whose way of leaving results this is.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from swaptrace.live.workload import Process
from tests.kernel.guest import end_recorder, in_its_folder, kernel_facts, save, start_recorder
from tests.vm.scenarios import run_all
from tests.vm.zram import hot_add, run, swap_on, zram_swap

STREAMS = 200
SECONDS = 600  # nothing takes that long: the recorders are stopped


def start(folder: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    return start_recorder(folder, *options, "-d", str(SECONDS), name=name, output=folder / name)


def second_area(priority: int) -> str:
    """One more zram device with a swap area of 16 MiB; its name."""
    name = hot_add(16)
    swap_on(f"/dev/{name}", priority=priority)
    return name


def both(folder: Path) -> None:
    """Two areas, one of which goes off meanwhile; slots from before; processes at once on all processors."""
    with zram_swap(megabytes=96) as device:
        second = second_area(200)
        old, kept = Process(1500, "compressible", 1), Process(5000, "random", 2)
        old.page_out(), kept.page_out()
        before = kernel_facts(device)
        recorders = {"trace": start(folder, "trace"), "summary": start(folder, "summary", "--summary")}
        processes = [Process(1800, content, 10 + seed) for seed, content in enumerate(("mixed", "random", "same"))]
        for process in processes:
            process.page_out()
        processes[0].page_in(step=2)
        processes[1].give_back(311)
        old.exit()
        processes[2].exit()
        run("swapoff", f"/dev/{second}")
        churns = [subprocess.Popen([sys.executable, __file__, "churn", str(seed)]) for seed in range(2)]
        statuses = [churn.wait(400) for churn in churns]
        if any(statuses):
            raise RuntimeError("a churning process failed")
        processes[0].page_out()
        time.sleep(2.5)
        for name, recorder in recorders.items():
            end_recorder(folder, recorder, name)
        save(folder, device, before=before)
        for process in (kept, *processes[:2]):
            process.exit()
        Path(f"/sys/block/{second}/reset").write_text("1")


def churn(seed: int) -> None:
    """Pages out, comes back and ends, several times."""
    for number in range(4):
        process = Process(1500, "mixed", 100 * seed + number)
        process.page_out()
        process.page_in(step=3)
        process.page_out()
        process.exit()


def late(folder: Path) -> None:
    """An area that comes while the summary runs, and a recorder that is killed."""
    with zram_swap(megabytes=64) as device:
        recorder = start(folder, "summary", "--summary")
        second = second_area(200)
        process = Process(1009, "random", 3)
        process.page_out()
        time.sleep(1.5)
        end_recorder(folder, recorder, "summary")
        save(folder, device)
        run("swapoff", f"/dev/{second}")
        process.page_out()
        here = Path("/tmp/killed.summary")  # a killed process's writes to a shared folder are cut off by the kill
        recorder = start_recorder(folder, "--summary", name="killed", output=here)
        process.page_in()
        time.sleep(3)
        recorder.kill()
        recorder.wait(60)
        (folder / "killed").write_bytes(here.read_bytes())
        process.exit()


def streams(folder: Path) -> None:
    """The unit tests' streams through the programs that the kernel has verified and compiled."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
    from test_replay import imitate_seed
    from test_summary import LIMITS, summarise

    from tests.kernel.bpf_summary import BpfSummary

    machine = BpfSummary(LIMITS)
    results = [summarise(machine, imitate_seed(seed)) for seed in range(STREAMS)]
    (folder / "results").write_bytes(pickle.dumps(results))


SCENARIOS = {"streams": streams, "both": both, "late": late}


def main() -> None:
    if sys.argv[1] == "churn":
        churn(int(sys.argv[2]))
        return
    folder = Path(sys.argv[1])
    run_all(sys.argv[2:], {name: partial(in_its_folder, folder / name, do) for name, do in SCENARIOS.items()})


if __name__ == "__main__":
    main()
