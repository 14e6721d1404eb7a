"""Swap areas and pages of every kind, on a real kernel: the model equals the kernel's counters, whenever nothing moves.

One virtual machine per kernel makes one recording in which all rigs of guest_areas.py come and go. At each of its
checks the model as it was then is compared with what the kernel said: zram's mm_stat, bd_stat, io_stat, debug_stat and
block_state, the block layer's count of pages, and /proc/swaps.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot
from swaptrace.events import EventBatch, EventFlag, EventKind, FreeReason
from swaptrace.machine.sysfs import SwapsLine, read_block_state, read_swaps
from swaptrace.report.as_json import as_json
from swaptrace.results.results import AreaResult, Content, TraceResult
from swaptrace.trace.header import Trailer
from swaptrace.trace.reader import TraceReader
from tests.kernel.conftest import CHECKOUT, Feature, Part, kernels_for, run_in_guest, table
from tests.kernel.guest_areas import CGROUP_BYTES, CGROUP_PATHS, MOUNT, RIGS, WRITTEN_BACK
from tests.kernel.told import notifications

AREA_KERNELS = kernels_for(Part.AREAS)
PAGE = 4096
TIMEOUT = 2400  # seconds
ASIDE = 0.02
SLOT_CACHE = 2 * 2 * 64  # two of 64 slots (SWAP_SLOTS_CACHE_SIZE) for each of the guest's CPUs, up to 6.12


@dataclass
class Store:
    """One zram device, followed by hand: entry by entry, from nothing but the events since its last reset."""

    entries: dict[int, int] = field(default_factory=dict)  # flags by index
    counts: Counter[str] = field(default_factory=Counter)

    def feed(self, kind: int, index: int, run: int, arg: int, flags: int) -> None:
        if kind == EventKind.STORE:
            self.counts["written"] += 1
            if not flags & EventFlag.GONE:
                self.entries[index] = flags & (EventFlag.SAME | EventFlag.HUGE)
        elif kind == EventKind.FAILED:
            self.counts["failed"] += run
            self.counts["refused"] += arg
        elif kind == EventKind.LOAD:
            self.counts["read"] += run
            pages = (self.entries.get(page, 0) for page in range(index, index + run))
            self.counts["read back"] += sum(bool(flags & EventFlag.WRITTEN_BACK) for flags in pages)
        elif kind == EventKind.NOTIFY:
            self.counts["notify_free"] += 1
            self.counts["miss_free"] += bool(flags & EventFlag.MISSED)
            if flags & EventFlag.DROPPED:
                self.entries.pop(index, None)
        elif kind == EventKind.DISCARD:
            self.counts["notify_free"] += arg
        elif kind == EventKind.DROP:
            self.entries.pop(index, None)
        elif kind == EventKind.MOVED:
            self.entries[index] = int(EventFlag.WRITTEN_BACK)
            self.counts["moved"] += 1
        elif kind == EventKind.PRESENT:
            self.entries |= dict.fromkeys(range(index, index + run), flags)
        elif kind == EventKind.RESET:
            self.entries, self.counts = {}, Counter()


@dataclass
class Moment:
    """One check: what the kernel said, and the model at that time."""

    rig: str
    step: str
    time: int
    facts: dict[str, Any]
    zram: dict[str, dict[str, list[str]]]
    swaps: list[SwapsLine]
    block_state: dict[str, dict[int, int]]
    content: dict[str, Content]
    stores: dict[str, Store]
    areas: dict[str, AreaResult]  # by path; of several activations, the last
    events: np.ndarray  # since the moment before


class Areas:
    """What the guest left, taken apart at its checks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reader = TraceReader(folder / "trace")
        self.whole = EventBatch.concatenate(list(self.reader))
        self.trailer = self.reader.trailer

    @cached_property
    def moments(self) -> list[Moment]:
        checks = json.loads((self.folder / "checks.json").read_text())
        analysis, stores, begin, moments = Analysis(self.reader.header), {}, 0, []
        on = {area.swap_type: area.store for area in self.reader.header.start.areas}
        for number, check in enumerate(checks):
            # nothing moved then, so it does not matter that time stamps may step back
            end = int(np.count_nonzero(self.whole.events["time"] <= check["time"]))
            batch = _part(self.whole, begin, end)
            analysis.feed(batch)
            _follow(stores, batch, on)
            moments.append(self._moment(number, check, analysis, stores, batch))
            begin = end
        return moments

    def _moment(
        self, number: int, check: dict[str, Any], analysis: Analysis, stores: dict[str, Store], batch: EventBatch
    ) -> Moment:
        result = analysis.finish(Trailer(Snapshot(check["time"])))
        states = {
            name: read_block_state(name, (self.folder / f"{number}-{name}").read_bytes()) for name in check["zram"]
        }
        return Moment(
            check["rig"],
            check["step"],
            check["time"],
            check["facts"],
            check["zram"],
            read_swaps(check["swaps"]),
            {name: dict(zip(index.tolist(), flags.tolist(), strict=True)) for name, (index, flags) in states.items()},
            {name: content for name in check["zram"] if (content := analysis.content(name)) is not None},
            {name: Store(dict(store.entries), Counter(store.counts)) for name, store in stores.items()},
            {area.device: area for area in result.areas},
            batch.events,
        )

    def has(self, feature: Feature) -> bool:
        """Whether the kernel has it."""
        return feature in table.of_release(self.reader.header.kernel).has

    def of(self, rig: str) -> list[Moment]:
        found = [moment for moment in self.moments if moment.rig == rig]
        assert found, f"the guest did not get as far as {rig}; see {self.folder}/guest.log"
        return found

    def at(self, rig: str, step: str, which: int = 0) -> Moment:
        return [moment for moment in self.of(rig) if moment.step == step][which]

    @cached_property
    def result(self) -> TraceResult:
        analysis = Analysis(self.reader.header)
        analysis.feed(self.whole)
        return analysis.finish(self.trailer)


