"""The pools of many policies: each is what it would be alone, however many there are."""

from __future__ import annotations

import numpy as np
import pytest

from swaptrace.engine import zsmalloc
from swaptrace.engine.policies import check_widths
from swaptrace.engine.pools import OPERATION, Pools
from swaptrace.policies import POLICIES

GEOMETRY = zsmalloc.geometry(4096)
SETS = 3  # different sets of policies that operations are about
PAGES = 300


def operations(policies: int, count: int, seed: int) -> np.ndarray:
    """Entries that come and go at random, under random sets of policies; the last policy is in some of them."""
    random = np.random.default_rng(seed)
    everything = (1 << policies) - 1
    drawn = [int(random.integers(1, 1 << 32)) & everything or 1 for _ in range(SETS - 2)]
    sets = [everything, 1 << policies - 1, *drawn]
    found = np.zeros(count, OPERATION)
    found["time"] = np.arange(1, count + 1)
    found["page"] = random.integers(0, PAGES, count)
    found["size"] = random.integers(30, 4097, count) * (random.random(count) < 0.7)
    found["pools"] = random.choice(np.array(sets, np.uint32), count)
    return found


@pytest.mark.parametrize("policies", [1, 5, 6, 7, 12, 32])
def test_each_pool_is_what_it_would_be_alone(policies: int) -> None:
    pools = Pools(PAGES, policies, 0, GEOMETRY, 0)
    batches = [operations(policies, 400, seed) for seed in range(3)]
    for batch in batches:
        pools.advance(batch)
    pools.finish(2000)
    ends = []
    for policy in range(policies):
        alone = Pools(PAGES, 1, 0, GEOMETRY, 0)
        for batch in batches:
            mine = batch[batch["pools"] >> np.uint32(policy) & 1 == 1].copy()
            mine["pools"] = 1
            alone.advance(mine)
        alone.finish(2000)
        assert pools.held(policy) == alone.held(0), policy
        ends.append(pools.held(policy).end)
    assert policies == 1 or len(set(ends)) > 1  # they were told apart


def test_more_than_there_are_bits_for_is_refused() -> None:
    with pytest.raises(ValueError, match="33 policies, but operations on pools have bits for 32"):
        Pools(PAGES, 33, 0, GEOMETRY, 0)


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ((1 << 16, 10, 31), "bits of a page go up to 65535, and 65536 is needed"),
        ((2047, 257, 31), "classes of pages go up to 255, and 256 is needed"),
        ((2047, 10, 1 << 32), "pools of an operation go up to 4294967295, and 4294967296 is needed"),
    ],
)
def test_a_policy_too_many_is_an_error_when_it_is_imported(widths: tuple[int, int, int], said: str) -> None:
    with pytest.raises(ImportError, match=f"too many policies: {said}"):
        check_widths(*widths)
    check_widths(65535, 256, (1 << 32) - 1)
    assert len(POLICIES) == 5
