"""What follows from counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.degradation import SLOT_ALLOCATED
from swaptrace.engine.counters import Counts
from swaptrace.events import Mark, SwapCall
from swaptrace.policies import POLICIES
from swaptrace.results.bounds import not_understood, with_bounds
from swaptrace.results.results import AreaResult, Content, TraceResult
from swaptrace.trace.header import Header

KERNEL_COUNTS = ("notify_free", "miss_free", "failed_writes", "pages_compacted", "written_back_pages")
T = TypeVar("T")
# include/linux/swap.h; ONCE and PAGES each take away the other part of what the first asks for
_SWAP_FLAG_DISCARD, _SWAP_FLAG_DISCARD_ONCE = 0x10000, 0x20000
UNKNOWN_CONTENT = Content(None, None, None, None, None, None, None)


def allocations_told(header: Header) -> bool:
    """Whether a trace says which slots were allocated."""
    told = (probe.get("functions") for probe in header.probes if probe.get("event") == SLOT_ALLOCATED)
    return any(told)


def _slots_by_discard(header: Header) -> bool | None:
    """Whether the kernel takes other slots in an area that discards its free clusters; None if that is not known.

    Older traces do not say so themselves, but some name a function that was gone before kernels did: get_swap_pages(),
    until b487a2da3575 ("mm, swap: simplify folio swap allocation", 6.15).
    """
    if header.slots_by_discard is not None:
        return header.slots_by_discard
    allocated = (probe["functions"] for probe in header.probes if probe["event"] == SLOT_ALLOCATED)
    return False if any("get_swap_pages" in functions for functions in allocated) else None


def not_predicted(header: Header, area: SwapArea) -> dict[str, str]:
    """The policies under which this area would use other slots than were recorded, or may; and why.

    What is stale then can neither be told nor bounded: which slots are used depends on lists of clusters, one of them
    for each processor, of which a trace says nothing.
    """
    by = _slots_by_discard(header)
    if by is False or area.store is None:  # without a store, nothing is stale under any policy
        return {}
    other = (name for name, policy in POLICIES.items() if policy.discards not in (None, area.discards))
    return dict.fromkeys(other, _why_not(by, area.discards))


def made_by(call: SwapCall) -> SwapArea | None:
    """The area that a call made or ended. In older traces, only swapon's flags tell whether it may discard."""
    area = call.area
    if area is None or area.discards is not None or call.call != "swapon":
        return area
    may = call.flags & _SWAP_FLAG_DISCARD and not call.flags & _SWAP_FLAG_DISCARD_ONCE
    return area if may else replace(area, discards=False)


def _why_not(by: bool | None, discards: bool | None) -> str:
    if by is None:
        return "the trace does not tell whether its kernel takes other slots in an area that discards its free clusters"
    kernel = "this kernel takes other slots in an area that discards its free clusters than in one that does not"
    if discards is None:
        return f"{kernel}, and the trace does not tell whether this one does"
    return f"{kernel}, and this one {'does' if discards else 'does not'}"


def _only_predicted(area: AreaResult) -> AreaResult:
    """The area without anything of the policies that are not predicted."""
    gone = set(area.not_predicted) | ({"recovered"} if "none" in area.not_predicted else set())
    if not gone:
        return area

    def rest(named: dict[str, T]) -> dict[str, T]:
        return {name: value for name, value in named.items() if name not in gone}

    series = area.series
    return replace(
        area,
        policies=rest(area.policies),
        recovered=dict.fromkeys(area.recovered) if "recovered" in gone else area.recovered,
        series=replace(series, slots=rest(series.slots), bytes=rest(series.bytes), pool_bytes=rest(series.pool_bytes)),
    )


def is_notified(area: SwapArea, store: Store | None, notifications: int, frees: int) -> bool:
    """Whether the store is told of this area's freed slots.

    Where nothing was freed, nothing shows it: a zram device itself is notified, what lies on one is not.
    """
    itself = store is not None and area.path == f"/dev/{store.name}"
    return notifications > 0 or area.backing == "zswap" or (frees == 0 and itself)


