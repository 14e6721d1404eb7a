"""The catalogue of figures: a row for each that is told of a swap area, by where the JSON report has it.

From these rows come the JSON report, its schema and its document (docs/report-json.md, docs/report.schema.json), the
words and units of the tables, the bounds of figures when events were lost, and which figures are unknown if the kernel
does not tell of an event.

A name is a path below the area, with dots: `stores`, `recovered.compr_bytes`. A part in capitals stands for keys that
differ from report to report: `policies.POLICY.stale_slots_end`. Rows without a dot are what an area's object has, and
know where the result has it (`of`); the others describe what is inside of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum, StrEnum
from typing import Any

from swaptrace.degradation import DROPPED, NOTIFICATION, SLOT_ALLOCATED, STORED, WRITTEN_BACK
from swaptrace.events import FreeReason
from swaptrace.histogram import Histogram, Survival
from swaptrace.policies import POLICIES
from swaptrace.results import ages, losses
from swaptrace.results.losses import ANY, ENTRY, GONE, NONE, SIZE, STATE, Kinds, Per, Rule, either, more
from swaptrace.results.results import AreaResult, Integral, PolicyResult, WhatIf, WrittenBack


class Unit(StrEnum):
    """What a number counts; empty where it is none."""

    NO = ""
    BYTES = "bytes"
    SLOTS = "slots"
    PAGES = "pages"
    EVENTS = "events"
    NS = "ns"
    SECONDS = "s"
    BYTE_SECONDS = "bytes * s"
    PERCENT = "%"
    NUMBER = "number"


class Kind(StrEnum):
    """How a figure comes about, and what it looks like."""

    TEXT = "text"
    FLAG = "flag"
    SIZE = "size"  # a property of the area or its store, which does not change
    COUNT = "count"  # of what happened while recording: has a rate
    STATE = "state"  # at the end
    RATIO = "ratio"
    INTEGRAL = "integral"  # a number of bytes over time: INTEGRAL_PARTS
    QUANTILE = "quantile"
    GROUP = "group"  # an object of figures
    LIST = "list"  # of objects of figures


class Better(Enum):
    """Which way is good news, where one is: for who compares two reports."""

    LESS = -1
    NEITHER = 0
    MORE = 1


@dataclass(frozen=True)
class Figure:
    """One row.

    sentence: what it is, in docs/report-json.md. words: the same in a few, in tables; empty where no table has it. of:
    its value in an area's result, for rows without a dot. rule: by how much lost events can change it: that of a count
    or a state, or of an integral's end and peak; a function of the whole name where that makes a difference. lost_with:
    kinds of events whose loss leaves nothing known of it, nor of what is inside of it. needs: logical events of the
    kernel without any of which it is unknown.
    """

    name: str
    kind: Kind
    unit: Unit
    sentence: str
    of: Callable[[AreaResult], Any] | None = None
    words: str = ""
    rule: Rule | Callable[[str], Rule] | None = None
    lost_with: Kinds = NONE
    needs: frozenset[str] = frozenset()
    better: Better = Better.NEITHER
    section: str = ""  # of the document

    @property
    def parent(self) -> str:
        """The name of the group that it is in; empty for a figure of the area itself."""
        return self.name.rpartition(".")[0]


INTEGRAL_PARTS = {
    "end": "at the end, bytes",
    "peak": "the largest value, bytes",
    "mean": "time-weighted mean, bytes",
    "byte_seconds": "bytes times the seconds for which they were held",
}

_LESS, _MORE = Better.LESS, Better.MORE
_STORES = frozenset({STORED, DROPPED})
_NOTIFIED = _STORES | {NOTIFICATION}


def _end_and_peak(end: Rule, peak: Rule) -> Callable[[str], Rule]:
    return lambda figure: peak if figure.endswith("peak") else end


def _attribute(name: str) -> Callable[[AreaResult], Any]:
    return lambda area: getattr(area, name)


def _row(name: str, kind: Kind, unit: Unit, sentence: str, section: str, **more_: Any) -> Figure:
    """A figure that the result of an area has under the same name."""
    return Figure(name, kind, unit, sentence, of=_attribute(name), section=section, **more_)


# -- what the area is

_AREA = "area"
_IDENTITY = (
    _row("device", Kind.TEXT, Unit.NO, "the device or file that was swapped on", _AREA),
    _row("swap_type", Kind.SIZE, Unit.NUMBER, "the kernel's index of the area (reused after `swapoff`)", _AREA),
    _row("generation", Kind.SIZE, Unit.NUMBER, "how many areas had that index before, in this trace", _AREA),
    _row(
        "backing", Kind.TEXT, Unit.NO,
        "`zram`, `zswap` or `disk`; `unknown` if the recorder could not tell what lies behind the area (its file was "
        "gone again, say): then `unknown` has all figures of its store",
        _AREA,
    ),
    _row("zram", Kind.TEXT, Unit.NO, "the zram device's name, null if there is none", _AREA),
    _row("store", Kind.TEXT, Unit.NO, "the store's name: that of the zram device, or `zswap`; null for a disk", _AREA),
    _row(
        "algorithm", Kind.TEXT, Unit.NO,
        "by which the store compresses pages (zram's `comp_algorithm`, zswap's `compressor`); null where nothing tells",
        _AREA,
    ),
    _row(
        "table_bytes", Kind.SIZE, Unit.BYTES,
        "memory of zram's own table: an entry of 16 or 24 bytes for each page of the device, stored or not, in whole "
        "pages; no pool bytes contain it. Null for zswap, for a disk, and where the size of an entry is not known "
        "(older recordings)",
        "stale", better=_LESS,
    ),
    _row("slots", Kind.SIZE, Unit.PAGES, "size of the area", _AREA),
    _row(
        "discards", Kind.FLAG, Unit.NO,
        "whether the kernel discards clusters of this area that become free (`swapon --discard`, `--discard=pages`); "
        "null in older traces, which do not tell",
        _AREA,
    ),
    _row(
        "notified", Kind.FLAG, Unit.NO, "whether the store gets slot-free notifications", _AREA, lost_with=STATE,
        needs=_NOTIFIED, better=_MORE,
    ),
)  # fmt: skip

# -- what happened

_ACTIVITY = (
    _row(
        "stores", Kind.COUNT, Unit.PAGES, "pages written to the store", _AREA, words="pages written to the store",
        rule=more("STORE"), needs=_STORES,
    ),
    _row(
        "loads", Kind.COUNT, Unit.PAGES, "pages read from the store", _AREA, words="pages read back from it",
        rule=more("LOAD"), needs=_STORES,
    ),
    _row(
        "refaults", Kind.COUNT, Unit.PAGES,
        "pages read from the store for the first time since they were stored: reading one twice counts once",
        _AREA, words="of these, the first since stored",
        rule=Rule(frozenset({"FREE"}), frozenset({"LOAD", "STORE"})), needs=_STORES,
    ),
    _row("frees", Kind.COUNT, Unit.SLOTS, "slots freed", _AREA, words="slots freed", rule=more("FREE")),
    _row(
        "frees_unwritten", Kind.COUNT, Unit.SLOTS,
        "of these, slots that were never seen stored: zero-filled pages, for the most part. Of a disk, which tells of "
        "no stores: slots whose allocation was not seen",
        _AREA, words="of these, never seen stored",
        rule=Rule(GONE | {"STORE", "ALLOC"}, frozenset({"FREE"})), needs=_STORES,
    ),
    _row(
        "rewrites", Kind.COUNT, Unit.PAGES, "pages stored again while their slot was in use", _AREA,
        words="stored again while in use", rule=Rule(frozenset({"FREE"}), GONE | {"STORE"}), needs=_STORES,
    ),
    _row(
        "notify_free", Kind.COUNT, Unit.SLOTS, "entries that a notification dropped", _AREA,
        words="entries dropped by a notification", rule=more("NOTIFY"), needs=_NOTIFIED,
    ),
    _row(
        "miss_free", Kind.COUNT, Unit.SLOTS,
        "notifications that could not take the entry's lock, so the entry stayed", _AREA,
        words="notifications that found the entry busy", rule=more("NOTIFY"), needs=_NOTIFIED, better=_LESS,
    ),
    _row(
        "discarded", Kind.COUNT, Unit.SLOTS,
        "entries dropped neither by a notification nor by being overwritten", _AREA,
        words="entries dropped in another way", rule=more("DROP"), needs=_NOTIFIED,
    ),
    _row(
        "written_back", Kind.COUNT, Unit.SLOTS, "of these, entries that zswap wrote to the swap area", _AREA,
        words="of these, by zswap to the swap area", rule=more("DROP"),
    ),
    _row(
        "left_censored", Kind.STATE, Unit.SLOTS,
        "entries that the store held before the recording began: their age is not known", _AREA,
        words="entries older than the recording", rule=Rule(frozenset({"STORE"}), GONE), needs=_STORES,
    ),
    _row(
        "moved", Kind.COUNT, Unit.PAGES,
        "entries that zram wrote back to its backing device: they stay, but take no memory", _AREA,
        rule=more("MOVED"), needs=_STORES | {WRITTEN_BACK},
    ),
    _row(
        "failed_writes", Kind.COUNT, Unit.EVENTS,
        "writes to the area that zram refused (`mem_limit`, no memory), as often as it counts them: once for each "
        "request, up to 6.3 once for each page; the page stays in memory. null for zswap, disks, and where no event "
        "told of them",
        _AREA, words="writes that the store refused (no room, mem_limit)", rule=more("FAILED"), better=_LESS,
    ),
    _row(
        "used_slots", Kind.STATE, Unit.SLOTS,
        "slots in use at the end by the swap map: `Used` of /proc/swaps at the start (0 for an area switched on "
        "later), plus slots allocated, minus slots freed; null where the kernel does not tell of allocations",
        _AREA, rule=Rule(frozenset({"FREE"}), frozenset({"ALLOC"})), needs=frozenset({SLOT_ALLOCATED}),
    ),
    _row(
        "live_slots_end", Kind.STATE, Unit.SLOTS, "live at the end", _AREA, words="slots live at the end",
        rule=Rule(STATE, losses.STORED), needs=_STORES,
    ),
    _row(
        "live_compr_bytes_end", Kind.STATE, Unit.BYTES, "the compressed bytes of these", _AREA,
        rule=Rule(SIZE, ENTRY, Per.PAGE), needs=_STORES,
    ),
)  # fmt: skip

# -- where the slots in use are


def _in_use(area: AreaResult) -> dict[str, int] | None:
    return asdict(area.in_use) if area.in_use is not None else None


def _part(name: str, sentence: str, words: str) -> Figure:
    return Figure(f"in_use.{name}", Kind.STATE, Unit.SLOTS, sentence, words=words)


_IN_USE = (
    Figure(
        "in_use", Kind.GROUP, Unit.NO,
        "slots in use when the recording ended, one by one as the kernel's swap map says, by where their pages are, "
        "below: but for `cached`, the parts add up to `Used` of /proc/swaps. null in older recordings, of a part of "
        "one, and where the swap map could not be read (no /proc/kcore, an area that is off, or pages that came and "
        "went all the time)",
        _in_use, lost_with=STATE, needs=_STORES, section="in use",
    ),
    _part("with_entry", "the store holds an entry: compressed in zram, or in zswap", "with an entry in the store"),
    _part(
        "zero_filled", "no entry, as the page is all zeros, which the swap map alone remembers (since Linux 6.12)",
        "zero-filled pages, without an entry",
    ),
    _part(
        "swap_cache",
        "neither, and the page is in the swap cache: not written yet, or its entry was given up when it was read; up "
        "to Linux 6.12 also slots that wait in a processor's slot cache",
        "only in the swap cache",
    ),
    _part(
        "elsewhere", "none of these: on the disk (behind zswap, or of a disk), or allocated and not written",
        "on the disk, or allocated and never written",
    ),
    _part(
        "cached",
        "whose page is in the swap cache, whatever else there is of it: `SwapCached` of /proc/meminfo, of all areas "
        "together, and those in slot caches",
        "in the swap cache, whatever else",
    ),
)  # fmt: skip

# -- what the store holds at the end

_CONTENT = "content"


def _content(name: str, unit: Unit, sentence: str, rule: Rule | None, lost_with: Kinds = NONE, **more_: Any) -> Figure:
    """A figure of zram's mm_stat or bd_stat, as modelled."""
    return Figure(
        name, Kind.STATE, unit, sentence, of=lambda area: getattr(area.model, name), section=_CONTENT,
        rule=rule, lost_with=lost_with, **more_,
    )  # fmt: skip


