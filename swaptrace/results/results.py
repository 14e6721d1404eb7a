"""What analysis finds out: plain data, computed in one place and rendered in many (text, JSON, charts, HTML)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Snapshot
from swaptrace.engine.counters import Counts
from swaptrace.engine.figures import Ages as Ages
from swaptrace.engine.figures import Integral as Integral
from swaptrace.engine.figures import Series, SlotMap
from swaptrace.engine.figures import WrittenBack as WrittenBack
from swaptrace.histogram import Histogram, Survival
from swaptrace.in_use import InUse
from swaptrace.trace.header import FreePath

MOST_LEAKS = 1000

#: What says by how much two policies differ: which ones.
COMPARISONS = {"recovered": ("none", "notify"), "leaked": ("observed", "notify"), "leaks": ("observed", "notify")}

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Where a figure lies if events were lost: at least `low`, at most `high`; None if nobody knows."""

    low: int
    high: int | None


@dataclass(frozen=True)
class PolicyResult:
    """What is stale under one policy. Bytes of the pool are None where the pool is not modelled."""

    stale_slots_end: int
    stale_slots_peak: int
    stale_compr_bytes: Integral
    stale_pool_bytes: Integral | None


@dataclass(frozen=True)
class Content:
    """What a store holds, under the names that zram's mm_stat gives (pages and bytes); None where nobody tells."""

    pages_stored: int | None
    same_pages: int | None
    huge_pages: int | None
    orig_data_size: int | None
    compr_data_size: int | None
    mem_used_total: int | None
    bd_count: int | None  # on the backing device


@dataclass(frozen=True)
class Leak:
    """A slot whose entry the driver should have dropped and did not. since: its free, ns since the recording began."""

    slot: int
    compr_bytes: int
    since: int
    why: str  # "missed": the notification found the entry locked; "not notified": none came


@dataclass(frozen=True)
class WhatIf:
    """What a store would take whose pool is built by other rules, or that writes back what is idle.

    Bytes of the pool are None where it is not modelled; write_back: None if nothing is written back.
    """

    mem_used_total: Integral | None
    stale_pool_bytes: dict[str, Integral]  # by policy
    write_back: WrittenBack | None = None


