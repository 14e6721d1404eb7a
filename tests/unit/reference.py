"""What a trace means, computed slowly: an independent check of swaptrace.analysis and swaptrace.engine.replay.

Dictionaries, sets, and one event at a time; after each event, everything is summed anew. Nothing here comes from the
engine's code: the definitions are those of the documentation, spelled out.

A page of a store (or of a disk, which has no store: its pages are its slots) has

- a place in the swap map: in use from the first store until the slot is freed;
- the last entry that was written to it: size, flags, and the area that wrote it;
- one answer per policy to the question whether the store still holds that entry.

It is live if it is in use and some policy holds the entry, stale under a policy that holds the entry of a free slot.

It belongs to a memory cgroup (that of its last store), and once its slot is free, to the process and the reason that
freed it; until then, to nobody.

With a geometry, each policy of a store has a pool of its own (tests.unit.pool, which has tests of its own), too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from builders import Event
from pool import Pool

from swaptrace.areas import Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.events import EventFlag, EventKind, FreeReason

POLICIES = ("none", "discard", "discard_once", "notify", "observed")
Values = dict[int, tuple[dict[str, int], dict[str, int]]]  # slots and bytes by quantity, by area's id
QUANTITIES = ("live", *POLICIES, "recovered", "leaked", "duplicate")
DIMENSIONS = ("cgroup", "process", "reason")
Group = tuple[str, int]  # a dimension, and what events have in its field; 0 is nobody
DELAYS: dict[str, int] = {}  # by policy, how long after the free of its slot an entry goes (ns); see late_policies.py


@dataclass(eq=False)
class Area:
    """One swap area, and all that is counted for it."""

    area: SwapArea
    pages: Pages
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    lifetimes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    censored: list[int] = field(default_factory=list)
    reuses: list[int] = field(default_factory=list)
    reuses_censored: list[int] = field(default_factory=list)
    notifications: list[int] = field(default_factory=list)
    slots: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    peak_slots: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    peak_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    byte_ns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    stale_slots: set[int] = field(default_factory=set)  # under the policy none
    live_slots: set[int] = field(default_factory=set)
    allocated: set[int] = field(default_factory=set)  # slots that the swap map has given out
    unread: Counter[str] = field(default_factory=Counter)  # slots freed, by reason
    group_counts: dict[Group, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    group_now: dict[Group, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # "live slots", ...
    group_byte_ns: dict[Group, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    given_out: int = 0  # slots: allocations minus frees, from the start

    def index_of(self, slot: int) -> int | None:
        """The page that a slot is; None for a slot that the area does not have."""
        extents = self.area.extents or ((0, 0, self.area.slots),)
        for first_slot, first_index, count in extents:
            if first_slot <= slot < first_slot + count:
                return first_index + slot - first_slot
        return None

    def forget(self) -> None:
        """Count from here on; what the store holds stays as it is."""
        for counted in (self.counts, self.reasons, self.sizes, self.lifetimes, self.unread):
            counted.clear()
        for counted in (self.group_counts, self.group_byte_ns):
            counted.clear()
        for durations in (self.censored, self.reuses, self.reuses_censored, self.notifications):
            durations.clear()
        self.peak_slots, self.peak_bytes = dict(self.slots), dict(self.bytes)
        self.byte_ns = dict.fromkeys(QUANTITIES, 0)


@dataclass
class Entry:
    """What was written to a page last. A size of 0 is one that nobody has told yet."""

    area: Area | None
    size: int = 0
    flags: int = 0
    whose: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DIMENSIONS, 0))


@dataclass
class Stay:
    """An entry with an object in memory, from when the store got it until it went. Times: the clock's."""

    area: Area
    size: int
    begin: int
    reads: list[int] = field(default_factory=list)
    end: int | None = None  # None: it is there still
    sized: bool = True
    turns: tuple[int, int] = (0, 0)  # the numbers of the events that began and ended it