CONTENT = (
    _content("pages_stored", Unit.PAGES, "pages", Rule(GONE, losses.STORED)),
    _content("same_pages", Unit.PAGES, "of these, same-filled ones", either(ENTRY)),
    _content("huge_pages", Unit.PAGES, "of these, incompressible ones", either(ENTRY)),
    _content("orig_data_size", Unit.BYTES, "uncompressed", Rule(GONE, losses.STORED, Per.PAGE)),
    _content("compr_data_size", Unit.BYTES, "compressed", either(ENTRY, Per.PAGE), better=_LESS),
    _content("mem_used_total", Unit.BYTES, "of the pool", None, ANY, better=_LESS),
    _content("bd_count", Unit.PAGES, "on zram's backing device; null for zswap", either(ENTRY)),
)


def _kernel(area: AreaResult) -> dict[str, Any]:
    return {**asdict(area.kernel), **area.kernel_counts}


_MOVED = "how far that counter moved while recording"
_OF_CONTENT = (
    Figure(
        "kernel", Kind.GROUP, Unit.NO,
        "what the kernel's own counters said when the recording ended, below; null where it has no such counter, or "
        "the recording has no end (`complete`, `--until`), or the store was gone by then",
        _kernel,
        section=_CONTENT,
    ),
    *(Figure(f"kernel.{row.name}", row.kind, row.unit, "the same, read from the kernel") for row in CONTENT),
    Figure(
        "kernel.notify_free", Kind.COUNT, Unit.PAGES,
        f"{_MOVED}; it counts every page of a discard request as well",
    ),
    Figure("kernel.miss_free", Kind.COUNT, Unit.PAGES, _MOVED),
    Figure("kernel.failed_writes", Kind.COUNT, Unit.EVENTS, _MOVED),
    Figure("kernel.pages_compacted", Kind.COUNT, Unit.PAGES, _MOVED),
    Figure("kernel.written_back_pages", Kind.COUNT, Unit.PAGES, f"{_MOVED}: zswap's"),
    Figure(
        "kernel.used_slots", Kind.STATE, Unit.PAGES,
        "`Used` of /proc/swaps; null for an area that is off by then. Of a disk, this is all that the kernel itself "
        "tells",
    ),
)  # fmt: skip