@dataclass(frozen=True, kw_only=True)
class AreaResult(Counts):
    """One swap area: (type, generation), what happened to its slots (counts), and what its store holds.

    If events were lost, `ranges` says where figures lie, by where the JSON report has them, and `unknown` of which not
    even that is known, and why. Whatever is in either is only what was counted.
    """

    device: str
    swap_type: int
    generation: int
    backing: str
    zram: str | None
    slots: int
    notified: bool
    ramzswap: dict[str, int | float | None]  # the driver's other statistics, under its names
    swap_header: dict[str, int]  # mkswap's own page: pages and bytes of it that the store holds
    model: Content
    kernel: Content
    kernel_counts: dict[str, int | None]  # notify_free ...: how far they moved; used_slots of /proc/swaps
    policies: dict[str, PolicyResult]
    recovered: dict[str, Integral | None]  # compr_bytes, pool_bytes: stale under none minus stale under notify
    leaked: dict[str, Integral | None]  # stale under observed minus stale under notify
    refaults: int | None = None  # pages read for the first time since they were stored; None in older files
    unread: dict[str, int] | None = None  # slots freed without that, by reason
    in_use: InUse | None = None  # None where the swap map was not read
    duplicate_slots_end: int  # live, and read back into memory as well
    duplicate_compr_bytes: Integral
    pool: Integral | None  # the whole store's pool, as observed (mem_used_total)
    live_slots_end: int
    live_compr_bytes_end: int
    lifetime: Survival
    lifetime_by_reason: dict[str, Histogram]
    time_to_reuse: Survival
    free_reasons: dict[str, int]
    notification: Histogram
    sizes: NDArray[np.int64]  # pages by exact compressed size in bytes, shape (page size + 1,)
    series: Series
    slot_map: SlotMap
    leaks: list[Leak]  # at the end, by time; no more than MOST_LEAKS of them
    free_path: FreePath | None  # for all areas together
    what_if: dict[str, WhatIf]  # by specification
    age: Ages | None = None  # None where it was not asked for, and where there is no store
    used_slots: int | None  # at the end: in use when the area was first seen, plus allocated, minus freed
    store: str | None = None  # the store's name: that of the zram device, or zswap
    algorithm: str | None = None  # by which the store compresses
    table_bytes: int | None = None  # of zram's own table, whatever is stored
    freeable_bytes: int | None = None  # of the pool, as observed, by compaction at the end
    store_pages: int | None = None  # that the store has room for: zram's disksize
    machine_bytes: int | None = None  # the machine's memory
    ranges: dict[str, Range] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    not_told: dict[str, str] = field(default_factory=dict)
    off: bool = False  # at the end
    not_understood: str = ""  # why it is not known what lies behind the area, as half a sentence; "" if it is
    shown: tuple[str, ...] = ()  # the policies that reports are to show; all if empty
    discards: bool | None = None  # clusters that become free (SWP_PAGE_DISCARD); None if the trace does not tell
    absent: dict[str, str] = field(default_factory=dict)  # figures that it does not have, and why; see absent_figures()
    sharers: int = 0  # other areas of the recording whose pages the same store held, earlier ones included
    under_way: int = 0  # slots that are in no leak, as the end is in the middle of their free
    not_predicted: dict[str, str] = field(default_factory=dict)  # policies that are not in `policies`, and why

    @property
    def shown_policies(self) -> dict[str, PolicyResult]:
        """Those of `policies` that reports are to show."""
        return {name: policy for name, policy in self.policies.items() if self.shows(name)}

    @property
    def as_shown(self) -> AreaResult:
        """The same with the policies that reports are to show, and no others: nor what compares one with another."""
        gone = {name: pair for name, pair in COMPARISONS.items() if not all(map(self.shows, pair))}

        def kept(named: dict[str, T]) -> dict[str, T]:
            parts = {name: [*name.split("."), ""] for name in named}
            return {
                name: value
                for name, value in named.items()
                if parts[name][0] not in gone and (parts[name][0] != "policies" or self.shows(parts[name][1]))
            }

        why = {name: f"it compares {' with '.join(pair)}, and --policy leaves one out" for name, pair in gone.items()}
        stale = {
            name: replace(found, stale_pool_bytes={p: v for p, v in found.stale_pool_bytes.items() if self.shows(p)})
            for name, found in self.what_if.items()
        }
        return replace(
            self,
            policies=self.shown_policies,
            not_predicted={name: reason for name, reason in self.not_predicted.items() if self.shows(name)},
            what_if=stale,
            recovered={} if "recovered" in gone else self.recovered,
            leaked={} if "leaked" in gone else self.leaked,
            leaks=[] if "leaks" in gone else self.leaks,
            ranges=kept(self.ranges),
            unknown=kept(self.unknown),
            not_told=kept(self.not_told),
            absent=kept(self.absent) | why,
        )

    def shows(self, policy: str) -> bool:
        """Whether reports are to show this policy."""
        return not self.shown or not policy or policy in self.shown

    @property
    def compares(self) -> bool:
        """Whether reports are to show what notifications make of it: `none` beside `notify`."""
        return self.shows("none") and self.shows("notify")

    @property
    def exact(self) -> bool:
        """Whether nothing was lost that any figure hangs on."""
        return not self.ranges and not self.unknown


#: Figures of a group of pages by name (see swaptrace.results.groups): whole numbers, and byte-ns for byte-seconds.
Values = dict[str, int]


def added(one: Values, other: Values) -> Values:
    """Figures of two groups together: what is known of both."""
    return {name: value + other[name] for name, value in one.items() if name in other}


def by_name(groups: Iterable[tuple[str, Values]]) -> dict[str, Values]:
    """Groups by name; those of the same name together."""
    found: dict[str, Values] = {}
    for name, values in groups:
        found[name] = added(found[name], values) if name in found else values
    return found


@dataclass(frozen=True)
class Attributed:
    """Whose the pages are. by: what they are told apart by; words: what that means. areas: figures by group, of each of
    the result's areas.
    """

    by: str
    words: str
    areas: tuple[dict[str, Values], ...]

    def groups(self) -> dict[str, Values]:
        """By group, its figures in all areas together."""
        return by_name(group for area in self.areas for group in area.items())


@dataclass(frozen=True)
class TraceResult:
    """A whole trace. `trace` is the JSON report's object of that name.

    lost: events lost, by kind; missed: those of them whose probe did not run. begin: of what was counted, ns since the
    recording began. attributed: whose the pages are, if that was asked for. start, end: areas and stores then, as the
    kernel told of them; None where that is not known: of a recording that was cut, or a part of one.
    """

    trace: dict[str, Any]
    header: dict[str, Any]
    areas: list[AreaResult]
    lost: dict[str, int]
    tasks: dict[int, str]
    missed: dict[str, int] = field(default_factory=dict)
    begin: int = 0
    attributed: Attributed | None = None
    start: Snapshot | None = None
    end: Snapshot | None = None
