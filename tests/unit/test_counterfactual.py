"""The counterfactual's pure parts: policies of rigs, bounds, the sentences."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
import counterfactual_compare as compare
import counterfactual_page as page


def row(**changed: Any) -> dict[str, Any]:
    plain = {"name": "x", "policy": "none", "live": 1000, "predicted": 500, "measured": 500}
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


def test_the_headline_is_about_the_last_of_the_churn() -> None:
    rows = [{**model(), "name": "3 processes"}, {**model(), "name": "all gone"}, {**model(), "name": compare.AGAIN}]
    said = page.headline(results(model=rows))
    assert "after 3 processes" in said
    assert "recover 90 B of the 100 B" in said
    assert "90 %, 9 times what is live" in said