# -- what that costs


def cost(area: AreaResult) -> dict[str, Any] | None:
    """Of the area's store; None for a disk, or where the pool is not known."""
    pool, original = area.model.mem_used_total, area.model.orig_data_size
    table = area.table_bytes if area.backing == "zram" else 0
    if area.store is None or pool is None or original is None or table is None:
        return None
    page_size = len(area.sizes) - 1
    duplicates = area.duplicate_slots_end * page_size
    full = None if not original or area.store_pages is None else area.store_pages * page_size * pool // original + table
    return {
        "pool_bytes": pool,
        "freeable_bytes": area.freeable_bytes,
        "table_bytes": table,
        "duplicate_bytes": duplicates,
        "total_bytes": pool + table + duplicates,
        "compression_ratio": _ratio(original, area.model.compr_data_size),
        "memory_ratio": _ratio(original, pool + table),
        "full_bytes": full,
        "machine_bytes": area.machine_bytes,
        "fits": None if full is None or area.machine_bytes is None else full <= area.machine_bytes,
    }


def _ratio(original: int, size: int | None) -> float | None:
    return original / size if original and size else None


_COST = (
    Figure(
        "cost", Kind.GROUP, Unit.NO,
        "what the machine really pays for the area's store at the end, below; null for a disk, and where the pool or "
        "the table is not known",
        cost, lost_with=ANY, needs=_STORES | {WRITTEN_BACK}, section=_CONTENT,
    ),
    Figure(
        "cost.pool_bytes", Kind.STATE, Unit.BYTES, "the pool: `mem_used_total`", words="pool of compressed pages",
        better=_LESS,
    ),
    Figure(
        "cost.freeable_bytes", Kind.STATE, Unit.BYTES,
        "of these, what compaction would give back now (`echo 1 > /sys/block/zramN/compact`): whole pages' worth of "
        "room between objects; null in older files of results",
        words="of it, freeable by compaction", better=_LESS,
    ),
    Figure(
        "cost.table_bytes", Kind.STATE, Unit.BYTES, "zram's own table, however full it is; 0 for zswap",
        words="zram's table", better=_LESS,
    ),
    Figure(
        "cost.duplicate_bytes", Kind.STATE, Unit.BYTES,
        "pages in memory of which the store has a copy as well: `duplicate.slots_end` of the area, uncompressed",
        words="pages that are in memory as well", better=_LESS,
    ),
    Figure("cost.total_bytes", Kind.STATE, Unit.BYTES, "all three", words="together", better=_LESS),
    Figure(
        "cost.compression_ratio", Kind.RATIO, Unit.NUMBER,
        "`orig_data_size` over `compr_data_size`: what zramctl's DATA over COMPR is; null of an empty store",
        words="data over compressed data", better=_MORE,
    ),
    Figure(
        "cost.memory_ratio", Kind.RATIO, Unit.NUMBER,
        "`orig_data_size` over pool and table together: what the store really saves; null of an empty store",
        words="data over pool and table", better=_MORE,
    ),
    Figure(
        "cost.full_bytes", Kind.STATE, Unit.BYTES,
        "what a zram device would take if it were full, with pages as those that it holds now: its disksize times pool "
        "over `orig_data_size`, and its table; null for zswap, and of an empty store",
        words="if it were full of such pages", better=_LESS,
    ),
    Figure(
        "cost.machine_bytes", Kind.SIZE, Unit.BYTES, "the machine's memory (MemTotal); null in older recordings",
        words="the machine's memory",
    ),
    Figure(
        "cost.fits", Kind.FLAG, Unit.NO, "whether `full_bytes` is no more than that, or null", better=_MORE,
    ),
)  # fmt: skip