def _part(whole: EventBatch, begin: int, end: int) -> EventBatch:
    calls = tuple(replace(call, row=call.row - begin) for call in whole.calls if begin <= call.row < end)
    return EventBatch(whole.events[begin:end], whole.tasks, calls)


def _follow(stores: dict[str, Store], batch: EventBatch, on: dict[int, int | None]) -> None:
    """on: the store of each area that is on, by swap type."""
    names = ("kind", "device", "slot", "run", "arg", "flags")
    calls = {call.row: call for call in batch.calls}
    columns = (batch.events[name].tolist() for name in names)
    for row, (kind, device, slot, run, arg, flags) in enumerate(zip(*columns, strict=True)):
        if kind in (EventKind.SWAPON, EventKind.SWAPOFF):
            if kind == EventKind.SWAPON and (area := calls[row].area) is not None:
                on[area.swap_type] = area.store
            continue
        if flags & EventFlag.NOTIFIED:
            kind, device = EventKind.NOTIFY, on[device]
        elif kind in (EventKind.FREE, EventKind.ALLOC):
            continue
        stores.setdefault(f"zram{device}", Store()).feed(kind, slot, run, arg, flags)


def boot(kernel: str) -> Areas:
    """Boot once and make one recording of all rigs."""
    folder = CHECKOUT / "build" / "areas" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_areas.py", TIMEOUT)
    return Areas(folder)


def machines() -> dict[str, Callable[[], Areas]]:
    return {kernel: partial(boot, kernel) for kernel in AREA_KERNELS}


@pytest.fixture(scope="module", params=AREA_KERNELS)
def areas(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Areas]]) -> Areas:
    return boots[__name__, request.param].result()


