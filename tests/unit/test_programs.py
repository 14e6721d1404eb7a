"""The BPF programs, run on made-up memory of real kernels: which events they make of what the kernel does.

No virtual machine, no BCC: native_programs.py compiles the text that BCC would compile. Whether a verifier takes it,
and whether the kernel calls these functions when it should, the kernel tests show.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.areas import ZSWAP_STORES
from swaptrace.degradation import AREA_GIVEN_UP, AREA_SET_UP
from swaptrace.events import AREA_DISCARDS, CALL_FAILED, PATH_BYTES, PATH_PLACE, EventFlag, EventKind, FreeReason
from swaptrace.kernel.arch import architecture
from swaptrace.machine.snapshot import KernelArea, kernel_area
from swaptrace.tracing.assembly import Options, assemble
from tests.unit.fixtures import KERNELS, fixture
from tests.unit.native_programs import KERNEL, RECORDER, RECORDS, NativePrograms

WAYS = [
    (kernel, way)
    for kernel in KERNELS
    for way in ("kprobes", "trampolines")
    if way == "kprobes" or fixture(kernel).typed
]

# include/linux/blk_types.h
READ, WRITE, DISCARD, WRITE_ZEROES, FLUSH = 0, 1, 3, 9, 2
SYNC = 1 << 11  # REQ_SYNC: a flag above the operation
# include/linux/sched.h
PF_EXITING, PF_MEMALLOC, PF_KSWAPD, PF_KTHREAD = 0x4, 0x800, 0x20000, 0x200000
MINOR = 5


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> object:
    @cache
    def compile_once(kernel: str, trampolines: bool, machine: str, zswap: bool) -> NativePrograms:
        folder = tmp_path_factory.mktemp("programs")
        return NativePrograms(folder, fixture(kernel), trampolines=trampolines, machine=machine, zswap=zswap)

    return compile_once


@pytest.fixture(params=[*WAYS, ("6.12", "aarch64")], ids=lambda way: "-".join(way))
def native(request: pytest.FixtureRequest, compiled: object) -> Iterator[NativePrograms]:
    """The programs for a kernel, by kprobes or trampolines; for aarch64 on types of x86-64, of which all but registers
    and system calls is alike."""
    kernel, way = request.param
    machine = way if way == "aarch64" else "x86_64"
    programs: NativePrograms = compiled(kernel, way == "trampolines", machine, False)  # type: ignore[operator]
    programs.reset()
    yield programs
    assert programs.faults == 0


class Device(NamedTuple):
    """A zram device of 64 pages in the kernel's memory: addresses."""

    zram: int
    disk: int
    block_device: int
    table: int


class Entry(NamedTuple):
    """What an entry of zram's table holds; handle: 0 if there is no object."""

    size: int = 0
    same: bool = False
    huge: bool = False
    written_back: bool = False
    chosen: bool = False
    handle: int = 0xFFFF_8880_1234_5678


EMPTY = Entry(handle=0)


def device(native: NativePrograms) -> Device:
    size = native.size("zram_table_entry")
    table = native.allocate(64 * size)
    disk = native.new("gendisk", {"first_minor": MINOR})
    zram = native.new("zram", {"table": table | KERNEL if native.trampolines else table, "disk": disk})
    native.set(disk, "gendisk.private_data", zram)
    made = Device(zram, disk, native.new("block_device", {"bd_disk": disk}), table)
    for index in range(64):
        hold(native, made, index, EMPTY)
    return made


def hold(native: NativePrograms, device: Device, index: int, entry: Entry) -> None:
    """Write an entry of the table."""
    bits = native.zram_flags()
    chosen = bits.get("ZRAM_UNDER_WB", bits.get("ZRAM_PP_SLOT"))
    assert chosen is not None
    flags = entry.size | entry.same << bits["ZRAM_SAME"] | entry.huge << bits["ZRAM_HUGE"]
    flags |= entry.written_back << bits["ZRAM_WB"] | entry.chosen << chosen
    address = device.table + index * native.size("zram_table_entry")
    native.set(address, "zram_table_entry.handle", entry.handle)
    path = "zram_table_entry.flags" if native.has("zram_table_entry.flags") else "zram_table_entry.attr.flags"
    native.set(address, path, flags)


def bio(native: NativePrograms, device: Device, operation: int, sector: int, size: int, page: int = 0) -> int:
    """A request of `size` bytes; its second segment is the first that is left to do."""
    vectors = native.allocate(2 * native.size("bio_vec"))
    native.set(vectors + native.size("bio_vec"), "bio_vec.bv_page", page or native.allocate(256))
    fields = {"bi_opf": operation, "bi_iter.bi_sector": sector, "bi_iter.bi_size": size, "bi_iter.bi_idx": 1}
    owner = {"bi_disk": device.disk} if native.has("bio.bi_disk") else {"bi_bdev": device.block_device}
    return native.new("bio", {**fields, **owner, "bi_io_vec": vectors})


