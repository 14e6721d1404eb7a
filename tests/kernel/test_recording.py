"""Recordings against the kernel's own counters: equality, on every kernel."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest
from rich.console import Console

from swaptrace.analysis.analysis import Analysis
from swaptrace.dimensions import DIMENSIONS
from swaptrace.events import EventFlag, EventKind, FreeReason, SwapCall
from swaptrace.kernel.probes import PROBES, ZSWAP
from swaptrace.report.as_json import as_json
from swaptrace.report.by import breakdown
from swaptrace.report.command import Selection, analyse
from swaptrace.report.tables import EQUAL
from swaptrace.report.text import print_text
from swaptrace.results.groups import POOL
from swaptrace.trace.header import Trailer
from swaptrace.trace.reader import TraceReader
from tests.documented import as_root
from tests.kernel.conftest import CHECKOUT, KERNELS, Feature, Guest, Part, Scenario, kernels_for, run_in_guest
from tests.kernel.guest import HARD_PAGES, HUGE_BYTES, HUGE_PAGES, PAIRS, PRIME
from tests.kernel.told import notifications
from tests.same import same, same_results
from tests.sums import check_sums

WHOLE_KERNELS, DEGRADED_KERNELS = kernels_for(Part.WHOLE), kernels_for(Part.DEGRADED)
FIGURES = ("mixed", "exact", "huge", "groups", "in-use", "earlier")  # the scenarios of every kernel
TIMEOUT = 2400  # seconds, for all scenarios of one kernel
PAGE = 4096
SLOT_CACHES = 2 * 2 * 64  # SWAP_SLOTS_CACHE_SIZE: slots given out, and given back, that each of two CPUs may hold
ZERO_PAGES_OF_MIXED = 2500 // 8  # kept by the swap map alone where the kernel does that


def boot(kernel: str) -> Guest:
    """Boot once and do all of the kernel's scenarios."""
    folder = CHECKOUT / "build" / "kernel" / kernel
    some = (*FIGURES, *(["degraded", "calls"] if kernel in DEGRADED_KERNELS else []))
    run_in_guest(kernel, folder, "tests/kernel/guest.py", TIMEOUT, *(() if kernel in WHOLE_KERNELS else some))
    return Guest(kernel, folder)


def machines() -> dict[str, Callable[[], Guest]]:
    return {kernel: partial(boot, kernel) for kernel in KERNELS}


@pytest.fixture(scope="module", params=KERNELS)
def guest(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Guest]]) -> Guest:
    return boots[__name__, request.param].result()


@pytest.fixture(scope="module", params=WHOLE_KERNELS)
def whole_guest(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Guest]]) -> Guest:
    """A machine that has done all scenarios."""
    return boots[__name__, request.param].result()


@pytest.fixture(scope="module", params=DEGRADED_KERNELS)
def degraded_guest(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Guest]]) -> Guest:
    """A machine that has tried what happens where the kernel does not tell everything."""
    return boots[__name__, request.param].result()


@pytest.fixture(scope="module")
def mixed(guest: Guest) -> Scenario:
    return guest.scenario("mixed")


@pytest.fixture(scope="module")
def groups(guest: Guest) -> Scenario:
    return guest.scenario("groups")


@pytest.fixture(scope="module")
def split(guest: Guest) -> Scenario:
    return guest.scenario("in-use")


@pytest.fixture(scope="module")
def exact(guest: Guest) -> Scenario:
    return guest.scenario("exact")


@pytest.fixture(scope="module")
def earlier(guest: Guest) -> Scenario:
    return guest.scenario("earlier")


def of_kind(scenario: Scenario, kind: EventKind, device: int | None = 0) -> np.ndarray:
    events = scenario.events
    return events[(events["kind"] == kind) & ((events["device"] == device) | (device is None))]


@pytest.fixture(params=FIGURES)
def scenario(request: pytest.FixtureRequest, guest: Guest) -> Scenario:
    return guest.scenario(request.param)


@pytest.fixture(params=[name for name in FIGURES if name != "in-use"])
def freeing(request: pytest.FixtureRequest, guest: Guest) -> Scenario:
    """Those in which slots are freed."""
    return guest.scenario(request.param)


