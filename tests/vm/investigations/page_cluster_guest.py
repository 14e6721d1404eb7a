"""Pages that are read back in order and at random, by vm.page-cluster, private and shared ones; recorded."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from counterfactual_guest import Actor, content_pool

from . import guest

AREA_MIB = 64
PAGES, READ = 6_000, 1_500
CONTENT = "compressible"  # no page of zeros, which newer kernels do not read from zram
CLUSTERS = (0, 1, 3)
SHARED = {"private": 0, "shared": 1}  # children that keep the slots
ORDERS = {"in order": "read_in_order", "at random": "read_at_random"}


def do(folder: Path) -> None:
    guest.prepare()
    content_pool(CONTENT)
    for shared, order, cluster in itertools.product(SHARED, ORDERS, CLUSTERS):
        start = time.monotonic()
        guest.page_cluster(cluster)
        one(folder, f"{shared}, {order}, {cluster}", SHARED[shared], ORDERS[order])
        print(f"{shared}, {order}, page-cluster {cluster}: {time.monotonic() - start:.1f} s", flush=True)


def one(folder: Path, name: str, children: int, verb: str) -> None:
    found: list[dict[str, Any]] = []

    def checkpoint(level: str) -> None:
        found.append(guest.facts(AREA_MIB, level))

    with guest.device(AREA_MIB), guest.recording(folder / f"{name}.trace"), guest.swap_area():
        process = Actor(PAGES, CONTENT, 8, memory=guest.Reader)
        process.do("out")
        for _ in range(children):
            process.do("fork")
        checkpoint("all out")
        process.do(verb, READ)
        checkpoint("read")
        for number in range(children):
            process.do("child", number, "exit")
        process.exit()
    guest.save(folder / f"{name}.json", {"checkpoints": found, "read": READ})