def charged_page(native: NativePrograms, inode: int, serial: int = 9) -> int:
    """A page of a memory cgroup, whose directory has that inode number."""
    group = native.new("cgroup", {"kn": native.new("kernfs_node", {"id": inode})})
    subsystem = native.kernel.symbols.addresses({"memory_cgrp_subsys"})["memory_cgrp_subsys"]
    memcg = native.new("mem_cgroup", {"css.ss": subsystem, "css.cgroup": group, "css.serial_nr": serial})
    paths = ("folio.memcg_data", "page.memcg_data", "page.mem_cgroup")
    path = next(path for path in paths if native.has(path))
    page = native.new(path.split(".")[0], {path.split(".")[1]: memcg})
    if path == "folio.memcg_data" and not native.has("page.memcg_data") and native.has("obj_cgroup.memcg"):
        native.set(page, path, native.new("obj_cgroup", {"memcg": memcg}) | 2)  # by way of an obj_cgroup, 7.x
    return page


def plain_page(native: NativePrograms) -> int:
    path = next(p for p in ("folio.memcg_data", "page.memcg_data", "page.mem_cgroup") if native.has(p))
    return native.new(path.split(".")[0], {path.split(".")[1]: 0})


def take(native: NativePrograms, device: Device, index: int, entry: Entry) -> None:
    """What zram does with a page of a write that it has room for: what the entry held is freed first, even nothing."""
    drop(native, device, index)
    hold(native, device, index, entry)


def rows(events: NDArray[np.void], *fields: str) -> list[tuple[int, ...]]:
    return [tuple(int(event[field]) for field in fields) for event in events]


# -- stores


def test_stored_pages(native: NativePrograms) -> None:
    """An event for each page of the request: its size and what kind of page it is, from the kernel's own bits."""
    zram = device(native)
    held = [Entry(1234), Entry(same=True), Entry(4096, huge=True), EMPTY, Entry(huge=True, written_back=True)]
    native.at(time=5000, pid=1234, thread=1240)
    page = charged_page(native, inode=4321)
    request = bio(native, zram, WRITE | SYNC, 10 * 8, 5 * 4096, page)
    native.enter("zram_submit_bio", request)
    assert not len(native.events())  # nothing is known yet
    for number, entry in enumerate(held):
        take(native, zram, 10 + number, entry)
    native.at(time=6000, pid=1234, thread=1240)
    native.leave("zram_submit_bio", (request,))
    events = native.events()
    assert set(events["kind"].tolist()) == {EventKind.STORE}
    assert rows(events, "slot", "size", "flags") == [
        (10, 1234, 0),
        (11, 0, EventFlag.SAME),
        (12, 4096, EventFlag.HUGE),
        (13, 0, EventFlag.GONE),
        (14, 0, EventFlag.WRITTEN_BACK),
    ]
    expected = {"time": 6000, "tgid": 1234, "device": MINOR, "arg": 4321, "run": 1}
    assert all((events[name] == value).all() for name, value in expected.items())


def test_page_of_no_cgroup(native: NativePrograms) -> None:
    zram = device(native)
    request = bio(native, zram, WRITE | SYNC, 8, 4096, plain_page(native))
    native.enter("zram_submit_bio", request)
    take(native, zram, 1, Entry(100))
    native.leave("zram_submit_bio", (request,))
    assert rows(native.events(), "slot", "size", "arg") == [(1, 100, 0)]


@pytest.mark.parametrize(
    ("room", "result", "expected"),
    [
        (True, 0, (EventKind.STORE, 3, 1, 77, 55)),
        (False, -12, (EventKind.FAILED, 3, 1, 0, 1)),  # -ENOMEM: it comes again, as a bio
        (False, -524, None),  # -ENOTSUPP: a huge page, which comes as a bio
        (False, -22, None),  # -EINVAL: beyond the device
    ],
)
def test_page_written_by_itself(
    native: NativePrograms, room: bool, result: int, expected: tuple[int, ...] | None
) -> None:
    """zram_rw_page(), where the kernel has it. A write that it refuses leaves the entry as it was."""
    zram = device(native)
    hold(native, zram, 3, Entry(60))
    arguments = (zram.block_device, 3 * 8, charged_page(native, 55), WRITE)
    native.enter("zram_rw_page", *arguments)
    if room:
        hold(native, zram, 3, EMPTY)
        take(native, zram, 3, Entry(77))
    native.leave("zram_rw_page", arguments, result)
    has = native.kernel.symbols.addresses({"zram_rw_page"})
    found = rows(native.events(), "kind", "slot", "run", "size", "arg", "device")
    assert found == ([(*expected, MINOR)] if has and expected else [])


def tries_all_pages(native: NativePrograms) -> bool:
    """Whether zram goes on with a request after a page that it could not take: 5.8 to 6.3."""
    return native.kernel.name in ("5.10", "6.1")


@pytest.mark.parametrize("taken", [0, 2, 4])
def test_write_that_is_refused(native: NativePrograms, taken: int) -> None:
    """An event for each page that zram took, and one that tells of the rest: how many pages, how many tries."""
    zram = device(native)
    for index in range(20, 25):
        hold(native, zram, index, Entry(50))  # what a refused page finds there is not its own
    request = bio(native, zram, WRITE | SYNC, 20 * 8, 5 * 4096, charged_page(native, 55))
    native.enter("zram_submit_bio", request)
    for index in range(20, 20 + taken):
        take(native, zram, index, Entry(300 + index))
    native.at(time=7000)
    native.leave("zram_submit_bio", (request,))
    events = native.events(EventKind.STORE, EventKind.FAILED)
    stored = [(EventKind.STORE, index, 1, 300 + index, 55) for index in range(20, 20 + taken)]
    refused = 5 - taken
    failed = (EventKind.FAILED, 20 + taken, refused if tries_all_pages(native) else 1, 0, refused)
    assert rows(events, "kind", "slot", "run", "size", "arg") == [*stored, failed]
    assert rows(events[-1:], "time", "tgid", "device", "flags") == [(7000, 77, MINOR, 0)]


