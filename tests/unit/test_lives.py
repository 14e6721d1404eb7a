"""Slots' lives one by one, against a slow reference: dictionaries, and one event at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from builders import START, Event, batch, batches, free, header, notified_free, store, swap_call, trailer, zram_area
from hypothesis import given, settings
from test_replay import Trace, cuts, garbage, plausible, reproducible

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store, SwapArea
from swaptrace.engine.counters import LifeBit
from swaptrace.events import EventFlag, EventKind
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.reader import TraceReader
from tests.unit.fixtures import DATA, FORMATS, KERNELS, TRACE

Life = dict[str, Any]
_TIMES = ("stored", "freed", "dropped", "replaced")
_PLAIN = ("slot", "page", "cgroup", "tgid", "stores", "loads", "reason")
_FLAGS = ("same", "huge", "written_back", "missed")
_COLUMNS = ("device", "swap_type", "generation", *_TIMES, "size", *_PLAIN, *_FLAGS)


class Reference:
    """Feed it events in order; `rows` has what is finished, rest() what is not."""

    def __init__(self, areas: Iterable[SwapArea], stores: Iterable[Store]) -> None:
        self.rows: list[Life] = []
        self.areas: list[SwapArea] = []
        self.on: dict[int, int] = {}  # by swap type: the area's place in the list
        self.owner: dict[tuple[int, int], int] = {}  # by store and page
        self.row: dict[tuple[int, int], Life] = {}
        self.last: dict[tuple[int, int], int] = {}  # size of the entry that was stored, or dropped, last
        known = {one.id for one in stores}
        for area in areas:
            self.swapon(area, area.store if area.store in known else None)

    # -- areas; a disk is a store of its own, with a negative number

    def swapon(self, area: SwapArea, number: int | None) -> None:
        self.swapoff(area.swap_type)
        place = len(self.areas)
        self.areas.append(SwapArea(**{**area.__dict__, "store": -1 - place if number is None else number}))
        self.on[area.swap_type] = place
        for slot in range(area.slots):
            page = self.page(place, slot)
            if page is not None:
                self.owner[self.areas[place].store, page] = place if slot else -1

    def swapoff(self, swap_type: int) -> None:
        place = self.on.pop(swap_type, None)
        self.owner = {page: owner for page, owner in self.owner.items() if owner != place}

    def page(self, place: int, slot: int) -> int | None:
        area = self.areas[place]
        for first, index, count in area.extents or ((0, 0, area.slots),):
            if first <= slot < first + count:
                return index + slot - first
        return None

    def slot(self, place: int, page: int) -> int:
        return next(slot for slot in range(self.areas[place].slots) if self.page(place, slot) == page)

    # -- events

    def feed(self, event: Event) -> None:
        if event.call is not None:
            if event.call.result == 0 and event.call.area is not None:
                if event.call.call == "swapon":
                    self.swapon(event.call.area, event.call.store.id if event.call.store else None)
                else:
                    self.swapoff(event.call.area.swap_type)
        elif event.kind in (EventKind.FREE, EventKind.ALLOC):
            if event.device in self.on:
                self.of_area(self.on[event.device], event)
        elif event.kind == EventKind.RESET:
            for (number, page), row in self.row.items():
                if number == event.device:
                    self.gone((number, page), row, event.time)
        elif event.kind in (EventKind.LOAD, EventKind.PRESENT):
            for page in range(event.slot, event.slot + event.run):
                (self.loaded if event.kind == EventKind.LOAD else self.present)((event.device, page), event)
        elif event.kind == EventKind.STORE:
            self.stored((event.device, event.slot), event)
        elif event.kind == EventKind.NOTIFY:
            self.notified((event.device, event.slot), event)
        elif event.kind == EventKind.DROP:
            self.dropped((event.device, event.slot), event)
        elif event.kind == EventKind.MOVED and (event.device, event.slot) in self.row:
            self.last[event.device, event.slot] = 0
            self.row[event.device, event.slot] |= {"size": 0, "same": False, "huge": False, "written_back": True}

    def of_area(self, place: int, event: Event) -> None:
        number = self.areas[place].store
        assert number is not None
        for slot in range(event.slot, event.slot + event.run):
            page = self.page(place, slot)
            if page is None:
                continue
            row = self.used((number, page), place)
            if event.kind == EventKind.FREE and row is not None:
                row |= {"freed": event.time, "reason": event.reason, "tgid": event.tgid}
            if event.kind == EventKind.ALLOC and row is None and number < 0:
                self.begin((number, page), place, event.time)["stored"] = event.time
        if event.flags & EventFlag.NOTIFIED and event.slot < self.areas[place].slots:
            self.notified((number, event.slot), event)

    def used(self, key: tuple[int, int], place: int | None) -> Life | None:
        """The page's row, if it is that of a slot of the area which is in use."""
        row = self.row.get(key)
        return row if row is not None and row["freed"] is None and row["area"] == place else None

    def begin(self, key: tuple[int, int], place: int, time: int) -> Life:
        if key in self.row:
            self.gone(key, self.row[key], time)
            self.rows.append(self.row[key])
        self.row[key] = {
            **dict.fromkeys((*_TIMES, "size")), **dict.fromkeys(_PLAIN, 0), **dict.fromkeys(_FLAGS, False),
            "area": place, "page": key[1], "slot": self.slot(place, key[1]),
        }  # fmt: skip
        return self.row[key]

    @staticmethod
    def gone(key: tuple[int, int], row: Life, time: int) -> None:
        for what in ("dropped", "replaced"):
            if row[what] is None and not (what == "dropped" and key[0] < 0):
                row[what] = time

    def stored(self, key: tuple[int, int], event: Event) -> None:
        place = self.owner.get(key, -1)
        if place < 0:
            if key in self.row:
                self.gone(key, self.row[key], event.time)
            return
        if event.flags & EventFlag.GONE:
            row = self.begin(key, place, event.time)
            row |= {"freed": event.time, "dropped": event.time, "stores": 1, "cgroup": event.arg}
            self.sized(key, self.last.get(key, 0), event.flags)
            return
        row_before = self.used(key, place)
        row = row_before or self.begin(key, place, event.time)
        if row_before is None:
            row["stored"] = event.time
        row |= {"dropped": None, "replaced": None, "written_back": False, "missed": False, "cgroup": event.arg}
        row["stores"] += 1
        self.sized(key, event.size, event.flags)

    def sized(self, key: tuple[int, int], size: int, flags: int) -> None:
        self.last[key] = size
        self.row[key] |= {
            "size": size, "same": bool(flags & EventFlag.SAME), "huge": bool(flags & EventFlag.HUGE),
        }  # fmt: skip

    def loaded(self, key: tuple[int, int], event: Event) -> None:
        row = self.used(key, self.owner.get(key))
        if row is not None:
            row["loads"] += 1

    def present(self, key: tuple[int, int], event: Event) -> None:
        place = self.owner.get(key, -1)
        if place < 0 or self.used(key, place):
            return
        row = self.begin(key, place, event.time)
        self.sized(key, event.size, event.flags)
        row["written_back"] = bool(event.flags & EventFlag.WRITTEN_BACK)
        if event.size == 0 and not event.flags & (EventFlag.SAME | EventFlag.WRITTEN_BACK):
            row["size"] = None

    def notified(self, key: tuple[int, int], event: Event) -> None:
        if event.flags & EventFlag.MISSED and key in self.row:
            self.row[key]["missed"] = True
        if event.flags & EventFlag.DROPPED:
            self.dropped(key, event)

    def dropped(self, key: tuple[int, int], event: Event) -> None:
        row = self.row.get(key)
        self.last[key] = event.size
        if row is not None and row["dropped"] is None:
            self.sized(key, event.size, event.flags)
            row["dropped"] = event.time
        if row is not None and event.flags & EventFlag.ANY_POLICY:
            self.gone(key, row, event.time)

    def all_of_them(self) -> list[Life]:
        return [*self.rows, *self.row.values()]


