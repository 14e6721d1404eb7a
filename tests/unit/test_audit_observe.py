"""audit --trace, on a recording that is made up: what becomes evidence, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import START, Event, batch, free, header, store, zram_area

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.audit import observe as module
from swaptrace.audit.audit import audit
from swaptrace.audit.evidence import Observed
from swaptrace.audit.observe import observe
from swaptrace.events import EventBatch, EventFlag, EventKind
from swaptrace.running import Moment
from swaptrace.trace.header import Header, Trailer
from tests.unit.test_stack import Tree

SECOND = 1_000_000_000
ZRAM = zram_area("/dev/zram0", 0, 64, 0)
FILE = SwapArea("/mnt/swap", 1, 5, 8, backing="zram", store=1)  # on zram, but nobody knows where
DISK = SwapArea("/dev/sda2", 2, -2, 16)
HEADER = header(
    (ZRAM, FILE, DISK),
    (Store(0, "zram0", 64, counters={"pages_stored": 0}), Store(1, "zram1", 64, counters={"pages_stored": 0})),
)
# Four pages are written out; one slot is notified, one notification is missed, one entry is discarded, one is left.
EVENTS = [
    *(store(START + n, 0, n, 100 * n) for n in (1, 2, 3, 4)),
    *(free(START + 10 + n, 0, n) for n in (1, 2, 3, 4)),
    Event(START + 20, EventKind.NOTIFY, 0, 1, size=100, flags=EventFlag.DROPPED),
    Event(START + 21, EventKind.NOTIFY, 0, 2, flags=EventFlag.MISSED),
    Event(START + 30, EventKind.DROP, 0, 3),
    free(START + 40, 1, 5, run=2),
    free(START + 50, 2, 6, run=3),
]


class Recording:
    """In place of LiveSource: gives these batches, then empty ones; `at_end` come when it is finished."""

    def __init__(
        self,
        batches: Iterable[EventBatch],
        at_end: list[EventBatch],
        lost: dict[str, int] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self.header: Header = HEADER
        self.batches = iter(batches)
        self.at_end = at_end
        self.trailer = Trailer(Snapshot(START + 2 * SECOND), lost or {})
        self.meanwhile = meanwhile
        self.command: tuple[str, ...] = ()
        self.polled = 0
        self.closed = False

    def __call__(self, command: tuple[str, ...]) -> Recording:
        self.command = command
        return self

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def poll(self) -> EventBatch:
        self.polled += 1
        self.meanwhile()
        return next(self.batches, batch([]))

    def lost(self) -> int:
        return 0

    def moment(self) -> Moment:
        return Moment(START)

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        assert not self.closed
        return self.at_end, self.trailer


def traced(monkeypatch: pytest.MonkeyPatch, recording: Recording, seconds: float = 0.02) -> dict[str, Observed]:
    monkeypatch.setattr(module, "LiveSource", recording)
    found = observe(seconds)
    assert recording.command == ("swaptrace", "audit")
    assert recording.closed
    return found


def test_what_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether events come while it runs or when it ends; nothing of the store of an area whose pages are not known."""

    def third() -> None:
        if recording.polled == 3:  # not when nothing came any more
            signal.raise_signal(signal.SIGINT)

    recording = Recording([batch(EVENTS[:6])], [batch(EVENTS[6:11]), batch(EVENTS[11:])], meanwhile=third)
    nothing = dict.fromkeys(("notifications", "missed", "stored", "became_stale", "became_stale_bytes", "discarded"))
    assert traced(monkeypatch, recording, seconds=600) == {
        "/dev/zram0": Observed(2.0, 4, 2, 1, 4, 2, 600, 1, 0),
        "/mnt/swap": Observed(2.0, 2, **nothing, lost_events=0),
        "/dev/sda2": Observed(2.0, 3, **nothing, lost_events=0),
    }
    assert recording.polled == 3
    assert "tracing for 600 s; Ctrl-C ends it earlier ...\n" in capsys.readouterr().err


def test_losses_are_those_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = traced(monkeypatch, Recording([batch(EVENTS)], [], {"FREE": 3, "STORE": 4}))
    assert {area.lost_events for area in seen.values()} == {7}


def test_seconds_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording([], [])
    recording.trailer = replace(recording.trailer, end=Snapshot(START + 1_234_567_890))
    assert traced(monkeypatch, recording)["/dev/zram0"].seconds == 1.235


def test_ctrl_c_ends_the_tracing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    recording = Recording([batch(EVENTS)], [], meanwhile=lambda: signal.raise_signal(signal.SIGINT))
    seen = traced(monkeypatch, recording, seconds=600)
    assert (recording.polled, seen["/dev/zram0"].frees) == (1, 4)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_may_come_as_soon_as_it_is_said_that_it_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str, **_: Any) -> None:
        if text.startswith("tracing for"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module, "print", told, raising=False)
    recording = Recording([], [batch(EVENTS)])
    assert traced(monkeypatch, recording, seconds=600)["/dev/zram0"].frees == 4
    assert recording.polled == 0


def test_pools_are_not_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No finding asks for their pages, and nothing of the recording is to be kept waiting for them."""
    made: list[Header] = []
    analysis: Any = module.Analysis

    def noted(header: Header) -> Any:
        made.append(header)
        return analysis(header)

    recording = Recording([batch(EVENTS)], [])
    recording.header = replace(HEADER, zsmalloc={"pages_per_zspage": [1] * 255, "fullness_rule": "TENTHS"})
    monkeypatch.setattr(module, "Analysis", noted)
    seen = traced(monkeypatch, recording)
    assert seen["/dev/zram0"].frees == 4
    assert made == [replace(HEADER, zsmalloc=None)]


def test_audit_of_what_was_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each area gets what was seen of it; one that came later gets nothing."""
    tree = Tree(tmp_path)
    tree.swap_on(tree.zram(), pages=63)
    tree.swap_on(tree.disk("sda"), pages=9)
    monkeypatch.setattr(module, "LiveSource", Recording([batch(EVENTS)], []))
    result = audit(0.02, tree.machine)
    zram, disk = result.evidence.areas
    assert (zram.observed is not None and zram.observed.frees, disk.observed) == (4, None)
    assert result.evidence.seconds == 0.02
    assert audit(machine=tree.machine).evidence.seconds is None