_RAMZSWAP = (
    _row(
        "ramzswap", Kind.GROUP, Unit.NO, "the statistics that the ramzswap driver kept, under its names, below",
        _CONTENT, lost_with=ENTRY | {"LOAD", "FAILED"}, needs=_STORES,
    ),
    Figure("ramzswap.num_reads", Kind.COUNT, Unit.PAGES, "pages read", words="pages read"),
    Figure("ramzswap.num_writes", Kind.COUNT, Unit.PAGES, "pages written (or tried to)", words="pages written"),
    Figure(
        "ramzswap.failed_reads", Kind.COUNT, Unit.EVENTS,
        "how far the kernel's counter of that name moved; null where `kernel` has none",
        words="reads that failed",
    ),
    Figure(
        "ramzswap.failed_writes", Kind.COUNT, Unit.EVENTS,
        "writes that the store refused, as events tell of them; where they do not, how far the kernel's counter moved; "
        "null for zswap",
        words="writes that failed",
    ),
    Figure(
        "ramzswap.invalid_io", Kind.COUNT, Unit.EVENTS,
        "how far the kernel's counter of that name moved; null where `kernel` has none",
        words="requests out of bounds",
    ),
    Figure(
        "ramzswap.notify_free", Kind.COUNT, Unit.SLOTS, "entries that a notification dropped",
        words="entries freed by a notification",
    ),
    Figure(
        "ramzswap.pages_zero", Kind.STATE, Unit.PAGES, "same-filled pages at the end",
        words="same-filled (zero) pages",
    ),
    Figure(
        "ramzswap.good_compress_pct", Kind.RATIO, Unit.PERCENT,
        "of the pages that were stored, those that compress to half a page or less; null if none was stored",
        words="pages at half their size or less", better=_MORE,
    ),
    Figure(
        "ramzswap.pages_expand_pct", Kind.RATIO, Unit.PERCENT, "those that do not compress; or null",
        words="pages that do not compress", better=_LESS,
    ),
)  # fmt: skip

