"""Pages that are read back and not written to: by one process, by threads, by processes that share them; recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from counterfactual_guest import Actor

from . import guest

AREA_MIB = 64
PAGES, READ = 6_000, 3_000
CLUSTERS = (0, 3)
HELD = 2.0  # seconds for which what was read stays

Checkpoint = Callable[[str], None]


def private(checkpoint: Checkpoint) -> None:
    """One process reads half of its pages back."""
    _read_back(checkpoint, "read_at_random", READ)


def threads(checkpoint: Checkpoint) -> None:
    """Four threads of one process, all of them the same half."""
    _read_back(checkpoint, "read_by_threads", READ, 4)


def _read_back(checkpoint: Checkpoint, *how: Any) -> None:
    process = Actor(PAGES, "mixed", 7, memory=guest.Reader)
    process.do("out")
    checkpoint("all out")
    process.do(*how)
    checkpoint("half read")
    time.sleep(HELD)
    checkpoint("held")
    process.do("out")
    checkpoint("out again")
    process.exit()
    checkpoint("gone")


def fork_shared(checkpoint: Checkpoint) -> None:
    """A process has paged out, and forks: it and a child read half of the pages, other children keep the slots."""
    parent = Actor(PAGES, "mixed", 7, memory=guest.Reader)
    parent.do("out")
    checkpoint("all out")
    for _ in range(3):
        parent.do("fork")
    parent.do("read_at_random", READ)
    checkpoint("half read")
    parent.do("child", 0, "read_at_random", READ)
    checkpoint("half read by a child, too")
    time.sleep(HELD)
    checkpoint("held")
    for number in range(3):
        parent.do("child", number, "exit")
    checkpoint("children gone")
    parent.do("out")
    checkpoint("out again")
    parent.exit()
    checkpoint("gone")


WORKLOADS = {"private": private, "threads": threads, "fork-shared": fork_shared}


def do(folder: Path) -> None:
    guest.prepare()
    for name, workload in WORKLOADS.items():
        for cluster in CLUSTERS:
            start = time.monotonic()
            guest.page_cluster(cluster)
            one(folder, f"{name}, {cluster}", workload)
            print(f"{name}, page-cluster {cluster}: {time.monotonic() - start:.1f} s", flush=True)


def one(folder: Path, name: str, workload: Callable[[Checkpoint], None]) -> None:
    found: list[dict[str, Any]] = []
    with guest.device(AREA_MIB), guest.recording(folder / f"{name}.trace"), guest.swap_area():
        workload(lambda level: found.append(guest.facts(AREA_MIB, level)))
    guest.save(folder / f"{name}.json", {"checkpoints": found})