def content_of(
    store: Store, start: Mapping[str, int], changes: Mapping[str, int], page_size: int, mem_used_total: int | None
) -> Content:
    """What a store holds: what the kernel said at the start, and every change since.

    changes: of pages, same, huge, written_back (pages) and compr (bytes).
    """
    pages = start.get("pages_stored", 0) + changes["pages"]
    # of what it held before, zswap does not tell the compressed size
    sized = "compr_data_size" in start or not start.get("pages_stored")
    return Content(
        pages_stored=pages,
        same_pages=start.get("same_pages", 0) + changes["same"],
        huge_pages=start.get("huge_pages", 0) + changes["huge"],
        orig_data_size=pages * page_size,
        compr_data_size=start.get("compr_data_size", 0) + changes["compr"] if sized else None,
        mem_used_total=mem_used_total,
        bd_count=None if store.is_zswap else start.get("bd_count", 0) + changes["written_back"],
    )


def content_told(store: Store | None) -> Content:
    """The kernel's own figures, as they stand in mm_stat."""
    counters = store.counters if store else {}
    return Content(**{name: counters.get(name) for name in Content.__dataclass_fields__})


def store_in(snapshot: Snapshot | None, store: Store | None) -> Store | None:
    """The same store in another snapshot."""
    if snapshot is None or store is None:
        return None
    return next((found for found in snapshot.stores if found.id == store.id), None)


def ramzswap(
    counts: Counts,
    same: int | None,
    sizes: NDArray[np.int64],
    page_size: int,
    moved: Callable[[str], int | None],
) -> dict[str, int | float | None]:
    """The statistics that the ramzswap driver kept (drivers/staging/ramzswap/ramzswap_drv.h), under its names.

    same: same-filled pages that the store holds now. sizes: pages stored, by compressed size (bytes). moved: how far
    the kernel's counter of that name moved while recording.
    """
    stored = int(sizes.sum())
    failed = moved("failed_writes") if counts.failed_writes is None else counts.failed_writes
    return {
        "num_reads": counts.loads,
        "num_writes": counts.stores + (failed or 0),  # which it counted before it tried
        "failed_reads": moved("failed_reads"),
        "failed_writes": failed,
        "invalid_io": moved("invalid_io"),
        "notify_free": counts.notify_free,
        "pages_zero": same,
        "good_compress_pct": 100 * int(sizes[: page_size // 2 + 1].sum()) / stored if stored else None,
        "pages_expand_pct": 100 * int(sizes[page_size]) / stored if stored else None,
    }


def trace_result(
    header: Header,
    areas: list[AreaResult],
    tasks: dict[int, str],
    lost: dict[str, int],
    missed: dict[str, int],
    *,
    part: bool = False,
    begin: int = 0,
    **trace: Any,
) -> TraceResult:
    """The whole result, without policies that are not predicted; of areas with ranges instead of figures if events
    were lost, or with what is known of them.

    lost: all that were, those of `missed` among them. part: only a part of the recording was counted, from `begin` on
    (ns since it began). trace: what else there is to say of it, by name.
    """
    stores = Counter(area.store for area in areas)
    areas = [replace(area, sharers=stores[area.store] - 1 if area.store else 0) for area in map(_only_predicted, areas)]
    if lost:
        page, cluster = header.page_size, header.cluster_slots
        areas = [with_bounds(area, lost, missed, page_size=page, cluster_slots=cluster, part=part) for area in areas]
    areas = [not_understood(area) if area.not_understood else area for area in areas]
    return TraceResult(
        about(header, lost, **trace), {**header.__dict__, "start": None}, areas, lost, tasks, missed, begin
    )


def marks_between(marks: Iterable[Mark], since: int, until: int, start: int) -> list[dict[str, Any]]:
    """The marks of a part of a recording as reports have them, by time: seconds after its start. Times in ns."""
    inside = sorted((mark for mark in marks if since <= mark.time <= until), key=lambda mark: mark.time)
    return [{"time_s": (mark.time - start) / 1e9, "text": mark.text} for mark in inside]


def about(header: Header, lost: dict[str, int], **trace: Any) -> dict[str, Any]:
    """What there is to say of a recording as a whole: what its header and its losses tell, and `trace`."""
    return {
        "format_version": header.format_version,
        "kernel": header.kernel,
        "host": header.host,
        "start_realtime": header.start_realtime / 1e9,
        "lost_events": sum(lost.values()),
        "complete": False,
        "damage": None,
        "labels": dict(header.labels),
        "marks": [],
        **trace,
    }
