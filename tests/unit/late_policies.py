"""Policies whose notifications come late, which no release has: their rows, and what must hold with them.

`python late_policies.py CHECK`: rows are put into the table before anybody else sees it, so that each check of
test_policies.py has a process of its own. The loops run as plain Python: compiled ones have the masks that the table
had then.
"""

# ruff: noqa: E402

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from swaptrace.policies import POLICIES, Drops, Line, Policy

LATE = {"lazy": 100, "lazier": 1_000_000}  # ns
for name, delay in LATE.items():
    POLICIES[name] = Policy(
        Drops.AFTER_FREE, False, f"{delay} ns after the free", f"{name}: notified late",
        "An entry goes some time after its slot is freed: notifications that come late.", Line("#123456", ":", 1.5),
        delay=delay,
    )  # fmt: skip

from tests.mutation.uncompiled import switch_on

switch_on()

import reference

reference.POLICIES += tuple(LATE)
reference.QUANTITIES += tuple(LATE)
reference.DELAYS.update(LATE)

import test_bounds
import test_replay
from builders import START, Event, batch, batches, free, header, store, swap_call, trailer, zram_area
from hypothesis import given, settings
from hypothesis import strategies as st
from test_replay import POOL, Trace, analyse, check, check_integral, check_map, check_series, garbage, numbers, plain

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.events import EventFlag, EventKind
from swaptrace.notifiers import SwapEvent
from swaptrace.results.merge import recording
from swaptrace.results.results import TraceResult
from swaptrace.running import Moment

STEP = 50  # ns: much is due just when something happens


def coarse(trace: Trace) -> Trace:
    """The same, with times that are multiples of STEP."""
    events = [event._replace(time=event.time - (event.time - START) % STEP) for event in trace.events]
    return replace(trace, events=events, end=trace.end - (trace.end - START) % STEP)


plausible = test_replay.plausible.map(coarse)
moments = numbers(3_000_000).map(lambda ns: START + ns - ns % STEP)
few = settings(test_replay.reproducible, max_examples=10)


def streams() -> None:
    """Every figure of every policy against the reference's, over time, with pools, on streams as a kernel's."""
    given(plausible, test_replay.cuts)(few(_every_figure))()


def nonsense() -> None:
    given(garbage.map(coarse), test_replay.cuts)(few(_every_figure))()


def _every_figure(trace: Trace, cuts: Sequence[int]) -> None:
    result = analyse(trace, cuts, POOL)
    check(result, test_replay.refer(trace), trace)
    test_replay.check_pools(result, trace)


def parts() -> None:
    """From one moment to another one."""

    @given(plausible, numbers(2_000_000), numbers(2_000_000), test_replay.cuts)
    @few
    def cut(trace: Trace, since: int, until: int, cuts: list[int]) -> None:
        test_replay.test_since_and_until.hypothesis.inner_test(trace, since, until, cuts)

    cut()


def middle() -> None:
    """Results in the middle are those until then, by the reference too, and change nothing for what comes later."""

    @given(plausible, st.lists(moments, min_size=1, max_size=4))
    @few
    def ask(trace: Trace, asked: list[int]) -> None:
        analysis = Analysis(header(trace.areas, trace.stores, zsmalloc=POOL))
        fed = 0
        for moment in sorted(asked):
            until = next((n for n, event in enumerate(trace.events) if event.time >= moment), len(trace.events))
            analysis.feed(batch(trace.events[fed:until]))
            fed = max(fed, until)
            found = analysis.results(Moment(moment))
            assert states(found) == states(analyse(replace(trace, end=moment), [], POOL, until=moment))
            so_far = replace(trace, events=trace.events[:until], end=moment)
            for area, expected in zip(found.areas, test_replay.refer(so_far).areas, strict=True):
                for policy in LATE:
                    assert area.policies[policy].stale_slots_end == expected.slots[policy]
                    check_integral(area.policies[policy].stale_compr_bytes, expected, policy)
                check_series(area, expected)
                check_map(area, expected)
        analysis.feed(batch(trace.events[fed:]))
        assert plain(analysis.finish(trailer(trace.end))) == plain(analyse(trace, [], POOL))

    ask()


def states(result: TraceResult) -> list[object]:
    """What is stale under each policy, and over time."""
    return [plain((area.policies, area.pool, area.series, area.slot_map)) for area in result.areas]


def merging() -> None:
    """What is between cuts, put together, is the whole."""

    @given(plausible, st.lists(moments, min_size=1, max_size=3))
    @few
    def merge(trace: Trace, cuts: list[int]) -> None:
        bounds = [None, *sorted(cuts), None]
        trace.end = max([trace.end, *cuts])
        pieces = [
            analyse(trace, [], POOL, **{name: value for name, value in (("since", since), ("until", until)) if value})
            for since, until in pairwise(bounds)
        ]
        whole = {(area.device, area.generation): area for area in analyse(trace, [], POOL).areas}
        first = {(area.device, area.generation) for area in pieces[0].areas}
        for area in recording(pieces).areas:
            if (key := (area.device, area.generation)) in first:
                assert plain(area.policies) == plain(whole[key].policies)

    merge()


