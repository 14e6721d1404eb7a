"""What figures are worth when events were lost: ranges in which they lie, whatever the lost events were.

How many were lost of each kind is known, in slots. By how much that can change each figure, its row in the catalogue
says; see swaptrace.results.losses for why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from swaptrace.results.catalogue import bounded_figures, lost_with, rule_of
from swaptrace.results.losses import ANY
from swaptrace.results.results import AreaResult, Range

_STRUCTURE = frozenset({"SWAPON", "SWAPOFF", "RESET"})  # which slots are whose, and what is gone all at once

#: What is known of every area: the swap map tells it.
_OF_THE_SWAP_MAP = ("frees", "free_reasons", "used_slots")


def with_bounds(
    area: AreaResult,
    lost: Mapping[str, int],
    missed: Mapping[str, int],
    *,
    page_size: int,
    cluster_slots: int,
    part: bool,
) -> AreaResult:
    """The area with its ranges, and with what is not known, if events were lost (slots, by kind).

    missed: those of `lost` whose probe did not run. How many slots each of these runs was about is not known, nor
    always the kind: what it may have raised has no upper limit then. part: only a part of the recording was counted, so
    how many of its events were lost is not known.
    """
    kinds = {kind for kind, number in lost.items() if number}
    if (part and kinds) or kinds & _STRUCTURE:
        why = "how much of this part was lost is not known" if part else f"lost: {_said(lost, kinds & _STRUCTURE)}"
        return replace(area, ranges={}, unknown=all_unknown(area, why))
    steps = (1, page_size, cluster_slots, cluster_slots * page_size)
    ranges: dict[str, Range] = {}
    unknown = dict(area.unknown)
    if missed:
        kinds |= ANY
    for figure, value in bounded_figures(area).items():
        if figure in unknown:
            continue
        rule = rule_of(figure)
        step = steps[rule.per]
        less, more = (step * sum(lost.get(kind, 0) for kind in side) for side in (rule.less, rule.more))
        if not missed and (less or more):
            ranges[figure] = Range(max(value - less, 0), value + more)
        elif missed and not rule.less:
            ranges[figure] = Range(value, None)
        elif missed:
            unknown[figure] = "probes did not run: nobody knows for how many slots"
    for figure, depends_on in lost_with(area).items():
        if kinds & depends_on and not _sure(area, figure):
            unknown[figure] = f"lost: {_said(lost, kinds & depends_on)}" if not missed else "probes did not run"
    return replace(area, ranges=_capped(ranges, area), unknown=unknown)


def all_unknown(area: AreaResult, why: str) -> dict[str, str]:
    """Every figure that what was lost may have changed, with the reason."""
    return dict.fromkeys([*lost_with(area), *bounded_figures(area)], why)


def not_understood(area: AreaResult) -> AreaResult:
    """An area of which it is not known what lies behind it: what was counted is not what happened in its store."""
    why = f"what lies behind this area is not known: {area.not_understood}"
    hidden = {name for name in (*lost_with(area), *bounded_figures(area)) if name.split(".")[0] not in _OF_THE_SWAP_MAP}
    ranges = {name: found for name, found in area.ranges.items() if name not in hidden}
    return replace(area, ranges=ranges, unknown=area.unknown | dict.fromkeys(hidden, why))


def _sure(area: AreaResult, figure: str) -> bool:
    """One notification is enough to know that the store is notified."""
    return figure == "notified" and (area.notify_free > 0 or area.backing == "zswap")


def _said(lost: Mapping[str, int], kinds: Iterable[str]) -> str:
    return ", ".join(f"{lost[kind]} {kind}" for kind in sorted(kinds) if lost.get(kind))


def _capped(ranges: dict[str, Range], area: AreaResult) -> dict[str, Range]:
    """No more slots than the area has are stale; and whatever is stale under a policy is under `none` as well."""
    counted, capped = bounded_figures(area), dict(ranges)
    for figure, found in ranges.items():
        if not figure.startswith(("policies.", "recovered.", "leaked.")) or found.high is None:
            continue
        end = "peak" if figure.endswith("peak") else "end"
        none = f"policies.none.stale_{'compr_bytes.' if 'compr_bytes' in figure else 'slots_'}{end}"
        limit = ranges[none].high if none in ranges else counted.get(none)
        limits = [found.high] if limit is None else [found.high, limit]
        limits += [area.slots] if "slots" in figure else []
        capped[figure] = Range(found.low, max(min(limits), found.low))
    return capped
