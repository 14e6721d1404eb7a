"""Whose swap it is: groups against an independent replay, and their sums against the totals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from builders import START
from hypothesis import given, settings
from reference import DIMENSIONS as OF_REFERENCE
from reference import Area
from test_replay import Trace, analyse, cuts, garbage, imitate_seed, plausible, refer, reproducible

from swaptrace.dimensions import DIMENSIONS
from swaptrace.events import EventKind, FreeReason
from swaptrace.results.groups import POOL, charged
from swaptrace.results.results import Values
from tests.sums import check_sums

#: A group's quantities: by what the reference calls them.
QUANTITIES = {"live": "live", "duplicate": "duplicate", "stale": "none", "recovered": "recovered"}
COUNTS = ("stores", "loads", "refaults", "frees", *(f"frees_{reason.name.lower()}" for reason in FreeReason))


def peopled(trace: Trace) -> Trace:
    """The same, with several cgroups and processes in it."""
    events = [
        event._replace(arg=number * 7 % 4 if event.kind == EventKind.STORE else event.arg, tgid=100 + number * 5 % 3)
        if event.kind in (EventKind.STORE, EventKind.LOAD, EventKind.FREE)
        else event._replace(tgid=99)
        for number, event in enumerate(trace.events)
    ]
    return replace(trace, events=events)


def name_of(dimension: str, key: int) -> str:
    if not key:
        return DIMENSIONS[dimension].nobody
    if dimension == "reason":
        return FreeReason(key - 1).name.lower()
    return f"cgroup {key}" if dimension == "cgroup" else f"? ({key})"


def expected(area: Area, dimension: str) -> dict[str, Values]:
    """What the reference has of each group that it knows something of."""
    groups = {*area.group_counts, *area.group_now, *area.group_byte_ns}
    found: dict[str, Counter[str]] = {}
    for of, key in groups:
        if of != dimension:
            continue
        counts, now, over_time = (
            each.get((of, key), Counter()) for each in (area.group_counts, area.group_now, area.group_byte_ns)
        )
        values = Counter({name: counts[name] for name in COUNTS})
        for name, what in QUANTITIES.items():
            values[f"{name}_slots_end"] = now[f"{what} slots"]
            values[f"{name}_compr_bytes_end"] = now[f"{what} bytes"]
            values[f"{name}_compr_byte_seconds"] = over_time[what]
        values["held_slots_end"], values["held_compr_bytes_end"] = now["held slots"], now["held bytes"]
        # what a reason has is its frees: a page is read, and stored, by nobody for no reason
        if dimension == "reason" and key:
            nobody = found.setdefault(name_of(of, 0), Counter())
            for name in ("loads", "refaults"):
                nobody[name] += values.pop(name)
        found.setdefault(name_of(of, key), Counter()).update(values)
    return {name: +values for name, values in found.items() if any(values.values())}


def check(trace: Trace, where: list[int]) -> Counter[str]:
    """Every group of every area and dimension; how many groups there were, by dimension."""
    trace, seen = peopled(trace), Counter[str]()
    reference = refer(trace)
    for dimension in OF_REFERENCE:
        result = analyse(trace, where, by=DIMENSIONS[dimension])
        assert result.attributed is not None
        for area, groups in zip(reference.areas, result.attributed.areas, strict=True):
            told = {name: +Counter({k: v for k, v in values.items() if k != POOL}) for name, values in groups.items()}
            assert told == expected(area, dimension)
            seen[dimension] = max(seen[dimension], len(told))
    return seen


@given(plausible, cuts)
@settings(reproducible, max_examples=80)
def test_plausible_streams(trace: Trace, cuts: list[int]) -> None:
    check(trace, cuts)


@given(garbage, cuts)
@settings(reproducible, max_examples=80)
def test_garbage(trace: Trace, cuts: list[int]) -> None:
    check(trace, cuts)


def test_streams_have_several_groups() -> None:
    seen = check(max((imitate_seed(seed) for seed in range(30)), key=lambda trace: len(trace.events)), [])
    assert all(seen[dimension] >= 3 for dimension in OF_REFERENCE)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@given(trace=plausible | garbage, cuts=cuts)
@settings(reproducible, max_examples=60)
def test_sums_are_the_totals(dimension: str, trace: Trace, cuts: list[int]) -> None:
    check_sums(analyse(peopled(trace), cuts, by=DIMENSIONS[dimension]))


@pytest.mark.parametrize("dimension", DIMENSIONS)
@given(trace=plausible, cuts=cuts)
@settings(reproducible, max_examples=30)
def test_sums_of_a_part(dimension: str, trace: Trace, cuts: list[int]) -> None:
    """Between --since and --until, too: what is held then is carried over, and what happened before is not."""
    how = {"since": START + 300_000, "until": START + 1_100_000}
    check_sums(analyse(peopled(trace), cuts, by=DIMENSIONS[dimension], **how))


def test_nothing_else_depends_on_it() -> None:
    trace = peopled(imitate_seed(7))
    plain = analyse(trace, [])
    for dimension in DIMENSIONS.values():
        other = analyse(trace, [], by=dimension)
        assert [area.policies for area in other.areas] == [area.policies for area in plain.areas]
        assert [area.stores for area in other.areas] == [area.stores for area in plain.areas]


def test_a_pool_is_charged_whole() -> None:
    assert charged(100, [1, 1, 1], 3) == [33, 33, 34]
    assert charged(100, [1, 1], 4) == [25, 25]  # the rest is nobody's
    assert charged(4096, [], 0) == []
    assert charged(4096, [0, 0], 0) == [0, 0]
    assert sum(charged(12345678901, [7, 11, 13, 17], 48)) == 12345678901
