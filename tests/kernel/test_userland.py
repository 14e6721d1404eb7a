"""Recordings with the BCC of other releases than this machine's: the same equalities hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from tests.kernel.conftest import CHECKOUT, Part, Scenario, kernels_for, run_in_guest, table

sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import userland

#: Kernels with the BCC of their own release, or of the next one.
PAIRS = [(name, suite) for name in kernels_for(Part.USERLAND) if (suite := table.KERNELS[name].userland)]
TIMEOUT = 1200


def boot(kernel: str, suite: str) -> Scenario:
    folder = CHECKOUT / "build" / "kernel-userland" / f"{kernel}-{suite}"
    run_in_guest(kernel, folder, "tests/kernel/guest_userland.py", TIMEOUT, str(userland.fetch(suite)))
    return Scenario(folder)


def machines() -> dict[tuple[str, str], Callable[[], Scenario]]:
    return {pair: partial(boot, *pair) for pair in PAIRS}


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def recorded(request: pytest.FixtureRequest, boots: dict[tuple[str, Any], Future[Scenario]]) -> Scenario:
    return boots[__name__, request.param].result()


def test_model_equals_the_kernels_counters(recorded: Scenario) -> None:
    area, model = recorded.area, recorded.area.model
    for figure in ("orig_data_size", "compr_data_size", "same_pages", "huge_pages", "mem_used_total"):
        assert getattr(model, figure) == recorded.mm_stat(figure)
    assert area.notify_free == recorded.notify_free() > 0
    assert recorded.analysis.held("zram0").tolist() == recorded.block_state.tolist()
    assert recorded.result.lost == {}
    assert recorded.output("record.status") == "0", recorded.output("record.err")


def test_it_was_another_bcc(recorded: Scenario) -> None:
    here = subprocess.check_output([sys.executable, "-c", "import bcc; print(bcc.__version__)"], text=True)
    assert recorded.output("bcc.out").strip() not in ("", here.strip())