def test_other_drops_do_not_make_a_write_succeed(native: NativePrograms) -> None:
    """Of another task, of a notification that comes while the task waits for memory, and of other entries."""
    zram = device(native)
    hold(native, zram, 4, Entry(600)), hold(native, zram, 9, Entry(90))
    request = bio(native, zram, WRITE, 4 * 8, 4096, plain_page(native))
    native.enter("zram_submit_bio", request)
    native.at(pid=78)
    drop(native, zram, 4)
    native.at(pid=77)
    free(native, 4, 1, area(native, zram))
    notified(native, zram, 4, dropped=True)
    drop(native, zram, 9)
    native.leave("zram_submit_bio", (request,))
    assert rows(native.events(), "kind", "slot") == [
        (EventKind.DROP, 4),
        (EventKind.FREE, 4),
        (EventKind.DROP, 9),
        (EventKind.FAILED, 4),
    ]


def test_devices_that_events_have_no_room_for(native: NativePrograms) -> None:
    """Left out, and counted: their numbers would be those of zswap's stores, or more. But for the frees of areas."""
    zram = device(native)
    hold(native, zram, 6, Entry(800))
    on = area(native, zram)
    for minor in (ZSWAP_STORES, ZSWAP_STORES + MINOR, (1 << 16) + MINOR):
        native.set(zram.disk, "gendisk.first_minor", minor)
        native.call("zram_submit_bio", bio(native, zram, READ, 0, 4096))
        request = bio(native, zram, WRITE, 6 * 8, 4096, plain_page(native))
        native.enter("zram_submit_bio", request)
        drop(native, zram, 6)
        native.leave("zram_submit_bio", (request,))
        free(native, 6, 1, on)
        notified(native, zram, 6, dropped=True)
        native.call("zram_reset_device", zram.zram)
    assert rows(native.events(), "kind", "device") == 3 * [(EventKind.FREE, AREA_TYPE)]
    assert native.left_out() == 3 * 4
    assert not native.lost() and not native.under_way()
    native.set(zram.disk, "gendisk.first_minor", ZSWAP_STORES - 1)
    drop(native, zram, 6)
    assert rows(native.events(), "kind", "device") == [(EventKind.DROP, ZSWAP_STORES - 1)]


def test_loaded_pages(native: NativePrograms) -> None:
    zram = device(native)
    native.at(time=70, pid=9)
    native.call("zram_submit_bio", bio(native, zram, READ, 16, 3 * 4096))
    assert rows(native.events(), "kind", "slot", "run", "device", "tgid", "time", "size", "flags") == [
        (EventKind.LOAD, 2, 3, MINOR, 9, 70, 0, 0)
    ]


@pytest.mark.parametrize("operation", [DISCARD, WRITE_ZEROES])
def test_discarded_pages_are_whole_ones(native: NativePrograms, operation: int) -> None:
    zram = device(native)
    native.call("zram_submit_bio", bio(native, zram, operation, 1, 5 * 4096))  # from the second sector of the first
    assert rows(native.events(), "kind", "slot", "arg", "device") == [(EventKind.DISCARD, 1, 4, MINOR)]
    native.call("zram_submit_bio", bio(native, zram, operation, 1, 4096))  # no whole page is in it
    assert not len(native.events())


def test_full_ring(tmp_path: Path) -> None:
    """An eighth stays free, for threads that are interrupted before they have written what they took a place for."""
    native = NativePrograms(tmp_path, fixture("6.12"), trampolines=True)
    zram = device(native)
    native.call("zram_submit_bio", bio(native, zram, READ, 0, 4096))  # by which the task is told of, too
    native.events()
    request, room = bio(native, zram, READ, 16, 3 * 4096), RECORDS - RECORDS // 8
    seen = 0
    for turn in range(3):  # more than once around
        native.room(room)
        for number in range(room + 5):
            native.at(time=seen + number)
            native.call("zram_submit_bio", request)
        assert native.lost() == {EventKind.LOAD: (turn + 1) * 5 * 3}
        assert native.events()["time"].tolist() == list(range(seen, seen + room))
        seen += room


def test_other_requests(native: NativePrograms) -> None:
    zram = device(native)
    native.call("zram_submit_bio", bio(native, zram, FLUSH, 0, 4096))
    assert not len(native.events())


# -- drops


def unasked(native: NativePrograms) -> EventFlag:
    """Of a drop without a request that was seen: by a write whose entry is not seen, where there are such."""
    return EventFlag.REPLACED if "zram_page_enter" in native.not_attached else EventFlag(0)


def drop(native: NativePrograms, device: Device, index: int) -> None:
    """By whatever this kernel's zram calls it."""
    choice = next(choice for choice in native.choices if choice.probe.event == "store entry dropped")
    native.call(choice.chosen[0].function, device.zram, index)


