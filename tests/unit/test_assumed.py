"""An assumed layout of zram is used only if the entries are as the kernel itself describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.areas import Store
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventFlag
from swaptrace.tracing import assumed
from swaptrace.tracing.programs import EntrySeen

#: index -> (flags in block_state, size in the table)
ENTRIES = {0: (0, 63), 3: (int(EventFlag.SAME), 0), 4: (int(EventFlag.HUGE), 4096), 9: (int(EventFlag.WRITTEN_BACK), 0)}
SUM = 63 + 4096


class Device:
    """A device with those entries, and programs that see them through some layout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: EntrySeen) -> None:
        self.changes = {int(name.removeprefix("entry")): seen for name, seen in changes.items()}
        self.read: list[int] = []
        self.sum = SUM
        index = np.array(list(ENTRIES), np.int64)
        flags = np.array([flags for flags, _ in ENTRIES.values()], np.uint32)
        monkeypatch.setattr(assumed, "read_directly", lambda device, page: self.read.append(page))
        monkeypatch.setattr(assumed.sysfs, "read_block_state", lambda name: (index, flags))
        monkeypatch.setattr(assumed.sysfs, "read_store", lambda path: self.store(path))

    def store(self, path: Path = Path("/sys/block/zram0")) -> Store:
        counters = {"pages_stored": len(ENTRIES), "compr_data_size": self.sum}
        return Store(0, path.name, 64, counters=counters)

    def look(self) -> EntrySeen:
        page = self.read[-1]
        flags, size = ENTRIES.get(page, (0, 0))
        return self.changes.get(page, EntrySeen(page in ENTRIES, size, EventFlag(flags), True))


def test_right_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    assert assumed.compare([device.store()], device.look) == len(ENTRIES)
    assert set(device.read) > set(ENTRIES)  # and some that hold nothing


@pytest.mark.parametrize(
    ("entry", "seen", "said"),
    [
        ("entry0", EntrySeen(False, 63, EventFlag(0), True), "entry 0: it is empty"),
        ("entry0", EntrySeen(True, 63, EventFlag(0), False), "entry 0: it belongs to another disk"),
        ("entry0", EntrySeen(True, 63, EventFlag.HUGE, True), "entry 0: its flags are"),
        ("entry0", EntrySeen(True, 0, EventFlag(0), True), "entry 0: its size is 0"),
        ("entry0", EntrySeen(True, 1 << 24, EventFlag(0), True), "entry 0: its size is 16777216"),
        ("entry3", EntrySeen(True, 8, EventFlag.SAME, True), "entry 3: its size is 8"),
        ("entry4", EntrySeen(True, 100, EventFlag.HUGE, True), "entry 4: its size is 100"),
        ("entry1", EntrySeen(True, 70, EventFlag(0), True), "entry 1 holds something"),
    ],
)
def test_wrong_layout_is_refused(monkeypatch: pytest.MonkeyPatch, entry: str, seen: EntrySeen, said: str) -> None:
    device = Device(monkeypatch, **{entry: seen})
    with pytest.raises(EnvironmentProblem) as raised:
        assumed.compare([device.store()], device.look)
    assert said in raised.value.what
    assert "no type information for the zram module" in raised.value.what


def test_sizes_must_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    device.sum = SUM + 1
    with pytest.raises(EnvironmentProblem, match="the sizes add up to 4159, not to mm_stat's 4160"):
        assumed.compare([device.store()], device.look)


def test_entry_that_changes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine goes on swapping: one difference is looked at again."""
    device = Device(monkeypatch, entry0=EntrySeen(True, 63, EventFlag.HUGE, True))
    looks = []

    def look() -> EntrySeen:
        looks.append(device.look())
        if len(looks) == 1:
            device.changes.clear()
        return looks[-1]

    assert assumed.compare([device.store()], look) == len(ENTRIES)
    assert len(looks) > len(ENTRIES) + 2


def test_a_device_that_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """block_state is missing, or empty: two pages are looked at, which may hold something, but on no other disk."""
    device = Device(monkeypatch, entry1=EntrySeen(True, 63, EventFlag(0), True))

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(assumed.sysfs, "read_block_state", missing)
    assert assumed.compare([device.store()], device.look) == 0
    assert device.read == [0, 1]
    device.changes[1] = EntrySeen(False, 0, EventFlag(0), False)
    with pytest.raises(EnvironmentProblem, match="entry 1 holds something"):
        assumed.compare([device.store()], device.look)


def test_no_more_than_sixteen_entries_of_each_store_from_first_to_last(monkeypatch: pytest.MonkeyPatch) -> None:
    index = np.arange(0, 1000, 2)
    monkeypatch.setattr(assumed.sysfs, "read_block_state", lambda name: (index, np.zeros(len(index), np.uint32)))
    monkeypatch.setattr(assumed.sysfs, "read_store", lambda path: Store(0, path.name, 4096))
    read: list[tuple[str, int]] = []
    monkeypatch.setattr(assumed, "read_directly", lambda device, page: read.append((str(device), page)))
    stores = [Store(0, "zram0", 4096), Store(1, "zram1", 4096)]
    assert assumed.compare(stores, lambda: EntrySeen(read[-1][1] % 2 == 0, 63, EventFlag(0), True)) == 32
    first = [page for device, page in read if device == "/dev/zram0"]
    assert (len(first), first[0], first[15], first[16:]) == (18, 0, 998, [1, 3])
    assert [page for device, page in read if device == "/dev/zram1"] == first


def test_after_three_tries_the_difference_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, entry0=EntrySeen(True, 63, EventFlag.HUGE, True))
    with pytest.raises(EnvironmentProblem) as raised:
        assumed.compare([device.store()], device.look)
    assert device.read.count(0) == 3
    assert raised.value.what == (
        "the kernel has no type information for the zram module, and the layout assumed is not that of zram0: "
        f"entry 0: its flags are {EventFlag.HUGE!r}, not {EventFlag(0)!r}"
    )
    assert raised.value.remedy == "please report this with the output of: swaptrace check"


def test_other_flags_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, entry0=EntrySeen(True, 63, EventFlag.MISSED, True))
    assert assumed.compare([device.store()], device.look) == len(ENTRIES)
