"""The findings: a table of rules, each a function from evidence to findings of one id.

Beside the rules here there are those that hold of a recording, too (swaptrace.findings.rules). Only warnings and
critical findings make the audit's verdict (and exit status) negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from swaptrace import units
from swaptrace.audit.advice import (
    mounts_anew,
    remounts,
    room_for_swapoff,
    start_anew,
    stops_discards,
    switched_anew,
    trims,
)
from swaptrace.audit.evidence import AreaEvidence, Evidence, StoreEvidence
from swaptrace.findings import rules
from swaptrace.findings.finding import Advice, Finding, Number, Severity
from swaptrace.findings.rules import SMALL, AreaFacts, Facts
from swaptrace.machine.machine import PAGE_SIZE
from swaptrace.machine.stack import Filesystem, filesystems, walk, way_down

_GRAVE = 0.05  # of the machine's memory
_MANY = 0.05  # of the slots in use

Rule = Callable[[Evidence], Iterator[Finding]]


def find(evidence: Evidence) -> list[Finding]:
    """All findings, the gravest first."""
    found = [finding for rule in RULES for finding in rule(evidence)] + rules.find(_facts(evidence))
    return sorted(found, key=lambda finding: -finding.severity)


def _facts(evidence: Evidence) -> Facts:
    """What the rules for recordings need to know, as far as it can be seen without one."""
    behind = "zswap" if evidence.zswap.enabled else "disk"
    areas = tuple(
        AreaFacts(
            area.path, area.priority, area.pages, area.used, "zram" if area.stores else behind,
            area.stores[0] if area.stores else None,
        )
        for area in evidence.areas
    )  # fmt: skip
    stores = tuple(store.store for store in evidence.stores)
    moved = {store.name: dict(store.counters) for store in stores} | {"zswap": evidence.zswap.counters}
    return Facts(areas, stores, moved)


# -- areas that get no notifications

# top layer -> (id, what it is, why nothing comes through)
_DEAF = {
    "file": ("stale-behind-file", "a swap file", "the kernel notifies block devices only, never a filesystem"),
    "loop": ("stale-behind-loop", "a loop device", "the loop driver has no slot-free notification to pass on"),
    "dm": ("stale-behind-dm", "a device-mapper device", "device mapper has no slot-free notification to pass on"),
}
_DEAF_OTHER = ("stale-behind-device", "a device on top of zram", "its driver has no slot-free notification to pass on")


def stale_behind_something(evidence: Evidence) -> Iterator[Finding]:
    """Areas on zram whose top layer keeps the notifications from it."""
    for area in evidence.areas:
        if area.notified is not False:
            continue
        name, what, why = _DEAF.get(area.top.kind, _DEAF_OTHER)
        store = ", ".join(area.stores)
        sentence = (
            f"{store} is not told when slots of {area.path} are freed: the area is {what} ({way_down(area.top)}), "
            f"and {why}. What is freed stays compressed in memory until its slot is written again. "
            f"{_how_much(area)}"
        )
        grave = _grave(area.stale_bytes, evidence)
        severity = Severity.CRITICAL if grave else Severity.WARNING
        advice = (start_anew(area, evidence), *_discards(area, evidence))
        yield Finding(name, severity, area.path, sentence, _numbers(area, evidence), advice)


def _how_much(area: AreaEvidence) -> str:
    if area.stale_at_least is None:
        return "How much is stale now cannot be told."
    if not area.stale_at_least:
        return "For now, all that is held may be in use."
    size = f" (about {units.size(area.stale_bytes)} compressed)" if area.stale_bytes is not None else ""
    if area.stale is not None:
        return f"{units.count(area.stale)} entries are stale now{size}."
    return f"At least {units.count(area.stale_at_least)} entries are stale now{size}."


def _discards(area: AreaEvidence, evidence: Evidence) -> Iterator[Advice]:
    """What discards can do, if they get down to zram at all."""
    layers = [layer for _, layer in walk(area.top)]
    if deaf := stops_discards(area):
        yield Advice(f"Discards are no way out: {', '.join(deaf)} does not pass them on.", cures=False)
        return
    inner = filesystems(layers[1:])
    through = (
        " A discard makes holes in the file below, whose filesystem passes them on when it is trimmed. Leave that "
        "filesystem enough free room: a hole needs blocks again when it is written, and swapping out fails if there "
        "are none."
        if inner
        else ""
    )
    yield switched_anew(
        area, evidence, "Or, without changing the layout: drop what is stale now (and again whenever it has grown)."
        + through, "--discard=once", after=trims(inner), cures=False,
    )  # fmt: skip
    yield switched_anew(
        area, evidence,
        "Or lessen it: with --discard the kernel also discards whole clusters of free slots (512 pages on x86-64) "
        "as they become free. Slots in clusters that are partly in use stay stale, and every discard costs time."
        + through + mounts_anew(inner), "--discard", after=(*trims(inner), *remounts(inner)), cures=False,
    )  # fmt: skip


# -- areas that get notifications, and still hold what is stale


def notifications_shifted(evidence: Evidence) -> Iterator[Finding]:
    """A partition of a zram device. The kernel notifies the disk with the slot's number, without the partition's start.

    zram forbids partitions since 5.17 (GENHD_FL_NO_PART), and before that had no minor numbers for them.
    """
    for area in evidence.areas:
        if area.top.kind == "partition" and area.notified:
            start = area.top.number("start") // PAGE_SIZE
            yield Finding(
                "notifications-shifted", Severity.CRITICAL, area.path,
                f"{area.path} is a partition of {area.stores[0]}, which begins at page {units.count(start)}: the "
                f"kernel passes slot numbers without adding that, so each freed slot drops another page's data. What "
                "programs have in swap may be damaged already: start them anew.",
                _numbers(area, evidence, partition_start=start),
                (start_anew(area, evidence),),
            )  # fmt: skip


def missed_notifications(evidence: Evidence) -> Iterator[Finding]:
    """zram counts notifications whose entry another CPU had locked just then: that entry stays.

    The counter only grows; where no such entry need be there any more, there is nothing to find.
    """
    for area, store in _whole_devices(evidence):
        missed = store.counter("miss_free")
        leaked = min(missed, area.stale_at_least or 0)
        if not leaked:
            continue
        size = _share(area, leaked)
        sentence = (
            f"{store.store.name} missed {units.count(missed)} of its notifications (miss_free): each left its entry "
            f"behind, until its slot was written again. At least {units.count(leaked)} of those entries are still "
            "there."
        )
        advice = switched_anew(
            area, evidence, "Nothing needs to be done: they go when their slots are written again. To drop them now:",
            "--discard=once",
        )  # fmt: skip
        severity = _by_size(size, evidence)
        yield Finding(
            "missed-notifications", severity, area.path, sentence, _numbers(area, evidence, miss_free=missed), (advice,)
        )


def stale_left_behind(evidence: Evidence) -> Iterator[Finding]:
    """A device that notifications reach, with more entries than slots in use and missed notifications together."""
    for area, store in _whole_devices(evidence):
        left = (area.stale_at_least or 0) - store.counter("miss_free")
        if left <= 0:
            continue
        size, name = _share(area, left), store.store.name
        about = f" (about {units.size(size)} compressed)" if size is not None else ""
        sentence = (
            f"{name} holds at least {units.count(left)} entries{about} that "
            "belong to no slot in use and were not left by a missed notification: data from before the area was made, "
            "of a filesystem or of a swap area that was no whole device."
        )
        advice = (
            switched_anew(area, evidence, "Discard the area once, when it is switched on.", "--discard=once"),
            start_anew(area, evidence, "Where that does not help, the entries lie beyond the area's end. "),
        )
        numbers = _numbers(area, evidence)
        yield Finding("stale-left-behind", _by_size(size, evidence), area.path, sentence, numbers, advice)


def frees_not_notified(evidence: Evidence) -> Iterator[Finding]:
    """Traced only: slots of a whole zram device were freed, and not one notification came."""
    for area, store in _whole_devices(evidence):
        seen = area.observed
        if seen is None or not seen.frees or seen.notifications or seen.lost_events:
            continue
        yield Finding(
            "frees-not-notified", Severity.WARNING, area.path,
            f"{units.count(seen.frees)} slots of {area.path} were freed while tracing, and {store.store.name} was "
            "notified of none, though it should have been: this kernel does not notify zram.",
            _numbers(area, evidence),
            (switched_anew(area, evidence, "Make the kernel discard free clusters instead, and please report the "
                           "kernel's version.", "--discard", cures=False),),
        )  # fmt: skip


def _whole_devices(evidence: Evidence) -> Iterator[tuple[AreaEvidence, StoreEvidence]]:
    for area in evidence.areas:
        store = evidence.store(area.top.name) if area.top.kind == "zram" else None
        if store is not None:
            yield area, store


def _share(area: AreaEvidence, pages: int) -> int | None:
    """About how many compressed bytes some of the area's stale entries have (None: not told)."""
    if area.stale_bytes is None:
        return None
    return round(area.stale_bytes * pages / area.stale_at_least) if area.stale_at_least else 0


