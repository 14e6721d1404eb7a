"""From the figures of a summary to results: the same plain data that the analysis of a trace gives.

What a summary cannot tell is None or empty: pools, the slot map, and the policy `discard`, which needs to know of every
slot of a cluster at once. `discard_once` drops what an area's pages hold when it is switched on. A summary is of areas
that are on from the start, so that is what `none` is; unless others came, of which the summary does not know enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.derived import (
    KERNEL_COUNTS,
    UNKNOWN_CONTENT,
    allocations_told,
    content_of,
    content_told,
    is_notified,
    not_predicted,
    ramzswap,
    store_in,
    trace_result,
)
from swaptrace.analysis.results import (
    AreaResult,
    Content,
    Integral,
    Leak,
    PolicyResult,
    Series,
    SlotMap,
    TraceResult,
)
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.engine.policies import POLICIES, Quantity, quantities
from swaptrace.events import FreeReason
from swaptrace.histogram import Histogram, Survival
from swaptrace.summary.figures import CLASSES, Count, Histograms, Peak
from swaptrace.summary.plan import places
from swaptrace.trace.header import Header, Trailer, modelled

__all__ = ["History", "result", "untold"]

_ONCE = POLICIES["discard_once"].bit
_NONE = POLICIES["none"].bit


def _members() -> NDArray[np.int64]:
    """1 where a class counts towards a quantity: int64, shape (CLASSES, quantities)."""
    # the bits of a class are those of the replay; whatever is held under `none` is held under `discard_once` as well
    masks = np.array([quantities(bits | (_ONCE if bits & _NONE else 0)) for bits in range(CLASSES)])
    return np.asarray(masks[:, None] >> np.arange(len(Quantity)) & 1, np.int64)


_MEMBERS = _members()
_PEAK_OF = {Quantity[peak.name]: peak for peak in Peak} | {Quantity.DISCARD_ONCE: Peak.NONE}


def untold(came: int) -> tuple[str, ...]:
    """The policies that a summary does not tell of. came: how many areas were switched on meanwhile."""
    return ("discard", "discard_once") if came else ("discard",)


@dataclass(frozen=True)
class History:
    """What a file of a summary holds: the last vector (see state.dtype_of), that of the last look at the pages, and the
    classes of all areas over time. time: ns, shape (rows,); slots and bytes: int64, shape (rows, areas, CLASSES).
    """

    last: NDArray[np.void]
    looked: NDArray[np.void]
    time: NDArray[np.int64]
    slots: NDArray[np.int64]
    bytes: NDArray[np.int64]


def result(
    header: Header,
    trailer: Trailer | None,
    history: History,
    leaks: Sequence[Sequence[Leak]],
    *,
    epoch: int,
    path: str = "",
) -> TraceResult:
    """A summary's results. epoch: what its moments count from (ns). leaks: by area, empty if not known."""
    header = replace(header, start=modelled(header.start, header.missing))
    last = history.last[0]
    end = int(last["time"])
    start = header.start.time
    kernel = trailer.end if trailer else None
    areas = [
        _Area(header, history, number, end, epoch).result(kernel, leaks[number] if leaks else [])
        for number in range(len(header.start.areas))
    ]
    return trace_result(
        header,
        trailer,
        areas,
        {},
        path=path,
        duration_s=(end - start) / 1e9,
        events=int(last["events"].sum()),
        summary=True,
        areas_left_out=int(last["came"]),
    )


