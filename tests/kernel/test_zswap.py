"""zswap in front of disks: what the model says it holds, compared with the kernel's own counters.

One virtual machine per kernel does the scenarios of guest_zswap.py.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from swaptrace.areas import ZSWAP_STORES
from swaptrace.dimensions import DIMENSIONS
from swaptrace.events import EventFlag, EventKind
from swaptrace.kernel.probes import PROBES, ZSWAP
from swaptrace.report.as_json import as_json
from swaptrace.report.by import breakdown
from swaptrace.report.words import area_line
from swaptrace.results.results import AreaResult
from tests.kernel.conftest import CHECKOUT, Feature, Guest, Part, Scenario, kernels_for, run_in_guest
from tests.sums import check_sums

ZSWAP_KERNELS = kernels_for(Part.ZSWAP)
PAGE = 4096
TIMEOUT = 2400  # seconds, for all scenarios of one kernel
SLOT_CACHE = 64  # SWAP_SLOTS_CACHE_SIZE: freed slots that a CPU may hold back, up to 6.12
CPUS = 2  # of the guest


def boot(kernel: str) -> Guest:
    """Boot once and do all scenarios."""
    folder = CHECKOUT / "build" / "kernel-zswap" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_zswap.py", TIMEOUT)
    return Guest(kernel, folder)


def machines() -> dict[str, Callable[[], Guest]]:
    return {kernel: partial(boot, kernel) for kernel in ZSWAP_KERNELS}


@pytest.fixture(scope="module", params=ZSWAP_KERNELS)
def zswap(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Guest]]) -> Guest:
    return boots[__name__, request.param].result()


RECORDED = ("pool", "ram-disk", "writes-back", "shrinks")


@pytest.fixture(params=RECORDED)
def recorded(zswap: Guest, request: pytest.FixtureRequest) -> Scenario:
    return zswap.scenario(request.param)


def area_of(scenario: Scenario) -> AreaResult:
    (area,) = scenario.result.areas
    return area


def counter(scenario: Scenario, name: str, when: str = "after") -> int:
    return int(scenario.facts[when]["zswap"][name])


def kernel_says(scenario: Scenario, name: str) -> int | None:
    """A figure of the kernel at the end; None on one that has fewer."""
    figure: int | None = scenario.facts["after"][name]
    assert (figure is not None) == scenario.has(Feature.ZSWAP_FIGURES)
    return figure


def test_nothing_lost(recorded: Scenario) -> None:
    assert recorded.output("record.status") == "0"
    assert recorded.result.trace["lost_events"] == 0
    assert recorded.result.trace["complete"]


def test_area_is_of_zswap(recorded: Scenario) -> None:
    area = area_of(recorded)
    assert (area.backing, area.store, area.zram, area.notified) == ("zswap", "zswap", None, True)
    stores = recorded.reader.header.start.stores
    assert [store.id for store in stores if store.is_zswap] == [ZSWAP_STORES + area.swap_type]


def test_entries(recorded: Scenario) -> None:
    """Entries held, by the model, by zswap's counter and by meminfo; both counters started at nothing."""
    area = area_of(recorded)
    assert counter(recorded, "stored_pages", "before") == 0
    assert area.stores > area.model.pages_stored > 0
    assert area.model.pages_stored == counter(recorded, "stored_pages")
    zswapped = kernel_says(recorded, "Zswapped")
    assert zswapped is None or area.model.pages_stored * PAGE == zswapped * 1024
    assert area.model.pages_stored == area.kernel.pages_stored
    assert len(recorded.analysis.held("zswap")) == area.model.pages_stored


def test_slots_in_use_add_up_to_used(recorded: Scenario) -> None:
    """Held by zswap, of zeros, in the swap cache, and on the disk: the swap map, read slot by slot, and /proc/swaps."""
    area = area_of(recorded)
    assert area.in_use is not None
    assert area.in_use.slots == area.kernel_counts["used_slots"] == area.used_slots > 0
    assert area.in_use.with_entry == area.live_slots_end > 0
    assert (area.in_use.zero_filled > 0) <= recorded.has(Feature.ZERO_MAP)


