"""From event batches to results: the subscriber that keeps one lifetime table and one store model per store.

Data flows one way: feed() takes batches in order, whatever their source; finish() gives the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.analysis.attribution import Attribution
from swaptrace.analysis.doubts import Doubts, doubtful, doubts_of
from swaptrace.analysis.underway import Completion, under_way
from swaptrace.areas import Snapshot, Store, SwapArea, store_name, title_of
from swaptrace.degradation import BLIND, STORED, why_not_modelled
from swaptrace.dimensions import Dimension
from swaptrace.engine import mapping, zsmalloc
from swaptrace.engine.counters import Total
from swaptrace.engine.groups import NOBODYS
from swaptrace.engine.lazy import check_memory
from swaptrace.engine.lifetimes import Lifetimes
from swaptrace.engine.lives import LIFE, Lives
from swaptrace.engine.policies import DUPLICATE, LEAKED, LIVE, RECOVERED, STALE
from swaptrace.engine.records import EventRecords
from swaptrace.engine.replay import Replay
from swaptrace.engine.survey import TYPES, Survey, Surveyor, partition, routes
from swaptrace.engine.worker import Worker
from swaptrace.events import EventBatch, Mark, empty
from swaptrace.in_use import InUse, in_use, split_off
from swaptrace.notifiers import Notification, SwapEvent, SwapEventNotifiers
from swaptrace.policies import POLICIES
from swaptrace.results.absent import absent_figures, why_no_pool, why_no_store
from swaptrace.results.catalogue import unknown_figures
from swaptrace.results.derived import (
    KERNEL_COUNTS,
    UNKNOWN_CONTENT,
    allocations_told,
    content_of,
    content_told,
    is_notified,
    made_by,
    marks_between,
    not_predicted,
    ramzswap,
    store_in,
    trace_result,
)
from swaptrace.results.groups import groups_of_area, with_pool
from swaptrace.results.results import (
    MOST_LEAKS,
    AreaResult,
    Attributed,
    Content,
    Integral,
    Leak,
    PolicyResult,
    TraceResult,
    WhatIf,
)
from swaptrace.running import Moment, Sink
from swaptrace.trace.header import FreePath, Header, Trailer, both, modelled

_POOL = {name: number for number, name in enumerate(POLICIES)}


class _StoreModel:
    """One store (or one disk area, which has none): its map of pages, its slots' lifetimes, and what it holds.

    Registers for the slot frees of its areas at swapon and unregisters at swapoff, as the ramzswap driver did: the
    policy `notify` drops an entry only if the free was delivered here.
    """

    def __init__(
        self,
        store: Store | None,
        pages: int,
        machine: Machine,
        now: int,
        notifiers: SwapEventNotifiers,
        worker: Worker,
        attribution: Attribution | None,
        lives: bool,
        ages: bool,
    ) -> None:
        self.store = store
        self._size = pages
        self.areas: list[SwapArea] = []
        self.map = mapping.empty_map(store.id if store else -1, 0, machine.page_size)
        self._places = mapping.Places(self.map)
        self.lifetimes = Lifetimes(0, machine.page_size)
        self.lives = Lives() if lives else None
        geometry = _pool_geometry(store, machine)
        self._attribution = attribution
        groups = attribution.groups() if attribution is not None else None
        self.replay = Replay(
            pages,
            now,
            geometry,
            machine.cluster_slots,
            worker,
            groups,
            ages,
            None if store is None else machine.write_back,
        )
        self._notifiers = notifiers
        self._told = np.zeros(TYPES, np.bool_)  # by swap type, where the slot frees of a batch are delivered
        self.swap_types: dict[int, int] = {}  # the areas that are on: their numbers, by swap type
        self._slots_seen: dict[int, int] = {}  # by swap type: room has been made for the slots below that

    def swapon(self, area: SwapArea, now: int) -> None:
        number = len(self.areas)
        self.swap_types[area.swap_type], self._slots_seen[area.swap_type] = number, 0
        self.map = mapping.add_area(self.map, area, number)
        self.areas.append(area)
        self.lifetimes.add_area(self.map)
        if self.lives is not None:
            self.lives.add_area(area.slots)
        self.replay.add_area(area.slots, self.map, now)
        self._places = mapping.Places(self.map)
        self._notifiers.register(self._slot_free, SwapEvent.SLOT_FREE, area.swap_type)

    def swapoff(self, area: SwapArea, now: int) -> None:
        self._notifiers.unregister(self._slot_free, SwapEvent.SLOT_FREE, area.swap_type)
        del self.swap_types[area.swap_type]
        self.lifetimes.end_area(self.areas.index(area), self.map, now)
        self.map = mapping.remove_area(self.map, area)
        self._places = mapping.Places(self.map)

    def expect(self, found: Survey) -> None:
        """Prepare for the notifications of a batch, and for the pages that it is about."""
        self._told[:] = False
        pages = found.ends.get(self.store.id, 0) if self.store is not None else 0
        for swap_type, area in self.swap_types.items():
            end = int(found.slot_ends[swap_type])
            if end > self._slots_seen[swap_type]:
                self._slots_seen[swap_type] = end
                # a notification is of the page whose number the slot has
                pages = max(pages, mapping.end_of(self.map, area, end), min(end, self.areas[area].slots))
        self._grow(pages)

    def _grow(self, pages: int) -> None:
        """Make room for that many pages: for those that something happens to, not for all that a store may have."""
        before = len(self.map.owner)
        if pages > before:
            check_memory(pages, LIFE.itemsize if self.lives is not None else 0)
            self.map = mapping.grow_map(self.map, max(pages, min(2 * before, self._size)))
            self._places = mapping.Places(self.map)
            self.lifetimes.grow(len(self.map.owner))
            if self.lives is not None:
                self.lives.grow(len(self.map.owner))
            self.replay.grow(len(self.map.owner))

    def _slot_free(self, notification: Notification) -> None:
        self._told[notification.area.swap_type] = True

    def advance(self, events: EventRecords, slots: int) -> None:
        """Take in those events of a batch that are about this store. slots: in all the batch's runs together."""
        if self._attribution is not None:
            self.replay.groups.expect(*self._attribution.numbers(events.array), self.swap_types.values())
        self.lifetimes.advance(events, self._places)
        if self.lives is not None:
            self.lives.advance(events, self._places, slots)
        self.replay.advance(events, self._told, self._places, slots)

    def copy(self) -> _StoreModel:
        """The same, as far as it is results: see Lifetimes.copy() and Replay.copy()."""
        model = copy(self)
        model.lifetimes, model.replay = self.lifetimes.copy(), self.replay.copy()
        return model


