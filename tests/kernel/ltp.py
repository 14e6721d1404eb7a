"""The Linux Test Project's tests of swapon() and swapoff(): every area that the kernel made is in the trace.

Not among the tests that are run by default, for it fetches and builds them: "make ltp".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from swaptrace.events import SwapCall
from tests.kernel.conftest import CHECKOUT, Part, Scenario, kernels_for, run_in_guest

sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import ltp

KERNELS = kernels_for(Part.LTP)
TIMEOUT = 2400


def boot(kernel: str) -> Scenario:
    folder = CHECKOUT / "build" / "ltp" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_ltp.py", TIMEOUT, str(ltp.fetch()))
    return Scenario(folder)


def machines() -> dict[str, Callable[[], Scenario]]:
    return {kernel: partial(boot, kernel) for kernel in KERNELS}


@pytest.fixture(scope="module", params=KERNELS)
def tried(request: pytest.FixtureRequest, boots: dict[tuple[str, Any], Future[Scenario]]) -> Scenario:
    return boots[__name__, request.param].result()


def found(tried: Scenario) -> dict[str, dict[str, Any]]:
    return dict(json.loads(tried.output("ltp.json")))


def succeeded(tried: Scenario, name: str) -> list[SwapCall]:
    return [call for batch in tried.batches for call in batch.calls if call.call == name and call.result == 0]


@pytest.mark.parametrize("test", ltp.TESTS)
def test_it_passes(tried: Scenario, test: str) -> None:
    """Or says that this kernel cannot do it (32); or else the other tests here are of nothing."""
    outcome = found(tried)[test]
    assert outcome["status"] in (0, 32), outcome["said"][-2000:]
    assert (outcome["status"] == 0) == ("TPASS" in outcome["said"]), outcome["said"][-2000:]


def test_every_area_is_in_the_trace(tried: Scenario) -> None:
    """With its path; "Adding 1020k swap on FILE." is what the kernel says of each."""
    told = [line.split(".  Priority", 1)[0] for outcome in found(tried).values() for line in outcome["added"]]
    assert len(told) > len(ltp.TESTS)
    ons = succeeded(tried, "swapon")
    assert len(ons) == len(told)
    assert [Path(call.path).name for call in ons] == [Path(path).name for path in told]
    assert all(call.area is not None for call in ons)
    assert len(tried.result.areas) == len(told)
    assert tried.result.lost == {}


def test_every_area_went(tried: Scenario) -> None:
    assert len(succeeded(tried, "swapoff")) == len(succeeded(tried, "swapon"))