# ----------------------------------------------------------------------------------------------------------- comparison


def refer(areas: Iterable[SwapArea], stores: Iterable[Store], events: Iterable[Event]) -> Iterator[tuple[Any, ...]]:
    reference = Reference(areas, stores)
    for event in events:
        reference.feed(event)
    generations: Counter[int] = Counter()
    names = []
    for area in reference.areas:
        names.append((area.path, area.swap_type, generations[area.swap_type]))
        generations[area.swap_type] += 1
    for life in reference.all_of_them():
        yield (*names[life["area"]], *(life[name] for name in (*_TIMES, "size", *_PLAIN, *_FLAGS)))


def told(analysis: Analysis, *, rest: bool) -> Iterator[tuple[Any, ...]]:
    """The same of the analysis: what was finished, or the rest."""
    for lived in analysis.unfinished_lives() if rest else analysis.lives():
        for row in lived.rows:
            bits, area = LifeBit(int(row["bits"])), lived.areas[row["area"]]
            times = [int(row[name]) if bits & LifeBit[name.upper()] else None for name in _TIMES]
            size = int(row["size"]) if bits & LifeBit.SIZED else None
            plain = [int(row[name]) for name in _PLAIN]
            flags = [bool(bits & LifeBit[name.upper()]) for name in _FLAGS]
            yield (area.path, area.swap_type, area.generation, *times, size, *plain, *flags)