def test_compressed_bytes(recorded: Scenario) -> None:
    """The memory cgroup of the workload is charged for the very bytes of each entry (memory.zswap.current)."""
    stored = recorded.events[recorded.events["kind"] == EventKind.STORE]
    assert set(stored["arg"].tolist()) == {recorded.facts["after"]["cgroup"]}
    charged, compressed = kernel_says(recorded, "cgroup_zswap"), area_of(recorded).model.compr_data_size
    assert compressed > 0
    if charged is not None:
        assert recorded.facts["before"]["cgroup_zswap"] == 0
        assert compressed == charged


def test_cgroups_hold_what_the_kernel_charges(zswap: Guest) -> None:
    """memory.zswap.current of three cgroups, and of those above them, with all below."""
    scenario = zswap.scenario("groups")
    charged = {f"/{name}": held for name, held in scenario.facts["after"]["groups_zswap"].items()}
    assert bool(charged) == scenario.has(Feature.ZSWAP_FIGURES)
    found = {group.name: group for group in breakdown(scenario.by("cgroup"), None, 0).groups}
    assert {name: found[name].tree["held_compr_bytes_end"] for name in charged} == charged
    assert not charged or sum(map(bool, charged.values())) >= 3  # one of the five has ended


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_sums_of_groups_are_the_totals(zswap: Guest, dimension: str) -> None:
    for name in (*RECORDED, "groups"):
        check_sums(zswap.scenario(name).by(dimension))


def test_same_filled(recorded: Scenario) -> None:
    """Kernels whose swap map does not know zero-filled pages count them in zswap."""
    known = recorded.facts["after"]["zswap"].get("same_filled_pages")
    events = recorded.events
    stored = events[events["kind"] == EventKind.STORE]
    same = (stored["flags"] & EventFlag.SAME) != 0
    assert ((stored["size"] == 0) == same).all()
    if known is not None:
        assert same.any()
        assert area_of(recorded).model.same_pages == known
    else:
        assert not same.any()


def test_slots_of_processes_are_entries(recorded: Scenario) -> None:
    """The identity of slot and index, seen from two processes that are left: pagemap names their slots.

    Of the first, all pages compress and went out once: zswap holds each of them. Of the second it may hold some only:
    others were refused, written back, read again (and are in memory only), or are zero. What it holds besides belongs
    to slots that processes have freed and the kernel has not: those in the slot caches of the CPUs.
    """
    untouched, others = (set(slots) for slots in recorded.facts["slots"])
    held = set(recorded.analysis.held("zswap").tolist())
    assert untouched
    assert untouched <= held
    if recorded.folder.name in ("pool", "ram-disk"):  # a process with all kinds of pages, half of which came back
        assert others & held
        assert others - held
    assert len(held - untouched - others) <= SLOT_CACHE * CPUS


def test_slots_in_use(recorded: Scenario) -> None:
    """What /proc/swaps calls used is what was allocated and not freed again."""
    area, events = area_of(recorded), recorded.events
    mine = events[events["device"] == area.swap_type]
    runs = {kind: int(mine["run"][mine["kind"] == kind].sum()) for kind in (EventKind.ALLOC, EventKind.FREE)}
    assert runs[EventKind.FREE] == area.frees > 0
    used = recorded.facts["after"]["used_kib"][area.device] * 1024 // PAGE
    assert recorded.facts["before"]["used_kib"][area.device] == 0
    assert runs[EventKind.ALLOC] - runs[EventKind.FREE] == used == area.used_slots == area.kernel_counts["used_slots"]


def test_written_back(recorded: Scenario) -> None:
    area = area_of(recorded)
    delta = counter(recorded, "written_back_pages") - counter(recorded, "written_back_pages", "before")
    assert area.written_back == delta == area.kernel_counts["written_back_pages"]
    # older kernels cannot write back from zsmalloc
    can = {"writes-back": True, "shrinks": recorded.facts["after"]["shrinker"]}
    assert (delta > 0) == can.get(recorded.folder.name, False)


