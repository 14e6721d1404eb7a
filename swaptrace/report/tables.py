"""The tables of the reports, formatted: the terminal and HTML show the same ones.

Adding a table is adding a function to AREA_TABLES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, fields, replace

from swaptrace import units
from swaptrace.histogram import Survival
from swaptrace.policies import POLICIES
from swaptrace.report import shares, words
from swaptrace.results import ages
from swaptrace.results.catalogue import Kind, Unit, children, cost, figure_at
from swaptrace.results.results import COMPARISONS, AreaResult, Content, Integral, PolicyResult

EQUAL = "✓"
LONGER = "not reached"
_CONTENT = ["model", "kernel", "model - kernel"]
WORDS = "meaning"  # the column that holds words instead of figures

#: Rows of the catalogue that are counted for an area, then states, which have no rate; those that have words for it.
ACTIVITY = [row for kind in (Kind.COUNT, Kind.STATE) for row in children() if row.kind is kind and row.words]
_RAMZSWAP = {row.name: row.words for row in children("ramzswap")}
REASONS = children("free_reasons")


@dataclass(frozen=True)
class Table:
    """One table: every cell is text. The note, if any, is a sentence that goes below it.

    rows: cells, by the row's name. names: the columns' own. good: of a table of changes, whether a row's is good news.
    sums: how many of the last rows are sums of the others.
    """

    name: str
    title: str
    rows: dict[str, list[str]]
    names: list[str]
    note: str = ""
    good: dict[str, bool | None] | None = None
    sums: int = 0

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """(name of the column, whether it holds words)."""
        return [(name, name == WORDS) for name in self.names]


def area_tables(area: AreaResult, duration_s: float | None) -> list[Table]:
    """Every table that has something to say about the area. duration_s: length of the recording."""
    made = (build(area, duration_s) for build in AREA_TABLES)
    return [table for table in made if table is not None and table.rows]


def show(name: str) -> Callable[[float | None], str]:
    """How a figure is written, by its name in an area."""
    row = figure_at(name)
    return units.size if row is not None and row.unit is Unit.BYTES else units.count


def content_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """What the store holds at the end, and the swap map: the model beside the kernel's own counters."""
    names = [*(field.name for field in fields(Content)), "used_slots"]
    ours = (*astuple(area.model), area.used_slots)
    theirs = (*astuple(area.kernel), area.kernel_counts.get("used_slots"))
    rows = {}
    for name, model, kernel in zip(names, ours, theirs, strict=True):
        if (model is None and kernel is None) or (name == "bd_count" and not model and not kernel):
            continue  # nobody tells; there is no backing device
        cell, apart = show(name), shares.difference(model, kernel)
        rows[name] = [cell(model), cell(kernel), EQUAL if apart == 0 else units.signed(cell(apart))]
    title = "Slots in use at the end" if list(rows) == ["used_slots"] else "What the store holds at the end"
    notes = (_header_note(area.swap_header), _table_note(area.table_bytes))
    return Table("content", title, rows, _CONTENT, " ".join(filter(None, notes)))