def test_dropped_entries(native: NativePrograms) -> None:
    zram = device(native)
    for index, entry in enumerate((Entry(500), Entry(same=True), Entry(4096, huge=True), EMPTY)):
        hold(native, zram, index, entry)
        drop(native, zram, index)
    events = native.events()
    flag = unasked(native)
    assert rows(events, "kind", "slot", "size", "flags", "device") == [
        (EventKind.DROP, 0, 500, flag, MINOR),
        (EventKind.DROP, 1, 0, EventFlag.SAME | flag, MINOR),
        (EventKind.DROP, 2, 4096, EventFlag.HUGE | flag, MINOR),
    ]


def test_entries_that_a_reset_drops(native: NativePrograms) -> None:
    zram = device(native)
    hold(native, zram, 4, Entry(600))
    native.enter("zram_reset_device", zram.zram)
    drop(native, zram, 4)
    native.leave("zram_reset_device", (zram.zram,))
    drop(native, zram, 4)
    assert rows(native.events(), "kind", "flags") == [
        (EventKind.RESET, 0),
        (EventKind.DROP, 0),
        (EventKind.DROP, unasked(native)),
    ]


def test_entry_that_a_store_replaces(native: NativePrograms) -> None:
    zram = device(native)
    hold(native, zram, 4, Entry(600))
    request = bio(native, zram, WRITE, 4 * 8, 4096, plain_page(native))
    native.enter("zram_submit_bio", request)
    drop(native, zram, 4)
    native.at(pid=78)  # somebody else, meanwhile
    drop(native, zram, 4)
    native.at(pid=77)
    native.leave("zram_submit_bio", (request,))
    drop(native, zram, 4)  # the store is over
    assert rows(native.events(), "kind", "size", "flags", "tgid") == [
        (EventKind.DROP, 600, EventFlag.REPLACED, 77),
        (EventKind.DROP, 600, unasked(native), 78),
        (EventKind.STORE, 600, 0, 77),
        (EventKind.DROP, 600, unasked(native), 77),
    ]


def test_entry_that_is_dropped_while_its_task_reads(native: NativePrograms) -> None:
    zram = device(native)
    hold(native, zram, 4, Entry(600))
    request = bio(native, zram, READ, 32, 4096)
    native.enter("zram_submit_bio", request)
    drop(native, zram, 4)
    assert rows(native.events(), "kind", "flags") == [(EventKind.DROP, 0)]


def test_entry_that_goes_to_the_backing_device(native: NativePrograms) -> None:
    """Its object goes, the entry stays. Where freeing it is a function of its own, that tells; else the end does."""
    zram = device(native)
    written = next(choice for choice in native.choices if choice.probe.event == "store entry written back").chosen[0]
    if written.entry is None:
        hold(native, zram, 7, Entry(900, huge=True, chosen=True))
        drop(native, zram, 7)
        flags = EventFlag.HUGE
    else:
        slot = native.new("zram_pp_slot", {"index": 7})
        hold(native, zram, 7, Entry(900, huge=True, written_back=False))
        native.call(written.function, zram.zram, slot)
        assert not len(native.events())  # it was not written back after all
        hold(native, zram, 7, Entry(900, huge=True, written_back=True))
        native.call(written.function, zram.zram, slot)
        flags = EventFlag.HUGE
    assert rows(native.events(), "kind", "slot", "size", "flags", "device") == [(EventKind.MOVED, 7, 900, flags, MINOR)]


def test_entry_chosen_for_writeback_that_a_store_replaces(native: NativePrograms) -> None:
    zram = device(native)
    hold(native, zram, 7, Entry(900, chosen=True))
    request = bio(native, zram, WRITE, 56, 4096, plain_page(native))
    native.enter("zram_submit_bio", request)
    drop(native, zram, 7)
    assert rows(native.events(), "kind", "flags") == [(EventKind.DROP, EventFlag.REPLACED)]


def test_entry_that_is_dropped_just_after_it_was_written_back(native: NativePrograms) -> None:
    """It went to the backing device first, and what would say so comes too late."""
    zram = device(native)
    hold(native, zram, 7, Entry(900, written_back=True, chosen=True, handle=3))
    request = bio(native, zram, WRITE, 56, 4096, plain_page(native))
    native.enter("zram_submit_bio", request)
    drop(native, zram, 7)
    assert rows(native.events(), "kind", "slot", "size", "flags") == [
        (EventKind.MOVED, 7, 900, 0),
        (EventKind.DROP, 7, 0, EventFlag.REPLACED | EventFlag.WRITTEN_BACK),
    ]


def test_reset(native: NativePrograms) -> None:
    native.call("zram_reset_device", device(native).zram)
    assert rows(native.events(), "kind", "device") == [(EventKind.RESET, MINOR)]


# -- notifications


def notified(native: NativePrograms, zram: Device, index: int, *, dropped: bool) -> None:
    """zram is notified of a slot at the time 100; it begins to drop the entry at 200, if it can, and returns at 350."""
    arguments = (zram.block_device, index)
    native.at(time=100)
    native.enter("zram_slot_free_notify", *arguments)
    if dropped:
        native.at(time=200)
        drop(native, zram, index)
    native.at(time=350)
    native.leave("zram_slot_free_notify", arguments)