def lives_of(trace: Trace, cut: Sequence[int]) -> tuple[list[tuple[Any, ...]], TraceResult]:
    analysis, found = Analysis(header(trace.areas, trace.stores), lives=True), []
    for piece in batches(trace.events, cut):
        analysis.feed(piece)
        found += told(analysis, rest=False)
    result = analysis.finish(trailer(trace.end))
    return [*found, *told(analysis, rest=True)], result


def compare(trace: Trace, cut: Sequence[int]) -> None:
    found, _ = lives_of(trace, cut)
    assert Counter(found) == Counter(refer(trace.areas, trace.stores, trace.events))


@given(plausible, cuts)
@reproducible
def test_plausible_streams(trace: Trace, cuts: list[int]) -> None:
    compare(trace, cuts)


@given(garbage, cuts)
@reproducible
def test_garbage(trace: Trace, cuts: list[int]) -> None:
    compare(trace, cuts)


def add_up(area: AreaResult, rows: list[tuple[Any, ...]]) -> None:
    """Rows of one area add up to what the report has of it."""
    lives = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    over = [life for life in lives if life["stored"] is not None and life["freed"] is not None]
    stale = [life for life in lives if life["freed"] is not None and life["replaced"] is None]
    assert len(over) == area.lifetime.ended.sum()
    # two processors' events may be told in another order than they happened in: such a life lasted for nothing
    assert sum(max(life["freed"] - life["stored"], 0) for life in over) == sum(
        histogram.total for histogram in area.lifetime_by_reason.values()
    )
    if area.store is None:
        return
    live = [life for life in lives if life["freed"] is None and life["replaced"] is None]
    assert (len(live), sum(life["size"] or 0 for life in live)) == (area.live_slots_end, area.live_compr_bytes_end)
    leaked = [life for life in stale if life["dropped"] is None]
    observed = area.policies["observed"]
    assert len(leaked) == observed.stale_slots_end
    assert sum(life["size"] or 0 for life in leaked) == observed.stale_compr_bytes.end
    if "none" in area.policies:  # or else it is not predicted
        none = area.policies["none"]
        assert (len(stale), sum(life["size"] or 0 for life in stale)) == (
            none.stale_slots_end, none.stale_compr_bytes.end,
        )  # fmt: skip


