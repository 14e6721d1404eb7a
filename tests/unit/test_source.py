"""The live source between two polls, with a ring that the test fills."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import START, store, trailer
from builders import batch as batch_of
from numpy.typing import NDArray

from swaptrace.areas import Snapshot
from swaptrace.events import EVENT, EventKind
from swaptrace.machine.cgroups import Cgroups
from swaptrace.running import Moment
from swaptrace.tracing import programs, source
from swaptrace.tracing.programs import Programs
from swaptrace.tracing.source import LiveSource


class Ring:
    """Has room for so many events; one comes with each look at the calls."""

    def __init__(self, room: int) -> None:
        self.room, self.held, self.made, self.lost = room, np.zeros(0, EVENT), 0, 0

    def happen(self) -> None:
        self.made += 1
        if len(self.held) == self.room:
            self.lost += 1
            return
        self.held = np.concatenate([self.held, batch_of([store(START + self.made, 0, self.made, 100)]).events])

    def pending(self) -> float:
        return len(self.held) / self.room

    def waiting(self) -> int:
        return len(self.held)

    def drain(self, most: int | None = None) -> NDArray[np.void]:
        most = len(self.held) if most is None else most
        drained, self.held = self.held[:most], self.held[most:]
        return drained


class Looked(Programs):
    """Programs of which nothing is loaded: a call is under way at the first looks, and one never returns."""

    def __init__(self, ring: Ring, under_way: int) -> None:
        self._fake_ring, self._under_way = ring, under_way

    def _skipped(self) -> dict[EventKind, int]:
        return {EventKind.LOAD: 3}

    def _running(self) -> dict[EventKind, int]:
        self._fake_ring.happen()
        self._under_way -= 1
        return {EventKind.FREE: 1 + (self._under_way >= 0), EventKind.STORE: 0}

    def lost(self) -> dict[str, int]:
        return {"STORE": self._fake_ring.lost} if self._fake_ring.lost else {}

    def free_path(self) -> None:
        return None


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are slept, which takes no time here."""
    found: list[float] = []
    monkeypatch.setattr(source.time, "sleep", found.append)
    return found


def live(ring: Ring, under_way: int = 0) -> LiveSource:
    made: Any = LiveSource.__new__(LiveSource)
    made._ring, made._programs = ring, Looked(ring, under_way)
    made._start, made._seen_until, made._tgid = Snapshot(START), START, 1
    made._ready, made._more, made._wait = [], False, 0.1
    made._calls = type("Calls", (), {"lost": {}})
    made._lost_before, made._cgroups = {}, Cgroups(lambda: None)
    made._end_snapshot = lambda: trailer(START + 1000).end
    made._in_use = lambda end: []
    return made  # type: ignore[no-any-return]


def slots(polled: Callable[[], Any], times: int) -> list[list[int]]:
    return [polled().events["slot"].tolist() for _ in range(times)]


def test_the_ring_is_drained_while_a_moment_is_looked_for(waits: list[float]) -> None:
    ring = Ring(2)
    one = live(ring, under_way=4)
    assert one.moment() == Moment(START, {}, {"FREE": 1, "LOAD": 3})
    looks = programs._LOOKS
    assert (ring.made, ring.lost) == (looks, 0)
    assert waits == [programs._BETWEEN_LOOKS] * looks
    ring.happen()
    assert slots(one.poll, looks + 1) == [[number + 1] for number in range(looks + 1)]  # in order, the ring's last
    assert len(waits) == looks + 1  # only for what is in the ring


def test_what_was_lost_before_the_start_does_not_count(waits: list[float]) -> None:
    """Programs run as soon as they are attached: what that loses is of events that are not in the recording."""
    one: Any = live(Ring(2))
    counts = {"NOTIFY": 7, "STORE": 2}
    one._programs.lost = lambda: dict(counts)
    one._lost_before = dict(counts)
    assert (one.lost(), one.moment().lost) == (0, {})
    counts |= {"STORE": 5, "FREE": 1}
    one._calls.lost = {"SWAPON": 4, "FREE": 2}
    assert one.moment().lost == {"STORE": 3, "FREE": 3, "SWAPON": 4}
    assert one.lost() == 10


def test_what_was_drained_meanwhile_is_not_forgotten_at_the_end(waits: list[float]) -> None:
    ring = Ring(2)
    one = live(ring)
    one.moment()
    batches, told = one.finish(None, "end")
    found = [slot for batch in batches for slot in batch.events["slot"].tolist()]
    assert found == [*range(1, programs._LOOKS + 1)]
    assert told.missed == {"FREE": 1, "LOAD": 3}