@pytest.mark.parametrize(
    ("entry", "dropped", "size", "flags"),
    [
        (Entry(800), True, 800, EventFlag.DROPPED),
        (Entry(same=True), True, 0, EventFlag.DROPPED | EventFlag.SAME),
        (Entry(4096, huge=True), True, 4096, EventFlag.DROPPED | EventFlag.HUGE),
        (EMPTY, True, 0, EventFlag(0)),
        (Entry(800), False, 0, EventFlag.MISSED),
    ],
)
def test_free_that_zram_is_notified_of(
    native: NativePrograms, entry: Entry, dropped: bool, size: int, flags: EventFlag
) -> None:
    """One event of the free, the notification and the drop; if the entry was not freed, its lock was not to be had."""
    zram = device(native)
    hold(native, zram, 6, entry)
    native.at(time=42)
    native.running(PF_EXITING)
    free(native, 6, 1, area(native, zram))
    assert not len(native.events())
    notified(native, zram, 6, dropped=dropped)
    timed = EventFlag.TIMED if dropped else 0
    events = native.events()
    assert rows(events, "kind", "slot", "size", "flags", "arg", "time", "device", "run", "tgid", "reason") == [
        (EventKind.FREE, 6, size, flags | EventFlag.NOTIFIED | timed, 150 if dropped else 0, 42, AREA_TYPE, 1, 77,
         FreeReason.EXIT + 1)
    ]  # fmt: skip
    notified(native, zram, 6, dropped=False)  # it is over
    assert not len(native.events(EventKind.FREE)) and not native.under_way()


def test_free_of_several_slots_that_zram_is_notified_of(native: NativePrograms) -> None:
    """An event for each, with the time of their free; what was seen of one is not said of the next."""
    zram = device(native)
    for index, entry in ((20, Entry(800)), (21, Entry(700)), (22, EMPTY), (23, Entry(same=True))):
        hold(native, zram, index, entry)
    native.at(time=42)
    free(native, 20, 4, area(native, zram))
    for index in range(20, 24):
        notified(native, zram, index, dropped=index != 21)
    both, dropped = EventFlag.NOTIFIED, EventFlag.NOTIFIED | EventFlag.DROPPED | EventFlag.TIMED
    assert rows(native.events(), "kind", "slot", "run", "time", "size", "flags", "arg") == [
        (EventKind.FREE, 20, 1, 42, 800, dropped, 150),
        (EventKind.FREE, 21, 1, 42, 0, both | EventFlag.MISSED, 0),
        (EventKind.FREE, 22, 1, 42, 0, both | EventFlag.TIMED, 150),
        (EventKind.FREE, 23, 1, 42, 0, dropped | EventFlag.SAME, 150),
    ]
    assert not native.under_way()


def test_notification_of_no_free(native: NativePrograms) -> None:
    """Where its entry is seen, it has an event; else what it drops has, and the notification counts as lost."""
    zram = device(native)
    hold(native, zram, 6, Entry(800))
    notified(native, zram, 6, dropped=True)
    fields = ("kind", "device", "slot", "size", "flags", "arg", "time", "tgid", "reason")
    if "notification_enter" in native.not_attached:
        assert rows(native.events(), *fields[:4]) == [(EventKind.DROP, MINOR, 6, 800)]
        assert native.lost() == {EventKind.NOTIFY: 1}
    else:
        flags = EventFlag.DROPPED | EventFlag.TIMED
        assert rows(native.events(), *fields) == [(EventKind.NOTIFY, MINOR, 6, 800, flags, 150, 100, 77, 0)]
    assert not native.under_way()


@pytest.mark.parametrize("trampolines", [False, True])
def test_one_of_many_notifications_is_timed(trampolines: bool, tmp_path: Path) -> None:
    native = NativePrograms(tmp_path, fixture("6.12"), trampolines=trampolines, per_timed=16)
    zram = device(native)
    for time in (16, 5_000_000_000):
        native.at(time=time)
        free(native, 0, 64, area(native, zram))
        for index in range(64):
            notified(native, zram, index, dropped=True)
        events = native.events()
        timed = events["flags"] & EventFlag.TIMED > 0
        assert np.flatnonzero(timed).tolist() == list(range(-(time >> 4) % 16, 64, 16))
        assert (events["arg"] == np.where(timed, 150, 0)).all()


def test_all_notifications_are_timed_where_the_path_is() -> None:
    """One in 16 otherwise."""
    kernel = fixture("6.12")
    for time_frees, expected in ((False, 16), (True, 1)):
        options = Options(1 << 16, time_frees=time_frees)
        made = assemble(
            kernel.choices(), kernel.types, kernel.symbols, architecture("x86_64"), options, recorder=RECORDER
        )
        assert made.constants["NOTIFICATIONS_PER_TIMED"] == expected
        assert ("TIME_FREES" in made.constants) == time_frees


def test_notified_free_that_is_lost(native: NativePrograms) -> None:
    """It would have told of the notification, too."""
    zram = device(native)
    free(native, 6, 2, area(native, zram))  # and the task is told of
    native.room(0)
    notified(native, zram, 6, dropped=True)
    notified(native, zram, 7, dropped=False)
    assert native.lost() == {EventKind.FREE: 2, EventKind.NOTIFY: 2}