_HEADER = (
    _row(
        "swap_header", Kind.GROUP, Unit.NO,
        "what the store holds for mkswap's own page (the area's first page, which is no slot), below; empty if nothing "
        "is known of it",
        _CONTENT, lost_with=ENTRY, needs=_STORES,
    ),
    Figure("swap_header.pages", Kind.STATE, Unit.PAGES, "its pages (none or one)"),
    Figure("swap_header.compr_bytes", Kind.STATE, Unit.BYTES, "their compressed bytes"),
)  # fmt: skip

# -- what is stale

_STALE = "stale"


def _integral(name: str, sentence: str, **more_: Any) -> Figure:
    return Figure(name, Kind.INTEGRAL, Unit.BYTES, sentence, **more_)


def _plain(value: Any) -> Any:
    """An integral, or whatever holds some, as dictionaries."""
    if isinstance(value, Integral):
        return {part: getattr(value, part) for part in INTEGRAL_PARTS}
    if isinstance(value, PolicyResult | WhatIf | WrittenBack):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _policies(area: AreaResult) -> dict[str, Any]:
    return {**_plain(area.policies), **dict.fromkeys(area.not_predicted)}


def _integrals(named: dict[str, Integral | None]) -> dict[str, Any]:
    """Both are always there, if only as null."""
    return {**dict.fromkeys(("compr_bytes", "pool_bytes")), **_plain(named)}


_POLICIES = (
    Figure(
        "policies", Kind.GROUP, Unit.NO,
        f"by policy ({', '.join(f'`{name}`' for name in POLICIES)}; with `--policy` only those that were "
        "asked for): what would be stale, below; null for a policy that is not predicted",
        _policies, needs=_STORES, section=_STALE,
    ),
    Figure("policies.POLICY.stale_slots_end", Kind.STATE, Unit.SLOTS, "at the end", rule=losses.stale, better=_LESS),
    Figure(
        "policies.POLICY.stale_slots_peak", Kind.STATE, Unit.SLOTS, "the largest number", rule=losses.stale,
        better=_LESS,
    ),
    _integral(
        "policies.POLICY.stale_compr_bytes", "an integral: compressed bytes", rule=losses.stale, better=_LESS,
    ),
    _integral(
        "policies.POLICY.stale_pool_bytes",
        "an integral: whole pages of the allocator; where the pool is not modelled, `unknown` has the reason",
        lost_with=ANY, better=_LESS,
    ),
)  # fmt: skip

_DUPLICATE = (
    Figure(
        "duplicate", Kind.GROUP, Unit.NO,
        "live slots whose page is in memory as well, below; never part of stale",
        lambda area: {"slots_end": area.duplicate_slots_end, "compr_bytes": _plain(area.duplicate_compr_bytes)},
        needs=_STORES, section=_STALE,
    ),
    Figure(
        "duplicate.slots_end", Kind.STATE, Unit.SLOTS, "slots at the end",
        rule=Rule(STATE, losses.STORED | {"LOAD"}), better=_LESS,
    ),
    _integral(
        "duplicate.compr_bytes", "an integral", better=_LESS,
        rule=_end_and_peak(Rule(SIZE, ENTRY | {"LOAD"}, Per.PAGE), either(SIZE | {"LOAD"}, Per.PAGE)),
    ),
)  # fmt: skip

_POOL = (
    _integral(
        "pool",
        "the whole store's pool as observed, an integral: its `end` is `mem_used_total`; where the pool is not "
        "modelled, `unknown` has the reason",
        of=lambda area: _plain(area.pool), lost_with=ANY, needs=_STORES | {WRITTEN_BACK}, section=_STALE,
        better=_LESS,
    ),
    Figure(
        "leaks", Kind.LIST, Unit.NO, "a list: the leaked slots at the end, by time, at most 1000, below",
        lambda area: [{**asdict(leak), "since": leak.since / 1e9} for leak in area.leaks],
        lost_with=SIZE, needs=_STORES, section=_STALE,
    ),
    Figure("leaks.slot", Kind.SIZE, Unit.NUMBER, "which slot"),
    Figure("leaks.compr_bytes", Kind.STATE, Unit.BYTES, "what its entry takes"),
    Figure("leaks.since", Kind.STATE, Unit.SECONDS, "its free, after the start"),
    Figure(
        "leaks.why", Kind.TEXT, Unit.NO, "`missed` (the notification found the entry locked) or `not notified`",
    ),
    Figure(
        "what_if", Kind.GROUP, Unit.NO,
        "by specification (`report --what-if`): what a store takes whose pool is built by other rules, or that writes "
        "back what is idle, below; if nothing is known of it, `unknown` has the reason",
        lambda area: _plain(area.what_if),
       lost_with=ANY, section=_STALE,
    ),
    _integral(
        "what_if.SPECIFICATION.mem_used_total",
        "an integral: the whole pool, as observed; where the pool is not modelled, `unknown` has the reason",
    ),
    Figure(
        "what_if.SPECIFICATION.stale_pool_bytes", Kind.GROUP, Unit.NO, "by policy (those of `policies`): an integral",
    ),
    _integral("what_if.SPECIFICATION.stale_pool_bytes.POLICY", ""),
    Figure(
        "what_if.SPECIFICATION.write_back", Kind.GROUP, Unit.NO,
        "with `writeback=TIME`: if each entry (but same-filled ones) were written back the moment that it is idle for "
        "longer, below; or null",
    ),
    _integral(
        "what_if.SPECIFICATION.write_back.in_memory",
        "an integral: the area's compressed bytes that the store then holds in memory, as observed",
    ),
    _integral("what_if.SPECIFICATION.write_back.recorded", "an integral: those that it held"),
    Figure("what_if.SPECIFICATION.write_back.writes", Kind.COUNT, Unit.PAGES, "written to the disk"),
    Figure("what_if.SPECIFICATION.write_back.loads", Kind.COUNT, Unit.PAGES, "read from there, instead of from memory"),
    Figure("what_if.SPECIFICATION.write_back.pages_end", Kind.STATE, Unit.PAGES, "there at the end"),
    Figure(
        "slot_free_path", Kind.GROUP, Unit.NO,
        "after `record --time-frees`, else null: the kernel's slot-free function, of all areas together. It contains "
        "the notifications, and the time of the probes in it",
        lambda area: area.free_path, section="durations",
    ),
    Figure("slot_free_path.calls", Kind.COUNT, Unit.EVENTS, "how many"),
    Figure("slot_free_path.slots", Kind.COUNT, Unit.SLOTS, "slots that they freed"),
    Figure("slot_free_path.ns", Kind.COUNT, Unit.NS, "how long all of them took", better=_LESS),
)  # fmt: skip