def recorded(name: str) -> tuple[TraceReader, list[Event]]:
    """A golden trace, event by event."""
    reader, events = TraceReader(DATA / name / TRACE), []
    fields = ("time", "device", "slot", "run", "size", "arg", "flags", "tgid", "reason")
    for piece in reader:
        calls = {call.row: call for call in piece.calls}
        for row, event in enumerate(piece.events):
            values = {field: int(event[field]) for field in fields}
            events.append(Event(kind=EventKind(int(event["kind"])), call=calls.get(row), **values))
    return reader, events


@pytest.mark.parametrize("name", [*KERNELS, *FORMATS])
def test_golden_traces(name: str) -> None:
    """Row by row as the reference, and in all as the report."""
    reader, events = recorded(name)
    analysis, found = Analysis(reader.header, lives=True), []
    for piece in TraceReader(DATA / name / TRACE):
        analysis.feed(piece)
        found += told(analysis, rest=False)
    result = analysis.finish(reader.trailer)
    found += told(analysis, rest=True)
    start = reader.header.start
    assert Counter(found) == Counter(refer(start.areas, start.stores, events))
    assert len(found) > 1000
    for area in result.areas:
        key = (area.device, area.swap_type, area.generation)
        add_up(area, [row for row in found if row[:3] == key])


@given(plausible, cuts)
@settings(reproducible, max_examples=60)
def test_random_streams_add_up(trace: Trace, cuts: list[int]) -> None:
    found, result = lives_of(trace, cuts)
    for area in result.areas:
        rows = [row for row in found if row[:3] == (area.device, area.swap_type, area.generation)]
        add_up(area, rows)


# ----------------------------------------------------------------------------------------------------------- one by one

AREA = zram_area("/dev/zram0", 0, 16, 0)
ZRAM = Store(0, "zram0", 16)


def rows_of(*events: Event, **how: int) -> list[Life]:
    analysis, found = Analysis(header([AREA], [ZRAM]), lives=True, **how), []
    for event in events:
        analysis.feed(batch([event]))
        found += told(analysis, rest=False)
    analysis.finish(trailer(START + 1000))
    found += [*told(analysis, rest=False), *told(analysis, rest=True)]
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


def test_a_life_ends_with_its_free_and_its_entry_with_the_next_store() -> None:
    first, second = rows_of(
        store(START + 1, 0, 5, 100), store(START + 2, 0, 5, 90), free(START + 3, 0, 5), store(START + 7, 0, 5, 50)
    )
    assert [first[name] for name in (*_TIMES, "size", "stores")] == [START + 1, START + 3, START + 7, START + 7, 90, 2]
    assert [second[name] for name in (*_TIMES, "size", "stores")] == [START + 7, None, None, None, 50, 1]


def test_a_notification_drops_the_entry_but_under_none_it_stays() -> None:
    (life,) = rows_of(store(START + 1, 0, 5, 100), notified_free(START + 3, 0, 5, 100))
    assert [life[name] for name in _TIMES] == [START + 1, START + 3, START + 3, None]


def test_what_was_over_before_since_is_left_out() -> None:
    """What was stale then under `none`, is there."""
    events = [
        store(START + 1, 0, 5, 100), free(START + 2, 0, 5), store(START + 3, 0, 5, 60), free(START + 4, 0, 5),
        store(START + 50, 0, 6, 70),
    ]  # fmt: skip
    assert [life["size"] for life in rows_of(*events)] == [100, 60, 70]
    assert [life["size"] for life in rows_of(*events, since=START + 10)] == [60, 70]
    assert [life["size"] for life in rows_of(*events, until=START + 10)] == [100, 60]


def test_an_area_that_was_off_has_lives_of_its_own() -> None:
    lives = rows_of(
        store(START + 1, 0, 5, 100), free(START + 2, 0, 5), swap_call(START + 3, "swapoff", AREA, ZRAM),
        swap_call(START + 4, "swapon", AREA, ZRAM), store(START + 5, 0, 5, 60),
    )  # fmt: skip
    assert [(life["generation"], life["replaced"]) for life in lives] == [(0, START + 5), (1, None)]