def test_free_whose_notifications_do_not_come(native: NativePrograms) -> None:
    """As if another driver was to be notified: the thread's next free shows it."""
    zram = device(native)
    free(native, 6, 3, area(native, zram))
    notified(native, zram, 6, dropped=True)
    free(native, 20, 1, area(native, zram))
    notified(native, zram, 20, dropped=True)
    lost = native.lost() if native.trampolines else native.under_way()
    assert lost == {EventKind.FREE: 2, EventKind.NOTIFY: 2}
    assert rows(native.events(), "kind", "slot") == [(EventKind.FREE, 6), (EventKind.FREE, 20)]


def test_notified_free_whose_place_another_thread_takes(native: NativePrograms) -> None:
    """Two threads whose numbers end alike: what the first one is at is lost, whether it shows in `lost` or as a call
    that never returned."""
    zram = device(native)
    free(native, 6, 3, area(native, zram))
    notified(native, zram, 6, dropped=True)
    native.at(pid=77, thread=77 + (1 << 14))
    free(native, 9, 1, area(native, zram))
    native.at(pid=77)
    native.leave("zram_slot_free_notify", (zram.block_device, 7))
    lost = native.lost() if native.trampolines else native.under_way()
    assert lost[EventKind.FREE] == 2 + (not native.trampolines)  # kprobes': the second thread's is under way
    assert rows(native.events(), "kind", "slot") == [(EventKind.FREE, 6)]


def test_drop_beside_a_notification(native: NativePrograms) -> None:
    """Of another entry, or by another thread: it has an event of its own."""
    zram = device(native)
    hold(native, zram, 6, Entry(800)), hold(native, zram, 9, Entry(90))
    native.at(time=100)
    free(native, 6, 1, area(native, zram))
    native.enter("zram_slot_free_notify", zram.block_device, 6)
    drop(native, zram, 9)
    native.at(processor=1, pid=78)
    drop(native, zram, 6)
    native.at(time=101)
    native.leave("zram_slot_free_notify", (zram.block_device, 6))
    assert rows(native.events(), "kind", "slot", "tgid", "flags") == [
        (EventKind.DROP, 9, 77, unasked(native)),
        (EventKind.DROP, 6, 78, unasked(native)),
        (EventKind.FREE, 6, 77, EventFlag.MISSED | EventFlag.NOTIFIED),
    ]


# -- slots

AREA_TYPE = 3


SWP_USED, SWP_WRITEOK, SWP_BLKDEV = 1, 2, 1 << 6  # include/linux/swap.h


def area(native: NativePrograms, on: Device | None = None) -> int:
    """A swap area: on a zram device, or on a filesystem."""
    flags = SWP_USED | SWP_WRITEOK
    if on is None:
        return native.new("swap_info_struct", {"type": AREA_TYPE, "flags": flags, "bdev": 0})
    native.set(on.disk, "gendisk.fops", native.new("block_device_operations", {"swap_slot_free_notify": 1}))
    return native.new("swap_info_struct", {"type": AREA_TYPE, "flags": flags | SWP_BLKDEV, "bdev": on.block_device})


def free(native: NativePrograms, offset: int, count: int, owner: int | None = None) -> None:
    """Slots, by whatever function this kernel has for it. owner: their area, if not one on a filesystem."""
    owner = area(native) if owner is None else owner
    function = native.choices[0].chosen[0].function
    entry = AREA_TYPE << 58 | offset
    if function == "swap_range_free":
        arguments: tuple[int, ...] = (owner, offset, count)
    elif function == "swap_entry_range_free":
        arguments = (owner, entry, count)
    elif function == "swap_entries_free":
        arguments = (owner, 0, entry, count)
    else:
        assert function == "__swap_cluster_free_entries"
        clusters = native.allocate(8 * native.size("swap_cluster_info"))
        native.set(owner, "swap_info_struct.cluster_info", clusters | KERNEL if native.trampolines else clusters)
        cluster = clusters + offset // 512 * native.size("swap_cluster_info")
        arguments = (owner, cluster, offset % 512, count)
    native.call(function, *arguments)


def test_freed_slots(native: NativePrograms) -> None:
    native.at(time=42, pid=31)
    free(native, 1030, 17)
    assert rows(native.events(), "kind", "slot", "run", "device", "tgid", "time") == [
        (EventKind.FREE, 1030, 17, AREA_TYPE, 31, 42)
    ]


# asm/unistd_64.h, asm-generic/unistd.h (test_arch.py compares the whole table)
CALLS = {
    "x86_64": {"read": 0, "munmap": 11, "execve": 59, "swapoff": 168, "unlinkat": 263},
    "aarch64": {"read": 63, "munmap": 215, "execve": 221, "swapoff": 225, "unlinkat": 35},
}


@pytest.mark.parametrize(
    ("flags", "call", "reason"),
    [
        (0, None, FreeReason.SWAPIN),
        (0, "read", FreeReason.SWAPIN),
        (0, "munmap", FreeReason.UNMAP),
        (0, "unlinkat", FreeReason.UNMAP),
        (0, "execve", FreeReason.EXIT),
        (0, "swapoff", FreeReason.SWAPOFF),
        (PF_EXITING, "munmap", FreeReason.EXIT),
        (PF_KTHREAD, None, FreeReason.OTHER),
        (PF_KTHREAD | PF_KSWAPD, None, FreeReason.RECLAIM),
        (PF_MEMALLOC, "munmap", FreeReason.RECLAIM),
    ],
)
def test_why_a_slot_is_freed(native: NativePrograms, flags: int, call: str | None, reason: FreeReason) -> None:
    native.running(flags, -1 if call is None else CALLS[native.machine][call])
    free(native, 5, 1)
    assert rows(native.events(), "reason", "flags") == [(reason + 1, 0)]