def in_use_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Where the pages of slots in use are."""
    if area.in_use is None:
        return None
    found = asdict(area.in_use)
    cached, total = found.pop("cached"), area.in_use.slots
    rows = {
        row.words: [units.count(number), units.percent(shares.share(number, total))]
        for row in children("in_use")
        if (number := found.get(row.name.rpartition(".")[2]))
    }
    note = f"{units.count(cached)} of the {_plural(total, 'slots')} in use have their page in the swap cache."
    return Table("in-use", "Where the slots in use are, at the end", rows, ["slots", "share"], note)


def cost_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """What the machine really pays for the store, and would, were it full."""
    found = cost(area)
    if found is None or not found["total_bytes"]:
        return None
    rows = {
        row.words: [f"{value:.2f}" if row.kind is Kind.RATIO else show(row.name)(value)]
        for row in children("cost")
        if row.words and (value := found[row.name.rpartition(".")[2]]) is not None
    }
    fits = {None: "", True: "Full, it would fit into this machine's memory, which all else needs as well.",
            False: "Full, it would NOT fit into this machine's memory."}  # fmt: skip
    return Table("cost", "What the machine pays for the store, at the end", rows, ["value"], fits[found["fits"]])


def _table_note(size: int | None) -> str:
    """What the machine pays besides the pool."""
    return "" if size is None else f"zram's own table of pages takes {units.size(size)} besides, however full it is."


def _header_note(header: dict[str, int]) -> str:
    if not any(header.values()):
        return ""
    held = (units.size(value) if "byte" in name else _plural(value, name) for name, value in header.items())
    return f"The store also holds mkswap's own page, which is no slot: {', '.join(held)}."


def _plural(number: int, name: str) -> str:
    """`1 page`, `2 pages`."""
    return f"{units.count(number)} {name.removesuffix('s') if number == 1 else name}"


def _integral_cells(value: Integral | None) -> list[str]:
    """end, peak, mean and byte-seconds."""
    if value is None:
        return [units.DASH] * 4
    return [*map(units.size, (value.end, value.peak, value.mean)), units.byte_seconds(value.byte_seconds)]


_INTEGRAL = ["end", "peak", "mean", "byte-seconds"]


def _stale(area: AreaResult, title: str, what: str, pick: Callable[[PolicyResult], Integral | None]) -> Table | None:
    """What is stale under each policy, in one kind of bytes; None if nobody knows."""
    if not words.holds_memory(area) or all(pick(policy) is None for policy in area.shown_policies.values()):
        return None
    rows = {name: _integral_cells(pick(policy)) for name, policy in area.shown_policies.items()}
    return Table(f"stale-{what}", title, rows, _INTEGRAL)


def slots_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Stale slots under each policy, and live ones that are in memory as well."""
    if not words.holds_memory(area):
        return None
    rows = {
        name: [units.count(policy.stale_slots_end), units.count(policy.stale_slots_peak), POLICIES[name].words]
        for name, policy in area.shown_policies.items()
    }
    twice = area.duplicate_compr_bytes
    duplicate, peak = units.size(twice.end), units.size(twice.peak)
    note = f"Duplicates: {duplicate} of live slots were in memory as well ({peak} at the peak)."
    return Table("stale-slots", "Stale slots, by policy", rows, ["end", "peak", WORDS], note if twice.peak else "")


def compressed_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Stale compressed bytes under each policy."""
    table = _stale(area, "Stale compressed bytes, by policy", "compressed", lambda policy: policy.stale_compr_bytes)
    if table is None or "pool" not in area.absent:
        return table
    return replace(table, note=f"What that is in pages of memory is not known: {area.absent['pool']}.")


def pool_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Stale pool bytes under each policy: whole pages of memory."""
    title = "Stale pool bytes (pages of memory), by policy"
    table = _stale(area, title, "pool", lambda policy: policy.stale_pool_bytes)
    return table and replace(table, note=words.of_the_whole_store(area))


def recovered_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """What notifications can recover, and what leaked all the same."""
    if not words.holds_memory(area):
        return None
    rows = {
        f"{name}, {label}": _integral_cells(found[f"{what}_bytes"])
        for name, found in (("recovered", area.recovered), ("leaked", area.leaked))
        if all(map(area.shows, COMPARISONS[name]))
        for what, label in (("compr", "compressed"), ("pool", "pool"))
        if found.get(f"{what}_bytes") is not None
    }
    title = "What notifications can recover, and what leaked"
    pool = words.of_the_whole_store(area) if any(row.endswith("pool") for row in rows) else ""
    return Table("recovered", title, rows, _INTEGRAL, " ".join(filter(None, (pool, _leaks_note(area)))))


