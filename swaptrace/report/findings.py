"""What a recording gives the rules to judge by."""

from __future__ import annotations

from swaptrace.areas import Snapshot, SwapArea
from swaptrace.findings.finding import Finding
from swaptrace.findings.rules import AreaFacts, CgroupFacts, Facts, find
from swaptrace.results.results import AreaResult, TraceResult

_OF_A_GROUP = ("live_slots_end", "held_compr_bytes_end", "stores", "loads")  # see swaptrace.results.groups


def findings(result: TraceResult) -> list[Finding]:
    """The gravest first. None where the recording has no end, for then nobody knows how the stores are."""
    return find(facts_of(result, result.end)) if result.end is not None else []


def facts_of(result: TraceResult, end: Snapshot) -> Facts:
    """Of a whole recording: figures that are not known are left out."""
    named = {(area.device, area.swap_type): area for area in result.areas}
    areas = tuple(_area(area, named.get((area.path, area.swap_type))) for area in end.areas)
    return Facts(areas, end.stores, _moved(result.start, end), result.trace["duration_s"], _cgroups(result))


def _area(area: SwapArea, found: AreaResult | None) -> AreaFacts:
    store = found.store if found is not None else None
    facts = AreaFacts(area.path, area.priority, area.slots - 1, area.used, area.backing, store)
    if found is None or not found.exact:
        return facts
    return facts.of_a_recording(found.stores, found.refaults, found.free_reasons.get("swapin"))


def _moved(start: Snapshot | None, end: Snapshot) -> dict[str, dict[str, int]]:
    """How far the counters moved; of a store that came later, all of them."""
    before = {store.name: store.counters for store in start.stores} if start else {}
    return {
        store.name: {name: value - before.get(store.name, {}).get(name, 0) for name, value in store.counters.items()}
        for store in end.stores
    }


def _cgroups(result: TraceResult) -> tuple[CgroupFacts, ...]:
    """If it was asked whose the pages are, and nothing was lost."""
    if result.attributed is None or result.attributed.by != "cgroup" or result.lost:
        return ()
    return tuple(
        CgroupFacts(name, *(values[figure] for figure in _OF_A_GROUP))
        for name, values in result.attributed.groups().items()
        if values.keys() >= set(_OF_A_GROUP)
    )