def test_allocated_slots(native: NativePrograms) -> None:
    """A huge page's slots, by whatever function this kernel has for it; then single ones, in runs."""
    (taken,) = next(choice for choice in native.choices if choice.probe.event == "slot allocated").chosen
    entry = AREA_TYPE << 58 | 2048
    if taken.function == "get_swap_pages":
        entries = native.allocate(8 * 64)
        native.write(entries, entry)
        native.call("get_swap_pages", 1, entries, 9 if taken.last == "entry_order" else 512, result=1)
        for number, offset in enumerate((7, 8, 9, 20)):
            native.write(entries + 8 * number, AREA_TYPE << 58 | offset)
        native.call("get_swap_pages", 10, entries, 0 if taken.last == "entry_order" else 1, result=4)
        native.call("get_swap_pages", 10, entries, 0 if taken.last == "entry_order" else 1, result=0)
        expected = [(2048, 512), (7, 3), (20, 1)]
    elif taken.function == "alloc_swap_scan_cluster":
        native.call("alloc_swap_scan_cluster", area(native), 0, 2000, 9, 0, result=2048)
        native.call("alloc_swap_scan_cluster", area(native), 0, 2000, 0, 0, result=7)
        native.call("alloc_swap_scan_cluster", area(native), 0, 2000, 0, 0, result=0)  # found none
        expected = [(2048, 512), (7, 1)]
    elif taken.function == "__swap_cache_add_folio":
        head = native.kernel.types.vmlinux.enum("pageflags")["PG_head"]
        large = native.new("folio", {"flags": 1 << head, "_flags_1": 0x1209})
        native.call("__swap_cache_add_folio", 0, large, entry)
        native.call("__swap_cache_add_folio", 0, native.new("folio", {"flags": 0}), AREA_TYPE << 58 | 7)
        expected = [(2048, 512), (7, 1)]
    else:
        assert taken.function == "swap_range_alloc"
        native.call("swap_range_alloc", area(native), 2048, 512)
        expected = [(2048, 512)]
    assert rows(native.events(), "kind", "slot", "run", "device") == [
        (EventKind.ALLOC, slot, run, AREA_TYPE) for slot, run in expected
    ]


# -- swapon and swapoff


@pytest.mark.parametrize(("call", "kind"), [("swapon", EventKind.SWAPON), ("swapoff", EventKind.SWAPOFF)])
def test_swap_call_that_fails(native: NativePrograms, call: str, kind: EventKind) -> None:
    path = native.allocate(64)
    for number, byte in enumerate(b"/nowhere\0"):
        native.write(path + number, byte, 1)
    registers = native.running(syscall=0, arguments=(path, 0))
    native.at(time=77, pid=12)
    native.call(f"__x64_sys_{call}", registers, result=-2)
    told = native.events(EventKind.SWAPON, EventKind.SWAPOFF)
    assert rows(told, "kind", "size", "flags", "tgid", "time") == [(kind, 2, CALL_FAILED, 12, 77)]


PATH = b"/dev/disk/by-label/swap"


def in_call(native: NativePrograms, call: str, *arguments: int) -> int:
    """A thread, not its process's first, is in a call with the path, and other arguments; its user registers."""
    path = native.allocate(64)
    for number, byte in enumerate(PATH + b"\0"):
        native.write(path + number, byte, 1)
    native.at(time=77, pid=12, thread=13)
    return native.running(syscall=CALLS[native.machine].get(call, 0), arguments=(path, *arguments))


def path_told(native: NativePrograms, told: NDArray[np.void]) -> bytes:
    """From the pieces, in their order, up to its end."""
    pieces = told[told["kind"] == EventKind.PATH]
    assert pieces["device"].tolist() == list(range(len(pieces)))
    assert set(pieces["tgid"].tolist()) == {13}
    return b"".join(piece.tobytes()[PATH_PLACE : PATH_PLACE + PATH_BYTES] for piece in pieces).partition(b"\0")[0]


def function_for(native: NativePrograms, event: str) -> str:
    (chosen,) = next(choice for choice in native.choices if choice.probe.event == event).chosen
    return chosen.function


@pytest.mark.parametrize("discards", [False, True])
def test_swapon(native: NativePrograms, discards: bool) -> None:
    """The type is that of the same thread's call, though another thread sets up another one meanwhile."""
    made = native.new("swap_info_struct", {"flags": 0x403 if discards else 0x803, "prio": -5})
    native.set_swap_info(AREA_TYPE, made)
    registers = in_call(native, "swapon", 0x48005)
    native.enter("__x64_sys_swapon", registers)
    native.call(function_for(native, AREA_SET_UP), AREA_TYPE, 4096)
    native.at(time=78, pid=12, thread=14)
    native.call(function_for(native, AREA_SET_UP), AREA_TYPE + 1, 64)
    native.at(time=79, pid=12, thread=13)
    native.leave("__x64_sys_swapon", (registers,), 0)
    told = native.events(EventKind.PATH, EventKind.SWAPON, EventKind.SWAPOFF)
    assert path_told(native, told) == PATH
    calls = told[told["kind"] != EventKind.PATH]
    assert rows(calls, "kind", "device", "slot", "size", "run", "arg", "tgid", "time") == [
        (EventKind.SWAPON, AREA_TYPE, 13, 4096, 0xFFFF - 4, 0x48005, 12, 79)
    ]
    assert calls["flags"].tolist() == [AREA_DISCARDS if discards else 0]