def _leaks_note(area: AreaResult) -> str:
    if not area.leaks or not all(map(area.shows, COMPARISONS["leaks"])):
        return ""
    number = area.policies["observed"].stale_slots_end - area.under_way if "observed" in area.policies else 0
    first = area.leaks[0]
    missed = sum(leak.why == "missed" for leak in area.leaks)
    return (
        f"{_plural(number, 'slots')} leaked at the end; of the first {units.count(len(area.leaks))}, "
        f"{units.count(missed)} because the notification found the entry locked, the others because none came. "
        f"The first: slot "
        f"{units.count(first.slot)}, freed {units.duration(first.since)} after the start."
    )


def _end_and_peak(value: Integral | None) -> tuple[int | None, int | None]:
    return (None, None) if value is None else (value.end, value.peak)


def what_if_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """The same events with pools that are built by other rules."""
    if not any(found.mem_used_total for found in area.what_if.values()):
        return None
    stale = area.shows("none")

    def row(*integrals: Integral | None) -> list[str]:
        shown = integrals if stale else integrals[:1]
        return [units.size(value) for found in shown for value in _end_and_peak(found)]

    none = area.policies.get("none")
    rows = {"as recorded": row(area.pool, none.stale_pool_bytes if none else None)}
    for name, found in area.what_if.items():
        if found.mem_used_total:
            rows[name] = row(found.mem_used_total, found.stale_pool_bytes.get("none"))
    columns = ["mem_used_total", "its peak", *(["stale (none)", "its peak "] if stale else [])]
    return Table("what-if", "What if the pool were built otherwise", rows, columns, words.of_the_whole_store(area))


def write_back_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """The same events with entries that are idle written back."""
    rows = {
        name: [*_integral_cells(found.in_memory)[:3], *map(units.count, (found.writes, found.loads, found.pages_end))]
        for name, what_if in area.what_if.items()
        if (found := what_if.write_back) is not None
    }
    recorded = next((found.write_back.recorded for found in area.what_if.values() if found.write_back), None)
    rows = {"as recorded": [*_integral_cells(recorded)[:3], *[units.DASH] * 3], **rows} if rows else {}
    title = "What if idle entries were written back: bytes in memory; pages on the disk"
    none = [name for name, what_if in area.what_if.items() if what_if.write_back and not what_if.write_back.writes]
    never = f"While this was recorded, nothing was idle for as long as {', '.join(none)} says." if none else ""
    note = " ".join(filter(None, (never, _older(area))))
    return Table("write-back", title, rows, [*_INTEGRAL[:3], "written", "read back", "at the end"], note)


def age_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """What writing back entries that are idle for some time would give."""
    if area.age is None or not area.age.in_memory:
        return None
    rows = {
        units.duration(each.idle_s * 1e9): [
            units.size(each.saved_mean),
            units.percent(each.saved_share),
            units.count(each.writes),
            units.count(each.loads),
            units.rate(each.loads_per_s),
        ]
        for each in ages.shown(area.age)
    }
    title = "What writing back idle entries would give, by how long they are idle"
    names = ["mean saved", "share", "pages written", "read back", "rate"]
    return Table("age", title, rows, names, _older(area))


def _older(area: AreaResult) -> str:
    """What is not known of entries from before the recording."""
    if area.age is None or not area.left_censored:
        return ""
    older = (
        f"Of {_plural(area.left_censored, 'entries')} from before the recording, it is not known how long they had been"
    )
    unsized = (
        f", and of {units.count(area.age.unsized)} of them no bytes, as their size was not told"
        if area.age.unsized
        else ""
    )
    return f"{older} idle: that counts from its start{unsized}."


def _quantiles(survival: Survival) -> list[str]:
    """ended, still running, p50, p90, p99 and max. A quantile that did not come is not reached."""
    summary, running = survival.summary(), shares.still_running(survival)
    unknown = LONGER if summary["count"] or running else units.DASH
    times = [unknown if summary[q] is None else units.duration(summary[q]) for q in ("p50", "p90", "p99")]
    return [units.count(summary["count"]), units.count(running), *times, units.duration(summary["max"])]


