"""stress-ng's memory stressors: the model equals the kernel's counters, to the byte, the pool included.

One virtual machine per kernel, of one processor, makes one recording of all of them. There, too, an object is allocated
before its store is told; but nobody else allocates in between (see guest_stress.unpreempted), so that the pool needs no
bound, as it does in test_areas.py for the last rig, where two processors swap at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import pytest

from swaptrace.events import EventKind
from tests.kernel.conftest import CHECKOUT, Part, kernels_for, run_in_guest
from tests.kernel.guest_stress import LIMIT_BYTES, RIGS, STRESSORS
from tests.kernel.test_areas import PAGE, Areas, EveryCheck, of_kind, slots_of
from tests.kernel.told import notifications

STRESS_KERNELS = kernels_for(Part.STRESS)
TIMEOUT = 1800  # seconds


def boot(kernel: str) -> Areas:
    """Boot once and make one recording of all stressors."""
    folder = CHECKOUT / "build" / "stress" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_stress.py", TIMEOUT, machine=("--cpus", "1"))
    return Areas(folder)


def machines() -> dict[str, Callable[[], Areas]]:
    return {kernel: partial(boot, kernel) for kernel in STRESS_KERNELS}


@pytest.fixture(scope="module", params=STRESS_KERNELS)
def stressed(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Areas]]) -> Areas:
    return boots[__name__, request.param].result()


@pytest.fixture
def areas(stressed: Areas) -> Areas:
    return stressed


@pytest.mark.parametrize("rig", RIGS)
class TestEveryStressor(EveryCheck):
    def test_every_freed_slot_is_notified(self, areas: Areas, rig: str) -> None:
        for moment in areas.of(rig):
            freed = slots_of(of_kind(moment, EventKind.FREE))
            assert sorted(freed) == sorted(notifications(moment.events)["slot"].tolist()), moment.step


@pytest.mark.parametrize("rig", STRESSORS)
def test_it_swapped(areas: Areas, rig: str) -> None:
    """Its cgroup was full, pages went out (those of zeros to no store), and what was in swap was freed later."""
    frozen, gone = areas.at(rig, "frozen"), areas.at(rig, "gone")
    assert frozen.facts["events"]["max"] > 0
    given_out = sum(len(slots_of(of_kind(moment, EventKind.ALLOC))) for moment in (frozen, gone))
    assert given_out > LIMIT_BYTES // PAGE // 4
    freed = len(slots_of(of_kind(gone, EventKind.FREE)))
    assert freed >= (frozen.facts["swapped"] - gone.facts["swapped"]) // PAGE > 0


def test_nothing_was_lost(areas: Areas) -> None:
    assert areas.result.trace["complete"]
    assert areas.result.lost == {}