class EveryCheck:
    """What holds for each rig, at each check. concurrent: rigs in which several processors store and free at once."""

    concurrent: ClassVar[tuple[str, ...]] = ()

    def test_content_equals_mm_stat(self, areas: Areas, rig: str) -> None:
        names = ("orig_data_size", "compr_data_size", "same_pages", "huge_pages")
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                told = dict(zip(MM_STAT, map(int, files["mm_stat"]), strict=False))
                model = moment.content[device]
                assert {n: getattr(model, n) for n in names} == {n: told[n] for n in names}, (moment.step, device)

    def test_pool_equals_mem_used_total(self, areas: Areas, rig: str) -> None:
        """To the page, with two exceptions.

        Where several CPUs store and free at once, to ASIDE of the most that it was: which group of pages an object
        goes to depends on what else was freed just before, and an object is allocated a while before its store is
        told; between these moments the other CPU may free another one. Those that are left keep their place. (On one
        processor there is no difference: test_stress.py.) And when memory is short, the kernel compacts the pool by
        itself, which no event tells: then it has up to `pages_compacted` pages less.
        """
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                model, kernel = moment.content[device].mem_used_total, int(files["mm_stat"][2])
                assert model is not None
                aside = ASIDE * int(files["mm_stat"][4]) if rig in self.concurrent else 0
                compacted = PAGE * int(files["mm_stat"][6])
                assert -aside <= model - kernel <= aside + compacted, (moment.step, device, model, kernel)

    def test_backing_device_equals_bd_stat(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                counts = moment.stores[device].counts
                model = moment.content[device].bd_count, counts["read back"], counts["moved"]
                assert model == tuple(map(int, files["bd_stat"])), (moment.step, device)

    def test_entries_equal_block_state(self, areas: Areas, rig: str) -> None:
        """Slot by slot, with the flags."""
        for moment in areas.of(rig):
            for device, entries in moment.block_state.items():
                assert moment.stores[device].entries == entries, (moment.step, device)

    def test_notifications_and_discards_equal_notify_free(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                counts = moment.stores[device].counts
                assert counts["notify_free"] == int(files["io_stat"][3]), (moment.step, device)
                assert counts["miss_free"] == int(files["debug_stat"][3]), (moment.step, device)

    def test_failed_writes_equal_io_stat(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                counted = moment.stores[device].counts["failed"]
                assert counted == int(files["io_stat"][1]), (moment.step, device)

    def test_pages_equal_those_of_the_block_layer(self, areas: Areas, rig: str) -> None:
        """A page on the backing device may count twice: zram_rw_page() is tried first, and cannot read it."""
        twice = areas.has(Feature.READ_BACK_TWICE)
        for moment in areas.of(rig):
            for device, files in moment.zram.items():
                counts = moment.stores[device].counts
                written = counts["written"] + counts["refused"]
                model = counts["read"] + twice * counts["read back"], written
                assert model == (int(files["stat"][2]) // 8, int(files["stat"][6]) // 8), (moment.step, device)

    def test_use_equals_proc_swaps(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            told = {line.path: line.used for line in moment.swaps}
            assert {path: moment.areas[path].used_slots for path in told} == told, moment.step


@pytest.mark.parametrize("rig", [*RIGS, "end"])
class TestEveryRig(EveryCheck):
    concurrent = ("cgroups", "kswapd", "limit-many")


MM_STAT = ("orig_data_size", "compr_data_size", "mem_used_total", "", "", "same_pages", "", "huge_pages")


def of_kind(moment: Moment, kind: EventKind) -> np.ndarray:
    return moment.events[moment.events["kind"] == kind]


def slots_of(events: np.ndarray) -> list[int]:
    """Slots or store indexes, runs spelled out."""
    return [slot for event in events for slot in range(event["slot"], event["slot"] + event["run"])]


def reasons(moment: Moment) -> Counter[str]:
    """Slots freed since the moment before, by reason."""
    found: Counter[str] = Counter()
    for event in of_kind(moment, EventKind.FREE):
        found[FreeReason(event["reason"] - 1).name.lower()] += int(event["run"])
    return found


def used(moment: Moment, path: str) -> int:
    """By /proc/swaps, pages."""
    return next(line.used for line in moment.swaps if line.path == path)


def test_nothing_was_lost(areas: Areas) -> None:
    assert (areas.folder / "record.status").read_text() == "0"
    assert areas.result.trace["complete"]
    assert areas.result.lost == {}


def test_end_snapshot_agrees(areas: Areas) -> None:
    """The report's own comparison: two areas are on when the recording ends, one of them full."""
    on = [area for area in areas.result.areas if area.kernel_counts["used_slots"] is not None]
    assert [(area.device, area.used_slots) for area in on] == [
        (line.path, line.used) for line in areas.at("end", "end").swaps
    ]
    assert [area.kernel_counts["used_slots"] for area in on] == [area.used_slots for area in on]
    zram, disk = on
    assert zram.model == zram.kernel
    assert zram.used_slots == zram.slots - 1
    assert disk.used_slots is not None and disk.used_slots > 0


def test_areas_discard_as_asked(areas: Areas) -> None:
    """Free clusters are discarded where swapon is asked for it, and nowhere else (SWP_PAGE_DISCARD)."""
    on = [call.area for call in areas.whole.calls if call.call == "swapon" and call.area is not None]
    asked = [area.path for area in on if area.discards]
    assert [Path(path).parent for path in asked] == [Path("/dev"), MOUNT]
    assert {area.discards for area in on} == {True, False}


class TestCompaction:
    """No event tells of it: from then on, the pool is not known, and the report says so."""

    @staticmethod
    def given_back(moment: Moment) -> int:
        return int(moment.zram["zram0"]["mm_stat"][6])

    def test_the_model_has_the_pages_that_were_given_back(self, areas: Areas) -> None:
        holes, compacted = areas.at("compact", "holes"), areas.at("compact", "compacted")
        assert self.given_back(holes) == 0 < self.given_back(compacted)
        for moment in (holes, compacted):
            model, kernel = moment.content["zram0"].mem_used_total, int(moment.zram["zram0"]["mm_stat"][2])
            assert model == kernel + PAGE * self.given_back(moment)

    def test_what_could_be_given_back_was(self, areas: Areas) -> None:
        """What the report says that compaction would give back is what it did, by mm_stat's pages_compacted."""
        cost = self.reported(areas, areas.at("compact", "holes"))["cost"]
        assert cost["freeable_bytes"] == PAGE * self.given_back(areas.at("compact", "compacted")) > 0

    @pytest.mark.parametrize("step", ["holes", "compacted"])
    def test_the_report_tells_no_pool_from_then_on(self, areas: Areas, step: str) -> None:
        area = self.reported(areas, areas.at("compact", step))
        reasons = [area["unknown"].get(name, "") for name in ("mem_used_total", "policies.none.stale_pool_bytes")]
        known = [area["mem_used_total"] is not None, area["policies"]["none"]["stale_pool_bytes"] is not None]
        assert known == [step == "holes"] * 2
        assert ["compacted the pool" in reason for reason in reasons] == [step != "holes"] * 2

    def reported(self, areas: Areas, moment: Moment) -> dict[str, Any]:
        """What a recording that ends at that moment reports of the area."""
        analysis = Analysis(areas.reader.header)
        end = int(np.count_nonzero(areas.whole.events["time"] <= moment.time))
        batch = _part(areas.whole, 0, end)
        analysis.feed(batch)
        store = next(call.store for call in reversed(batch.calls) if call.store is not None)
        now = replace(store, counters={**store.counters, "pages_compacted": self.given_back(moment)})
        return as_json(analysis.finish(Trailer(Snapshot(moment.time, (), (now,)))))["areas"][-1]


class TestPages:
    def test_contents_are_stored_as_what_they_are(self, areas: Areas) -> None:
        """Each step adds its own pages, but for those of zeros where the swap map keeps them."""
        before = areas.at("start", "start").content["zram0"]
        assert before.pages_stored == 1
        for step, kinds in (("compressible", {0, 2}), ("random", {2}), ("same", {1})):
            moment = areas.at("pages", step)
            stored = of_kind(moment, EventKind.STORE)["flags"][-moment.facts["pages"] :]
            assert moment.facts["swapped"] == moment.facts["pages"] == len(stored)
            assert set(stored.tolist()) <= kinds  # EventFlag.SAME and HUGE: not every compressor gets below the limit

    def test_zeros_are_allocated_whether_stored_or_not(self, areas: Areas) -> None:
        moment = areas.at("pages", "zero")
        stored = of_kind(moment, EventKind.STORE)
        assert len(stored) == (0 if areas.has(Feature.ZERO_MAP) else moment.facts["pages"])
        assert set(stored["flags"].tolist()) <= {int(EventFlag.SAME)}
        pages = sum(areas.at("pages", step).facts["swapped"] for step in ("compressible", "random", "same", "zero"))
        assert pages <= used(moment, "/dev/zram0") <= pages + SLOT_CACHE

    def test_huge_pages_are_runs(self, areas: Areas) -> None:
        moment = areas.at("huge", "huge")
        assert moment.facts["swapped"] == 3 * 512
        assert [int(run) for run in of_kind(moment, EventKind.ALLOC)["run"]] == [512] * 3
        assert len(of_kind(moment, EventKind.STORE)) - 1 == 3 * 512  # and mkswap's page

    def test_those_of_64_kib_too(self, areas: Areas) -> None:
        """Where the kernel has them."""
        if areas.at("huge", "huge exited").facts["mthp"]:
            moment = areas.at("huge", "64k")
            assert moment.facts["swapped"] == 40 * 16
            assert [int(run) for run in of_kind(moment, EventKind.ALLOC)["run"]] == [16] * 40

    def test_slot_goes_with_its_last_reference(self, areas: Areas) -> None:
        moment = areas.at("shared", "one of two gone")
        touched = 1024 // 8  # they are in the other's memory: of these, the swap cache alone may hold the slot
        assert sum(reasons(moment).values()) <= touched
        assert used(moment, "/dev/zram0") >= 1024 - touched
        after = areas.at("shared", "exited")
        assert used(after, "/dev/zram0") <= SLOT_CACHE

    def test_duplicates_are_the_swap_cache(self, areas: Areas) -> None:
        """Pages that were read back are live and in memory as well: SwapCached of /proc/meminfo, in pages.

        An eighth was asked for; what was read ahead (7.3 reads none) comes on top.
        """
        moment = areas.at("shared", "read ahead")
        cached = next(line.split()[1] for line in moment.facts["meminfo"].splitlines() if "SwapCached" in line)
        assert moment.areas["/dev/zram0"].duplicate_slots_end == int(cached) // 4 >= 1024 // 8

    @pytest.mark.parametrize("kind", ["shmem", "tmpfs"])
    def test_files_give_their_slots_back(self, areas: Areas, kind: str) -> None:
        gone = [areas.at("files", f"{kind} {step}") for step in ("half gone", "all gone", "exited")]
        found = sum((reasons(moment) for moment in gone), Counter[str]())
        assert set(found) <= {"unmap", "exit"}
        assert found["unmap"] > 0
        assert used(gone[-1], "/dev/zram0") <= SLOT_CACHE

    def test_compressors(self, areas: Areas) -> None:
        """The same pages, compressed by all of them that this kernel offers; no two alike."""
        moments = areas.of("compressors")
        offered = moments[-1].facts["offered"]
        tested = [moment for moment in moments if not moment.step.endswith(" off")]
        assert [m.step for m in tested] == [name for name in ("lzo-rle", "lz4", "zstd") if name in offered]
        sizes = {moment.content["zram0"].compr_data_size for moment in tested}
        assert len(sizes) == len(tested) >= 2


class TestAreas:
    def test_filled_by_priority(self, areas: Areas) -> None:
        moment = areas.at("several", "out")
        first, second, disk = (moment.areas[path] for path in ("/dev/zram0", "/dev/zram1", "/dev/ram0"))
        assert first.used_slots == first.slots - 1
        assert second.used_slots == second.slots - 1
        assert disk.used_slots is not None and disk.used_slots > 0
        assert {first.zram, second.zram, disk.zram} == {"zram0", "zram1", None}

    def test_partition_shifts_the_index(self, areas: Areas) -> None:
        """zram itself refuses partitions; those of a loop device on it begin at 1 MiB."""
        assert areas.at("partition", "on").facts["refused"] != 0
        moment = areas.at("partition", "out")
        area = moment.areas["/dev/loop0p1"]
        assert (area.backing, area.zram, area.notified) == ("zram", "zram0", False)
        allocated = {slot + 256 for slot in slots_of(of_kind(moment, EventKind.ALLOC))}
        stored = set(slots_of(of_kind(moment, EventKind.STORE)))
        assert len(stored) == moment.facts["swapped"]
        assert stored <= allocated

    @pytest.mark.parametrize(("rig", "path", "backing"), [
        ("ext4-zram", "/tmp/areas/swap", "zram"),
        ("ext4-disk", "/tmp/areas/swap", "disk"),
        ("btrfs-zram", "/tmp/areas/swap", "unknown"),  # whose extents have addresses of the filesystem's own
        ("btrfs-disk", "/tmp/areas/swap", "disk"),
        ("dm", "/dev/dm-0", "zram"),
        ("disk", "/dev/ram0", "disk"),
    ])  # fmt: skip
    def test_store_behind_it(self, areas: Areas, rig: str, path: str, backing: str) -> None:
        out = areas.at(rig, "out")
        area = out.areas[path]
        assert (area.backing, area.zram) == (backing, "zram0" if backing == "zram" else None)
        assert not area.notified
        swapped = out.facts["swapped"]
        assert area.used_slots is not None and swapped <= area.used_slots <= swapped + SLOT_CACHE
        assert area.live_slots_end == (swapped if backing == "zram" else 0)

    @pytest.mark.parametrize(("rig", "path"), [("ext4-zram", "/tmp/areas/swap"), ("dm", "/dev/dm-0")])
    def test_all_is_stale_without_notifications(self, areas: Areas, rig: str, path: str) -> None:
        area = areas.at(rig, "exited").areas[path]
        assert area.policies["observed"].stale_slots_end >= areas.at(rig, "out").facts["swapped"] - SLOT_CACHE
        assert area.policies["notify"].stale_slots_end == 0

    def test_lives_on_a_disk_begin_with_the_allocation(self, areas: Areas) -> None:
        area = areas.at("disk", "exited").areas["/dev/ram0"]
        assert area.lifetime.count == area.frees > 2003 - SLOT_CACHE
        assert (area.frees_unwritten, area.stores) == (0, 0)

    def test_discards_are_counted(self, areas: Areas) -> None:
        for step in ("on zram", "on a file"):
            assert of_kind(areas.at("discard", step), EventKind.DISCARD)["arg"].sum() > 0

    def test_swapoff_frees_what_is_in_use(self, areas: Areas) -> None:
        found = reasons(areas.at("type", "off in use"))
        assert 907 <= found["swapoff"] <= 907 + SLOT_CACHE
        assert set(found) == {"swapoff"}

    def test_type_is_used_again(self, areas: Areas) -> None:
        """By a disk, then by the first device with another size: three areas, told apart by their generation."""
        last = areas.at("type", "a new size")
        first, disk = (areas.at("type", step).areas for step in ("out", "on a disk"))
        three = [first["/dev/zram0"], disk["/dev/ram0"], last.areas["/dev/zram0"]]
        assert len({area.swap_type for area in three}) == 1
        assert [area.generation - three[0].generation for area in three] == [0, 1, 2]
        assert (three[0].slots, three[2].slots) == (32 * 256, 160 * 256)


class TestWriteback:
    def test_huge_pages_move(self, areas: Areas) -> None:
        moved = of_kind(areas.at("writeback", "huge written back"), EventKind.MOVED)
        assert len(moved) == WRITTEN_BACK["random"]
        assert set(moved["size"].tolist()) == {PAGE}

    def test_all_others_move_but_same_filled_ones(self, areas: Areas) -> None:
        one, others = (areas.at("writeback", step) for step in ("one written back", "idle written back"))
        assert len(of_kind(one, EventKind.MOVED)) == one.facts["singles"]
        model = others.content["zram0"]
        assert (model.compr_data_size, model.mem_used_total) == (0, 0)
        assert model.bd_count == model.pages_stored - WRITTEN_BACK["same"]

    def test_blocks_are_given_back(self, areas: Areas) -> None:
        """All but that of mkswap's page."""
        model = areas.at("writeback", "off").content["zram0"]
        assert (model.pages_stored, model.bd_count, model.compr_data_size) == (1, 1, 0)


class TestPressure:
    def test_pages_count_towards_their_cgroup(self, areas: Areas) -> None:
        """Whoever pages out: a process that allocates makes room in its own cgroup."""
        moment = areas.at("cgroups", "pressed")
        inodes = {int(pid): inode for pid, inode in moment.facts["inodes"].items()}
        for events in (of_kind(areas.at("cgroups", "filled"), EventKind.STORE)[1:], of_kind(moment, EventKind.STORE)):
            assert set(events["arg"].tolist()) == set(inodes.values())
            for pid, inode in inodes.items():
                assert set(events["arg"][events["tgid"] == pid].tolist()) == {inode}

    def test_cgroups_have_their_paths(self, areas: Areas) -> None:
        """One of them is in another; both are gone before the recording ends."""
        inodes = areas.at("cgroups", "pressed").facts["inodes"].values()
        assert [areas.whole.cgroups[inode] for inode in inodes] == [f"/{path}" for path in CGROUP_PATHS]

    def test_reclaim_went_on_all_the_time(self, areas: Areas) -> None:
        """Both at once, each more than may be in memory at a time. (How much more, the machine's speed says.)"""
        stores = of_kind(areas.at("cgroups", "pressed"), EventKind.STORE)
        for pid in areas.at("cgroups", "pressed").facts["inodes"]:
            assert np.count_nonzero(stores["tgid"] == int(pid)) > CGROUP_BYTES // PAGE
        assert reasons(areas.at("cgroups", "pressed"))["swapin"] > CGROUP_BYTES // PAGE

    def test_kswapd_paged_out(self, areas: Areas) -> None:
        names = areas.result.tasks
        stores = of_kind(areas.at("kswapd", "pressed"), EventKind.STORE)
        by_kswapd = [tgid for tgid in stores["tgid"].tolist() if names[tgid].startswith("kswapd")]
        assert len(by_kswapd) > 1000

    @pytest.mark.parametrize("rig", ["cgroups", "kswapd"])
    def test_every_freed_slot_is_notified(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            freed = slots_of(of_kind(moment, EventKind.FREE))
            assert sorted(freed) == sorted(notifications(moment.events)["slot"].tolist())