@dataclass(frozen=True)
class Lived:
    """Lives of one store's slots. areas: those that rows have the numbers of. store: its name; None for a disk.

    rows: of swaptrace.engine.lives.LIFE.
    """

    areas: list[SwapArea]
    store: str | None
    rows: NDArray[np.void]


@dataclass(frozen=True)
class Machine:
    """What the store model needs to know of a kernel. geometry: None where its pool is not known.

    write_back: of a machine that writes back entries that are idle for so long, ns.
    """

    page_size: int
    geometry: zsmalloc.Geometry | None
    cluster_slots: int
    write_back: int | None = None


def machine_of(header: Header) -> Machine:
    """The machine that a trace was recorded on."""
    return Machine(header.page_size, _geometry(header), header.cluster_slots)


def _pool_geometry(store: Store | None, machine: Machine) -> zsmalloc.Geometry | None:
    """The geometry of a store's pool; None where there is none, or where it cannot be followed from here on.

    That is so with an allocator that is not modelled, with a store larger than any pool here, and with what
    zswap held already: unlike zram, it does not tell which pages those are.
    """
    if store is None or store.allocator != "zsmalloc":
        return None
    if store.pages > zsmalloc.MOST_SLOTS:
        return None
    return None if store.is_zswap and store.counters.get("pages_stored") else machine.geometry


def _geometry(header: Header) -> zsmalloc.Geometry | None:
    """The geometry that gives the size classes which the kernel had; None if it is not known, or none does."""
    if header.zsmalloc is None:
        return None
    pages = header.zsmalloc["pages_per_zspage"]
    fullness = zsmalloc.FullnessRule[header.zsmalloc["fullness_rule"]]
    for rule in zsmalloc.ChainRule:
        # a chain that is longer than any class has makes no difference
        geometry = zsmalloc.geometry(header.page_size, max(*pages, 4), rule, fullness)
        known = geometry.arrays.classes["pages_per_zspage"].tolist()
        if known == pages[: len(known)]:
            return geometry
    return None


