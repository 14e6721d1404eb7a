"""An assumed layout of zram is used only if the entries are as the kernel itself describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.areas import Store
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventFlag
from swaptrace.live import assumed
from swaptrace.live.programs import EntrySeen

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