# -- zram devices beside the areas


def store_without_user(evidence: Evidence) -> Iterator[Finding]:
    """A device that holds data, and that no swap area, filesystem or other device uses."""
    for store in evidence.stores:
        name, used = store.store.name, store.counter("mem_used_total")
        entries = store.counter("pages_stored")
        if store.areas or store.mounts or store.holders or entries <= 1:  # mkswap's header alone is nothing
            continue
        sentence = (
            f"{name} holds {units.count(entries)} entries in {units.size(used)} of memory, but is neither a swap area "
            "nor mounted, and no other device is on it: a swapoff drops only the slots in use, and an umount drops "
            "nothing."
        )
        advice = Advice(
            f"If nobody needs its data any more, give the memory back. Everything on {name} is lost: look first at "
            f"what it is (blkid /dev/{name}), for a filesystem that is not mounted just now looks the same from here. "
            "The device can then be set up anew.",
            (f"echo 1 > /sys/block/{name}/reset",),
        )
        numbers = _store_numbers(store)
        yield Finding("store-without-user", _by_size(used, evidence), f"/dev/{name}", sentence, numbers, (advice,))


def freed_blocks_kept(evidence: Evidence) -> Iterator[Finding]:
    """A filesystem on zram with more entries than blocks in use: deleted files that were never discarded.

    Swap files are left out on both sides if it is known where they are; metadata counts as in use.
    """
    for store in evidence.stores:
        if len(store.mounts) != 1 or store.mounts[0][1] is None:
            continue
        on_it, free = store.mounts[0][0], store.mounts[0][1] or 0
        point = on_it.point
        pages, found = (store.file_pages, store.file_entries) if store.areas else (0, 0)
        if pages is None or found is None:
            continue
        in_use = store.store.pages - free // PAGE_SIZE
        left = (store.counter("pages_stored") - found) - (in_use - pages)
        if left <= 0:
            continue
        stored = store.counter("pages_stored")
        size = round(store.counter("compr_data_size") * left / stored) if stored else 0
        sentence = (
            f"{store.store.name} holds at least {units.count(left)} entries (about {units.size(size)} compressed) for "
            f"blocks that are free in the filesystem on {point}: deleted files, swap files among them, stay compressed "
            "in memory until their blocks are discarded or written again."
        )
        numbers = {**_store_numbers(store), "freed_entries_at_least": left, "freed_compr_bytes_about": size}
        severity, device = _by_size(size, evidence), f"/dev/{store.store.name}"
        yield Finding("freed-blocks-kept", severity, device, sentence, numbers, tuple(_discarded(on_it)))


