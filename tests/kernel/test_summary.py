"""A summary beside a recording of the same run, and beside the kernel's own counters: the same figures.

Both have probes of their own, so an event has two time stamps, some microseconds apart (and the one's probes run within
what the other one measures). So counts and bytes are compared exactly, and what is made of times within bounds.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from swaptrace.analysis.results import AreaResult, Integral, TraceResult
from swaptrace.histogram import Survival
from swaptrace.report.as_json import as_json
from swaptrace.report.command import analyse
from tests.kernel.conftest import CHECKOUT, SUMMARY_KERNELS, Guest, Scenario, run_in_guest
from tests.kernel.guest_summary import STREAMS

TIMEOUT = 2400
APART = 0.03  # seconds: how far the two time stamps of an event may be apart: hundreds of slots freed at once, emulated
EACH = 50e-6  # seconds: the same, on average over all events
BUSY = 8  # pages that processors may be working on while a peak is looked for
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def boot(kernel: str) -> Guest:
    folder = CHECKOUT / "build" / "kernel-summary" / kernel
    run_in_guest(kernel, folder, "tests/kernel/guest_summary.py", TIMEOUT)
    return Guest(kernel, folder)


def machines() -> dict[str, Callable[[], Guest]]:
    return {kernel: partial(boot, kernel) for kernel in SUMMARY_KERNELS}


@pytest.fixture(scope="module", params=SUMMARY_KERNELS)
def summarised(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[Guest]]) -> Guest:
    return boots[__name__, request.param].result()


@pytest.fixture(scope="module")
def both(summarised: Guest) -> Scenario:
    return summarised.scenario("both")


@pytest.fixture(scope="module")
def late(summarised: Guest) -> Scenario:
    return summarised.scenario("late")


@pytest.fixture(scope="module")
def recorded(both: Scenario) -> TraceResult:
    return analyse(both.folder / "trace")


@pytest.fixture(scope="module")
def summary(both: Scenario) -> TraceResult:
    return analyse(both.folder / "summary")


Pairs = list[tuple[AreaResult, AreaResult]]


@pytest.fixture(scope="module")
def pairs(recorded: TraceResult, summary: TraceResult) -> Pairs:
    """(recorded, summarised) of each area."""
    assert [area.device for area in recorded.areas] == [area.device for area in summary.areas]
    assert len(recorded.areas) == 2
    return list(zip(recorded.areas, summary.areas, strict=True))


def test_streams_are_worked_out_as_by_the_analysis(summarised: Guest) -> None:
    """By the programs as this kernel has them, to the last bit."""
    sys.path.insert(0, str(CHECKOUT / "tests" / "unit"))
    from test_replay import imitate_seed
    from test_summary import compare

    results = pickle.loads((summarised.scenario("streams").folder / "results").read_bytes())
    assert len(results) == STREAMS
    for seed, found in enumerate(results):
        compare(found, imitate_seed(seed))


def test_both_are_whole(both: Scenario, recorded: TraceResult, summary: TraceResult) -> None:
    assert (both.output("trace.status"), both.output("summary.status")) == ("0", "0")
    for result in (recorded, summary):
        assert result.trace["complete"]
        assert result.lost == {}
    assert summary.trace["areas_left_out"] == 0


EXACT = (
    "swap_type", "generation", "backing", "zram", "slots", "notified", "stores", "loads", "frees", "frees_unwritten",
    "rewrites", "notify_free", "miss_free", "discarded", "left_censored", "live_slots_end", "live_compr_bytes_end",
    "duplicate_slots_end", "swap_header", "free_reasons", "ramzswap",
)  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_counts_are_equal(pairs: Pairs, name: str) -> None:
    for full, brief in pairs:
        assert getattr(brief, name) == getattr(full, name), full.device


def test_the_run_had_something_of_everything(pairs: Pairs) -> None:
    first, second = (full for full, _ in pairs)
    for name in ("stores", "loads", "frees", "notify_free", "left_censored", "live_slots_end"):
        assert getattr(first, name) > 1000, name
    assert second.live_slots_end == 0
    assert second.free_reasons["swapoff"] > 0
    assert first.free_reasons["exit"] > 1000
    assert first.policies["none"].stale_slots_peak > 1000


def test_sizes_are_equal(pairs: Pairs) -> None:
    for full, brief in pairs:
        assert np.array_equal(full.sizes, brief.sizes)


def test_content_is_equal(pairs: Pairs, both: Scenario) -> None:
    for full, brief in pairs:
        for name in ("pages_stored", "same_pages", "huge_pages", "orig_data_size", "compr_data_size"):
            assert getattr(brief.model, name) == getattr(full.model, name), name
    brief = pairs[0][1] if pairs[0][1].zram == "zram0" else pairs[1][1]
    for name in ("orig_data_size", "compr_data_size", "same_pages", "huge_pages"):
        assert getattr(brief.model, name) == both.mm_stat(name)
    assert brief.notify_free == both.notify_free() - both.notify_free("before")


def close(brief: Integral, full: Integral, apart: float, stored: int) -> None:
    """apart: seconds that the summary lasted longer, with the same bytes held as at the end. stored: bytes in all.

    What a notification frees is stale for the microseconds between two events, in both, but not for the same ones.
    """
    assert brief.end == full.end
    assert full.peak - BUSY * 4096 <= brief.peak <= full.peak + BUSY * 4096
    expected = full.byte_seconds + full.end * apart
    assert abs(brief.byte_seconds - expected) <= APART * full.peak + 1e-3 * expected + EACH * stored


def test_policies_are_equal(pairs: Pairs, recorded: TraceResult, summary: TraceResult) -> None:
    begin = summary.trace["start_realtime"] - recorded.trace["start_realtime"]
    apart = begin + summary.trace["duration_s"] - recorded.trace["duration_s"]
    for full, brief in pairs:
        assert set(brief.policies) == set(full.policies) - {"discard"}
        stored = int((full.sizes * np.arange(len(full.sizes))).sum())
        for name, policy in brief.policies.items():
            expected = full.policies[name]
            assert policy.stale_slots_end == expected.stale_slots_end, name
            assert abs(policy.stale_slots_peak - expected.stale_slots_peak) <= BUSY, name
            close(policy.stale_compr_bytes, expected.stale_compr_bytes, apart, stored)
        close(brief.recovered["compr_bytes"], full.recovered["compr_bytes"], apart, stored)
        close(brief.leaked["compr_bytes"], full.leaked["compr_bytes"], apart, stored)
        close(brief.duplicate_compr_bytes, full.duplicate_compr_bytes, apart, stored)


def test_series_is_that_of_the_recording(pairs: Pairs, recorded: TraceResult, summary: TraceResult) -> None:
    """At each second, what is stale is between what it was a little before and after."""
    begin = (summary.trace["start_realtime"] - recorded.trace["start_realtime"]) * 1e9
    for full, brief in pairs:
        assert len(brief.series.time) > summary.trace["duration_s"] / 2 > 4  # on a busy machine, some are missed
        assert (np.diff(brief.series.time) > 0.5e9).sum() >= len(brief.series.time) - 3
        width = float(np.diff(full.series.time).max()) + APART * 1e9
        for name in ("live", "none"):
            values = full.series.slots[name]
            for time, value in zip(brief.series.time[:-1], brief.series.slots[name][:-1], strict=True):
                if time + begin > full.series.time[-1]:
                    break  # the recording is stopped first
                near = np.abs(full.series.time - (time + begin)) <= 2 * width
                least, most = values[near].min(), values[near].max()
                between = BUSY + most - least  # what it may have been between two points of the recording's series
                assert least - between <= value <= most + between, (full.device, name, time)


def compare_times(brief: Survival, full: Survival) -> None:
    assert brief.count == full.count
    assert brief.left_censored == full.left_censored
    assert int(brief.censored.sum()) == int(full.censored.sum())
    for share in QUANTILES:
        mine, theirs = brief.quantile(share), full.quantile(share)
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert abs(mine - theirs) <= APART * 1e9 + theirs / 32, share


def test_times_are_those_of_the_recording(pairs: Pairs) -> None:
    for full, brief in pairs:
        compare_times(brief.lifetime, full.lifetime)
        compare_times(brief.time_to_reuse, full.time_to_reuse)
        for reason, times in full.lifetime_by_reason.items():
            assert brief.lifetime_by_reason[reason].count == times.count, reason
            assert abs(brief.lifetime_by_reason[reason].total - times.total) <= times.count * APART * 1e9, reason
        # the handler's time holds the other recorder's probes: only how many there were is the same
        assert brief.notification.count == full.notification.count
        assert brief.notification.total > 0


# ----------------------------------------------------------------------------------- areas that come, and an early end


def test_an_area_that_comes_is_told_of(late: Scenario) -> None:
    result = analyse(late.folder / "summary")
    assert result.trace["areas_left_out"] == 1
    assert [area.zram for area in result.areas] == ["zram0"]
    assert set(result.areas[0].policies) == {"none", "notify", "observed"}
    assert "1 swap areas were switched on meanwhile" in late.output("summary.err")
    done = subprocess.run(
        [sys.executable, "-m", "swaptrace", "report", str(late.folder / "summary")], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "1 SWAP AREAS WERE SWITCHED ON" in done.stdout


def test_a_killed_recorder_leaves_what_it_had(late: Scenario) -> None:
    result = analyse(late.folder / "killed")
    assert not result.trace["complete"]
    assert result.trace["duration_s"] > 1
    (area,) = (area for area in result.areas if area.zram == "zram0")
    assert area.loads > 900
    assert len(area.series.time) >= 2


def test_json_has_the_same_fields(both: Scenario, recorded: TraceResult, summary: TraceResult) -> None:
    full, brief = as_json(recorded), as_json(summary)
    assert brief.keys() == full.keys()
    assert brief["trace"].keys() == full["trace"].keys()
    for mine, theirs in zip(brief["areas"], full["areas"], strict=True):
        assert mine.keys() == theirs.keys()
    json.dumps(brief, allow_nan=False)
