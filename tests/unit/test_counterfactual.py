"""The counterfactual's pure parts: policies of rigs, bounds, the sentences."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
import counterfactual
import counterfactual_compare as compare
import counterfactual_page as page


def row(**changed: Any) -> dict[str, Any]:
    plain = {"name": "x", "policy": "none", "live": 1000, "predicted": 500, "measured": 500, "recorded_on": "zram"}
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
    kernel = {"slots_by_discard": changed.get("by", False), "workloads": {changed.get("workload", "churn"): workload}}
    return {"seconds": None, "kernels": {"6.1": kernel}}


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


@pytest.mark.parametrize("workload", ["churn", "parallel"])
@pytest.mark.parametrize("name", compare.MODELLED)
def test_one_too_many_is_missed(workload: str, name: str) -> None:
    (miss,) = compare.misses(results(model=[model(**{name: 100_001})], workload=workload))
    assert miss.bound == 0


@pytest.mark.parametrize(
    ("by", "rig", "policy", "recorded_on", "missed"),
    [
        (True, "dm, discard", "discard", "zram", False),  # a plain run tells nothing of it
        (True, "dm, discard", "discard_once", "dm, discard", False),  # nor does its own run of other policies
        (True, "dm, discard", "discard", "dm, discard", True),  # but of this one it does
        (True, "dm", "none", "zram", True),
        (True, "file, discard=once", "discard_once", "zram", True),
        (False, "dm, discard", "discard", "zram", True),
    ],
)
def test_only_what_cannot_be_told_may_be_missing(
    by: bool, rig: str, policy: str, recorded_on: str, missed: bool
) -> None:
    untold = row(policy=policy, predicted=None, recorded_on=recorded_on)
    assert bool(compare.misses(results(by=by, rigs={rig: [untold]}))) == missed


def test_the_page_shows_what_is_measured_where_nothing_is_predicted() -> None:
    told, untold = row(policy="discard"), row(policy="discard", predicted=None, measured=2_518_059)
    found = results(by=True, rigs={"file": [row()], "dm, discard": [told, untold]}, model=[model(), model()])
    table = page._prediction_table(found)
    assert "| 6.1 | churn | dm, discard | zram | discard | 2.4 MiB | 0 (1 not predicted) |" in table
    found["kernels"]["6.1"]["workloads"]["churn"]["rigs"] = {"dm, discard": [untold]}
    assert "| 6.1 | churn | dm, discard | zram | discard | 2.4 MiB | not predicted |" in page._prediction_table(found)
    found["kernels"]["6.1"]["workloads"]["churn"]["model"] = [{**model(), "stale": {}}]
    assert "2,518,059 (not predicted)" in page._details(found)
    assert "On Linux 6.1, an area that discards its free clusters takes other slots" in page._by_discard(found)
    assert page._by_discard(results()) == ""


def test_what_is_not_known_or_lost_is_missed() -> None:
    assert compare.misses(results(model=[model(mem_used_total=None)]))
    assert compare.misses(results(lost_events=3))


def test_the_headline_is_about_the_last_of_the_churn() -> None:
    rows = [{**model(), "name": "3 processes"}, {**model(), "name": "all gone"}, {**model(), "name": compare.AGAIN}]
    said = page.headline(results(model=rows))
    assert "after 3 processes" in said
    assert "recover 90 B of the 100 B" in said
    assert "90 %, 9 times what is live" in said


def test_what_was_not_run_again_keeps_its_results() -> None:
    """Other kernels' always; other workloads' if only some were asked for, and in the table's order."""
    first, second, third = list(compare.WORKLOADS)[:3]
    before = {
        "6.1": {"release": "6.1.1", "workloads": {first: "old", third: "old"}},
        "7.3": {"release": "7.3.1", "workloads": {first: "old"}},
    }
    found = {"6.1": {"release": "6.1.2", "workloads": {second: "new"}}}
    some = counterfactual.merged(before, found, some=True)
    assert some == {
        "6.1": {"release": "6.1.2", "workloads": {first: "old", second: "new", third: "old"}},
        "7.3": before["7.3"],
    }
    assert list(some["6.1"]["workloads"]) == [first, second, third]
    assert counterfactual.merged(before, found, some=False) == {"6.1": found["6.1"], "7.3": before["7.3"]}
