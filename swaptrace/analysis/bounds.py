"""What figures are worth when events were lost: ranges in which they lie, whatever the lost events were.

How many were lost of each kind is known, in slots. Take them out of the whole stream one by one: each step changes a
figure by no more than a rule below says, so that the true figure is no farther from the one that was counted than all
steps together. Two arguments give all rules.

Counts. An event that is taken out is not counted. That may also change what the next event of the same slot counts as
(a store without the free before it is one of a slot in use), and no other event's.

States of pages. An event is about as many pages as it was counted for, and what becomes of another page does not hang
on it. So at no moment is the state of more pages than were lost another one than was seen, nor are their bytes more
than that many pages. Only the policy `discard` looks at a whole cluster of slots for each event.

There is one more way in which a lost event matters: an entry that was there when the store was read at the start, and
whose next event is a store, counts as new. A lost store may so leave an entry that counts as old, a lost drop or
notification one that counts as new; it is the same page, so that the rules for states do not change, those for counts
have it in.

What no rule is known for is not told at all: what hangs on the order of events (pools), on when each of them was
(means, durations), or on single slots (leaks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

from swaptrace.analysis.results import AreaResult, Range

__all__ = ["all_unknown", "figures", "not_understood", "with_bounds"]

Kinds = frozenset[str]

_NONE: Kinds = frozenset()
_STATE = frozenset({"STORE", "FREE", "DROP", "NOTIFY"})
_STORED = frozenset({"STORE"})
_SIZE = _STATE | {"MOVED"}
_ENTRY = _SIZE - {"FREE"}  # each of which tells the size of an entry
_ANY = _SIZE | {"ALLOC", "LOAD"}  # each of them is also a moment at which the clock goes on
_GONE = frozenset({"DROP", "NOTIFY"})
_STRUCTURE = frozenset({"SWAPON", "SWAPOFF", "RESET"})  # which slots are whose, and what is gone all at once


class _Per(IntEnum):
    """By how much a lost slot can change a figure."""

    SLOT = 0
    PAGE = 1  # its bytes
    CLUSTER = 2  # all slots of its cluster
    CLUSTER_PAGES = 3


class _Rule(NamedTuple):
    """less: kinds whose loss may have made the figure too large; more: too small."""

    less: Kinds
    more: Kinds
    per: _Per = _Per.SLOT


def _either(kinds: Kinds, per: _Per = _Per.SLOT) -> _Rule:
    return _Rule(kinds, kinds, per)


def _more(*kinds: str) -> _Rule:
    return _Rule(_NONE, frozenset(kinds))


_RULES: dict[str, _Rule] = {
    "stores": _more("STORE"),
    "loads": _more("LOAD"),
    "frees": _more("FREE"),
    "frees_unwritten": _Rule(_GONE | {"STORE", "ALLOC"}, frozenset({"FREE"})),
    "rewrites": _Rule(frozenset({"FREE"}), _GONE | {"STORE"}),
    "notify_free": _more("NOTIFY"),
    "miss_free": _more("NOTIFY"),
    "discarded": _more("DROP"),
    "written_back": _more("DROP"),
    "moved": _more("MOVED"),
    "failed_writes": _more("FAILED"),
    "left_censored": _Rule(frozenset({"STORE"}), _GONE),
    "used_slots": _Rule(frozenset({"FREE"}), frozenset({"ALLOC"})),
    "live_slots_end": _Rule(_STATE, _STORED),
    "live_compr_bytes_end": _Rule(_SIZE, _ENTRY, _Per.PAGE),
    "pages_stored": _Rule(_GONE, frozenset({"STORE"})),
    "orig_data_size": _Rule(_GONE, frozenset({"STORE"}), _Per.PAGE),
    "same_pages": _either(_ENTRY),
    "huge_pages": _either(_ENTRY),
    "bd_count": _either(_ENTRY),
    "compr_data_size": _either(_ENTRY, _Per.PAGE),
    "duplicate.slots_end": _Rule(_STATE, _STORED | {"LOAD"}),
    "duplicate.compr_bytes.end": _Rule(_SIZE, _ENTRY | {"LOAD"}, _Per.PAGE),
    "duplicate.compr_bytes.peak": _either(_SIZE | {"LOAD"}, _Per.PAGE),
}

#: Without a rule: a name stands for all that is below it, too.
_NO_RULE: dict[str, Kinds] = {
    "notified": _STATE,
    "mem_used_total": _ANY,
    "pool": _ANY,
    "what_if": _ANY,
    "recovered.pool_bytes": _ANY,
    "leaked.pool_bytes": _ANY,
    "leaks": _SIZE,
    "ramzswap": _ENTRY | {"LOAD", "FAILED"},
    "swap_header": _ENTRY,
    "lifetime_ns": _STATE | {"ALLOC"},
    "lifetime_by_reason_ns": _STATE | {"ALLOC"},
    "time_to_reuse_ns": _STATE | {"ALLOC"},
    "censored": _STATE | {"ALLOC"},
    "notification_ns": frozenset({"NOTIFY"}),
}

#: What is known of every area: the swap map tells it.
_OF_THE_SWAP_MAP = ("frees", "free_reasons", "used_slots")

_INTEGRALS = ("duplicate.compr_bytes", "recovered.compr_bytes", "leaked.compr_bytes")
_COUNTS = [name for name in _RULES if name in AreaResult.__dataclass_fields__]
_CONTENT = ("pages_stored", "orig_data_size", "same_pages", "huge_pages", "bd_count", "compr_data_size")


def _rule(figure: str) -> _Rule:
    """The rule of a figure of `figures`."""
    if figure in _RULES:
        return _RULES[figure]
    return _RULES["frees"] if figure.startswith("free_reasons.") else _stale_rule(figure)


def _stale_rule(figure: str) -> _Rule:
    """That of what is stale under a policy, recovered or leaked.

    A store makes an entry live, or one that will be stale; what drops an entry makes it less; a free makes it stale,
    and does not make it less. A peak is where an old entry counted as new may have been stale for a time.
    """
    in_bytes = "_bytes" in figure
    if figure.startswith("policies.discard."):
        return _either(_SIZE | {"ALLOC"}, _Per.CLUSTER_PAGES if in_bytes else _Per.CLUSTER)
    if figure.endswith("peak"):
        return _either(_SIZE if in_bytes else _STATE, _Per(in_bytes))
    if in_bytes:
        return _Rule(_ENTRY, _SIZE, _Per.PAGE)
    # whether a notification drops an entry makes no difference where it is dropped by a store alone
    by_stores = figure.startswith(("policies.none.", "policies.discard_once."))
    return _Rule(_STORED | {"DROP"} | (_NONE if by_stores else {"NOTIFY"}), _STORED | {"FREE"})


def _no_rules(area: AreaResult) -> dict[str, Kinds]:
    integrals = [*_INTEGRALS, *(f"policies.{name}.stale_compr_bytes" for name in area.policies)]
    means = {f"{name}.{what}": _ANY for name in integrals for what in ("mean", "byte_seconds")}
    return _NO_RULE | means | {f"policies.{name}.stale_pool_bytes": _ANY for name in area.policies}


def figures(area: AreaResult) -> dict[str, int]:
    """All figures that have a rule, as counted, by where the JSON report has them (`policies.none.stale_slots_end`)."""
    found: dict[str, int | None] = {name: getattr(area, name) for name in _COUNTS}
    found |= {name: getattr(area.model, name) for name in _CONTENT}
    found["duplicate.slots_end"] = area.duplicate_slots_end
    integrals = {"duplicate.compr_bytes": area.duplicate_compr_bytes}
    integrals |= {f"{what}.compr_bytes": getattr(area, what).get("compr_bytes") for what in ("recovered", "leaked")}
    for name, policy in area.policies.items():
        found[f"policies.{name}.stale_slots_end"] = policy.stale_slots_end
        found[f"policies.{name}.stale_slots_peak"] = policy.stale_slots_peak
        integrals[f"policies.{name}.stale_compr_bytes"] = policy.stale_compr_bytes
    for name, integral in integrals.items():
        found |= {f"{name}.end": integral.end, f"{name}.peak": integral.peak} if integral is not None else {}
    found |= {f"free_reasons.{reason}": number for reason, number in area.free_reasons.items()}
    return {name: value for name, value in found.items() if value is not None}


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
        kinds |= _ANY
    for figure, value in figures(area).items():
        if figure in unknown:
            continue
        rule = _rule(figure)
        step = steps[rule.per]
        less, more = (step * sum(lost.get(kind, 0) for kind in side) for side in (rule.less, rule.more))
        if not missed and (less or more):
            ranges[figure] = Range(max(value - less, 0), value + more)
        elif missed and not rule.less:
            ranges[figure] = Range(value, None)
        elif missed:
            unknown[figure] = "probes did not run: nobody knows for how many slots"
    for figure, hangs_on in _no_rules(area).items():
        if kinds & hangs_on and not _sure(area, figure):
            unknown[figure] = f"lost: {_said(lost, kinds & hangs_on)}" if not missed else "probes did not run"
    return replace(area, ranges=_capped(ranges, area), unknown=unknown)


def all_unknown(area: AreaResult, why: str) -> dict[str, str]:
    """Every figure that what was lost may have changed, with the reason."""
    return dict.fromkeys([*_no_rules(area), *figures(area)], why)


def not_understood(area: AreaResult) -> AreaResult:
    """An area of which it is not known what lies behind it: what was counted is not what happened in its store."""
    why = f"what lies behind this area is not known: {area.not_understood}"
    hidden = {name for name in (*_no_rules(area), *figures(area)) if name.split(".")[0] not in _OF_THE_SWAP_MAP}
    ranges = {name: found for name, found in area.ranges.items() if name not in hidden}
    return replace(area, ranges=ranges, unknown=area.unknown | dict.fromkeys(hidden, why))


def _sure(area: AreaResult, figure: str) -> bool:
    """One notification is enough to know that the store is notified."""
    return figure == "notified" and (area.notify_free > 0 or area.backing == "zswap")


def _said(lost: Mapping[str, int], kinds: Iterable[str]) -> str:
    return ", ".join(f"{lost[kind]} {kind}" for kind in sorted(kinds) if lost.get(kind))


def _capped(ranges: dict[str, Range], area: AreaResult) -> dict[str, Range]:
    """No more slots than the area has are stale; and whatever is stale under a policy is under `none` as well."""
    counted, capped = figures(area), dict(ranges)
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
