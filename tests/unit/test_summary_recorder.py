"""The recorder of `record --summary`, from its start to its file, on a kernel that is only pretended.

The state machine is the real one, compiled for this processor (native_summary.py); tests/kernel has the real kernel.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import Event, batch, free, store, swap_call, zram_area
from native_summary import NativeSummary

from swaptrace.areas import Snapshot, Store
from swaptrace.errors import UsageProblem
from swaptrace.events import EventFlag, EventKind, FreeReason, empty
from swaptrace.live import kernel, recorder, summary
from swaptrace.live.snapshot import KernelArea
from swaptrace.report.command import analyse

AREA = zram_area("/dev/zram0", 0, 64, 0)
STORE = Store(0, "zram0", 64, counters={"pages_stored": 11, "compr_data_size": 4400})
ANOTHER = zram_area("/dev/zram1", 1, 32, 1)


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Kernel:
    """What stands for swaptrace.live.programs.Programs: events happen when the recorder does something."""

    def __init__(self, folder: Path, limits: Any) -> None:
        self.native = NativeSummary(folder, limits)
        self.native.reset()
        self.looks = 0
        self.drains = [
            [store(now(), 0, 30, 700)],  # while the entries that are there already are read
            [Event(now(), EventKind.DROP, 0, 10, size=400)],  # before the switch
            [store(now(), 0, 31, 100)],  # seen only after it
        ]

    def attach(self) -> list[dict[str, Any]]:
        return [{"event": "slot freed", "functions": ["swap_range_free"], "by": "kprobe"}]

    def ring(self) -> Kernel:
        return self

    def drain(self) -> np.ndarray:
        return batch(self.drains.pop(0)).events if self.drains else empty()

    def summary_map(self, name: str, dtype: np.dtype, length: int) -> np.ndarray:
        return self.native._array(name, dtype, length)

    def swap_areas(self) -> list[KernelArea]:
        """Looked at twice: at the start and at the end, by which time this has happened."""
        self.looks += 1
        if self.looks == 2:
            begin = now()
            self.native.feed(
                batch(
                    [
                        store(begin, 0, 40, 1000),
                        free(begin + 500, 0, 40, reason=FreeReason.EXIT),
                        Event(begin + 600, EventKind.NOTIFY, 0, 40, size=1000, flags=EventFlag.DROPPED, arg=90),
                        free(begin + 700, 0, 3),
                        swap_call(begin + 800, "swapon", ANOTHER),
                    ]
                ).events
            )
        return []

    def zswap_pools(self) -> int:
        return 0

    def lost(self) -> dict[str, int]:
        return {"LOAD": 2}

    def missed(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        assert not self.native.maps.figures["on"][0]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def programs(*_: Any, summary: Any, **__: Any) -> Kernel:
        return Kernel(tmp_path, summary)

    def present(_: Store) -> np.ndarray:
        return batch([Event(now(), EventKind.PRESENT, 0, 1, 10)]).events

    probe = type("Probe", (), {"event": "slot freed", "feature": None})()
    choice = type("Choice", (), {"probe": probe, "chosen": (1,), "off": False})()
    ground = type("Ground", (), {"arch": None, "types": None, "symbols": None, "choices": [choice]})()
    ground.missing = tuple
    for name, value in {
        "Programs": programs,
        "require": lambda _: None,
        "Ground": lambda: ground,
        "assumed_zram": lambda _: None,
        "zram_entry_size": lambda _: 24,
        "slots_by_discard": lambda _: False,
        "missing_views": list,
        "take_snapshot": lambda look, **_: (look(), Snapshot(now(), (AREA,), (STORE,)))[1],
    }.items():
        for module in (kernel, recorder, summary):
            monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setattr(summary.sysfs, "present_entries", present)
    monkeypatch.setattr(summary.sysfs, "read_stores", lambda: (STORE,))
    monkeypatch.setattr(summary.sysfs, "read_swaps", list)
    return tmp_path / "summary.file"


def test_from_start_to_report(pretended: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = time.monotonic()
    status = summary.record_summary(pretended, ("sh", "-c", "sleep 2.3; exit 3"), duration=None, force=False)
    wall = time.monotonic() - before
    assert status == 3
    assert "1 swap areas were switched on meanwhile" in capsys.readouterr().err
    result = analyse(pretended)
    assert (result.trace["complete"], result.trace["areas_left_out"]) == (True, 1)
    assert result.lost == {"LOAD": 2}
    assert 2.3 <= result.trace["duration_s"] <= wall
    (area,) = result.areas
    # 1 to 10 were there; 30 and 31 came, and 10 went, while the start was read; 3 was freed after it
    assert area.left_censored == 9 + 2
    assert (area.live_slots_end, area.live_compr_bytes_end) == (10, 800)
    none, observed = area.policies["none"], area.policies["observed"]
    assert (none.stale_slots_end, none.stale_compr_bytes.end) == (2, 1000)
    assert observed.stale_slots_end == 1
    assert [leak.slot for leak in area.leaks] == [3]
    assert (area.stores, area.frees, area.notify_free, area.lifetime.count) == (1, 2, 1, 1)
    assert area.free_reasons["exit"] == 1
    assert len(area.series.time) == 3


def test_it_does_not_overwrite(pretended: Path) -> None:
    pretended.write_text("precious")
    with pytest.raises(UsageProblem, match="exists already"):
        summary.record_summary(pretended, ("true",), duration=None, force=False)
    assert pretended.read_text() == "precious"