class TestEveryRecording:
    """What must hold for each of them: model and kernel are the same, to the byte and to the slot."""

    def test_nothing_was_lost(self, scenario: Scenario) -> None:
        assert scenario.result.trace["complete"]
        assert scenario.result.lost == {}

    @pytest.mark.parametrize("figure", ["orig_data_size", "compr_data_size", "same_pages", "huge_pages"])
    def test_content_equals_mm_stat(self, scenario: Scenario, figure: str) -> None:
        assert getattr(scenario.area.model, figure) == scenario.mm_stat(figure)

    def test_pool_equals_mem_used_total(self, scenario: Scenario) -> None:
        """In pages of the zsmalloc pool; not known where the store held other pages than mkswap's before."""
        model = scenario.area.model.mem_used_total
        assert (model is None) == (scenario.area.left_censored > 0)
        if model is not None:
            assert model == scenario.mm_stat("mem_used_total")
            assert scenario.area.pool.peak == 4096 * int(scenario.facts["mm_stat"][4]) // 4096

    def test_notifications_equal_notify_free(self, freeing: Scenario) -> None:
        before = freeing.notify_free("before") if "before" in freeing.facts else 0
        assert freeing.area.notify_free == freeing.notify_free() - before > 0

    def test_missed_notifications_equal_miss_free(self, scenario: Scenario) -> None:
        before = scenario.miss_free("before") if "before" in scenario.facts else 0
        assert scenario.area.miss_free == scenario.miss_free() - before

    def test_every_freed_slot_is_notified(self, freeing: Scenario) -> None:
        freed = of_kind(freeing, EventKind.FREE)
        slots = np.concatenate([np.arange(f["slot"], f["slot"] + f["run"]) for f in freed])
        notified = notifications(freeing.events)["slot"]
        assert sorted(slots.tolist()) == sorted(notified.tolist())

    def test_held_entries_equal_block_state(self, scenario: Scenario) -> None:
        assert scenario.analysis.held("zram0").tolist() == scenario.block_state.tolist()

    def test_mkswap_page_is_accounted_for(self, scenario: Scenario) -> None:
        """All that the store holds is live, or stale as observed, or that one page."""
        area = scenario.area
        entries = area.live_slots_end + area.policies["observed"].stale_slots_end + area.swap_header["pages"]
        assert area.swap_header["pages"] == 1
        assert entries == area.model.pages_stored == len(scenario.block_state)


@pytest.mark.parametrize("name", ["mixed", "exact"])
def test_sizes_of_dropped_entries_were_those_stored(guest: Guest, name: str) -> None:
    """The size is read twice, at the store and at the drop: both times the same."""
    scenario = guest.scenario(name)
    size: dict[int, int] = {}
    compared = 0
    told = (scenario.events["kind"] == EventKind.STORE) | (scenario.events["flags"] & EventFlag.NOTIFIED > 0)
    for event in scenario.events[told]:
        if event["device"] != 0:
            continue
        if event["kind"] == EventKind.STORE:
            size[int(event["slot"])] = int(event["size"])
        elif event["flags"] & EventFlag.DROPPED and int(event["slot"]) in size:
            assert size.pop(int(event["slot"])) == event["size"]
            compared += 1
    assert compared > 500


@pytest.mark.parametrize("name", ["mixed", "exact"])
def test_stale_without_notifications_by_hand(guest: Guest, name: str) -> None:
    """The same figure from the same events, one by one: sizes of slots that were freed and not stored again."""
    scenario = guest.scenario(name)
    size: dict[int, int] = {}
    stale: dict[int, int] = {}
    for event in scenario.events:
        slot = int(event["slot"])
        if event["device"] == 0 and event["kind"] == EventKind.STORE:
            size[slot] = int(event["size"])
            stale.pop(slot, None)
        elif event["device"] == 0 and event["kind"] == EventKind.FREE:
            for freed in range(slot, slot + int(event["run"])):
                if freed in size:
                    stale[freed] = size[freed]
    none = scenario.area.policies["none"]
    assert (none.stale_slots_end, none.stale_compr_bytes.end) == (len(stale), sum(stale.values()))
    assert len(stale) > 4000