def _discarded(on_it: Filesystem) -> Iterator[Advice]:
    """What gets a filesystem's free blocks down to the device: now, and from now on."""
    late = (
        f" {on_it.point} is mounted with discard already, which concerns files deleted since then, and may come late "
        "(btrfs: discard=async)."
        if on_it.discards
        else ""
    )
    yield Advice(
        "Discard the free blocks. Those of files deleted just now are free for it only when the journal is written, "
        f"hence the sync.{late}",
        trims([on_it]),
    )
    if not on_it.discards:
        yield Advice(
            "Or let the filesystem do it from now on." + mounts_anew([on_it]), (*trims([on_it]), *remounts([on_it]))
        )


# -- slots in use that the store knows nothing of


def slots_without_entries(evidence: Evidence) -> Iterator[Finding]:
    """Where /proc/swaps and zramctl differ, though nothing is wrong."""
    for area in evidence.areas:
        found = area.in_use
        if found is None or not area.stores:
            continue
        others = found.slots - found.with_entry
        if others * PAGE_SIZE < SMALL or others < _MANY * found.slots:
            continue
        elsewhere = "held by zswap, or allocated" if evidence.zswap.enabled else "allocated"
        parts = {
            "are of pages of zeros, which the swap map alone remembers": found.zero_filled,
            "have their page in the swap cache only": found.swap_cache,
            f"are {elsewhere} and not written yet": found.elsewhere,
        }
        told = ", ".join(f"{units.count(number)} {what}" for what, number in parts.items() if number)
        yield Finding(
            "slots-without-entries", Severity.INFO, area.path,
            f"{units.count(others)} of the {units.count(found.slots)} slots in use have no entry in "
            f"{', '.join(area.stores)}: {told}. So swapon and /proc/swaps show more in use than zramctl shows stored.",
            _numbers(area, evidence, **{f"in_use_{name}": number for name, number in vars(found).items()}),
        )  # fmt: skip