@dataclass
class _Area:
    """One area's figures, and how they become results."""

    header: Header
    history: History
    number: int
    end: int
    epoch: int

    def __post_init__(self) -> None:
        self.area: SwapArea = self.header.start.areas[self.number]
        self.figures = self.history.last[0]["areas"][self.number]
        self.looked = self.history.looked[0]["areas"][self.number]
        store_of, sizes = places(self.header.start)
        place = store_of[self.number]
        number = list(sizes)[place]
        self.store_figures = self.history.last[0]["stores"][place]
        self.store: Store | None = next((s for s in self.header.start.stores if s.id == number), None)
        self.untold = untold(int(self.history.last[0]["came"]))
        self.now = max(self.end, int(self.store_figures["now"]))

    # -- quantities

    def slots(self, quantity: Quantity) -> int:
        return int(self.figures["slots"] @ _MEMBERS[:, quantity])

    def bytes(self, quantity: Quantity) -> int:
        return int(self.figures["bytes"] @ _MEMBERS[:, quantity])

    def integral(self, quantity: Quantity) -> Integral:
        """Bytes now times the time until now, less what each change would have added before it."""
        moment = 0
        for place in np.flatnonzero(_MEMBERS[:, quantity]):
            low, high = (int(word) for word in self.figures["moment"][:, place])
            whole = high << 64 | low
            moment += whole - (1 << 128 if high >> 63 else 0)
        held = self.bytes(quantity)
        under = held * (self.now - self.epoch) - moment
        span = self.now - self.header.start.time
        return Integral(held, self._peak("peak_bytes", quantity), under / span if span else float(held), under / 1e9)

    def _peak(self, name: str, quantity: Quantity) -> int:
        return int(self.figures[name][_PEAK_OF[quantity]])

    def policy(self, name: str) -> PolicyResult:
        quantity = POLICIES[name].stale
        peak = self._peak("peak_slots", quantity)
        return PolicyResult(self.slots(quantity), peak, self.integral(quantity), None)

    def series(self) -> Series:
        """At each second: values of all quantities, but for those that are not told."""
        slots = self.history.slots[:, self.number] @ _MEMBERS
        sizes = self.history.bytes[:, self.number] @ _MEMBERS
        told = [quantity for quantity in Quantity if quantity.name.lower() not in self.untold]
        return Series(
            self.history.time - self.header.start.time,
            {quantity.name.lower(): slots[:, quantity] for quantity in told},
            {quantity.name.lower(): sizes[:, quantity] for quantity in told},
        )

    # -- counts and durations

    def count(self, what: Count) -> int:
        return int(self.figures["counts"][what])

    def _histogram(self, which: int) -> NDArray[np.int64]:
        return np.array(self.figures["histograms"][which], np.int64)

    def by_reason(self) -> dict[str, Histogram]:
        return {
            reason.name.lower(): Histogram(
                self._histogram(Histograms.LIFETIME + reason),
                int(self.figures["life_sum"][reason]),
                int(self.figures["life_largest"][reason]),
            )
            for reason in FreeReason
        }

    def lifetime(self) -> Survival:
        """As of the last look at the pages, like the time to reuse: what has ended and what still runs fit together."""
        ended = self.looked["histograms"][Histograms.LIFETIME : Histograms.REUSE].sum(axis=0)
        largest = int(self.looked["life_largest"].max())
        left = int(self.figures["left_censored"])
        return Survival(ended, np.array(self.looked["running"][0]), largest, left)

    def time_to_reuse(self) -> Survival:
        ended = np.array(self.looked["histograms"][Histograms.REUSE])
        return Survival(ended, np.array(self.looked["running"][1]), int(self.looked["reuse_largest"]))

    def notification(self) -> Histogram:
        counts = self._histogram(Histograms.NOTIFICATION)
        return Histogram(counts, int(self.figures["notify_sum"]), int(self.figures["notify_largest"]))

    # -- the store

    def content(self) -> Content:
        if self.store is None:
            return UNKNOWN_CONTENT
        changes = {name: int(self.store_figures[name]) for name in ("pages", "same", "huge", "compr", "written_back")}
        return content_of(self.store, self.store.counters, changes, self.header.page_size, None)

    def _moved(self, after: Store | None, name: str) -> int | None:
        """How far a counter of the kernel's moved; None where the kernel does not tell."""
        if after is None or self.store is None or name not in after.counters:
            return None
        return after.counters[name] - self.store.counters.get(name, 0)

    def _used(self, kernel: Snapshot | None) -> int | None:
        """Slots in use as the kernel has it at the end; None for an area that is off by then."""
        on = kernel.areas if kernel and not int(self.figures["ended"]) else ()
        return next((area.used for area in on if area.swap_type == self.area.swap_type), None)

    def result(self, kernel: Snapshot | None, leaks: Sequence[Leak]) -> AreaResult:
        area, after = self.area, store_in(kernel, self.store)
        notifications, frees = self.count(Count.NOTIFY_FREE), self.count(Count.FREES)
        given_out = self.count(Count.ALLOCATED) - frees
        found = not_predicted(self.header, area)
        nothing = np.zeros((0, 0), np.int32)
        return AreaResult(
            device=area.path,
            swap_type=area.swap_type,
            generation=0,
            backing=area.backing,
            not_understood=area.not_told,
            zram=self.store.name if self.store and area.backing == "zram" else None,
            store=self.store.name if self.store else None,
            table_bytes=self.store.table_bytes if self.store else None,
            slots=area.slots,
            notified=is_notified(area, self.store, notifications, frees),
            stores=self.count(Count.STORES),
            loads=self.count(Count.LOADS),
            frees=frees,
            frees_unwritten=self.count(Count.FREES_UNWRITTEN),
            rewrites=self.count(Count.REWRITES),
            notify_free=notifications,
            miss_free=self.count(Count.MISS_FREE),
            discarded=self.count(Count.DROPS),
            written_back=self.count(Count.WRITTEN_BACK),
            ramzswap=ramzswap(
                self.count(Count.LOADS),
                self.count(Count.STORES),
                notifications,
                self.content().same_pages,
                self.figures["sizes"],
                self.header.page_size,
                partial(self._moved, after),
            ),
            swap_header=dict(zip(("pages", "compr_bytes"), map(int, self.looked["swap_header"]), strict=True)),
            model=self.content(),
            kernel=content_told(after),
            kernel_counts={
                **{name: self._moved(after, name) for name in KERNEL_COUNTS},
                "used_slots": self._used(kernel),
            },
            policies={name: self.policy(name) for name in POLICIES if name not in self.untold},
            recovered={"compr_bytes": self.integral(Quantity.RECOVERED), "pool_bytes": None},
            leaked={"compr_bytes": self.integral(Quantity.LEAKED), "pool_bytes": None},
            duplicate_slots_end=self.slots(Quantity.DUPLICATE),
            duplicate_compr_bytes=self.integral(Quantity.DUPLICATE),
            pool=None,
            live_slots_end=self.slots(Quantity.LIVE),
            live_compr_bytes_end=self.bytes(Quantity.LIVE),
            lifetime=self.lifetime(),
            lifetime_by_reason=self.by_reason(),
            time_to_reuse=self.time_to_reuse(),
            free_reasons={reason.name.lower(): int(self.figures["reasons"][reason]) for reason in FreeReason},
            notification=self.notification(),
            sizes=np.array(self.figures["sizes"], np.int64),
            series=self.series(),
            slot_map=SlotMap(nothing, nothing, 1, 0),
            leaks=list(leaks),
            free_path=None,
            what_if={},
            left_censored=int(self.figures["left_censored"]),
            moved=self.count(Count.MOVED),
            used_slots=area.used + given_out if allocations_told(self.header) else None,
            discards=area.discards,
            not_predicted={name: why for name, why in found.items() if name not in self.untold},
        )
