"""Buckets, quantiles and the product-limit estimate, against textbook computations on the bucketed values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.engine import lifetimes
from swaptrace.histogram import BUCKETS, Histogram, Survival, bucket_bounds, bucket_of

reproducible = settings(max_examples=150, deadline=None, database=None, derandomize=True)
ANY = st.one_of(
    st.integers(0, 200),
    st.integers(0, 2**63 - 1),
    st.builds(lambda power, step: max(2**power + step, 0), st.integers(0, 62), st.integers(-2, 2)),  # the octaves' ends
)
durations = st.lists(ANY, max_size=30)
few = st.lists(st.integers(0, 600), max_size=30)  # collide often


def counts(values: Sequence[int]) -> np.ndarray:
    return np.bincount(bucket_of(np.array(values, np.int64)), minlength=BUCKETS).astype(np.int64)


def histogram(values: Sequence[int]) -> Histogram:
    return Histogram(counts(values), sum(values), max(values, default=0))


def survival(ended: Sequence[int], censored: Sequence[int]) -> Survival:
    return Survival(counts(ended), counts(censored), max(ended, default=0))


def middle(value: int) -> float:
    """What a value reads as, out of its bucket."""
    bucket = int(bucket_of(np.array([value]))[0])
    bounds = bucket_bounds()
    return float(bounds[bucket] + bounds[bucket + 1]) / 2


@given(ANY)
@reproducible
def test_a_value_lies_within_its_bucket(value: int) -> None:
    bucket = int(bucket_of(np.array([value], np.int64))[0])
    low, high = (int(bound) for bound in bucket_bounds()[bucket : bucket + 2])
    assert low <= value < high
    assert high - low == 1 or (high - low) * 64 <= low  # exact below 128, then 1/64 of the octave at most
    assert bucket == int(lifetimes._bucket(value))  # the compiled twin, which the per-event loops use


def test_bounds_leave_no_gap_and_end_with_the_largest_duration() -> None:
    bounds = bucket_bounds()
    assert len(bounds) == BUCKETS + 1
    assert bounds[0] == 0
    assert (np.diff(bounds) > 0).all()
    assert bounds[-1] == 2.0**63
    assert bucket_of(np.array([2**63 - 1])).tolist() == [BUCKETS - 1]


def test_negative_durations_count_as_none() -> None:
    assert bucket_of(np.array([-1, -(2**40), 0])).tolist() == [0, 0, 0]
    assert int(lifetimes._bucket(-5)) == 0


@given(durations.filter(bool), st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 1.0]))
@reproducible
def test_quantiles_read_the_value_of_that_rank(values: list[int], q: float) -> None:
    ranked = sorted(values)
    expected = ranked[max(math.ceil(q * len(values)), 1) - 1]
    found = histogram(values).quantile(q)
    assert found == min(middle(expected), float(max(values)))
    assert found == pytest.approx(expected, rel=1 / 64, abs=0.5)


def test_quantile_of_nothing() -> None:
    assert histogram([]).quantile(0.5) is None


@given(durations, durations)
@reproducible
def test_merged_histograms_are_the_whole(left: list[int], right: list[int]) -> None:
    merged, whole = histogram(left).merge(histogram(right)), histogram(left + right)
    assert (merged.counts == whole.counts).all()
    assert (merged.total, merged.largest, merged.count) == (whole.total, whole.largest, len(left) + len(right))


def kaplan_meier(ended: Sequence[int], censored: Sequence[int]) -> list[tuple[float, float]]:
    """As the textbooks have it: at each age at which something ended, the share that survives it.

    Whoever is censored at that very age was still at risk.
    """
    ends, censorings = [middle(value) for value in ended], [middle(value) for value in censored]
    alive, steps = 1.0, []
    for age in sorted(set(ends)):
        at_risk = sum(other >= age for other in ends + censorings)
        alive *= 1 - ends.count(age) / at_risk
        steps.append((age, alive))
    return steps


@given(few, few)
@reproducible
def test_kaplan_meier(ended: list[int], censored: list[int]) -> None:
    ages, alive = survival(ended, censored).estimate()
    expected = kaplan_meier(ended, censored)
    assert ages.tolist() == [age for age, _ in expected]
    assert alive.tolist() == pytest.approx([share for _, share in expected], abs=1e-12)


@given(few, few, st.sampled_from([0.5, 0.9, 0.99]))
@reproducible
def test_survival_quantile(ended: list[int], censored: list[int], q: float) -> None:
    reached = [age for age, alive in kaplan_meier(ended, censored) if alive <= 1 - q + 1e-12]
    expected = min(reached[0], float(max(ended))) if reached else None
    assert survival(ended, censored).quantile(q) == expected


def test_censoring_lengthens_lives() -> None:
    """Four lives; had the two running ones been left out, the median would be 10."""
    ended, running = [10, 20], [30, 30]
    assert survival(ended, []).quantile(0.5) == 10.5
    assert survival(ended, running).quantile(0.5) == 20.0  # the middle of its bucket is 20.5, the largest seen 20
    assert survival([10], running).quantile(0.5) is None  # too short a recording to tell
    assert survival([10], running).summary() == {"count": 1, "p50": None, "p90": None, "p99": None, "max": 10}
    assert survival([], running).summary() == {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}


@given(few, few, few, few)
@reproducible
def test_merged_survivals_are_the_whole(a: list[int], b: list[int], c: list[int], d: list[int]) -> None:
    merged, whole = survival(a, b).merge(survival(c, d)), survival(a + c, b + d)
    assert (merged.ended == whole.ended).all()
    assert (merged.censored == whole.censored).all()
    assert merged.largest == whole.largest
    assert (
        Survival(*([counts([])] * 2), left_censored=2)
        .merge(Survival(*([counts([])] * 2), left_censored=3))
        .left_censored
        == 5
    )