def _difference(name: str, sentence: str, better: Better) -> tuple[Figure, ...]:
    """What is stale under one policy and not under another."""
    return (
        Figure(
            name, Kind.GROUP, Unit.NO, sentence, lambda area: _integrals(getattr(area, name)), needs=_STORES,
            section=_STALE,
        ),
        _integral(f"{name}.compr_bytes", "an integral", rule=losses.stale, better=better),
        _integral(
            f"{name}.pool_bytes", "an integral; where the pool is not modelled, `unknown` has the reason",
            lost_with=ANY, better=better,
        ),
    )  # fmt: skip


_DIFFERENCES = (
    *_difference("recovered", "stale under `none` minus stale under `notify`, below", _MORE),
    *_difference("leaked", "stale under `observed` minus stale under `notify`, below", _LESS),
)

# -- what is idle

_AGED = "age"


def _age(area: AreaResult) -> dict[str, Any] | None:
    if area.age is None:
        return None
    return {
        "in_memory_mean": ages.mean_in_memory(area.age),
        "unsized": area.age.unsized,
        "thresholds": [asdict(each) for each in ages.thresholds(area.age)],
    }


def _at(name: str, kind: Kind, unit: Unit, sentence: str) -> Figure:
    return Figure(f"age.thresholds.{name}", kind, unit, sentence)


_AGES = (
    Figure(
        "age", Kind.GROUP, Unit.NO,
        "what writing back entries that are idle would give, below: those that nobody has stored or read for a "
        "threshold. An entry from before the recording counts as touched when that began. null unless it was asked for "
        "(`report --age`, of results `record --summary --age`), and where there is no store",
        _age, lost_with=ANY, needs=_NOTIFIED | {WRITTEN_BACK}, section=_AGED,
    ),
    Figure(
        "age.in_memory_mean", Kind.RATIO, Unit.BYTES,
        "the area's compressed bytes that the store held in memory, as observed: a time-weighted mean",
    ),
    Figure(
        "age.unsized", Kind.STATE, Unit.PAGES,
        "entries from before the recording whose size was not told: they are none of the bytes here, which are at "
        "least these, then",
    ),
    Figure(
        "age.thresholds", Kind.LIST, Unit.NO,
        "a list, by threshold: if each entry (but same-filled ones) were written back the moment that it is idle for "
        "longer, to stay on the disk until it is overwritten or dropped. Eight thresholds in each doubling, 1, 5, 15 "
        "and 60 minutes among them, as long as they are shorter than the recording",
    ),
    _at("idle_s", Kind.SIZE, Unit.SECONDS, "the threshold"),
    _at(
        "saved_byte_seconds", Kind.RATIO, Unit.BYTE_SECONDS,
        "compressed bytes that are on the disk instead of in memory, times the seconds for which they are",
    ),
    _at("saved_mean", Kind.RATIO, Unit.BYTES, "the same as a time-weighted mean"),
    _at("saved_share", Kind.RATIO, Unit.NUMBER, "of `in_memory_mean`, 0 to 1; null if that is 0"),
    _at("writes", Kind.COUNT, Unit.PAGES, "written to the disk"),
    _at("loads", Kind.COUNT, Unit.PAGES, "read from the disk instead of from memory"),
    _at("loads_per_s", Kind.RATIO, Unit.NUMBER, "the same, a second: the promotion rate of far memory"),
    _at("pages_end", Kind.STATE, Unit.PAGES, "on the disk at the end"),
    _at("bytes_end", Kind.STATE, Unit.BYTES, "the compressed bytes that these took"),
)  # fmt: skip

