"""The counterfactual's figures: what the recorded run predicts, beside what the other rigs measured, and the bounds.

Pure: from a trace and the guest's figures to plain data (what results.json holds).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swaptrace.analysis.analysis import Analysis
from swaptrace.events import EventBatch
from swaptrace.results.results import AreaResult
from swaptrace.trace.header import Header, Trailer

#: What the model of the traced run has to say about its own store, under mm_stat's names.
MODELLED = ("pages_stored", "same_pages", "huge_pages", "compr_data_size", "mem_used_total")
AGAIN = "switched off and on"  # the checkpoint after swapoff and another swapon

#: The order of the tables.
WORKLOADS = ("churn", "long-lived", "fork-shared", "thp", "thp-swapin", "read-back", "parallel")
RIGS = ("file", "file, discard=pages", "file, discard=once", "file, discard", "dm", "dm, discard")
#: Where the kernel takes other slots in an area that discards its free clusters, only recordings of these themselves
#: tell of them; and nothing tells of what would have become of them without that.
DISCARDING = ("file, discard=pages", "file, discard", "dm, discard")

#: (workload, rig) whose swap map is another than the recorded run's: no bound holds there, and the page says why.
OTHER_SWAP_MAP = (("read-back", "dm"),)

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
    last, policies = areas[-1], areas[-1].policies  # those that are predicted; all areas of a rig are alike
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
) -> dict[str, Any]:
    """One row of the second: a rig's stale bytes, predicted from a traced run (None: it does not tell) and measured.

    Measured: what mm_stat says beyond what it said before swapping began, less the live bytes of the traced run.
    """
    policy = policy_of(rig, measured["name"])
    held = measured["compr_data_size"] - baseline["compr_data_size"]
    return {
        "name": measured["name"],
        "policy": policy,
        "live": prediction.live_bytes,
        "predicted": prediction.stale_bytes.get(policy),
        "measured": held - prediction.live_bytes,
        "predicted_slots": prediction.stale_slots.get(policy),
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


def error(row: dict[str, Any]) -> float:
    """How far a prediction is off: a share of the stale bytes measured, or, if those are few, of all that is held.

    Raises TypeError if there is none.
    """
    difference = abs(row["predicted"] - row["measured"])
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
            checks = [("zram", "lost events", float(data["lost_events"]), 0.0)]
            checks += [("zram", row["name"], model_error(row), 0.0) for row in data["model"]]
            for rig, rows in data["rigs"].items():
                if (workload, rig) in OTHER_SWAP_MAP:
                    continue
                untold = one["slots_by_discard"] and rig in DISCARDING
                for row in rows:
                    if row["predicted"] is not None:
                        checks.append((rig, row["name"], error(row), BOUNDS[row["policy"]]))
                    elif not (untold and (row["policy"] != "discard" or row["recorded_on"] != rig)):
                        checks.append((rig, row["name"], 1.0, BOUNDS[row["policy"]]))
            found += [Miss(kernel, workload, *check) for check in checks if check[2] > check[3]]
    return found
