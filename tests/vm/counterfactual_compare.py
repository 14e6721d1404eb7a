"""The counterfactual's figures: what the recorded run predicts, beside what the other rigs measured, and the bounds.

Pure: from a trace and the guest's figures to plain data (what results.json holds).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from swaptrace.analysis.analysis import Analysis
from swaptrace.analysis.results import AreaResult
from swaptrace.events import REASON_SHIFT, EventBatch, EventKind, FreeReason
from swaptrace.trace.header import Header, Trailer

#: What the model of the traced run has to say about its own store, under mm_stat's names.
MODELLED = ("pages_stored", "same_pages", "huge_pages", "compr_data_size", "mem_used_total")
AGAIN = "switched off and on"  # the checkpoint after swapoff and another swapon
CONCURRENT = ("parallel",)  # workloads in which several processes swap at once

#: The order of the tables.
WORKLOADS = ("churn", "long-lived", "fork-shared", "thp", "thp-swapin", "read-back", "parallel")
RIGS = ("file", "file, discard=pages", "file, discard=once", "file, discard", "dm", "dm, discard")

#: (workload, rig) whose swap map is another than the recorded run's: no bound holds there, and the page says why.
OTHER_SWAP_MAP = (("read-back", "dm"),)

EQUAL_AT_ONCE = 0.001  # how far the model may be off with several processes at once
BOUNDS = {"none": 0.02, "discard": 0.05, "discard_once": 0.02}
#: Stale bytes below this share of what the store holds are too few to divide by: the difference is then taken
#: as a share of what it holds.
ENOUGH_STALE = 0.05


def policy_of(rig: str, checkpoint: str) -> str:
    """The policy that says what a rig's store holds at a checkpoint.

    "discard" alone is both of the others: once at swapon, and cluster by cluster from then on.
    """
    _, _, option = rig.partition(", ")
    if option == "discard":
        return "discard_once" if checkpoint == AGAIN else "discard"
    return {"": "none", "discard=pages": "discard", "discard=once": "discard_once"}[option]


@dataclass(frozen=True)
class Prediction:
    """What the traced run says about one moment: the content of the swap area under each policy."""

    live_slots: int
    live_bytes: int
    stale_slots: dict[str, int]
    stale_bytes: dict[str, int]
    pool_bytes: dict[str, int]  # of the whole store: mem_used_total under each policy
    model: dict[str, int | None]  # of the store as it was traced: MODELLED


def predict(header: Header, trailer: Trailer, batches: Iterable[EventBatch], moment: int) -> Prediction:
    """The prediction for a moment (CLOCK_MONOTONIC, ns) of a recording on zram0."""
    analysis = Analysis(header, until=moment)
    for batch in batches:
        analysis.feed(batch)
    areas = [area for area in analysis.finish(trailer).areas if area.zram == "zram0"]
    if not areas:
        raise ValueError("no swap area yet")
    # the pool is the store's, so every area tells the same; entries outlive their area, so those are added up
    last, policies = areas[-1], areas[-1].policies
    return Prediction(
        live_slots=sum(area.live_slots_end for area in areas),
        live_bytes=sum(area.live_compr_bytes_end for area in areas),
        stale_slots={name: sum(area.policies[name].stale_slots_end for area in areas) for name in policies},
        stale_bytes={name: sum(area.policies[name].stale_compr_bytes.end for area in areas) for name in policies},
        pool_bytes=_pools(last),
        model={name: getattr(last.model, name) for name in MODELLED},
    )


def _pools(area: AreaResult) -> dict[str, int]:
    """mem_used_total under each policy: what `observed` holds, moved by the difference in stale pool bytes."""
    stale = {name: policy.stale_pool_bytes for name, policy in area.policies.items()}
    if area.pool is None or any(one is None for one in stale.values()):
        return {}
    ends = {name: one.end for name, one in stale.items() if one is not None}
    return {name: area.pool.end - ends["observed"] + end for name, end in ends.items()}


# ------------------------------------------------------------------------------- slots that were never written

_STORE, _FREE = int(EventKind.STORE), int(EventKind.FREE)
_BATCH = 64  # SWAP_SLOTS_CACHE_SIZE: slots that a CPU takes at a time (include/linux/swap_slots.h, until 6.14)


class _Use(NamedTuple):
    """A slot was stored, or freed."""

    stored: bool
    slot: int
    size: int
    by_swapoff: bool
    time: int
    tgid: int


def _uses(batches: Iterable[EventBatch], extents: Sequence[tuple[int, int]]) -> Iterator[_Use]:
    """What happened to the slots of the area that lies in these extents (first store index, pages), slot by slot."""
    starts, first = [], 0
    for index, count in extents:
        starts.append((index, index + count, first - index))
        first += count
    for batch in batches:
        events = batch.events
        for event in events[np.isin(events["kind"], (_STORE, _FREE))]:
            slot, time, tgid = int(event["slot"]), int(event["time"]), int(event["tgid"])
            if event["kind"] == _STORE:
                shift = next((shift for index, end, shift in starts if index <= slot < end), None)
                if shift is not None and slot + shift > 0:  # the first is the header's
                    yield _Use(True, slot + shift, int(event["size"]), False, time, tgid)
            else:
                by_swapoff = int(event["flags"]) >> REASON_SHIFT == FreeReason.SWAPOFF
                for step in range(int(event["run"])):
                    yield _Use(False, slot + step, 0, by_swapoff, time, tgid)


def _taken(uses: Sequence[_Use], cluster_slots: int) -> dict[int, list[int]]:
    """Which slots were taken from the swap map just before which event, as far as hindsight tells.

    No event says that a slot is taken. Most are stored at once; those that the slot cache keeps are stored up to a
    batch of slots later, or given back at swapoff; those of zero-filled pages (from 6.12 on) are never stored, and
    betray themselves when they are freed: they were taken along with the slots around them that the same process
    stored.
    """
    everywhere: list[int] = []
    nearby: dict[int, list[int]] = defaultdict(list)
    by_task: dict[tuple[int, str, int], list[int]] = defaultdict(list)
    for number, use in enumerate(uses):
        if use.stored:
            everywhere.append(number)
            nearby[use.slot // _BATCH].append(number)
            by_task[use.tgid, "batch", use.slot // _BATCH].append(number)
            by_task[use.tgid, "cluster", use.slot // cluster_slots].append(number)
    found: dict[int, list[int]] = defaultdict(list)
    in_use: set[int] = set()
    freed: dict[int, int] = {}

    def first_from(stores: list[int], begin: int, before: int) -> int | None:
        place = bisect_left(stores, begin)
        return stores[place] if place < len(stores) and stores[place] < before else None

    for number, use in enumerate(uses):
        if use.slot not in in_use:
            after = freed.get(use.slot, -1) + 1
            around = nearby[use.slot // _BATCH]
            if use.stored or use.by_swapoff:
                recent = everywhere[max(bisect_left(everywhere, number) - _BATCH, 0)] if everywhere else 0
                when = first_from(around, max(recent, after), number)
            else:
                when = first_from(by_task[use.tgid, "batch", use.slot // _BATCH], after, number)
                if when is None:
                    when = first_from(by_task[use.tgid, "cluster", use.slot // cluster_slots], after, number)
                if when is None:  # freed by somebody else: the cache of freed slots
                    place = bisect_left(around, number) - 1
                    when = around[place] if place >= 0 and around[place] >= after else None
            found[number if when is None else when].append(use.slot)
        if use.stored:
            in_use.add(use.slot)
        else:
            in_use.discard(use.slot)
            freed[use.slot] = number
    return found


def discard_in_hindsight(
    batches: Iterable[EventBatch],
    moments: Sequence[int],
    extents: Sequence[tuple[int, int]],
    cluster_slots: int,
    hindsight: bool = True,
) -> list[tuple[int, int]]:
    """Stale (slots, bytes) under the policy `discard` at each moment, with a cluster free only if no slot is taken.

    Without hindsight, only slots that were stored count as taken: that is what swaptrace's own model does, so the
    difference is what slots that are taken and not written keep from being discarded. This is another implementation
    of the policy, on purpose.
    """
    uses = list(_uses(batches, extents))
    taken = _taken(uses, cluster_slots) if hindsight else {}
    whole = sum(count for _, count in extents) // cluster_slots
    held: dict[int, int] = {}
    live: set[int] = set()
    in_use: set[int] = set()
    in_cluster: dict[int, int] = defaultdict(int)
    found: list[tuple[int, int]] = []

    def take(slot: int) -> None:
        if slot not in in_use:
            in_use.add(slot)
            in_cluster[slot // cluster_slots] += 1

    def note() -> None:
        stale = [size for slot, size in held.items() if slot not in live]
        found.append((len(stale), sum(stale)))

    for number, use in enumerate(uses):
        while len(found) < len(moments) and use.time >= moments[len(found)]:
            note()
        for slot in taken.get(number, ()):
            take(slot)
        if use.stored:
            take(use.slot)
            live.add(use.slot)
            held[use.slot] = use.size
            continue
        live.discard(use.slot)
        if use.slot in in_use:
            in_use.discard(use.slot)
            cluster = use.slot // cluster_slots
            in_cluster[cluster] -= 1
            if not in_cluster[cluster] and 0 < cluster < whole and not use.by_swapoff:
                for slot in range(cluster * cluster_slots, (cluster + 1) * cluster_slots):
                    held.pop(slot, None)
    while len(found) < len(moments):
        note()
    return found


# ------------------------------------------------------------------------------------------------ comparing


def compare_model(prediction: Prediction, measured: dict[str, Any]) -> dict[str, Any]:
    """One row of the first table: the model of the traced run against mm_stat at the same moment."""
    return {
        "name": measured["name"],
        "model": prediction.model,
        "kernel": {name: measured[name] for name in MODELLED},
        "live": prediction.live_bytes,
        "stale": prediction.stale_bytes,
        "pool": prediction.pool_bytes,
    }


def compare_rig(
    rig: str,
    prediction: Prediction,
    measured: dict[str, Any],
    baseline: dict[str, Any],
    traced: dict[str, Any],
    unwritten: int = 0,
) -> dict[str, Any]:
    """One row of the second: a rig's stale bytes, predicted from the traced run and measured.

    Measured: what mm_stat says beyond what it said before swapping began, less the live bytes of the traced run.
    unwritten: bytes that slots which are taken, but not written, keep from being discarded.
    """
    policy = policy_of(rig, measured["name"])
    held = measured["compr_data_size"] - baseline["compr_data_size"]
    return {
        "name": measured["name"],
        "policy": policy,
        "live": prediction.live_bytes,
        "model": prediction.stale_bytes[policy],
        "predicted": prediction.stale_bytes[policy] + (unwritten if policy == "discard" else 0),
        "measured": held - prediction.live_bytes,
        "model_slots": prediction.stale_slots[policy],
        "measured_slots": measured["area_pages"] - baseline["area_pages"] - prediction.live_slots,
        "filesystem_pages": measured["other_pages"] - baseline["other_pages"],
        "used_slots": measured["used_slots"],
        "used_slots_traced": traced["used_slots"],
        "unwritten_slots": traced["used_slots"] - prediction.live_slots,
        "predicted_pool": prediction.pool_bytes.get(policy),
        "measured_pool": measured["mem_used_total"],
        "thp_out": measured["thp_out"] - baseline["thp_out"],
        "thp_split": measured["thp_split"] - baseline["thp_split"],
    }


def error(row: dict[str, Any], which: str = "predicted") -> float:
    """How far a prediction is off: a share of the stale bytes measured, or, if those are few, of all that is held.

    which: "predicted", or "model", the same without the slots that are taken and not written.
    """
    difference = abs(row[which] - row["measured"])
    held = row["live"] + row["measured"]
    base = row["measured"] if row["measured"] >= ENOUGH_STALE * held else held
    return difference / base if base > 0 else float(difference > 0)


def model_error(row: dict[str, Any]) -> float:
    """The largest difference between the model and mm_stat, as a share; 0 only if all are equal. Unknown: 1."""
    worst = 0.0
    for name, said in row["kernel"].items():
        modelled = row["model"][name]
        if modelled is None:
            return 1.0
        worst = max(worst, abs(modelled - said) / max(abs(said), 1))
    return worst


@dataclass(frozen=True)
class Miss:
    """A bound that was missed."""

    kernel: str
    workload: str
    rig: str
    checkpoint: str
    error: float
    bound: float

    def __str__(self) -> str:
        return (
            f"Linux {self.kernel}, {self.workload} on {self.rig}, at '{self.checkpoint}': "
            f"off by {100 * self.error:.3f} %, allowed {100 * self.bound:g} %"
        )


def misses(results: dict[str, Any]) -> list[Miss]:
    """All bounds that were missed, and recordings that lost events."""
    found = []
    for kernel, one in results["kernels"].items():
        for workload, data in one["workloads"].items():
            bound = EQUAL_AT_ONCE if workload in CONCURRENT else 0.0
            checks = [("zram", "lost events", float(data["lost_events"]), 0.0)]
            checks += [("zram", row["name"], model_error(row), bound) for row in data["model"]]
            for rig, rows in data["rigs"].items():
                if (workload, rig) in OTHER_SWAP_MAP:
                    continue
                checks += [(rig, row["name"], error(row), BOUNDS[row["policy"]]) for row in rows]
            found += [Miss(kernel, workload, *check) for check in checks if check[2] > check[3]]
    return found