def test_pool(recorded: Scenario) -> None:
    """zsmalloc is followed object by object; what is in another allocator is not."""
    area = area_of(recorded)
    (store,) = (store for store in recorded.reader.header.start.stores if store.is_zswap)
    if store.allocator == "zsmalloc":
        assert area.model.mem_used_total == counter(recorded, "pool_total_size") > 0
        assert area.pool is not None
        assert area.pool.end == area.model.mem_used_total
    else:
        assert store.allocator == "zbud"
        assert area.model.mem_used_total is None
        assert all(policy.stale_pool_bytes is None for policy in area.policies.values())
    assert counter(recorded, "pool_total_size") == area.kernel.mem_used_total
    in_memory = kernel_says(recorded, "Zswap")
    assert in_memory is None or abs(in_memory * 1024 - counter(recorded, "pool_total_size")) < 1024


def test_nothing_leaks(recorded: Scenario) -> None:
    """zswap takes a lock for a notification and never misses one: as observed is as notified."""
    area = area_of(recorded)
    assert area.notify_free > 0
    assert (area.miss_free, area.leaks) == (0, [])
    assert area.policies["notify"].stale_slots_end == 0
    assert area.policies["observed"].stale_slots_end == 0
    assert area.policies["none"].stale_slots_end > 0
    leaked = area.leaked["compr_bytes"]
    assert leaked is not None
    assert leaked.end == 0


def test_two_areas(zswap: Guest) -> None:
    """zswap counts for all areas together, and keeps all in one pool: no area's share of that can be told."""
    scenario = zswap.scenario("two-areas")
    areas = scenario.result.areas
    assert [(area.store, area.backing) for area in areas] == [("zswap", "zswap")] * 2
    stored = [area.model.pages_stored for area in areas]
    assert min(stored) > 0
    assert sum(stored) == counter(scenario, "stored_pages")
    for area in areas:
        assert (area.model.mem_used_total, area.kernel.pages_stored, area.pool) == (None, None, None)
        assert area.policies["none"].stale_pool_bytes is None


def test_entries_from_before(zswap: Guest) -> None:
    """zswap tells how many entries it had, but not which, nor their compressed size."""
    scenario = zswap.scenario("held-before")
    assert "zswap is off" not in scenario.output("check.out")
    area = area_of(scenario)
    assert (area.stores, area.backing) == (0, "zswap")
    before, after = (counter(scenario, "stored_pages", when) for when in ("before", "after"))
    assert before > after
    assert area.model.pages_stored == area.kernel.pages_stored == after
    assert area.notify_free == before - after
    assert (area.model.compr_data_size, area.model.mem_used_total) == (None, None)


def test_zswap_that_is_off(zswap: Guest) -> None:
    """Nothing is attached, which is said by check, and is no loss to complain of when recording."""
    scenario = zswap.scenario("off")
    assert "zswap is off" in scenario.output("check.out")
    complaints = [line for line in scenario.output("record.err").splitlines() if line.startswith("not recorded")]
    assert not any("zswap" in line for line in complaints)
    header = scenario.reader.header
    attached = {row["event"]: row["functions"] for row in header.probes}
    rows = [probe.event for probe in PROBES if probe.feature == ZSWAP]
    assert rows
    assert not any(attached[event] for event in rows)
    assert not set(rows) & set(header.missing)
    area = area_of(scenario)
    assert (area.backing, area.store, area.stores) == ("disk", None, 0)


def test_reports_name_the_store(zswap: Guest) -> None:
    area = as_json(zswap.scenario("pool").result)["areas"][0]
    assert (area["backing"], area["store"], area["zram"]) == ("zswap", "zswap", None)
    assert area["kernel"]["written_back_pages"] == area["written_back"] == 0
    assert "zswap in front of a disk" in area_line(area_of(zswap.scenario("pool")))


def test_loads(recorded: Scenario) -> None:
    """Pages came back; what zswap gives up when it is read is no slot's end."""
    area, events = area_of(recorded), recorded.events
    assert area.loads > 0
    drops = events[(events["kind"] == EventKind.DROP) & (events["device"] >= ZSWAP_STORES)]
    assert (drops["flags"] & (EventFlag.ANY_POLICY | EventFlag.REPLACED) != 0).all()
    notices = events[(events["kind"] == EventKind.NOTIFY) & (events["device"] >= ZSWAP_STORES)]
    assert (notices["flags"] & EventFlag.DROPPED != 0).all()
    balance = area.stores - len(drops) - len(notices)
    assert balance == area.model.pages_stored
    assert np.count_nonzero(notices["arg"]) > 0
