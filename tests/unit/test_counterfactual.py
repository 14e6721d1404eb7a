"""The counterfactual's pure parts: policies of rigs, bounds, slots that are taken and not written, the sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
import counterfactual_compare as compare
import counterfactual_page as page
from builders import batch, free, store

from swaptrace.events import FreeReason

EXTENTS = [(0, 2048)]


def row(**changed: Any) -> dict[str, Any]:
    plain = {"name": "x", "policy": "none", "live": 1000, "model": 500, "predicted": 500, "measured": 500}
    return {**plain, **changed}


def model(**changed: int | None) -> dict[str, Any]:
    kernel = dict.fromkeys(compare.MODELLED, 100_000)
    return {
        "name": "x",
        "model": {**kernel, **changed},
        "kernel": kernel,
        "live": 10,
        "stale": {"none": 90},
        "pool": {},
    }


def results(**changed: Any) -> dict[str, Any]:
    workload = {"lost_events": 0, "model": [model()], "rigs": {"file": [row()]}, **changed}
    return {"seconds": None, "kernels": {"6.1": {"workloads": {changed.get("workload", "churn"): workload}}}}


@pytest.mark.parametrize(
    ("rig", "checkpoint", "policy"),
    [
        ("file", "x", "none"),
        ("dm", compare.AGAIN, "none"),
        ("dm, discard", "x", "discard"),
        ("dm, discard", compare.AGAIN, "discard_once"),
        ("file, discard=pages", compare.AGAIN, "discard"),
        ("file, discard=once", "x", "discard_once"),
    ],
)
def test_policy_of_a_rig(rig: str, checkpoint: str, policy: str) -> None:
    assert compare.policy_of(rig, checkpoint) == policy


def test_error_is_a_share_of_the_stale_bytes() -> None:
    assert compare.error(row(predicted=510)) == pytest.approx(0.02)
    assert compare.error(row(model=400), "model") == pytest.approx(0.2)


def test_error_with_little_stale_is_a_share_of_all() -> None:
    assert compare.error(row(predicted=20, measured=0)) == pytest.approx(0.02)
    assert compare.error(row(live=0, predicted=0, measured=0)) == 0
    assert compare.error(row(live=0, predicted=1, measured=0)) == 1


def test_nothing_is_missed_when_all_is_equal() -> None:
    assert compare.misses(results()) == []


@pytest.mark.parametrize("policy", compare.BOUNDS)
def test_bounds_are_kept_and_missed(policy: str) -> None:
    bound = compare.BOUNDS[policy]
    kept, missed = round(10_000 * (1 + bound)), round(10_000 * (1 + bound)) + 1
    good = row(policy=policy, predicted=kept, measured=10_000)
    assert compare.misses(results(rigs={"dm": [good]})) == []
    (miss,) = compare.misses(results(rigs={"dm": [{**good, "predicted": missed}]}))
    assert "churn on dm, at 'x'" in str(miss)


def test_one_byte_too_many_is_missed_but_not_with_several_at_once() -> None:
    off = [model(compr_data_size=100_001)]
    (miss,) = compare.misses(results(model=off))
    assert miss.bound == 0
    assert compare.misses(results(model=off, workload="parallel")) == []
    assert compare.misses(results(model=[model(mem_used_total=100_101)], workload="parallel"))


def test_what_is_not_known_or_lost_is_missed() -> None:
    assert compare.misses(results(model=[model(mem_used_total=None)]))
    assert compare.misses(results(lost_events=3))


def stale(events: list[Any], hindsight: bool, extents: list[tuple[int, int]] = EXTENTS) -> int:
    return compare.discard_in_hindsight([batch(events)], [1000], extents, 512, hindsight)[0][0]


def test_a_cluster_goes_with_its_last_slot() -> None:
    stores = [store(1, 0, slot, 50) for slot in range(512, 516)]
    assert stale([*stores, free(5, 0, 512, 3)], False) == 3
    assert stale([*stores, free(5, 0, 512, 4)], False) == 0
    assert stale([*stores, free(5, 0, 512, 4)], True) == 0


def test_swapoff_and_the_first_cluster_discard_nothing() -> None:
    stores = [store(1, 0, slot, 50) for slot in (3, 600)]
    assert stale([*stores, free(5, 0, 3), free(6, 0, 600, reason=FreeReason.SWAPOFF)], False) == 2


def test_a_slot_that_is_stored_later_was_taken_with_its_batch() -> None:
    events = [*(store(1, 0, slot, 50) for slot in range(512, 516)), free(5, 0, 512, 4), store(2000, 0, 516, 50)]
    assert stale(events, False) == 0
    assert stale(events, True) == 4


def test_a_slot_that_is_never_stored_was_taken_until_it_is_freed() -> None:
    stores = [store(1, 0, slot, 50) for slot in range(512, 516)]
    assert stale([*stores, free(5, 0, 512, 4), free(2000, 0, 517)], True) == 4
    assert stale([*stores, free(5, 0, 512, 4), free(6, 0, 517)], True) == 0


def test_a_file_is_found_through_its_extents() -> None:
    extents = [(7000, 600), (100, 1448)]  # slot 600 is page 100 of the store
    events = [store(1, 0, 7000 + 599, 50), store(2, 0, 100, 50), store(3, 0, 5, 50), free(4, 0, 599)]
    assert stale(events, False, extents) == 1
    assert stale([*events, free(5, 0, 600)], False, extents) == 0


def test_the_headline_is_about_the_last_of_the_churn() -> None:
    rows = [{**model(), "name": "3 processes"}, {**model(), "name": "all gone"}, {**model(), "name": compare.AGAIN}]
    said = page.headline(results(model=rows))
    assert "after 3 processes" in said
    assert "recover 90 B of the 100 B" in said
    assert "90 %, 9 times what is live" in said
