"""Stores that are filled and freed at random, and the churn, recorded; then compacted, with the kernel's figures.

FOLDER/ALGORITHM gets, for each run, RUN.trace and RUN.json: the kernel's figures at each checkpoint while it was
recorded, and, once the recording was over, those after a compaction.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from counterfactual_guest import DEVICE, Actor, churn, figures

from . import guest
from .levels import AGAIN, CHURNED, LEVELS

AREA_MIB = 64
PAGES = 16_000  # of 16,383 slots: a processor's slot cache may keep some that were freed
ALGORITHMS = ("lzo-rle", "lz4")  # the defaults of 6.1 and of 6.12; each kernel runs those it has

Checkpoint = Callable[[str], None]


def thinned(checkpoint: Checkpoint, last: str) -> None:
    """A process is paged out, and gives pages back at random, down to a level."""
    process = Actor(PAGES, "mixed", 1)
    process.do("out")
    for level, parts in LEVELS.items():
        process.do("keep", PAGES // parts)
        checkpoint(level)
        if level == last:
            break
    process.exit()


def thinned_twice(checkpoint: Checkpoint) -> None:
    """The same, then another one is paged out into what is free, and gives its pages back at random."""
    few = PAGES // LEVELS["5 %"]
    first = Actor(PAGES, "mixed", 1)
    first.do("out")
    for level, parts in LEVELS.items():
        first.do("keep", PAGES // parts)
        checkpoint(level)
    second = Actor(PAGES - few, "mixed", 2)
    second.do("out")
    for level, parts in LEVELS.items():
        second.do("keep", PAGES // parts - few)
        checkpoint(level + AGAIN)
    second.exit()
    first.exit()


#: By name: what is done, and at which checkpoint the recording ends and the pool is compacted.
RUNS: dict[str, tuple[Callable[[Checkpoint], None], str | None]] = {
    **{level: (partial(thinned, last=level), level) for level in LEVELS},
    "again": (thinned_twice, None),
    "churn": (churn, CHURNED),
}


def do(folder: Path) -> None:
    guest.prepare()
    for algorithm in guest.offered(*ALGORITHMS):
        for name in RUNS:
            start = time.monotonic()
            one(folder / algorithm, name, algorithm)
            print(f"{name} with {algorithm}: {time.monotonic() - start:.1f} s", flush=True)


def one(folder: Path, name: str, algorithm: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    workload, last = RUNS[name]
    found: list[dict[str, Any]] = []
    compacted: list[dict[str, Any]] = []
    extents = [(0, AREA_MIB << 8)]

    with guest.device(AREA_MIB, algorithm), contextlib.ExitStack() as recorded:
        recorded.enter_context(guest.recording(folder / f"{name}.trace"))

        def checkpoint(level: str) -> None:
            if compacted:
                return
            found.append(figures(extents, level))
            if level == last:
                recorded.close()  # no event tells of a compaction
                (DEVICE / "compact").write_text("1")
                compacted.append(figures(extents, level))

        with guest.swap_area():
            workload(checkpoint)
    guest.save(folder / f"{name}.json", {"checkpoints": found, "compacted": compacted[0] if compacted else None})