class TestMixed:
    def test_live_slots_are_those_of_the_survivor(self, mixed: Scenario) -> None:
        """The kernel's pagemap says where the pages of the one process that lives on are."""
        pages = set(mixed.facts["slots"])
        live = set(mixed.block_state.tolist()) - {0}
        # up to 6.12, each of the two CPUs may keep up to 64 slots that other processes have given up
        assert len(live - pages) <= 2 * 64
        assert len(pages - live) == (ZERO_PAGES_OF_MIXED if mixed.has(Feature.ZERO_MAP) else 0)

    def test_all_pages_out_were_seen(self, mixed: Scenario) -> None:
        stored = sum(area.stores for area in mixed.result.areas)
        zeros = mixed.facts["paged_out"] - stored
        assert zeros == (2500 + ZERO_PAGES_OF_MIXED if mixed.has(Feature.ZERO_MAP) else 0)
        assert mixed.area.frees_unwritten <= zeros + 2 * 64

    def test_swapon_and_swapoff(self, mixed: Scenario) -> None:
        calls = [call for batch in mixed.batches for call in batch.calls]
        second = next(call for call in calls if call.call == "swapon" and call.result == 0)
        failing = next(call for call in calls if call.call == "swapon" and call.result != 0)
        off = next(call for call in calls if call.call == "swapoff")
        assert len(calls) == 3
        assert (failing.path, failing.result, failing.area) == ("/dev/zram0", -16, None)  # EBUSY
        assert mixed.facts["failing"] != 0
        assert (second.path, off.path, off.result) == ("/dev/zram1", "/dev/zram1", 0)
        assert second.area is not None and off.area is not None
        assert (second.area.swap_type, second.area.priority) == (1, 7)
        assert second.area.slots == 16 * 256
        assert second.store is not None and second.store.name == "zram1"
        assert off.area.swap_type == 1

    def test_second_area_took_the_second_place(self, mixed: Scenario) -> None:
        assert [(a.device, a.swap_type, a.generation) for a in mixed.result.areas] == [
            ("/dev/zram0", 0, 0),
            ("/dev/zram1", 1, 0),
        ]

    def test_free_reasons(self, mixed: Scenario) -> None:
        reasons = mixed.area.free_reasons
        assert reasons["exit"] > 0 and reasons["swapin"] > 0 and reasons["unmap"] > 0
        assert sum(reasons.values()) == mixed.area.frees
        assert reasons["other"] == reasons["reclaim"] == 0
        # up to 6.12, each of the two CPUs has two caches, which some area's swapoff empties: up to 64 freed slots that
        # were kept back, and up to 64 allocated ones that were never written (mm/swap_slots.c)
        assert reasons["swapoff"] <= 2 * (64 + 64)

    def test_tasks_are_named(self, mixed: Scenario) -> None:
        tgids = set(mixed.events["tgid"].tolist()) - {0}
        assert tgids <= set(mixed.result.tasks)
        assert mixed.result.tasks[mixed.facts["prime"]].startswith("python")

    def test_notifications_take_time(self, mixed: Scenario) -> None:
        assert 0 < mixed.area.notification.total < mixed.result.trace["duration_s"] * 1e9


class TestExact:
    def test_prime_number_of_slots(self, exact: Scenario) -> None:
        stores = of_kind(exact, EventKind.STORE)
        assert exact.workload["swapped"] == PRIME
        assert len(stores) == exact.area.stores == PRIME
        # up to 6.12, slots are allocated by 64 per CPU; those that were never used are freed at swapoff, too
        never_used = exact.area.frees_unwritten
        assert exact.area.frees == exact.area.notify_free == PRIME + never_used
        assert 0 <= never_used <= 2 * 64

    def test_slots_are_those_of_pagemap(self, exact: Scenario) -> None:
        stored = sorted(of_kind(exact, EventKind.STORE)["slot"].tolist())
        assert stored == sorted(exact.workload["slots"])

    def test_sizes(self, exact: Scenario) -> None:
        """Random bytes do not compress: all pages are stored whole."""
        assert exact.area.sizes[4096] == PRIME == exact.area.sizes.sum()

    def test_stale_without_notifications(self, exact: Scenario) -> None:
        stale = exact.area.policies["none"]
        assert stale.stale_slots_end == PRIME
        assert stale.stale_compr_bytes.end == PRIME * 4096
        assert exact.area.policies["notify"].stale_slots_end == 0

    def test_exit_is_the_reason(self, exact: Scenario) -> None:
        """All, but for what the slot cache (up to 6.12, at most 64 per CPU) gives back only at swapoff."""
        reasons = exact.area.free_reasons
        assert reasons["exit"] + reasons["swapoff"] - exact.area.frees_unwritten == PRIME
        assert 0 <= reasons["swapoff"] - exact.area.frees_unwritten <= 2 * 64

    def test_swapoff_was_seen(self, exact: Scenario) -> None:
        (call,) = [call for batch in exact.batches for call in batch.calls]
        assert (call.call, call.path, call.result) == ("swapoff", "/dev/zram0", 0)
        assert call.area is not None and call.area.swap_type == 0


class TestHuge:
    def test_huge_pages_are_followed_as_a_whole(self, guest: Guest) -> None:
        """They were huge, they are out, and at least some of them took 512 slots at once and gave them back at once."""
        huge = guest.scenario("huge")
        assert huge.workload["huge_bytes"] >= HUGE_PAGES * HUGE_BYTES
        assert huge.workload["swapped"] == HUGE_PAGES * 512 == huge.area.stores
        whole = of_kind(huge, EventKind.ALLOC)["run"] == 512
        assert 1 <= int(whole.sum()) <= HUGE_PAGES
        # up to 6.12, each of the two CPUs may keep up to 64 freed slots: no swapoff makes it give them up here
        freed = huge.area.frees - huge.area.frees_unwritten
        assert HUGE_PAGES * 512 - 2 * 64 <= freed <= HUGE_PAGES * 512