class Analysis(Sink):
    """Everything that a report needs, from a stream of batches. Memory is bounded by slots, not by events.

    since and until: CLOCK_MONOTONIC, ns; events before `since` change states, but are not counted. A slot's free is cut
    in two by neither: its notifications belong to the part in which it began. machine: another one than that of the
    trace, for a what-if. threads: 2 follows the pools in a thread of its own, for the same result. by: what to tell
    pages apart by, if whose they are is wanted. lives: whether each slot's lives are wanted, one by one: lives().
    ages: whether to follow how long entries are idle.
    """

    def __init__(
        self,
        header: Header,
        *,
        since: int | None = None,
        until: int | None = None,
        machine: Machine | None = None,
        threads: int = 1,
        by: Dimension | None = None,
        lives: bool = False,
        ages: bool = False,
    ) -> None:
        self._lives = lives
        self._attribution = Attribution(by) if by is not None else None
        self._ages = ages
        self._blind = bool(BLIND & set(header.missing))
        self.header = header = replace(header, start=modelled(header.start, header.missing))
        self._machine = machine or machine_of(header)
        self._worker = Worker(threads > 1)
        self.notifiers = SwapEventNotifiers()
        self.notifiers.register(self._swapon, SwapEvent.SWAPON)
        self.notifiers.register(self._swapoff, SwapEvent.SWAPOFF)
        self._models: dict[tuple[str, int, int], _StoreModel] = {}
        self._not_modelled: dict[tuple[int, int], str] = {}  # why, by (swap type, generation)
        self._table: NDArray[np.int32] | None = None  # see _routes()
        self._surveyor = Surveyor()
        self._moment: Analysis = self
        self._where: list[tuple[_StoreModel, int]] = []  # (model, number of the area in it), in order of appearance
        self._events, self._last = 0, header.start.time  # over all batches: how many, and when the last one was
        self._tasks: dict[int, str] = {}
        self._cgroups: dict[int, str] = {}  # paths of memory cgroups, by inode number
        self._marks: list[Mark] = []
        self._since, self._until = since, until
        self._part = since is not None or until is not None
        self._free_path: FreePath | None = None
        self._after_until: Completion | None = None  # an event after `until` was seen
        self._after_since: Completion | None = None  # an event after `since` was seen, and frees are under way
        self._swap_map = empty()  # IN_USE events
        self._held: list[EventBatch] = []  # what came after `since`, until these frees are over
        self._start = header.start.time
        self._stores = {store.id: store for store in header.start.stores}
        for area in header.start.areas:
            store = self._stores.get(area.store) if area.store is not None else None
            self.notifiers.swapon(area, store, header.start.time)
        for store in self._stores.values():  # those without a swap area yet: mkswap may write to them before swapon
            if not store.features:
                self._model_of(store)

    # -- the notifiers of swapon and swapoff

    def _swapon(self, told: Notification) -> None:
        area = told.area
        if why := why_not_modelled(told.store):
            self._not_modelled[area.swap_type, area.generation] = why
        if told.store is not None and not self._blind and not why:
            model = self._model_of(told.store)
        else:
            key = ("area", area.swap_type, area.generation)
            model = self._new_model(None, area.slots)
            self._models[key] = model
        self._where.append((model, len(model.areas)))
        model.swapon(area, told.time)
        self._table = None

    def _swapoff(self, told: Notification) -> None:
        for model in self._models.values():
            if told.area in model.areas:
                model.swapoff(told.area, told.time)
        self._table = None

    def _new_model(self, store: Store | None, pages: int) -> _StoreModel:
        self._table = None
        return _StoreModel(
            store,
            pages,
            self._machine,
            self._start,
            self.notifiers,
            self._worker,
            self._attribution,
            self._lives,
            self._ages,
        )

    def _model_of(self, store: Store) -> _StoreModel:
        key = ("store", store.id, 0)
        if key not in self._models:
            self._models[key] = self._new_model(store, store.pages)
            fronted = [model for model in self._models.values() if model.store is not None and model.store.is_zswap]
            if len(fronted) > 1:  # zswap keeps the pages of all swap areas in one pool
                for model in fronted:
                    model.replay.forget_pools()
        model = self._models[key]
        if model.store is not None and not model.store.pages:  # met by an event, which tells no more than its number
            model.store = store
        return model

    # -- events

    def feed(self, batch: EventBatch) -> None:
        """Take in the next batch."""
        self._tasks |= batch.tasks
        self._cgroups |= batch.cgroups
        self._marks += batch.marks
        if self._until is None:
            self._feed_since(batch)
            return
        if self._after_until is None:
            early = _before(batch, self._until)
            self._feed_since(early)
            if len(early) == len(batch):
                return
            self._count_from_since()
            batch, self._after_until = _after(batch, len(early)), Completion(self._until, self._under_way())
        if not self._after_until.over:
            self._feed(self._after_until.split(batch)[0])

    def _feed_since(self, batch: EventBatch) -> None:
        """Take in the next batch, whose events are counted from `since` on."""
        if self._since is not None and self._after_since is None and (batch.events["time"] >= self._since).any():
            early = _before(batch, self._since)
            self._feed(early)
            batch, self._after_since = _after(batch, len(early)), Completion(self._since, self._under_way())
        if self._after_since is None:
            self._feed(batch)
            return
        before, batch = self._after_since.split(batch)
        self._feed(before)
        self._held.append(batch)
        self._last = max(self._last, int(batch.events["time"].max(initial=0)))
        if self._after_since.over:
            self._count_from_since()

    def _count_from_since(self) -> None:
        """All that began before `since` is over, or as good as over."""
        if self._after_since is None:
            return
        assert self._since is not None
        self._measure_from(self._since)
        held, self._held, self._after_since = self._held, [], None
        for batch in held:
            self._feed(batch)

    def _under_way(self) -> dict[int, NDArray[np.int64]]:
        """By store: the entries of slots whose free is under way now."""
        found: dict[int, list[NDArray[np.int64]]] = {}
        for model, number in self._where:
            if model.store is not None:
                index, _, missed = model.replay.leaks(number)
                waits = self._may_be_under_way(model, number, index, missed)
                found.setdefault(model.store.id, []).append(index[waits])
        return {store: np.concatenate(index) for store, index in found.items()}

    def _may_be_under_way(
        self, model: _StoreModel, number: int, index: NDArray[np.int64], missed: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Of leaked entries: whether their slots' free may not be over. bool, one each."""
        area, notified = model.areas[number], model.lifetimes.counts(number).notify_free > 0
        told = notified or is_notified(area, model.store, 0, 0)  # else the kernel tells this store of nothing
        if not told or number not in model.swap_types.values() or missed.all():
            return np.zeros(len(index), np.bool_)
        cluster, free = self.header.cluster_slots, model.lifetimes.free(number, model.map)
        latest = np.zeros(area.slots // cluster + 1, np.int64)
        np.maximum.at(latest, mapping.slots_at(model.map, number, free) // cluster, model.lifetimes.free_since(free))
        of_leaks = latest[mapping.slots_at(model.map, number, index) // cluster]
        return under_way(model.lifetimes.free_since(index), of_leaks, missed, notified=notified)

    def _measure_from(self, time: int) -> None:
        for model in self._models.values():
            model.lifetimes.reset_statistics()
            model.replay.reset_statistics(time)
            if model.lives is not None:
                model.lives.taken()  # of what was over before
        self._events = 0
        self._start, self._since = time, None

    def _feed(self, batch: EventBatch) -> None:
        batch, said = split_off(batch)
        if len(said):
            self._swap_map = np.concatenate([self._swap_map, said])
        if not len(batch):
            return
        events = EventRecords(batch.events)
        whole = self._surveyor.survey(events)
        self._meet_stores(whole)
        for piece, call in batch.split():
            if batch.calls:
                events = EventRecords(piece.events)
            self._take_in(piece, events, self._surveyor.survey(events) if batch.calls else whole)
            area = made_by(call) if call is not None else None
            if call is not None and call.result == 0 and area is not None:
                time = int(piece.events["time"][-1])
                if call.call == "swapon":
                    self.notifiers.swapon(area, call.store, time)
                else:
                    self.notifiers.swapoff(area.swap_type, time)
        self._events += len(batch)
        self._last = max(self._last, whole.last)

    def _take_in(self, batch: EventBatch, events: EventRecords, found: Survey) -> None:
        """Each event goes to the store that it is about: a store has no work with others' events."""
        models = list(self._models.values())
        parts = partition(events, self._routes(models), len(models))
        busy = [(model, part) for model, part in zip(models, parts, strict=True) if len(part)]
        for model, _ in busy:
            model.expect(found)
        self.notifiers.slot_frees(batch)
        for model, part in busy:
            model.advance(part, found.slots)

    def _routes(self, models: list[_StoreModel]) -> NDArray[np.int32]:
        """Which of the models an event is about, see routes(). Swapon, swapoff and new models change it."""
        if self._table is None:
            stores = {model.store.id: part for part, model in enumerate(models) if model.store is not None}
            types = {swap_type: part for part, model in enumerate(models) for swap_type in model.swap_types}
            self._table = routes(stores, types)
        return self._table

    def _meet_stores(self, found: Survey) -> None:
        """Stores that were set up while recording: a model as soon as something happens to them."""
        if self._blind:
            return
        for number in found.ends:
            known = self._stores.get(number)
            if ("store", number, 0) not in self._models and not (known and known.features):
                self._model_of(Store(number, store_name(number), 0))

    # -- results

    def lives(self) -> Iterator[Lived]:
        """The lives that are over, their entries included, since this was last asked for; none of before `since`.

        They take memory until then: ask after each feed().
        """
        for model in self._models.values():
            if model.lives is not None and len(rows := model.lives.taken()) and self._since is None:
                yield self._lived(model, rows)

    def unfinished_lives(self) -> Iterator[Lived]:
        """The others, at the end."""
        for model in self._models.values():
            for rows in model.lives.unfinished() if model.lives is not None else ():
                yield self._lived(model, rows)

    @staticmethod
    def _lived(model: _StoreModel, rows: NDArray[np.void]) -> Lived:
        return Lived(model.areas, model.store.name if model.store is not None else None, rows)

    @property
    def names(self) -> tuple[dict[int, str], dict[int, str]]:
        """What has been told until now: command names by process id, paths of memory cgroups by inode number."""
        return self._tasks, self._cgroups

    def areas(self) -> list[SwapArea]:
        """All swap areas seen so far, in order of appearance."""
        return [model.areas[number] for model, number in self._where]

    def held(self, store: str) -> NDArray[np.int64]:
        """The indexes of the entries that a store (by its name) holds now, as observed: int64, increasing."""
        for model in self._models.values():
            if model.store is not None and model.store.name == store:
                return model.replay.held()
        return np.zeros(0, np.int64)

    def content(self, store: str) -> Content | None:
        """What a store (by its name) holds now, with or without a swap area on it; None if it was never seen."""
        found = (model for model in self._models.values() if model.store is not None and model.store.name == store)
        return next((self._content(model) for model in found), None)

    def what_if(self) -> list[WhatIf | None]:
        """What this machine makes of each area, in the order of the result's areas; at the moment of the last finish().

        None where it makes no difference that is known.
        """
        found: list[WhatIf | None] = []
        for model, number in self._moment._where:
            pools, written_back = model.replay.pools, model.replay.written_back(number)
            left_out = not_predicted(self.header, model.areas[number])
            told = {name: pool for name, pool in _POOL.items() if name not in left_out}
            stale = {name: pools.stale(pool) for name, pool in told.items()} if pools else {}
            held = pools.held(_POOL["observed"]) if pools else None
            found.append(WhatIf(held, stale, written_back) if pools or written_back else None)
        return found

    def recorded_until(self, trailer: Trailer | None) -> int:
        """When the recording ended (CLOCK_MONOTONIC, ns): without a trailer, with its last event (up to `until`)."""
        return trailer.end.time if trailer else self._last

    def results(self, moment: Moment | None = None) -> TraceResult:
        """The result so far, as if the recording had ended at that moment; without one, with its last event.

        It is that of events before a time (`duration_s` says which), as `until` gives it.
        """
        if moment is None:
            return self.finish(None)
        self._count_from_since()
        end = max(moment.time, self._last + 1 if self._events else 0)
        lost = both(moment.lost, moment.missed)
        return self._copied()._result(end, None, lost, moment.missed)

    def finish(self, trailer: Trailer | None, path: str = "", damage: str | None = None) -> TraceResult:
        """The result. Without a trailer, the trace counts as incomplete.

        Of a recording that goes on, too: further batches may follow, and further results, which are what they would be
        without this one. damage: why the trace could not be read to its end, a sentence; None if it was.
        """
        self._count_from_since()
        lost, missed = (trailer.losses(), trailer.missed) if trailer else ({}, {})
        end = self.recorded_until(trailer)
        return self._copied()._result(end, trailer, lost, missed, path=path, damage=damage)

    def _copied(self) -> Analysis:
        """The same, as far as it is results: what is done to it changes nothing here."""
        self._worker.wait()
        moment = copy(self)
        moment._models = {key: model.copy() for key, model in self._models.items()}
        copies = {id(model): moment._models[key] for key, model in self._models.items()}
        moment._where = [(copies[id(model)], number) for model, number in self._where]
        self._moment = moment
        return moment

    def _result(
        self, end: int, trailer: Trailer | None, lost: dict[str, int], missed: dict[str, int], **trace: Any
    ) -> TraceResult:
        """Of a recording that ended then, once. trace: what else there is to say of it, by name."""
        if self._until is not None:
            end = self._until if self._after_until else min(end, self._until)
        if self._since is not None:  # nothing has happened since then
            end = max(end, self._since)
            self._measure_from(self._since)
        for model in self._models.values():
            model.replay.finish(end)
        whole = trailer is not None and self._until is None
        kernel = trailer.end if trailer is not None and whole else None
        self._free_path = trailer.free_path if trailer is not None and whole else None
        doubts = {id(model): self._doubts(model, trailer) for model in self._models.values()}
        for model in self._models.values():
            if doubts[id(model)].compacted:
                model.replay.forget_pools()
        # of frees that are under way then, nothing shows that their notifications will come
        cut = trailer is None and (self._after_until is None or not self._after_until.over)
        areas = [doubtful(self._area(model, n, end, kernel, cut), doubts[id(model)]) for model, n in self._where]
        found = trace_result(
            self.header,
            areas,
            dict(self._tasks),
            lost,
            missed,
            part=self._part,
            begin=self._start - self.header.start.time,
            complete=trailer is not None,
            duration_s=(end - self._start) / 1e9,
            marks=marks_between(self._marks, self._start, end, self.header.start.time),
            events=self._events,
            **trace,
        )
        if not self._part:
            found = replace(found, start=self.header.start, end=kernel)
        return replace(found, attributed=self._attributed(self._attribution)) if self._attribution else found

    def _attributed(self, attribution: Attribution) -> Attributed:
        """Whose the pages of each area are."""
        names, of = attribution.names(self._tasks, self._cgroups), attribution.dimension
        areas = []
        for model, number in self._where:
            area = model.areas[number]
            own = names if of.field else {NOBODYS: title_of(area.path, area.swap_type, area.generation)}
            groups, content = groups_of_area(model.replay.groups, number, own), self._content(model)
            pool = 0 if area.backing == "disk" else content.mem_used_total  # a disk holds no memory
            areas.append(with_pool(groups, pool, content.compr_data_size or 0))
        return Attributed(of.name, of.words, tuple(areas))

    def _area(self, model: _StoreModel, number: int, end: int, kernel: Snapshot | None, cut: bool) -> AreaResult:
        """cut: the end may be in the middle of slots' frees."""
        area, lives, replay = model.areas[number], model.lifetimes, model.replay
        counts = lives.counts(number)
        if model.store is None or model.store.is_zswap:
            counts = replace(counts, failed_writes=None)
        content = self._content(model)
        why = self._not_modelled.get((area.swap_type, area.generation), "")
        leaks, waiting = self._leaks(model, number, cut)
        return AreaResult(
            **vars(counts),
            device=area.path,
            swap_type=area.swap_type,
            generation=area.generation,
            backing=area.backing,
            not_understood=area.not_told,
            zram=model.store.name if model.store and area.backing == "zram" else None,
            store=model.store.name if model.store else None,
            algorithm=(model.store.algorithm or None) if model.store else None,
            table_bytes=model.store.table_bytes if model.store else None,
            freeable_bytes=replay.pools.freeable(_POOL["observed"]) if replay.pools else None,
            store_pages=(model.store.pages or None) if model.store and area.backing == "zram" else None,
            machine_bytes=(kernel or self.header.start).memory.get("MemTotal"),
            slots=area.slots,
            notified=is_notified(area, model.store, counts.notify_free, counts.frees - waiting),
            ramzswap=ramzswap(
                counts,
                content.same_pages,
                lives.sizes(number),
                self.header.page_size,
                partial(self._kernel_delta, model, kernel),
            ),
            swap_header=dict(zip(("pages", "compr_bytes"), replay.header(model.map), strict=True)),
            model=content,
            kernel=content_told(store_in(kernel, model.store)),
            kernel_counts=self._kernel_counts(model, area, kernel),
            policies={name: _policy(replay, number, name) for name in POLICIES},
            recovered=_both(replay, number, RECOVERED, "none"),
            leaked={} if waiting else _both(replay, number, LEAKED, "observed"),
            under_way=waiting,
            absent=self._absent(model, area),
            in_use=self._in_use(model, number) if kernel is not None else None,
            refaults=replay.refaults(number),
            unread=replay.unread(number),
            duplicate_slots_end=replay.slots(number, DUPLICATE)[0],
            duplicate_compr_bytes=replay.integral(number, DUPLICATE),
            pool=replay.pools.held(_POOL["observed"]) if replay.pools else None,
            live_slots_end=replay.slots(number, LIVE)[0],
            live_compr_bytes_end=replay.integral(number, LIVE).end,
            lifetime=lives.lifetime(number, model.map, end),
            lifetime_by_reason=lives.by_reason(number),
            time_to_reuse=lives.time_to_reuse(number, model.map, end),
            free_reasons=lives.reasons(number),
            notification=lives.notification(number),
            sizes=lives.sizes(number),
            series=replay.series(number),
            slot_map=replay.slot_map(number, area.slots),
            leaks=leaks,
            free_path=self._free_path,
            what_if={},
            age=replay.ages(number) if model.store is not None else None,
            used_slots=area.used + lives.in_use(number) if allocations_told(self.header) else None,
            not_told=(dict.fromkeys(unknown_figures({STORED}), why) if why else {}) | _why_no_leaked(waiting),
            off=model.swap_types.get(area.swap_type) != number,
            discards=area.discards,
            not_predicted=not_predicted(self.header, area),
        )

    def _in_use(self, model: _StoreModel, number: int) -> InUse | None:
        if number not in model.swap_types.values():
            return None
        live = mapping.slots_at(model.map, number, model.replay.of_area(number, LIVE))
        return in_use(self._swap_map, model.areas[number].swap_type, live)

    def _absent(self, model: _StoreModel, area: SwapArea) -> dict[str, str]:
        """The figures that an area does not have, and why."""
        store, left_out = model.store, not_predicted(self.header, area)
        policies = [name for name in POLICIES if name not in left_out]
        if store is None:
            blind = "the kernel does not tell what stores do" if self._blind else ""
            why = self._not_modelled.get((area.swap_type, area.generation), "") or blind
            return absent_figures(
                policies, no_store=why_no_store(area, why if area.store is not None else ""), no_pool=""
            )
        if model.replay.pools is not None:
            return {}
        others = [other for other in self._models.values() if other.store is not None and other.store.is_zswap]
        why = why_no_pool(
            store,
            known=self._machine.geometry is not None,
            unsized=model.replay.total(Total.UNSIZED),
            shared=store.is_zswap and len(others) > 1,
        )
        found = absent_figures(policies, no_store="", no_pool=why)
        return found if self._content(model).compr_data_size is not None else found | {"compr_data_size": why}

    def _leaks(self, model: _StoreModel, number: int, cut: bool) -> tuple[list[Leak], int]:
        """(the first leaks; how many other slots may be under way, at a cut)."""
        index, sizes, missed = model.replay.leaks(number)
        waits = self._may_be_under_way(model, number, index, missed) if cut else np.zeros(len(index), np.bool_)
        index, sizes, missed = index[~waits], sizes[~waits], missed[~waits]
        since = model.lifetimes.free_since(index)
        places = mapping.Places(model.map)
        order = np.argsort(since, kind="stable")[:MOST_LEAKS]
        leaks = [
            Leak(
                slot=places.slot_of(number, int(index[row])),
                compr_bytes=int(sizes[row]),
                since=int(since[row]) - self.header.start.time,
                why="missed" if missed[row] else "not notified",
            )
            for row in order
        ]
        return leaks, int(waits.sum())

    def _content(self, model: _StoreModel) -> Content:
        """What the store holds at the end: what the kernel said at the start, and every change since."""
        if model.store is None:
            return UNKNOWN_CONTENT
        start = self._stores[model.store.id].counters if model.store.id in self._stores else {}
        changes = {total.name.lower(): model.replay.total(total) for total in Total}
        pools = model.replay.pools
        used = pools.held(_POOL["observed"]).end if pools else None
        return content_of(model.store, start, changes, self.header.page_size, used)

    def _doubts(self, model: _StoreModel, trailer: Trailer | None) -> Doubts:
        end = store_in(trailer.end if trailer else None, model.store)
        whole = self._until is None and trailer is not None and not trailer.losses()
        return doubts_of(self._stores.get(model.map.store), end, model.replay, whole=whole)

    def _kernel_counts(self, model: _StoreModel, area: SwapArea, kernel: Snapshot | None) -> dict[str, int | None]:
        counts = {name: self._kernel_delta(model, kernel, name) for name in KERNEL_COUNTS}
        on = model.map.type_area[area.swap_type] == model.areas.index(area)
        found = [end.used for end in kernel.areas if end.swap_type == area.swap_type] if kernel and on else []
        return {**counts, "used_slots": found[0] if found else None}

    def _kernel_delta(self, model: _StoreModel, kernel: Snapshot | None, name: str) -> int | None:
        """How far a counter of the kernel's moved while recording; None where the kernel does not tell."""
        after = store_in(kernel, model.store)
        if after is None or name not in after.counters:
            return None
        before = self._stores.get(model.map.store)
        if before is None and after.is_zswap:  # whose counters are older than this area
            return None
        return after.counters[name] - (before.counters.get(name, 0) if before else 0)


def _policy(replay: Replay, area: int, name: str) -> PolicyResult:
    quantity = STALE[name]
    now, peak = replay.slots(area, quantity)
    pool = replay.pools.stale(_POOL[name]) if replay.pools else None
    return PolicyResult(now, peak, replay.integral(area, quantity), pool)


def _both(replay: Replay, area: int, quantity: int, policy: str) -> dict[str, Integral | None]:
    """What is stale under a policy and not under `notify`: compressed bytes of the area, pool bytes of its store."""
    pool = replay.pools.stale(_POOL[policy]) if replay.pools else None
    return {"compr_bytes": replay.integral(area, quantity), "pool_bytes": pool}


def _why_no_leaked(waiting: int) -> dict[str, str]:
    """Why it is not told what leaked, if the end is in the middle of the free of that many slots."""
    if not waiting:
        return {}
    why = (
        f"what was recorded ends while {units.count(waiting)} slots were being freed, whose notifications may have "
        "come a moment later: what leaked is not known"
    )
    return dict.fromkeys(("leaked.compr_bytes", "leaked.pool_bytes"), why)


def _before(batch: EventBatch, time: int) -> EventBatch:
    """The events before a moment: up to the first that is not (order is the ring's, so one late event may follow)."""
    late = np.flatnonzero(batch.events["time"] >= time)
    end = int(late[0]) if len(late) else len(batch)
    return EventBatch(batch.events[:end], batch.tasks, tuple(call for call in batch.calls if call.row < end))


def _after(batch: EventBatch, start: int) -> EventBatch:
    calls = tuple(replace(call, row=call.row - start) for call in batch.calls if call.row >= start)
    return EventBatch(batch.events[start:], batch.tasks, calls)