@dataclass(eq=False)
class Pages:
    """The pages of one store, or of one disk area."""

    clock: int
    origin: int
    owner: dict[int, Area] = field(default_factory=dict)  # pages that are slots of an area that is on
    headers: set[int] = field(default_factory=set)  # pages that mkswap wrote
    in_use: set[int] = field(default_factory=set)
    loaded: set[int] = field(default_factory=set)
    entry: dict[int, Entry] = field(default_factory=dict)
    holds: dict[str, set[int]] = field(default_factory=lambda: {policy: set() for policy in POLICIES})
    phase: dict[int, tuple[str, int]] = field(default_factory=dict)  # used, used before, free; and since when
    areas: list[Area] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    before: Values = field(default_factory=dict)  # when measuring began
    history: list[tuple[int, Values]] = field(default_factory=list)  # (clock, values) after each event
    due: dict[tuple[str, int], int] = field(default_factory=dict)  # when which page's entry goes under which policy
    stays: list[Stay] = field(default_factory=list)
    stay: dict[int, Stay] = field(default_factory=dict)  # those that are there still, by page
    pools: dict[str, Pool] = field(default_factory=dict)
    pool_peak: Counter[str] = field(default_factory=Counter)
    pool_stale_peak: Counter[str] = field(default_factory=Counter)
    pool_byte_ns: Counter[str] = field(default_factory=Counter)

    def at(self, page: int) -> Entry:
        return self.entry.setdefault(page, Entry(None))

    def count(self, sign: int, size: int, flags: int) -> None:
        """mm_stat: an entry came or went."""
        self.totals["pages"] += sign
        self.totals["compr"] += sign * size
        if flags & EventFlag.WRITTEN_BACK:  # which counts nothing else: no object is in memory
            self.totals["written back"] += sign
        elif flags & EventFlag.SAME:
            self.totals["same"] += sign
        elif flags & EventFlag.HUGE:
            self.totals["huge"] += sign

    def tick(self, time: int) -> None:
        """What is due before that time goes when it is due."""
        while self.due and min(self.due.values()) < time:
            policy, page = min(self.due, key=self.due.__getitem__)
            self.wait(self.due.pop((policy, page)))
            self.take(policy, [page])
            self.sum_up()
        self.wait(time)

    def wait(self, time: int) -> None:
        """Time stamps may step back; the clock does not."""
        passed = max(time - self.clock, 0)
        for policy, pool in self.pools.items():
            self.pool_byte_ns[policy] += pool.mem_used_total * passed
        for area in self.areas:
            for quantity in QUANTITIES:
                area.byte_ns[quantity] += area.bytes[quantity] * passed
                for group, now in area.group_now.items():
                    area.group_byte_ns[group][quantity] += now[f"{quantity} bytes"] * passed
        self.clock += passed

    def put(self, policies: Collection[str], page: int, size: int) -> None:
        """The entry gets an object of that size in the pools of these policies; none if it is 0."""
        for policy in self.pools.keys() & set(policies):
            if size == 0:
                self.pools[policy].free(page)
            elif size <= self.pools[policy].geometry.page_size:  # else it is no size: only garbage says so
                self.pools[policy].malloc(page, size)
        for policy, pool in self.pools.items():
            used = pool.mem_used_total
            self.pool_peak[policy] = max(self.pool_peak[policy], used)
            stale = used - self.pools["notify"].mem_used_total
            self.pool_stale_peak[policy] = max(self.pool_stale_peak[policy], stale)

    def take(self, policy: str, pages: Iterable[int]) -> None:
        """Under that policy, the store drops what it holds of these pages, in that order."""
        for page in pages:
            if page in self.holds[policy]:
                self.put([policy], page, 0)
                self.holds[policy].discard(page)

    def tell(self, page: int) -> None:
        """The store is told that a slot is free, for the first time since it was stored."""
        self.take("notify", [page])
        for policy, delay in DELAYS.items():
            if page in self.holds[policy]:
                self.due.setdefault((policy, page), self.clock + delay)

    def replaced(self, page: int) -> None:
        """The page has another entry now."""
        for policy in DELAYS:
            self.due.pop((policy, page), None)

    def begin_stay(self, page: int, area: Area | None, size: int, sized: bool = True) -> None:
        """An entry came. Same-filled ones have no object, nor has what is on a backing device: they have no size."""
        self.end_stay(page)
        if area is not None and (size or not sized):
            self.stay[page] = Stay(area, size, self.clock, sized=sized, turns=(len(self.history), 0))
            self.stays.append(self.stay[page])

    def end_stay(self, page: int) -> None:
        if (stay := self.stay.pop(page, None)) is not None:
            stay.end, stay.turns = self.clock, (stay.turns[0], len(self.history))

    def holding(self, page: int) -> set[str]:
        return {policy for policy in POLICIES if page in self.holds[policy]}

    def quantities(self, page: int) -> set[str]:
        """What a page counts towards."""
        holding = self.holding(page)
        if page in self.in_use:
            found = {"live"} if holding else set()
            return found | ({"duplicate"} if holding and page in self.loaded else set())
        found = set(holding)
        if "none" in holding and "notify" not in holding:
            found.add("recovered")
        if "observed" in holding and "notify" not in holding:
            found.add("leaked")
        return found

    def sum_up(self) -> None:
        """All quantities of all areas, from nothing but the present state."""
        for area in self.areas:
            area.slots, area.bytes = dict.fromkeys(QUANTITIES, 0), dict.fromkeys(QUANTITIES, 0)
            area.live_slots, area.stale_slots = set(), set()
            area.group_now.clear()
        for page, entry in self.entry.items():
            if entry.area is None:
                continue
            held = {"held"} if page in self.holds["observed"] else set()
            for dimension, key in entry.whose.items():
                for what in self.quantities(page) | held:
                    entry.area.group_now[dimension, key][f"{what} slots"] += 1
                    entry.area.group_now[dimension, key][f"{what} bytes"] += entry.size
            for quantity in self.quantities(page):
                entry.area.slots[quantity] += 1
                entry.area.bytes[quantity] += entry.size
                if quantity == "live":
                    entry.area.live_slots.add(page)
                elif quantity == "none":
                    entry.area.stale_slots.add(page)
        for area in self.areas:
            for quantity in QUANTITIES:
                area.peak_slots[quantity] = max(area.peak_slots[quantity], area.slots[quantity])
                area.peak_bytes[quantity] = max(area.peak_bytes[quantity], area.bytes[quantity])
        self.history.append((self.clock, self.values()))

    def values(self) -> Values:
        return {id(area): (area.slots, area.bytes) for area in self.areas}