class TestEarlier:
    def test_left_censored_slots_are_known(self, earlier: Scenario) -> None:
        """2,200 slots were in use before; those that went since have no lifetime, and all are counted once."""
        area = earlier.area
        assert area.left_censored == 2200 == int(earlier.facts["before"]["mm_stat"][0]) // 4096 - 1
        assert area.lifetime.count == 0
        assert area.lifetime.left_censored == 2200
        # up to 6.12, each of the two CPUs may keep up to 64 slots of the process that exited
        assert 1500 - 2 * 64 <= area.frees <= 1500

    def test_their_bytes_become_known_when_dropped(self, earlier: Scenario) -> None:
        area = earlier.area
        before, after = earlier.mm_stat("compr_data_size", "before"), earlier.mm_stat("compr_data_size")
        gone = before + int(area.sizes @ np.arange(4097)) - after
        assert area.policies["none"].stale_slots_end == area.frees
        assert area.policies["none"].stale_compr_bytes.end == gone > 0

    def test_slot_free_path_is_timed(self, earlier: Scenario) -> None:
        """Every free once; the notifications are a part of the path's time."""
        path = earlier.reader.trailer.free_path
        assert path["slots"] == earlier.area.frees >= path["calls"] > 0
        assert 0 < earlier.area.notification.total < path["ns"]

    def test_recorded_without_tracefs_and_ended_by_ctrl_c(self, earlier: Scenario) -> None:
        assert earlier.output("record.status") == "0"
        assert earlier.reader.header.missing == ()


@pytest.mark.parametrize("name", FIGURES)
def test_results_are_those_of_the_trace(guest: Guest, name: str) -> None:
    """Worked out while it was recorded, and of the events afterwards: every figure, to the last bit."""
    scenario = guest.scenario(name)
    same_results(analyse(scenario.folder / "results"), analyse(scenario.folder / "trace"))


def test_results_of_a_moment(guest: Guest) -> None:
    """What was asked for in mid-run is what the whole trace says until then."""
    earlier = guest.scenario("earlier")
    found = analyse(earlier.folder / "then")
    assert not found.trace["complete"]
    assert found.areas[0].live_slots_end >= 1500  # its owner exits later
    expected = analyse(earlier.folder / "trace", Selection(until=found.trace["duration_s"]))
    assert 0 < found.trace["events"] < earlier.result.trace["events"]
    for name in ("events", "duration_s", "lost_events"):
        assert found.trace[name] == expected.trace[name], name
    same(found.areas, expected.areas)


class TestInterrupted:
    def test_killed_recorder_leaves_a_trace(self, whole_guest: Guest) -> None:
        killed = whole_guest.scenario("killed")
        assert not killed.result.trace["complete"]
        assert killed.area.stores == 1009
        assert killed.area.frees == 0

    def test_results_outlive_a_kill_at_once(self, whole_guest: Guest) -> None:
        """Right after it said that it records."""
        found = analyse(whole_guest.scenario("killed").folder / "results")
        assert not found.trace["complete"]
        assert found.trace["kernel"].startswith(whole_guest.kernel)

    def test_full_disk_keeps_what_was_written(self, whole_guest: Guest) -> None:
        full = whole_guest.scenario("full-disk")
        assert full.output("record.status") == "3"
        message = full.output("record.err")
        assert "No space left on device" in message and "Traceback" not in message
        assert not full.result.trace["complete"]
        assert 0 < full.area.stores < 12000

    def test_unwritable_output(self, whole_guest: Guest) -> None:
        commands = whole_guest.scenario("commands")
        assert commands.output("unwritable.status") == "3"
        assert "cannot write to /proc/trace" in commands.output("unwritable.err")
        assert "Traceback" not in commands.output("unwritable.err")