@pytest.mark.parametrize(("call", "event"), [("swapon", AREA_SET_UP), ("swapoff", AREA_GIVEN_UP)])
def test_call_of_which_the_type_is_not_told(native: NativePrograms, call: str, event: str) -> None:
    """The function did not run in that thread, or it ran for the thread's call before, which has returned."""
    registers = in_call(native, call, 0)
    native.enter(f"__x64_sys_{call}", registers)
    native.call(function_for(native, event), AREA_TYPE, 4096)
    native.leave(f"__x64_sys_{call}", (registers,), -12)
    native.events()
    native.call(f"__x64_sys_{call}", registers, result=0)
    kind = EventKind[call.upper()]
    assert rows(native.events(kind), "kind", "device", "flags") == [(kind, 255, 0)]


def test_swapoff_is_told_of_before_its_type_is_free(native: NativePrograms) -> None:
    registers = in_call(native, "swapoff")
    native.enter("__x64_sys_swapoff", registers)
    native.call(function_for(native, AREA_GIVEN_UP), AREA_TYPE)
    told = native.events(EventKind.PATH, EventKind.SWAPOFF)
    assert path_told(native, told) == PATH
    assert rows(told[told["kind"] == EventKind.SWAPOFF], "device", "slot", "flags", "tgid") == [(AREA_TYPE, 13, 0, 12)]
    native.leave("__x64_sys_swapoff", (registers,), 0)
    assert not len(native.events())


def test_swapon_that_fails_gives_up_what_it_has_set_up(native: NativePrograms) -> None:
    """It is no swapoff. From 6.18 on, it gives up even what it had no time to set up."""
    registers = in_call(native, "swapon", 0)
    native.enter("__x64_sys_swapon", registers)
    native.call(function_for(native, AREA_GIVEN_UP), AREA_TYPE)
    native.leave("__x64_sys_swapon", (registers,), -22)
    told = native.events(EventKind.SWAPON, EventKind.SWAPOFF)
    assert rows(told, "kind", "device", "size", "flags") == [(EventKind.SWAPON, 255, 22, CALL_FAILED)]


class SeenArea(ctypes.Structure):
    """struct swap_area of bpf/swap_calls.c."""

    _fields_ = (
        ("swap_file", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("pages", ctypes.c_uint32),
        ("priority", ctypes.c_int32),
        ("padding", ctypes.c_uint32),
    )


@pytest.mark.parametrize("areas", [0, 2, 23])
def test_table_of_areas(native: NativePrograms, areas: int) -> None:
    """Behind its end lie pointers to other things: as if all of them were areas that are on."""
    for number in range(areas):
        fields = {"type": number, "flags": 0x403, "prio": -2 - number, "pages": 63 + number, "swap_file": 500 + number}
        native.set_swap_info(number, native.new("swap_info_struct", fields))
    for number in range(23, 32):
        native.set_swap_info(number, native.new("swap_info_struct", {"type": 2, "flags": 0xFF}))
    registers = in_call(native, "swapon", 0)
    native.at(pid=RECORDER)
    native.call("__x64_sys_swapon", registers, result=-14)
    assert not len(native.events(EventKind.SWAPON))
    seen = native.map("swap_areas", SeenArea, 32)
    expected = [KernelArea(number, 500 + number, 63 + number, -2 - number, True) for number in range(areas)]
    assert [area for number in range(32) if (area := kernel_area(number, seen[number])) is not None] == expected


def test_path_that_cannot_be_read(native: NativePrograms) -> None:
    native.at(pid=12)
    native.call("__x64_sys_swapon", native.running(syscall=0, arguments=(1, 0)), result=-14)
    told = native.events(EventKind.PATH, EventKind.SWAPON)
    assert rows(told, "kind", "device", "size", "flags") == [(EventKind.SWAPON, 255, 14, CALL_FAILED)]


# -- what is lost


def test_events_without_room_are_counted(native: NativePrograms) -> None:
    zram = device(native)
    native.room(1)  # for the name of the process
    free(native, 5, 7)
    native.at(processor=1)
    native.call("zram_submit_bio", bio(native, zram, READ, 0, 3 * 4096))
    assert not len(native.events())
    assert native.lost()[EventKind.FREE] == 7
    assert native.lost()[EventKind.LOAD] == 3


def test_calls_whose_return_is_missed_are_counted(native: NativePrograms) -> None:
    """By kprobes: a trampoline misses none."""
    zram = device(native)
    native.enter("zram_submit_bio", bio(native, zram, WRITE, 0, 3 * 4096, plain_page(native)))
    native.enter("zram_slot_free_notify", zram.block_device, 6)
    missed = {EventKind.STORE: 3, EventKind.NOTIFY: 1}
    assert native.under_way() == ({} if native.trampolines else missed)


def test_names_of_processes_are_told_once(native: NativePrograms, tmp_path: Path) -> None:
    for pid in (50, 51, 50):
        native.at(pid=pid)
        free(native, 5, 1)
    assert native.events(EventKind.TASK)["tgid"].tolist() == [50, 51]
