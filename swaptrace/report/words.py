"""The sentences of the reports: headlines, warnings and the glossary, the same in the terminal and in HTML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from swaptrace import units
from swaptrace.areas import again, title_of
from swaptrace.degradation import WITHOUT
from swaptrace.policies import POLICIES
from swaptrace.report import shares
from swaptrace.results.readahead import readahead
from swaptrace.results.results import AreaResult, Integral, TraceResult

BACKINGS = {
    "zram": "zram, compressed in RAM",
    "zswap": "zswap in front of a disk",
    "disk": "a disk",
    "unknown": "something unknown",
}

GLOSSARY = {
    "swap area": "What one swapon activates: a device or a file. It ends with swapoff.",
    "slot": "One page of a swap area, addressed by its offset.",
    "store": "What holds the bytes behind a swap area: zram, zswap or a disk.",
    "live": "The slot is in use, and the store holds its entry.",
    "stale": "The slot is free, but the store still holds its entry: memory that nobody can use.",
    "duplicate": "A live slot whose page is in the swap cache, too: its bytes are held twice. Never counted as stale.",
    "slot-free notification": "The kernel's call that tells the store that a slot was freed.",
    "compressed bytes": "What the stored pages take after compression (zram's compr_data_size).",
    "pool bytes": "Whole pages of the allocator behind the store (mem_used_total): what the machine pays for what is "
    "stored. zram's own table comes on top.",
    "table bytes": "What zram takes for each page of its disksize, stored or not, once it is set up: an entry of 16 "
    "or 24 bytes in its own table (table_bytes). mem_used_total does not count it.",
    "byte-seconds": "Bytes times how long they were held: 1 MiB·s is 1 MiB held for one second.",
    **{f"policy {name}": policy.sentence for name, policy in POLICIES.items()},
    "recovered": "Stale under none minus stale under notify: what notifications can give back.",
    "leaked": "Stale under observed minus stale under notify: what this machine did not give back.",
    "idle": "An entry that nobody has stored or read for a while. zram writes such entries back (echo SECONDS > idle, "
    "echo idle > writeback); they are on its backing device then until they are overwritten or dropped.",
    "written back": "On the disk instead of in memory.",
    "time to reuse": "From a slot's free to the next page written to it: how long a stale entry would have stayed.",
}


def area_title(area: AreaResult) -> str:
    """The device, and what tells this area from an earlier one on it."""
    return title_of(area.device, area.swap_type, area.generation)


def area_line(area: AreaResult) -> str:
    """What the area is, in one line; and which policies nothing is said of."""
    if area.not_understood:
        return f"{units.count(area.slots)} slots; what lies behind them is not known: {area.not_understood}."
    told = "slot-free notifications reach it" if area.notified else "no slot-free notifications reach it"
    if "notified" in area.unknown:
        told = "whether slot-free notifications reach it is not known, for events were lost"
    behind = f" ({area.zram})" if area.zram and area.zram not in area.device else ""
    line = f"{units.count(area.slots)} slots on {BACKINGS.get(area.backing, area.backing)}{behind}; {told}."
    no_what_if = f"--what-if tells nothing of it: {area.absent['what_if']}." if "what_if" in area.absent else ""
    return " ".join(filter(None, (line, not_predicted(area), no_what_if)))


def heading(result: TraceResult) -> list[tuple[str, str]]:
    """(name, value) pairs: kernel, host, when, how long, events, lost."""
    trace = result.trace
    seconds, events = trace.get("duration_s"), trace.get("events")
    speed = shares.share(events, seconds)
    return [
        ("host", str(trace.get("host") or units.DASH)),
        ("kernel", str(trace.get("kernel") or units.DASH)),
        ("recorded", _when(trace.get("start_realtime"))),
        ("duration", units.duration(None if seconds is None else seconds * 1e9)),
        ("events", units.count(events) + (f" ({units.rate(speed)})" if speed is not None else "")),
        ("lost", units.count(trace.get("lost_events"))),
        *((name, value) for name, value in _more(result) if value),
    ]


def _more(result: TraceResult) -> list[tuple[str, str]]:
    """What not every recording has."""
    trace = result.trace
    return [
        ("part", part(trace.get("since_s"), trace.get("until_s"))),
        ("labels", _labels(trace)),
        ("marks", _marks(trace)),
        ("readahead", _readahead(result)),
    ]


def _readahead(result: TraceResult) -> str:
    """What was read for nothing, if anything was read ahead."""
    found = readahead(result)
    if found is None or not found.pages:
        return ""
    share = units.percent(found.unused / found.pages)
    return f"{units.count(found.pages)} pages, {units.count(found.unused)} of them ({share}) not used until the end"


def _marks(trace: dict[str, Any]) -> str:
    return ", ".join(f"{units.duration(mark['time_s'] * 1e9)} {mark['text']}" for mark in trace.get("marks") or ())


def part(since: float | None, until: float | None) -> str:
    """What of a recording is shown (seconds after its start), if it is not the whole."""
    if since is None and until is None:
        return ""
    end = "the end" if until is None else units.duration(until * 1e9)
    return f"from {units.duration((since or 0) * 1e9)} after the start to {end}"


def _labels(trace: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in (trace.get("labels") or {}).items())


def _when(start: float | None) -> str:
    """Seconds since the epoch as a date and time in the reader's zone, which need not be the recorded machine's."""
    if start is None:
        return units.DASH
    local = datetime.fromtimestamp(start, UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {timezone(local.utcoffset() or timedelta())}"


def lead(result: TraceResult) -> AreaResult | None:
    """The area with most to say: most memory at stake, else the busiest one."""

    def weight(area: AreaResult) -> tuple[int, int]:
        recovered = area.recovered.get("compr_bytes")
        held = max((policy.stale_compr_bytes.peak for policy in area.shown_policies.values()), default=0)
        return (recovered.peak if recovered else 0 if area.compares else held, area.stores)

    return max(result.areas, key=weight, default=None)


def _areas_lost(result: TraceResult) -> int:
    return result.lost.get("SWAPON", 0)


def trace_headline(result: TraceResult) -> str:
    """The answer in one sentence: that of the leading area, named if there are several."""
    area = lead(result)
    if area is None and _areas_lost(result):
        return "A swap area was switched on while this was recorded, but nothing else is known of it."
    if area is None:
        return "No swap area was active while this was recorded."
    if len(result.areas) == 1:
        return headline(area)
    return f"{area.device}{again(area.generation)}: {headline(area)}"


def of_the_whole_store(area: AreaResult) -> str:
    """What pool bytes are about, if the area has its store not for itself: a sentence."""
    if not area.sharers:
        return ""
    others = "another swap area" if area.sharers == 1 else f"{units.count(area.sharers)} other swap areas"
    return f"Pool bytes are those of the whole store, {area.store}, which {others} of this recording used as well."


def holds_memory(area: AreaResult) -> bool:
    """Whether there is anything to say about stale entries: a compressed store, or one that was seen to hold some."""
    return area.backing in ("zram", "zswap") or any(policy.stale_slots_peak for policy in area.policies.values())


def headline(area: AreaResult) -> str:
    """What stale slots cost in this area, and what notifications give back, in one sentence."""
    if area.not_understood:
        return "What stale slots cost here is not known."
    if not area.exact and holds_memory(area):
        return _within_bounds(area)
    if holds_memory(area) and (not area.compares or ("none" in area.not_predicted and not area.shows("observed"))):
        return _of_policies(area)
    none, recovered = area.policies.get("none"), area.recovered.get("compr_bytes")
    if "none" in area.not_predicted and holds_memory(area):
        return _without_prediction(area)
    if none is None or recovered is None or not holds_memory(area):
        where = BACKINGS.get(area.backing, area.backing)
        return f"Stale slots cost no memory that is known of: this area is on {where}."
    if none.stale_slots_peak == 0:
        of_it = " of this area" if area.sharers else ""
        return f"No slot{of_it} was ever stale, with notifications or without them."
    if not area.notified and area.shows("observed"):
        return _without(area)
    stale = _of_the_store(area, "none")
    return f"Stale slots would hold {stale} at the end without slot-free notifications; {_given_back(area, recovered)}"


def _given_back(area: AreaResult, recovered: Integral) -> str:
    """What notifications give back, as half a sentence; what they missed, if the observed policy is shown."""
    leaked = area.leaked.get("compr_bytes")
    back, peak = units.size(recovered.end), units.size(recovered.peak)
    if not area.shows("observed"):
        return f"notifications can give back {back} of it, and {peak} at the peak."
    if leaked is None or (leaked.end == 0 and area.miss_free == 0):  # a free and its notification are a moment apart
        return f"notifications gave back {back} of it, and {peak} at the peak."
    missed = f"{units.size(leaked.end)} ({units.size(leaked.peak)} at the peak)"
    return f"notifications can give back {back} of it, and {peak} at the peak, but missed {missed}."


def _of_policies(area: AreaResult) -> str:
    """The headline if policies were asked for that do not show what notifications give back: each by itself."""
    held = [
        f"{_of_the_store(area, name)} under {name}, and {units.size(policy.stale_compr_bytes.peak)} at the peak"
        for name, policy in area.shown_policies.items()
    ]
    if not held:
        return f"What stale slots hold is not known. {not_predicted(area)}".rstrip()
    return f"Stale slots hold at the end {'; '.join(held)}."


def not_predicted(area: AreaResult) -> str:
    """Which policies are left out, and why; empty if none is."""
    names = [name for name in area.not_predicted if area.shows(name)]
    return f"Not predicted: {', '.join(names)}, for {area.not_predicted[names[0]]}." if names else ""


def _without_prediction(area: AreaResult) -> str:
    """The headline if it is not known what would be stale without notifications."""
    return (
        f"Stale slots hold {_of_the_store(area, 'observed')} at the end; what they would hold without slot-free "
        f"notifications is not known, for {area.not_predicted['none']}."
    )


def _within_bounds(area: AreaResult) -> str:
    """The headline if events were lost: of what would be stale without notifications, or the first that is shown."""
    policy = "none" if area.shows("none") else next(iter(area.shown_policies), "none")
    figure = f"policies.{policy}.stale_compr_bytes.end"
    found = area.ranges.get(figure)
    if found is not None and found.high is not None:
        held = f"between {units.size(found.low)} and {units.size(found.high)}"
    elif policy in area.policies and figure not in area.unknown:
        held = units.size(area.policies[policy].stale_compr_bytes.end)
    else:
        return f"What stale slots hold is not known: {area.unknown.get(figure, 'events were lost')}."
    how = "without slot-free notifications" if policy == "none" else f"under {policy}"
    return f"Stale slots would hold {held} at the end {how}; events were lost."


def _of_the_store(area: AreaResult, policy: str) -> str:
    """What is stale at the end, and its share; an empty store has none."""
    held, share = units.size(area.policies[policy].stale_compr_bytes.end), shares.stale_share(area, policy)
    return held if share is None else f"{held} ({units.percent(share)} of the store)"


def _without(area: AreaResult) -> str:
    """The headline of an area whose store is told nothing: what it holds now, and what it need not hold."""
    now = "observed" if "observed" in area.policies else "none"
    leaked = area.leaked.get("compr_bytes")
    saved = leaked if now == "observed" and leaked is not None else area.recovered["compr_bytes"]
    assert saved is not None
    return (
        f"Stale slots hold {_of_the_store(area, now)} at the end, "
        f"for this area gets no slot-free notifications; they would give back {units.size(saved.end)} of it, "
        f"and {units.size(saved.peak)} at the peak."
    )


def warnings(result: TraceResult) -> list[str]:
    """What a reader must know before believing any figure; empty if all is well."""
    said = []
    lost = int(result.trace.get("lost_events") or 0)
    if lost:
        missed = sum(result.missed.values())
        reasons = [f"{units.count(number)} {kind.lower()}" for kind, number in result.lost.items() if number]
        reasons += [f"{units.count(missed)} of them by probes that did not run"] if missed else []
        details = f" ({', '.join(reasons)})" if reasons else ""
        said.append(
            f"{units.count(lost)} EVENTS WERE LOST{details}: the figures below are bounds, not exact values, "
            "and some are not told at all."
        )
    for event in result.header.get("missing", ()):
        without = WITHOUT.get(event, "what rests on it is unknown")
        said.append(f"THE KERNEL DID NOT TELL OF: {event}. Without it, {without}. A 0 that rests on it means nothing.")
    if lost_areas := _areas_lost(result):
        said.append(
            f"{units.count(lost_areas)} CALLS OF SWAPON WERE NOT UNDERSTOOD: which slots their areas had is not known, "
            "and hence no figure of any area is."
        )
    for area in result.areas:
        why_not = {*area.not_told.values(), *(() if lost else area.unknown.values())}
        said += [f"{area.device}: {why}." for why in sorted(why_not)]
    if not result.trace.get("complete", True) and result.trace.get("summary"):
        said.append(
            "THE RECORDING HAD NOT ENDED when these results were written: it goes on, or the recorder was killed. "
            "There is no end snapshot to compare with the kernel's own counters."
        )
    elif not result.trace.get("complete", True):
        damage = result.trace.get("damage")
        why = f"{damage}." if damage else "the recorder was stopped before it could finish the file, or it was cut off."
        said.append(
            f"THE TRACE IS INCOMPLETE: {why} "
            "The figures cover what was written; there is no end snapshot to compare with the kernel's own counters."
        )
    return said
