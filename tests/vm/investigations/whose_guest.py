"""Three cgroups, one of them hungry, on zram and on zswap: recorded as it is, then with a limit on the hungry one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cgroups import in_group, new_cgroup
from counterfactual_guest import Actor, content_pool
from zram import run, swap_on

from . import guest

AREA_MIB = 64
CONTENT = "compressible"
TENANTS = {"web": 1_500, "database": 1_500, "batch": 9_000}  # pages
HUNGRY, LIMIT = "batch", str(8 << 20)  # memory.swap.max, bytes
TURNS = 3
PHASES = ("before", "limited")
PARAMETERS = Path("/sys/module/zswap/parameters")


@contextlib.contextmanager
def on_zram() -> Iterator[None]:
    with guest.device(AREA_MIB), guest.swap_area():
        yield


@contextlib.contextmanager
def on_zswap() -> Iterator[None]:
    """zswap, with zsmalloc where the kernel gives a choice, in front of a RAM disk."""
    if (PARAMETERS / "zpool").exists():
        (PARAMETERS / "zpool").write_text("zsmalloc")
    (PARAMETERS / "enabled").write_text("Y")
    run("modprobe", "brd", "rd_nr=1", f"rd_size={AREA_MIB << 10}")
    swap_on("/dev/ram0")
    try:
        yield
    finally:
        run("swapoff", "/dev/ram0")
        run("rmmod", "brd")
        (PARAMETERS / "enabled").write_text("N")


STORES = {"zram": on_zram, "zswap": on_zswap}


def do(folder: Path) -> None:
    guest.prepare()
    content_pool(CONTENT)
    groups = {name: new_cgroup(name) for name in TENANTS}
    for store, area in STORES.items():
        for phase in PHASES:
            start = time.monotonic()
            (groups[HUNGRY] / "memory.swap.max").write_text("max" if phase == PHASES[0] else LIMIT)
            with area():
                one(folder, f"{store}, {phase}", groups)
            print(f"{store}, {phase}: {time.monotonic() - start:.1f} s", flush=True)


def one(folder: Path, name: str, groups: dict[str, Path]) -> None:
    """The recording ends while all live; what the kernel charges each cgroup for is asked then."""
    with guest.recording(folder / f"{name}.trace"):
        actors = {}
        for number, (tenant, pages) in enumerate(TENANTS.items()):
            with in_group(groups[tenant]):
                actors[tenant] = Actor(pages, CONTENT, number, memory=guest.Reader)
        for turn in range(TURNS):
            for tenant, actor in actors.items():
                actor.do("out")
                if turn + 1 < TURNS:
                    actor.do("touch", 0, TENANTS[tenant], 3)
    guest.save(folder / f"{name}.json", {"charged": {tenant: charged(group) for tenant, group in groups.items()}})
    for actor in actors.values():
        actor.exit()


def charged(group: Path) -> dict[str, Any]:
    """Bytes, by the kernel's own account."""
    files = {name: group / f"memory.{name}" for name in ("swap.current", "zswap.current", "swap.max")}
    return {name: file.read_text().strip() for name, file in files.items() if file.exists()}