# -- durations

_DURATIONS = "durations"
_SURVIVAL = STATE | {"ALLOC"}
_QUANTILE = (
    "a product-limit estimate, which takes into account what was still running when the recording ended; null if the "
    "recording was too short to tell"
)
_TIMES = {
    "count": (Kind.COUNT, Unit.NUMBER, "how many ended"),
    "p50": (Kind.QUANTILE, Unit.NS, _QUANTILE),
    "p90": (Kind.QUANTILE, Unit.NS, "likewise, or null"),
    "p99": (Kind.QUANTILE, Unit.NS, "likewise, or null"),
    "max": (Kind.QUANTILE, Unit.NS, "the longest of those that ended; null if none did"),
    "total": (Kind.COUNT, Unit.NS, "all together"),
}


def _times(name: str, *parts: str, better: Better = Better.NEITHER) -> tuple[Figure, ...]:
    """better: of the times, not of how many there are."""
    rows = (Figure(f"{name}.{part}", *_TIMES[part]) for part in parts)
    return tuple(replace(row, better=better) if row.unit is Unit.NS else row for row in rows)


def _durations(name: str, sentence: str, of: Callable[[AreaResult], Any], lost_with: Kinds = _SURVIVAL) -> Figure:
    needs = _NOTIFIED if name == "notification_ns" else _STORES
    return Figure(
        name, Kind.GROUP, Unit.NO, sentence, of, lost_with=lost_with, needs=needs, section=_DURATIONS,
    )  # fmt: skip


def _summary(times: Histogram) -> dict[str, Any]:
    """count, p50, p99 and max of durations (ns)."""
    largest = times.largest if times.count else None
    return {"count": times.count, "p50": times.quantile(0.5), "p99": times.quantile(0.99), "max": largest}


def _running(survival: Survival) -> dict[str, Any]:
    """What is in no quantile: still running at the end, and begun before the recording."""
    return {"right": survival.censored.sum(), "left": survival.left_censored}


_LIVES = (
    _durations(
        "lifetime_ns",
        "how long slots were in use: from the first store to the free, or, on a disk, from the allocation",
        lambda area: area.lifetime.summary(),
    ),
    *_times("lifetime_ns", "count", "p50", "p90", "p99", "max"),
    _durations(
        "lifetime_by_reason_ns", "by the reason of the free: how long the slots had been in use, of those that ended",
        lambda area: {reason: _summary(times) for reason, times in area.lifetime_by_reason.items()},
    ),
    *_times("lifetime_by_reason_ns.REASON", "count", "p50", "p99", "max"),
    _durations(
        "time_to_reuse_ns", "the time from a slot's free to the next page written to it",
        lambda area: area.time_to_reuse.summary(),
    ),
    *_times("time_to_reuse_ns", "count", "p50", "p90", "p99", "max"),
    _durations(
        "censored", "what no quantile can know, below",
        lambda area: {"lifetime": _running(area.lifetime), "time_to_reuse": _running(area.time_to_reuse)},
    ),
    *(
        Figure(f"censored.{name}", Kind.GROUP, Unit.NO, f"of `{name}_ns`") for name in ("lifetime", "time_to_reuse")
    ),
    *(
        Figure(f"censored.{name}.{part}", Kind.STATE, Unit.SLOTS, sentence)
        for name in ("lifetime", "time_to_reuse")
        for part, sentence in (
            ("right", "how many were still running at the end"), ("left", "how many had begun before the recording"),
        )
    ),
)  # fmt: skip

_REASONS = {
    FreeReason.EXIT: ("exiting, or replacing its memory", "the task exited or replaced its memory"),
    FreeReason.SWAPIN: ("the page came back", "the page came back into RAM"),
    FreeReason.UNMAP: ("giving memory or a file up", "memory or a file was given up"),
    FreeReason.SWAPOFF: ("the area was switched off", "the area was deactivated"),
    FreeReason.RECLAIM: ("the kernel reclaimed the slot", "the kernel reclaimed the slot"),
    FreeReason.OTHER: ("none of these", "none of these"),
}

_FREES = (
    Figure(
        "free_reasons", Kind.GROUP, Unit.NO, "frees by what the freeing task was doing, below",
        lambda area: {reason.name.lower(): 0 for reason in FreeReason} | area.free_reasons, section="reasons",
    ),
    *(
        Figure(
            f"free_reasons.{reason.name.lower()}", Kind.COUNT, Unit.SLOTS, sentence, words=words,
            rule=more("FREE"),
        )
        for reason, (sentence, words) in _REASONS.items()
    ),
    _row(
        "unread", Kind.GROUP, Unit.NO,
        "by the same reasons, slots freed whose page was never read since it was stored (or since the recording "
        "began, if it is older): kept for nothing",
        "reasons", needs=_STORES,
    ),
    *(
        Figure(
            f"unread.{reason.name.lower()}", Kind.COUNT, Unit.SLOTS, sentence,
            rule=Rule(frozenset({"FREE", "LOAD"}), frozenset({"FREE", "STORE"})), better=_LESS,
        )
        for reason, (sentence, _) in _REASONS.items()
    ),
    _durations(
        "notification_ns",
        "how long notifications took that were timed, of which there are `count`: of zram's one in 16, or all after "
        "`record --time-frees`, from when the driver begins to drop the entry until it returns (in traces of format 1 "
        "all, and from their beginning)",
        lambda area: {**_summary(area.notification), "total": area.notification.total}, frozenset({"NOTIFY"}),
    ),
    *_times("notification_ns", "count", "p50", "p99", "max", "total", better=_LESS),
)  # fmt: skip