# -- zswap


def zswap_before_zram(evidence: Evidence) -> Iterator[Finding]:
    """Both compress: what zswap evicts is decompressed, and compressed again by zram."""
    areas = [area.path for area in evidence.areas if area.stores]
    if evidence.zswap.enabled and areas:
        yield Finding(
            "zswap-before-zram", Severity.WARNING, ", ".join(areas),
            "zswap is enabled in front of a swap area on zram: pages are compressed by zswap first, and what it evicts "
            "is decompressed only to be compressed again. Slots that zswap holds have no entry in zram, so the bounds "
            "above are the weaker for it.",
            _zswap_numbers(evidence),
            (Advice("Switch zswap off (and zswap.enabled=0 on the kernel command line).",
                    ("echo N > /sys/module/zswap/parameters/enabled",)),),
        )  # fmt: skip


def zswap_enabled(evidence: Evidence) -> Iterator[Finding]:
    """In front of disks, as it is meant: nothing stale in memory, as zswap drops its copy when the slot is freed."""
    areas = [area.path for area in evidence.areas if not area.stores]
    if evidence.zswap.enabled and areas:
        yield Finding(
            "zswap-enabled", Severity.INFO, ", ".join(areas),
            "zswap keeps compressed copies of these areas' pages in memory. It drops a copy when its slot is freed "
            "(zswap_invalidate), so nothing stale stays in memory; what stays on the disk costs none.",
            _zswap_numbers(evidence),
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    notifications_shifted,
    stale_behind_something,
    stale_left_behind,
    frees_not_notified,
    missed_notifications,
    store_without_user,
    freed_blocks_kept,
    slots_without_entries,
    zswap_before_zram,
    zswap_enabled,
)


# -- numbers


def _grave(size: int | None, evidence: Evidence) -> bool:
    return bool(size and evidence.memory_bytes and size >= _GRAVE * evidence.memory_bytes)


def _by_size(size: int | None, evidence: Evidence) -> Severity:
    """For what only costs memory: by how much of it. Where that is not told, it may be much."""
    if _grave(size, evidence):
        return Severity.CRITICAL
    return Severity.WARNING if size is None or size >= SMALL else Severity.INFO


def _numbers(area: AreaEvidence, evidence: Evidence, **more: Number) -> dict[str, Number]:
    """An area's evidence; what tracing saw has the prefix traced_."""
    room = room_for_swapoff(area, evidence)
    numbers: dict[str, Number] = {
        "slots": area.pages,
        "slots_in_use": area.used,
        "entries": area.entries,
        "stale_entries_at_least": area.stale_at_least,
        "stale_compr_bytes_about": area.stale_bytes,
        "swapoff_needs_bytes": room.needed,
        "swapoff_room_bytes": room.there,
        **more,
    }
    if area.observed is not None:
        numbers |= {f"traced_{name}": value for name, value in vars(area.observed).items() if name != "seconds"}
        numbers["traced_s"] = area.observed.seconds
    return numbers


def _store_numbers(store: StoreEvidence) -> dict[str, Number]:
    names = ("pages_stored", "compr_data_size", "mem_used_total")
    units_of = {"pages_stored": "entries", "compr_data_size": "compr_bytes", "mem_used_total": "mem_used_bytes"}
    return {units_of[name]: store.store.counters.get(name) for name in names}


def _zswap_numbers(evidence: Evidence) -> dict[str, Number]:
    return {"zswap_pool_bytes": evidence.zswap.pool_bytes, "zswap_stored_bytes": evidence.zswap.stored_bytes}