def losses() -> None:
    """The true figures lie within bounds if events were lost: that of a slot's first free, too."""

    @given(plausible, test_bounds.seeds, test_bounds.shares)
    @few
    def bounded(trace: Trace, seed: int, share: float) -> None:
        assert test_bounds.compare(trace, seed, share)

    bounded()
    events = [*FREED, Event(START + 500, EventKind.ALLOC, 0, 3), free(START + 600, 0, 3)]
    trace = Trace([AREA], [ZRAM], events, START + 650)
    (truth,), (told,) = (
        test_bounds.report(trace),
        test_bounds.report(replace(trace, events=[events[0], *events[2:]]), {"FREE": 1}),
    )
    assert truth["policies"]["lazy"]["stale_slots_end"] == 0
    assert told["bounds"]["policies.lazy.stale_slots_end"] == [0, 2]
    test_bounds.check(truth, told)


# ------------------------------------------------------------------------------------------------------------- by hand

AREA, ZRAM = zram_area("/dev/zram0", 0, 16, 0), Store(0, "zram0", 16, allocator="zsmalloc")
LONG = 10_000  # ns: all that is lazy is over by then
FREED = [store(START + 10, 0, 3, 4096), free(START + 20, 0, 3)]


def lazy(events: Sequence[Event], end: int, policy: str = "lazy", *, told: bool = True) -> tuple[int, int, int]:
    """Slots that are stale at the end; for how many page-ns bytes and pool pages were. `lazy` is 100 ns late."""
    analysis = Analysis(header([AREA], [ZRAM], zsmalloc=POOL))
    if not told:
        (model,) = analysis._models.values()
        analysis.notifiers.unregister(model._slot_free, SwapEvent.SLOT_FREE, 0)
    for piece in batches(events, range(len(events))):
        analysis.feed(piece)
    return figures(analysis.finish(trailer(START + end)), policy)


def figures(result: TraceResult, policy: str) -> tuple[int, int, int]:
    found = result.areas[0].policies[policy]
    assert found.stale_pool_bytes is not None
    return found.stale_slots_end, found.stale_compr_bytes.byte_ns // 4096, found.stale_pool_bytes.byte_ns // 4096


def by_hand() -> None:
    assert lazy(FREED, 119) == (1, 99, 99)
    assert lazy(FREED, 120) == (1, 100, 100)  # the end, and an event, come before what is due at once with them
    assert lazy(FREED, 121) == (0, 100, 100)
    assert lazy(FREED, LONG) == (0, 100, 100)
    assert lazy(FREED, LONG, told=False)[0] == 1

    analysis = Analysis(header([AREA], [ZRAM], zsmalloc=POOL))
    analysis.feed(batch(FREED))
    told = [figures(analysis.results(Moment(START + end)), "lazy") for end in (LONG, 120, LONG)]
    assert told == [(0, 100, 100), (1, 100, 100), (0, 100, 100)]  # what goes by a moment goes in its results alone

    again = [*FREED, store(START + 70, 0, 3, 4096)]
    assert lazy(again, LONG) == (0, 50, 50)
    assert lazy([*again, free(START + 80, 0, 3)], 180) == (1, 150, 150)  # the newer free counts
    assert lazy([*again, free(START + 80, 0, 3)], 181) == (0, 150, 150)
    at_once = [*FREED, store(START + 120, 0, 3, 4096), free(START + 120, 0, 3)]
    assert lazy(at_once, 220) == (1, 200, 200)
    assert lazy([*FREED, free(START + 60, 0, 3)], 121) == (0, 100, 100)  # of a slot that is free: nothing

    others = [free(START + 30 + slot, 0, slot) for slot in (5, 7)]  # in between in the queue, and at its end
    stored = [store(START + 1, 0, slot, 4096) for slot in (5, 7)]
    queued = [*stored, *FREED, *others]
    assert lazy(queued, LONG) == (0, 300, 300)
    assert lazy([*queued, store(START + 50, 0, 5, 4096)], LONG) == (0, 215, 215)
    assert lazy([*queued, store(START + 50, 0, 7, 4096), free(START + 60, 0, 7)], LONG) == (0, 313, 313)

    every = [*(store(START + slot, 0, slot, 4096) for slot in range(1, 16)), free(START + 20, 0, 1, 15)]
    every.append(store(START + 1_000_100, 0, 1, 4096))  # all that is due happens before this one event
    assert lazy(every, 1_000_100) == (0, 1500, 1500)
    assert lazy(every, 1_000_100, "lazier") == (0, 15_000_000, 15_000_000)

    reset = Event(START + 50, EventKind.RESET, 0)
    assert lazy([*FREED, reset], LONG) == (0, 30, 30)
    written = [*FREED, reset, store(START + 60, 0, 3, 4096), free(START + 90, 0, 3)]
    assert lazy(written, 190) == (1, 130, 130)
    off = [swap_call(START + 50, "swapoff", AREA), swap_call(START + 60, "swapon", AREA, ZRAM)]
    assert lazy([*FREED, *off], LONG) == (0, 100, 100)
    gone = [free(START + 10, 0, 3), store(START + 20, 0, 3, 0, EventFlag.GONE)]
    dropped = Event(START + 15, EventKind.NOTIFY, 0, 3, size=4096, flags=EventFlag.DROPPED)
    assert lazy([gone[0], dropped, gone[1]], LONG) == (0, 100, 100)


CHECKS = (streams, nonsense, parts, middle, merging, losses, by_hand)

if __name__ == "__main__":
    {check.__name__: check for check in CHECKS}[sys.argv[1]]()