#: All rows, in the order of the JSON report.
FIGURES: tuple[Figure, ...] = (
    *_IDENTITY,
    *_ACTIVITY,
    *_IN_USE,
    *_RAMZSWAP,
    *_HEADER,
    *CONTENT,
    *_OF_CONTENT,
    *_COST,
    *_POLICIES,
    *_DUPLICATE,
    *_POOL,
    *_DIFFERENCES,
    *_AGES,
    *_LIVES,
    *_FREES,
)


_ROWS = {row.name: row for row in FIGURES}


def _places() -> dict[str, dict[str, str]]:
    """By the name of a group, the parts of names that are in it, with their whole names: of rows, and of groups."""
    found: dict[str, dict[str, str]] = {}
    for row in FIGURES:
        name = row.name
        while name:
            parent, _, part = name.rpartition(".")
            found.setdefault(parent, {}).setdefault(part, name)
            name = parent
    return found


_PLACES = _places()


def inside(group: str = "") -> dict[str, Figure | None]:
    """What is directly inside of a group, by the last parts of names; None is a group without a row of its own.

    Without a group: what an area's object has.
    """
    return {part: _ROWS.get(name) for part, name in _PLACES.get(group, {}).items()}


def _place(group: str, part: str) -> str:
    """The name of what is in a group under that key; empty if there is no such row."""
    places = _PLACES.get(group, {})
    return places.get(part) or next((name for key, name in places.items() if key.isupper()), "")


def children(group: str = "") -> list[Figure]:
    """The rows of what is directly inside of a group; without one, of what an area's object has."""
    return [row for row in FIGURES if row.parent == group]


def figure_at(name: str) -> Figure | None:
    """The row of a figure by its name in an area (`policies.none.stale_slots_end`); an integral's for its parts."""
    place = ""
    for part in name.split("."):
        there = _place(place, part)
        if not there:
            break
        place = there
    return _ROWS.get(place)


def values(area: AreaResult, rows: Iterable[Figure] = FIGURES) -> dict[str, Any]:
    """Every figure of an area as it was counted, nested as in the JSON report; or only those of some rows."""
    return {row.name: row.of(area) for row in rows if row.of is not None}


def walk(group: dict[str, Any], name: str = "", place: str = "") -> Iterator[tuple[str, Figure, Any]]:
    """(name in this area, row, value) of everything in `values`, groups before what is inside of them."""
    for key, value in group.items():
        here, there = f"{name}.{key}".lstrip("."), _place(place, key)
        if row := _ROWS.get(there):
            yield here, row, value
        if there and isinstance(value, dict):
            yield from walk(value, here, there)


def _is_ruled(top: Figure) -> bool:
    rows = [row for row in FIGURES if row is top or row.name.startswith(f"{top.name}.")]
    return any(row.rule or (row.lost_with and row is not top) for row in rows)


_RULED = [row for row in children() if _is_ruled(row)]


def bounded_figures(area: AreaResult) -> dict[str, int]:
    """All figures that have a rule, as counted, by name."""
    found: dict[str, int | None] = {}
    for name, row, value in walk(values(area, _RULED)):
        if row.rule is None or value is None:
            continue
        found |= (
            {f"{name}.{part}": value[part] for part in ("end", "peak")} if row.kind is Kind.INTEGRAL else {name: value}
        )
    return {name: value for name, value in found.items() if value is not None}


def lost_with(area: AreaResult) -> dict[str, Kinds]:
    """The figures of which nothing is known if such events were lost: a name stands for all that is inside, too."""
    found = {row.name: row.lost_with for row in children() if row.lost_with}
    for name, row, _ in walk(values(area, _RULED)):
        if row.lost_with:
            found[name] = row.lost_with
        elif row.kind is Kind.INTEGRAL and row.rule:
            found |= {f"{name}.mean": ANY, f"{name}.byte_seconds": ANY}
    return found


def rule_of(name: str) -> Rule:
    """By how much lost events can change a figure of `bounded_figures`."""
    row = figure_at(name)
    if row is None or row.rule is None:
        raise KeyError(name)
    return row.rule if isinstance(row.rule, Rule) else row.rule(name)


def unknown_figures(missing: Iterable[str]) -> frozenset[str]:
    """The fields of an area in the JSON report that are unknown if these events are missing."""
    absent = set(missing)
    return frozenset(row.name for row in FIGURES if row.needs & absent)


def untold_figures(missing: Sequence[str]) -> dict[str, str]:
    """The same, with the reason for each: the first of those events that it needs."""
    return {
        name: f"the kernel does not tell of: {event}"
        for event in reversed(missing)
        for name in unknown_figures([event])
    }