class TestPressed:
    """Two processors that do nothing but swap."""

    @pytest.fixture
    def pressed(self, whole_guest: Guest) -> Scenario:
        return whole_guest.scenario("pressed")

    def test_nothing_is_lost_at_the_highest_rate(self, pressed: Scenario) -> None:
        assert pressed.output("record.status") == "0"
        assert pressed.result.lost == {}
        area = pressed.area  # and the kernel's counters when the recording ended: later, others have pages back
        assert area.notify_free == area.frees == area.kernel_counts["notify_free"] > 2 * HARD_PAGES
        assert area.model.pages_stored == area.kernel.pages_stored
        assert area.model.compr_data_size == area.kernel.compr_data_size

    def test_the_recorder_is_not_swapped(self, pressed: Scenario) -> None:
        """Though the kernel was asked for its memory, and another process next to it was swapped."""
        status = pressed.facts["status"]
        assert status["VmSwap"] == 0 < status["VmLck"]
        assert pressed.facts["others"] > 0 or not pressed.facts["asked"]

    def test_the_recorder_takes_little_memory(self, pressed: Scenario) -> None:
        assert pressed.facts["status"]["VmRSS"] * 1024 <= 150_000_000

    def test_the_recorder_is_not_in_its_own_figures(self, pressed: Scenario) -> None:
        """No slot that was freed was one of its own pages."""
        freed = of_kind(pressed, EventKind.FREE)
        own = freed[freed["tgid"] == pressed.facts["pid"]]
        assert set(own["reason"].tolist()) <= {FreeReason.RECLAIM + 1}