class Reference:
    """Feed it events in order, then finish() once."""

    def __init__(
        self,
        areas: Sequence[SwapArea],
        stores: Sequence[Store],
        start: int,
        page_size: int,
        cluster_slots: int,
        geometry: zsmalloc.Geometry | None = None,
    ) -> None:
        self.start, self.page_size, self.cluster_slots, self.geometry = start, page_size, cluster_slots, geometry
        self.areas: list[Area] = []  # in order of appearance
        self.stores: dict[int, Pages] = {store.id: self._new_pages() for store in stores}
        self._on: dict[int, Area] = {}  # by swap type
        self._generations: Counter[int] = Counter()
        for area in areas:
            self._swapon(area, area.store if area.store in self.stores else None, start)

    def measure_from(self, time: int) -> None:
        """Forget what was counted until now."""
        for pages in {id(pages): pages for pages in (*self.stores.values(), *(a.pages for a in self.areas))}.values():
            pages.tick(time)
            pages.origin = pages.clock
            pages.before = pages.values()
            pages.history.clear()
            for area in pages.areas:
                area.forget()
        self.start = time

    def finish(self, end: int) -> None:
        """The trace ends: the clocks go on to there, and what still runs is right-censored."""
        for pages in {id(pages): pages for pages in (*self.stores.values(), *(a.pages for a in self.areas))}.values():
            pages.tick(end)
        for area in self._on.values():
            self._censor(area, end)

    # -- areas come and go

    def _swapon(self, found: SwapArea, store: int | None, time: int) -> None:
        self._swapoff(found.swap_type, time)  # in case nobody saw it
        generation = self._generations[found.swap_type]
        self._generations[found.swap_type] += 1
        pages = Pages(self.start, self.start) if store is None else self._pages(store)
        area = Area(SwapArea(**{**found.__dict__, "generation": generation}), pages)
        for first_slot, first_index, count in found.extents or ((0, 0, found.slots),):
            for page in range(first_index, first_index + count):
                pages.owner[page] = area
                pages.phase.pop(page, None)
                pages.headers.discard(page)
            if first_slot == 0:
                del pages.owner[first_index]
                pages.headers.add(first_index)
        pages.tick(time)
        pages.areas.append(area)
        self.areas.append(area)
        self._on[found.swap_type] = area
        pages.take("discard_once", sorted(page for page, owner in pages.owner.items() if owner is area))
        pages.sum_up()

    def _swapoff(self, swap_type: int, time: int) -> None:
        area = self._on.pop(swap_type, None)
        if area is not None:
            self._censor(area, time)
            for page in [page for page, owner in area.pages.owner.items() if owner is area]:
                del area.pages.owner[page]

    @staticmethod
    def _censor(area: Area, time: int) -> None:
        """What still runs when the area or the trace ends is right-censored."""
        for page, (phase, since) in area.pages.phase.items():
            if area.pages.owner.get(page) is area:
                running = max(time - since, 0)
                if phase == "used":
                    area.censored.append(running)
                elif phase == "free":
                    area.reuses_censored.append(running)

    def _pages(self, number: int) -> Pages:
        if number not in self.stores:
            self.stores[number] = self._new_pages()
        return self.stores[number]

    def _new_pages(self) -> Pages:
        pages = Pages(self.start, self.start)
        if self.geometry is not None:
            pages.pools = {policy: Pool(256, self.geometry) for policy in POLICIES}
        return pages

    # -- events

    def feed(self, event: Event) -> None:
        if event.call is not None:
            call = event.call
            if call.result == 0 and call.area is not None:
                if call.call == "swapon":
                    self._swapon(call.area, call.store.id if call.store else None, event.time)
                else:
                    self._swapoff(call.area.swap_type, event.time)
            return
        if event.kind in (EventKind.ALLOC, EventKind.FREE):
            area = self._on.get(event.device)
            if area is not None:
                area.pages.tick(event.time)
                if event.kind == EventKind.FREE:
                    area.given_out -= event.run
                    self._free(area, event)
                    if event.flags & EventFlag.NOTIFIED:
                        exists = event.slot < area.area.slots
                        self._notified(
                            area.pages, area, event, timed=bool(event.flags & EventFlag.TIMED), exists=exists
                        )
                else:
                    area.given_out += event.run
                    self._allocated(area, event)
                area.pages.sum_up()
            return
        if event.kind == EventKind.DISCARD:  # what it dropped was told, entry by entry
            return
        if event.kind == EventKind.FAILED:  # nothing was stored, and what was there is there still
            owner = self._pages(event.device).owner.get(event.slot)
            if owner is not None:
                owner.counts["failed_writes"] += event.run
            return
        pages = self._pages(event.device)
        pages.tick(event.time)
        {
            EventKind.STORE: self._stored,
            EventKind.LOAD: self._loaded,
            EventKind.DROP: self._dropped,
            EventKind.NOTIFY: self._notified_alone,
            EventKind.PRESENT: self._present,
            EventKind.RESET: self._reset,
            EventKind.MOVED: self._moved,
        }[event.kind](pages, event)
        pages.sum_up()

    @staticmethod
    def _allocated(area: Area, event: Event) -> None:
        """Slots are given out. A disk's are in use from then on; a store tells of that itself."""
        slots = set(range(event.slot, min(event.slot + event.run, area.area.slots)))
        area.allocated |= slots
        for slot in slots if area.area.store is None else ():
            phase, since = area.pages.phase.get(slot, ("unknown", 0))
            if phase == "free":
                area.reuses.append(max(event.time - since, 0))
            if phase in ("unknown", "free"):
                area.pages.phase[slot] = "used", event.time

    def _free(self, area: Area, event: Event) -> None:
        """The swap map's side; under the policy notify, the store drops the entry at once."""
        pages = area.pages
        reason = FreeReason(event.reason - 1).name.lower()
        area.counts["frees"] += event.run
        area.reasons[reason] += event.run
        for slot in range(event.slot, event.slot + event.run):
            page = area.index_of(slot)
            used = page is not None and page in pages.in_use and pages.at(page).area is area
            for dimension, key in self._whose(pages, page if used else None, event).items():
                area.group_counts[dimension, key].update(["frees", f"frees_{reason}"])
                if used and dimension != "cgroup":
                    pages.at(page).whose[dimension] = key
            if page is None:
                continue
            area.unread[reason] += used and page not in pages.loaded
            if page in pages.in_use:
                pages.in_use.discard(page)
                pages.loaded.discard(page)
                pages.tell(page)
                pages.sum_up()
            if slot in area.allocated:
                area.allocated.discard(slot)
                if reason != "swapoff":  # which stops all discarding before it frees anything
                    self._discard_cluster(area, slot)
            phase, since = pages.phase.get(page, ("unknown", 0))
            if phase == "used":
                area.lifetimes[reason].append(max(event.time - since, 0))
            elif phase == "used before":
                area.counts["freed left-censored"] += 1
            else:
                area.counts["frees_unwritten"] += 1
                continue
            pages.phase[page] = "free", event.time

    @staticmethod
    def _whose(pages: Pages, page: int | None, event: Event) -> dict[str, int]:
        """Who reads a page, or frees its slot. page: None if it is not in use, and so no cgroup's."""
        cgroup = 0 if page is None else pages.at(page).whose["cgroup"]
        return {"cgroup": cgroup, "process": event.tgid, "reason": event.reason}

    def _discard_cluster(self, area: Area, slot: int) -> None:
        """Under the policy discard, all that the pages of a cluster hold goes when all its slots are free.

        The cluster with the header's slot and one that is not whole never count as free.
        """
        first = slot // self.cluster_slots * self.cluster_slots
        cluster = range(first, first + self.cluster_slots)
        if first > 0 and cluster.stop <= area.area.slots and not area.allocated & set(cluster):
            area.pages.take("discard", [page for page in map(area.index_of, cluster) if page is not None])

    def _stored(self, pages: Pages, event: Event) -> None:
        page, area, last = event.slot, pages.owner.get(event.slot), pages.at(event.slot)
        pages.loaded.discard(page)
        pages.in_use.discard(page)
        pages.replaced(page)
        if event.flags & EventFlag.GONE:
            pages.end_stay(page)
            # Written, freed and dropped before the event could tell its size. The drop, which has told it, and the
            # free came first; without the notification the entry would have stayed.
            pages.count(1, last.size, last.flags & ~EventFlag.WRITTEN_BACK)
            pages.entry[page] = Entry(area, last.size, last.flags)
            pages.entry[page].whose["cgroup"] = event.arg
            for policy in POLICIES:
                if policy in ("notify", "observed"):
                    pages.holds[policy].discard(page)
                else:
                    pages.holds[policy].add(page)
            pages.put(set(POLICIES) - {"notify", "observed"}, page, last.size)
            pages.tell(page)
        else:
            if page in pages.holds["observed"]:  # overwritten, and its drop was not seen
                pages.count(-1, last.size, last.flags & ~EventFlag.WRITTEN_BACK)
            pages.count(1, event.size, event.flags)
            pages.entry[page] = Entry(area, event.size, event.flags)
            pages.begin_stay(page, area, event.size)
            pages.entry[page].whose["cgroup"] = event.arg
            pages.put(POLICIES, page, event.size)
            for policy in POLICIES:
                pages.holds[policy].add(page)
            if area is not None:
                pages.in_use.add(page)
                self._allocate(area, page)
        if area is not None:
            for dimension, key in pages.entry[page].whose.items():
                area.group_counts[dimension, key]["stores"] += 1
        if area is None:
            return
        area.counts["stores"] += 1
        if event.flags & EventFlag.GONE:
            return
        area.sizes[min(event.size, self.page_size)] += 1
        phase, since = pages.phase.get(page, ("unknown", 0))
        if phase in ("used", "used before"):
            area.counts["rewrites"] += 1
            return
        if phase == "free":
            area.reuses.append(max(event.time - since, 0))
        pages.phase[page] = "used", event.time

    @staticmethod
    def _allocate(area: Area, page: int) -> None:
        """What was stored was allocated, seen or not."""
        area.allocated |= {slot for slot in range(area.area.slots) if area.index_of(slot) == page}

    def _loaded(self, pages: Pages, event: Event) -> None:
        for page in range(event.slot, event.slot + event.run):
            if (area := pages.owner.get(page)) is not None:
                area.counts["loads"] += 1
                used = page in pages.in_use and pages.at(page).area is area
                first = used and page not in pages.loaded
                area.counts["refaults"] += first
                for dimension, key in self._whose(pages, page if used else None, event).items():
                    area.group_counts[dimension, key].update(["loads", "refaults"] if first else ["loads"])
            if page in pages.in_use:
                pages.loaded.add(page)
            if page in pages.stay:
                pages.stay[page].reads.append(pages.clock)

    def _drop(self, pages: Pages, event: Event) -> None:
        """The driver dropped an entry, and so told its true size. Without an area, there is no policy about it.

        Nor is there if it went because its page was written or read again, or written back by zswap.
        """
        page, last = event.slot, pages.at(event.slot)
        why = event.flags & (EventFlag.ANY_POLICY | EventFlag.REPLACED | EventFlag.WRITTEN_BACK)
        if page in pages.stay and why == EventFlag.ANY_POLICY:  # zswap gives an entry up when it is read
            pages.stay[page].reads.append(pages.clock)
        pages.end_stay(page)
        # what zswap writes back was in memory until now
        not_now = EventFlag.WRITTEN_BACK if event.flags & EventFlag.ANY_POLICY else 0
        pages.count(-1, event.size, event.flags & ~not_now)
        if event.flags & EventFlag.ANY_POLICY:
            pages.put(POLICIES, page, 0)
        elif not event.flags & EventFlag.REPLACED:  # else its object stays until the store that replaces it
            pages.put(POLICIES if last.area is None else ["observed"], page, 0)
        if (last.area is None and page in pages.holds["observed"]) or event.flags & EventFlag.ANY_POLICY:
            for policy in POLICIES:
                pages.holds[policy].discard(page)
        pages.holds["observed"].discard(page)
        last.size, last.flags = event.size, event.flags

    def _dropped(self, pages: Pages, event: Event) -> None:
        if event.slot in pages.owner and not event.flags & EventFlag.REPLACED:
            pages.owner[event.slot].counts["discarded"] += 1
            if event.flags & EventFlag.ANY_POLICY and event.flags & EventFlag.WRITTEN_BACK:
                pages.owner[event.slot].counts["written_back"] += 1
        self._drop(pages, event)

    def _moved(self, pages: Pages, event: Event) -> None:
        """The entry is on the backing device now: it takes no memory, whoever holds it."""
        if event.slot in pages.owner:
            pages.owner[event.slot].counts["moved"] += 1
        pages.count(-1, event.size, event.flags)
        pages.count(1, 0, EventFlag.WRITTEN_BACK)
        pages.put(POLICIES, event.slot, 0)
        last = pages.at(event.slot)
        last.size, last.flags = 0, int(EventFlag.WRITTEN_BACK)
        pages.end_stay(event.slot)

    def _notified_alone(self, pages: Pages, event: Event) -> None:
        self._notified(pages, pages.owner.get(event.slot), event, timed=True)

    def _notified(self, pages: Pages, area: Area | None, event: Event, *, timed: bool, exists: bool = True) -> None:
        """exists: whether the area has such a slot."""
        if area is not None:
            area.counts["notify_free"] += 1
            area.counts["miss_free"] += bool(event.flags & EventFlag.MISSED)
            area.notifications += [event.arg] if timed else []
        if event.flags & EventFlag.DROPPED and exists:
            self._drop(pages, event)
            if event.slot in pages.in_use:  # told before the slot's free: so it would be under the policy notify
                pages.tell(event.slot)

    def _present(self, pages: Pages, event: Event) -> None:
        """The store held these entries when the recording began: written some time ago; 0 is a size not known."""
        for page in range(event.slot, event.slot + event.run):
            area = pages.owner.get(page)
            pages.loaded.discard(page)
            pages.in_use.discard(page)
            pages.replaced(page)
            pages.entry[page] = Entry(area, event.size, event.flags)
            told = event.size or event.flags & (EventFlag.SAME | EventFlag.WRITTEN_BACK)
            pages.begin_stay(page, area, event.size, sized=bool(told))
            pages.put(POLICIES, page, event.size)
            for policy in POLICIES:
                pages.holds[policy].add(page)
            if area is not None:
                pages.in_use.add(page)
                self._allocate(area, page)
                if page not in pages.phase:
                    pages.phase[page] = "used before", 0
                    area.counts["left_censored"] += 1

    @staticmethod
    def _reset(pages: Pages, _: Event) -> None:
        """Nothing is left. What was held was seen dropped, entry by entry."""
        for page in sorted(set().union(*pages.holds.values())):
            pages.put(POLICIES, page, 0)
        for page in list(pages.stay):
            pages.end_stay(page)
        pages.in_use.clear()
        pages.loaded.clear()
        pages.entry.clear()
        pages.due.clear()
        for policy in POLICIES:
            pages.holds[policy].clear()