def times_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """How long slots are in use, and how long they stay free."""
    if not any(s.count or shares.still_running(s) for s in (area.lifetime, area.time_to_reuse)):
        return None
    names = ["ended", "still running at the end", "p50", "p90", "p99", "longest that ended"]
    columns = zip(_quantiles(area.lifetime), _quantiles(area.time_to_reuse), strict=True)
    rows = dict(zip(names, map(list, columns), strict=True))
    note = "Not reached: the recording was too short to tell." if any(LONGER in row for row in rows.values()) else ""
    title = "How long slots are in use, and stay free"
    return Table("times", title, rows, ["in use", "free, until written again"], note)


def reasons_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Why slots were freed, the median lifetime for each reason, and how many pages were kept for nothing."""
    rows, meaning = {}, {row.name.rpartition(".")[2]: row.words for row in REASONS}
    for reason, number in sorted(area.free_reasons.items(), key=lambda item: -item[1]):
        if number:
            times = area.lifetime_by_reason.get(reason)
            median = units.duration(times.quantile(0.5) if times else None)
            part = units.percent(shares.share(number, area.frees))
            unread = units.percent(shares.unread(area, reason))
            rows[reason] = [units.count(number), part, median, unread, meaning.get(reason, "")]
    return Table("reasons", "Why slots were freed", rows, ["frees", "share", "median life", "never read", WORDS])


def notification_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """What the notifications cost the tasks that freed the slots."""
    times = area.notification
    if not times.count:
        return None
    told = max(area.notify_free or 0, times.count)
    total = times.total * told / times.count  # by their mean, where some were timed
    some = times.count < told
    cells = {
        "notifications": units.count(told),
        **({"  of them timed": units.count(times.count)} if some else {}),
        "p50": units.duration(times.quantile(0.5)),
        "p99": units.duration(times.quantile(0.99)),
        "longest": units.duration(times.largest),
        "all together, at the mean of those" if some else "all together": units.duration(total),
        "share of one CPU": units.percent(shares.share(total, None if duration_s is None else duration_s * 1e9)),
    }
    if area.free_path:
        path = area.free_path
        cells |= {
            "slot-free path, all together": units.duration(path["ns"]),
            "  per slot": units.duration(shares.share(path["ns"], path["slots"])),
            "  of it notifications": units.duration(shares.share(total, path["slots"])),
            "  their share": units.percent(shares.share(total, path["ns"])),
        }
    rows = {name: [cell] for name, cell in cells.items()}
    return Table("notifications", "What notifications cost the tasks that free slots", rows, ["value"])


def activity_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """Everything that was counted."""
    rows = {}
    for row in ACTIVITY:
        name, number = row.name, row.of(area) if row.of else None
        if (name == "written_back" and area.backing != "zswap") or (name == "failed_writes" and not number):
            continue
        if not number and not area.stores:  # idle, or a store that nobody looks into: rows of zeros say nothing
            continue
        speed = units.rate(shares.share(number, duration_s)) if row.kind is Kind.COUNT else ""
        rows[name] = [units.count(number), speed, row.words]
    return Table("activity", "What happened", rows, ["count", "rate", WORDS])


def ramzswap_table(area: AreaResult, duration_s: float | None) -> Table | None:
    """The statistics that the ramzswap driver kept, under its names."""
    rows = {
        name: [
            units.percent(None if value is None else value / 100) if name.endswith("_pct") else units.count(value),
            _RAMZSWAP.get(f"ramzswap.{name}", ""),
        ]
        for name, value in area.ramzswap.items()
    }
    return Table("ramzswap", "The driver's statistics, under ramzswap's names", rows, ["value", WORDS])


#: (area, seconds recorded) -> table or None, in the order of the report.
AREA_TABLES: tuple[Callable[[AreaResult, float | None], Table | None], ...] = (
    content_table,
    in_use_table,
    cost_table,
    slots_table,
    compressed_table,
    pool_table,
    recovered_table,
    what_if_table,
    write_back_table,
    age_table,
    times_table,
    reasons_table,
    notification_table,
    activity_table,
    ramzswap_table,
)