class TestRobbed:
    """More than there was room for, and a recorder that stood still."""

    @pytest.fixture
    def robbed(self, whole_guest: Guest) -> Scenario:
        return whole_guest.scenario("robbed")

    def test_every_lost_event_is_counted(self, robbed: Scenario) -> None:
        lost = robbed.result.lost
        assert lost["NOTIFY"] > 0
        assert len(notifications(robbed.events)) + lost["NOTIFY"] == robbed.notify_free()
        assert int(of_kind(robbed, EventKind.FREE)["run"].sum()) + lost["FREE"] == robbed.notify_free()
        stored = len(of_kind(robbed, EventKind.STORE)) + lost.get("STORE", 0)
        zeros = robbed.facts["out"] - stored
        assert 0 <= zeros <= (robbed.facts["out"] // 8 if robbed.has(Feature.ZERO_MAP) else 0)

    def test_the_kernels_figures_lie_within_the_bounds(self, robbed: Scenario) -> None:
        area = as_json(robbed.result)["areas"][0]
        bounds = area["bounds"]
        for figure in ("orig_data_size", "compr_data_size", "same_pages", "huge_pages"):
            low, high = bounds[figure]
            assert low <= robbed.mm_stat(figure) <= high
            assert area[figure] is None
        low, high = bounds["frees"]
        assert low < robbed.notify_free() == high
        low, high = bounds["live_slots_end"]
        assert low <= len(robbed.block_state) - 1 <= high

    def test_the_report_states_no_equality(self, robbed: Scenario) -> None:
        out = io.StringIO()
        print_text(robbed.result, Console(file=out, width=100))
        assert EQUAL not in out.getvalue()
        assert "EVENTS WERE LOST" in out.getvalue() and " within" in out.getvalue()
        assert "OUTSIDE" not in out.getvalue()


class TestCommands:
    def test_check(self, whole_guest: Guest) -> None:
        commands = whole_guest.scenario("commands")
        assert commands.output("check.status") == "0"
        text = commands.output("check.out")
        assert "This kernel can be traced." in text
        assert "zram_slot_free_notify" in text and "missing" not in text

    def test_selftest(self, whole_guest: Guest) -> None:
        commands = whole_guest.scenario("commands")
        assert commands.output("selftest.status") == "0", commands.output("selftest.err")
        assert commands.output("selftest.out").count(" = ") >= 9
        assert "DIFFERS" not in commands.output("selftest.out")
        assert "zram" not in commands.output("swaps"), "the spare area was removed again"


class TestDocumented:
    def test_every_command_as_root(self, whole_guest: Guest) -> None:
        """As README and docs have them. An audit may find something: this machine's zram has nothing stale."""
        found = whole_guest.scenario("documented").facts
        assert set(found) == set(as_root()) and len(found) > 5
        wrong = {command: said for command, (status, said) in found.items() if status or "Traceback" in said}
        assert wrong == {}

    def test_what_they_write(self, whole_guest: Guest) -> None:
        """Recordings of their names, with the mark; and results of a summary."""
        folder = whole_guest.folder / "documented/home/checkout"
        for name in ("swap.trace", "my.trace"):
            reader = TraceReader(folder / name)
            assert [mark.text for batch in reader for mark in batch.marks] == ["build begins"]
            assert reader.trailer is not None
        assert (folder / "my.summary").stat().st_size > 0


class TestAttribution:
    """Each process of the mixed workload is in a memory cgroup of its own."""

    def test_stores_belong_to_the_pages_cgroup(self, mixed: Scenario) -> None:
        stores = of_kind(mixed, EventKind.STORE)
        groups = {int(pid): inode & 0xFFFFFFFF for pid, inode in mixed.facts["groups"].items()}
        found = {pid: set(stores["arg"][stores["tgid"] == pid].tolist()) for pid in groups}
        zeros = [pid for pid in groups if not found[pid]]  # never stored where the swap map alone keeps zeros
        assert len(zeros) <= 1
        assert {pid: inodes for pid, inodes in found.items() if inodes} == {
            pid: {inode} for pid, inode in groups.items() if pid not in zeros
        }
        assert len(set(groups.values())) == 5

    def test_frees_name_the_process_that_gave_up_its_pages(self, mixed: Scenario) -> None:
        """Those that exit free what they have out, as themselves; up to 64 slots per CPU go later, by others."""
        frees = of_kind(mixed, EventKind.FREE)
        exits = frees[frees["reason"] == FreeReason.EXIT + 1]
        prime = int(exits["run"][exits["tgid"] == mixed.facts["prime"]].sum())
        assert PRIME - 2 * 64 <= prime <= PRIME + 2 * 64
        assert set(exits["tgid"].tolist()) <= {*map(int, mixed.facts["groups"]), mixed.facts["prime"]}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_sums_of_groups_are_the_totals(scenario: Scenario, dimension: str) -> None:
    check_sums(scenario.by(dimension))


def test_slots_in_use_add_up_to_used(scenario: Scenario) -> None:
    """Wherever the area is on at the end: the swap map, read slot by slot, /proc/swaps, and the model's own count."""
    for area in scenario.result.areas:
        assert (area.in_use is None) == (area.off or area.kernel_counts["used_slots"] == 0)
        if area.in_use is not None:
            assert area.in_use.slots == area.kernel_counts["used_slots"] == area.used_slots
            assert area.in_use.with_entry == area.live_slots_end


class TestInUse:
    """Where the slots in use are, against what the workload did and the kernel's own counters."""

    def test_used_is_that_of_proc_swaps(self, split: Scenario) -> None:
        assert split.area.in_use.slots == split.facts["used"] > 0

    def test_entries_are_those_of_the_store(self, split: Scenario) -> None:
        assert split.area.in_use.with_entry == len(split.block_state) - 1  # mkswap's page is no slot
        zeros = 0 if split.has(Feature.ZERO_MAP) else split.facts["zeros"]
        assert split.area.in_use.with_entry == split.facts["shared"] + zeros

    def test_zeros_are_those_that_were_paged_out(self, split: Scenario) -> None:
        assert split.facts["zeros"] == 700
        assert split.area.in_use.zero_filled == (700 if split.has(Feature.ZERO_MAP) else 0)

    def test_the_swap_cache_is_the_kernels(self, split: Scenario) -> None:
        """Up to 6.12 the swap map says the same of slots that wait, empty, in a processor's slot cache."""
        waiting = split.area.in_use.cached - split.facts["memory"]["SwapCached"]
        assert split.facts["memory"]["SwapCached"] >= 667  # every third of 2,000, and their neighbours
        if split.has(Feature.SLOT_CACHE):
            assert 0 <= waiting <= SLOT_CACHES
            assert split.area.in_use.swap_cache == waiting
        else:
            assert waiting == split.area.in_use.swap_cache == 0
        assert split.area.in_use.elsewhere == 0

    def test_what_is_in_memory_twice(self, split: Scenario) -> None:
        """The kernel's swap cache and the model, which has it from reads, say it of the same number of slots."""
        assert split.area.duplicate_slots_end == split.facts["memory"]["SwapCached"]


class TestGroups:
    """Of three memory cgroups, two of them in another one."""

    def test_cgroups_hold_what_the_kernel_charges(self, groups: Scenario) -> None:
        """memory.swap.current counts a cgroup's slots, with those of all below it."""
        found = {group.name: group for group in breakdown(groups.by("cgroup"), None, 0).groups}
        charged = groups.facts["swap_current"]
        assert {name: PAGE * found[name].tree["live_slots_end"] for name in charged} == charged
        assert found["/outer"].own["stores"] == 0 < found["/outer/one"].own["live_slots_end"]

    def test_groups_hold_what_the_store_does(self, groups: Scenario) -> None:
        """All but mkswap's page."""
        held = sum(values["held_compr_bytes_end"] for values in groups.by("cgroup").attributed.groups().values())
        assert held + groups.area.swap_header["compr_bytes"] == groups.mm_stat("compr_data_size")

    def test_the_pool_is_charged_whole(self, groups: Scenario) -> None:
        """But for what is mkswap's page's share of the compressed bytes."""
        whole = breakdown(groups.by("cgroup"), None, 0).total
        used, compressed = groups.mm_stat("mem_used_total"), groups.mm_stat("compr_data_size")
        assert whole[POOL] == used * whole["held_compr_bytes_end"] // compressed

    def test_what_came_back_is_the_hungry_ones(self, groups: Scenario) -> None:
        """By the cgroup whose pages they are, and by the process that read them."""
        by_cgroup, by_process = (groups.by(name).attributed.groups() for name in ("cgroup", "process"))
        reader = next(name for name in by_process if name.endswith(f"({groups.facts['hungry']})"))
        came_back = groups.facts["came_back"]
        assert came_back > 1000
        assert by_cgroup["/hungry"]["refaults"] == by_process[reader]["refaults"] == came_back

    def test_who_ended_has_what_is_stale(self, groups: Scenario) -> None:
        """As far as it freed itself: up to 64 slots a processor are freed later, by others, up to 6.12."""
        found = groups.by("process").attributed.groups()
        ended = next(values for name, values in found.items() if name.endswith(f"({groups.facts['ended']})"))
        assert ended["frees"] == ended["frees_exit"] > 0
        assert groups.by("reason").attributed.groups()["exit"]["frees"] == groups.area.free_reasons["exit"]


class TestAllocations:
    def test_every_freed_slot_was_allocated(self, scenario: Scenario, guest: Guest) -> None:
        """Slot by slot, in order: what is freed was allocated before, or was in use when the recording began."""
        used = scenario.area.left_censored
        held: set[int] = set()
        unknown: set[int] = set()
        for event in scenario.events[np.isin(scenario.events["kind"], (EventKind.ALLOC, EventKind.FREE))]:
            if event["device"] != 0:
                continue
            slots = set(range(int(event["slot"]), int(event["slot"]) + int(event["run"])))
            if event["kind"] == EventKind.ALLOC:
                assert not held & slots
                held |= slots
            else:
                unknown |= slots - held
                held -= slots
        # up to 6.12, each CPU's cache may have had 64 slots from before
        assert len(unknown) <= used + 2 * 64 * (used > 0)

    def test_every_stored_slot_was_allocated(self, exact: Scenario) -> None:
        allocated = of_kind(exact, EventKind.ALLOC)
        slots = {n for event in allocated for n in range(int(event["slot"]), int(event["slot"]) + int(event["run"]))}
        stored = set(of_kind(exact, EventKind.STORE)["slot"].tolist())
        assert len(stored) == PRIME
        assert stored <= slots
        assert len(slots - stored) <= 2 * 64  # a CPU's cache of allocated slots, up to 6.12


class TestDegraded:
    @pytest.fixture
    def degraded(self, degraded_guest: Guest) -> Scenario:
        return degraded_guest.scenario("degraded")

    def test_without_notifications_all_else_is_exact(self, degraded: Scenario) -> None:
        """The drops tell what the notifications would have told."""
        analysis = Analysis(degraded.reader.header, until=degraded.workload["until"])
        for batch in degraded.batches:
            analysis.feed(batch)
        result = analysis.finish(None)  # for what the trailer says was missed came later
        area = as_json(result)["areas"][0]
        assert result.header["missing"] == ("notification",)
        assert area["stores"] == 907
        assert area["compr_data_size"] == degraded.mm_stat("compr_data_size")
        assert area["notify_free"] is None and area["notification_ns"] is None
        assert degraded.notify_free() > 0

    def test_missed_returns_are_counted(self, degraded: Scenario) -> None:
        """503 pages are out whose store returned unseen: those, and no others, are missing."""
        assert degraded.workload["swapped"] == 503
        assert degraded.result.lost == {"STORE": 503}
        assert degraded.reader.trailer.missed == {"STORE": 503}

    def test_wrong_layout_is_refused(self, degraded: Scenario, degraded_guest: Guest) -> None:
        """Where the kernel does not tell zram's layout."""
        facts = degraded.workload
        assert facts["module_types"] == (Feature.MODULE_TYPES in degraded_guest.row.has)
        if not facts["module_types"]:
            assert "the layout assumed is not that of zram0: entry" in facts["refused"]

    def test_programs_for_arm64(self, degraded: Scenario) -> None:
        """Compiled with that architecture's registers, and accepted by the verifier."""
        loaded = set(degraded.workload["loaded"])
        assert {"zram_bio_enter", "zram_bio_return", "entry_dropped", "swapon_enter", "swapon_return"} <= loaded


def test_header_tells_what_was_attached(guest: Guest) -> None:
    header = guest.scenario("exact").reader.header
    attached = {probe["event"]: probe["functions"] for probe in header.probes}
    assert attached["slot freed"] == [guest.row.slot_free]
    off = {probe.event for probe in PROBES if probe.feature == ZSWAP}  # there is no zswap in that scenario
    assert {event for event, functions in attached.items() if not functions} == off
    # trampolines need type information of all functions; and a kernel that preempts itself would skip programs
    trampolines = guest.row.has & (Feature.MODULE_TYPES | Feature.PREEMPTION) == Feature.MODULE_TYPES
    by = {probe["by"] for probe in header.probes if probe["functions"]}
    assert by == {"trampoline" if trampolines else "kprobe"}
    assert json.dumps(attached)


class TestCalls:
    """swapon and swapoff calls within milliseconds, by turns on both processors: none is missed, on any kernel."""

    @pytest.fixture
    def calls(self, degraded_guest: Guest) -> Scenario:
        return degraded_guest.scenario("calls")

    @staticmethod
    def of(scenario: Scenario, name: str) -> list[SwapCall]:
        return [call for batch in scenario.batches for call in batch.calls if call.call == name]

    def test_all_calls_are_there(self, calls: Scenario) -> None:
        assert calls.result.lost == {}
        assert calls.workload["added"] == PAIRS + 2  # so the kernel says
        for name in ("swapon", "swapoff"):
            assert [call.result for call in self.of(calls, name)] == [0] * (PAIRS + 2)

    def test_all_areas_are_there_with_their_paths(self, calls: Scenario) -> None:
        """The priority is the number of the pair."""
        devices = [f"/dev/{name}" for name in calls.workload["devices"]]
        expected = [(devices[number % 2], number) for number in range(PAIRS)]
        ons = [call.area for call in self.of(calls, "swapon")]
        assert [(area.path, area.priority) for area in ons if area is not None][:PAIRS] == expected
        assert [area.device for area in calls.result.areas][:PAIRS] == [path for path, _ in expected]
        assert {(area.swap_type, area.slots, area.backing) for area in ons[:PAIRS] if area is not None} == {
            (0, 16 * 256, "zram")
        }
        assert [call.area.path for call in self.of(calls, "swapoff") if call.area is not None][:PAIRS] == [
            path for path, _ in expected
        ]

    def test_path_that_is_not_whole(self, calls: Scenario) -> None:
        """The recorder finds the file all the same, and which of zram's pages it has."""
        area = calls.result.areas[PAIRS]
        assert (area.device, area.backing, area.zram) == ("/tmp/calls/stays", "zram", calls.workload["devices"][2])
        assert area.unknown == {}

    def test_file_that_is_gone_before_it_is_looked_at(self, calls: Scenario) -> None:
        """It is an area of the report, whose figures are not known."""
        area = calls.result.areas[PAIRS + 1]
        assert area.device.endswith("gone")
        assert (area.backing, area.slots) == ("unknown", 8 * 256)
        told = as_json(calls.result)["areas"][PAIRS + 1]
        assert (told["stores"], told["frees"]) == (None, 0)
        assert area.not_understood and area.not_understood in told["unknown"]["stores"]


class TestSignals:
    """Ctrl-C, SIGTERM, SIGHUP and a closed terminal end what runs, and nothing of it is left."""

    @pytest.fixture
    def ended(self, whole_guest: Guest) -> Scenario:
        return whole_guest.scenario("signals")

    def test_nothing_of_a_selftest_is_left(self, ended: Scenario) -> None:
        ends = ended.workload["ends"]
        assert [(end["signal"], end["status"]) for end in ends] == [
            ("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", -9), ("SIGTERM", 143),
        ]  # fmt: skip
        for end in ends:
            if end["signal"] == "SIGKILL":
                assert "32767" in end["swaps"]  # or else there is nothing that the next one could remove
            else:
                assert end["swaps"].count("\n") == 1  # the heading
                assert end["devices"] == ended.workload["before"]
                assert end["said"].endswith(f"swaptrace: stopped by {end['signal']}\n")

    def test_a_hangup_ends_a_recording(self, ended: Scenario) -> None:
        trailer = _trailer(ended)
        assert trailer.reason == "SIGHUP"
        assert ended.output("record.status") == "0"

    def test_nohup(self, ended: Scenario) -> None:
        assert ended.workload["survived"]
        assert _trailer(Scenario(ended.folder / "nohup")).reason == "SIGINT"

    def test_a_terminal_that_is_closed(self, ended: Scenario) -> None:
        terminal = Scenario(ended.folder / "terminal")
        assert _trailer(terminal).reason == "SIGHUP"
        assert terminal.output("record.status") == "0"


def _trailer(scenario: Scenario) -> Trailer:
    assert scenario.batches is not None  # it is read after them
    assert scenario.reader.trailer is not None
    return scenario.reader.trailer
