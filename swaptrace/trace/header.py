"""What a trace says about itself: the machine, its swap areas and stores, what was attached, and how it ended.

Header and trailer are JSON (in the metadata of the Arrow schema and of the last batch). Unknown keys are ignored when
reading, so that a newer minor addition does not break an older reader; FORMAT_VERSION changes when meaning does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.degradation import BLIND

__all__ = ["FORMAT_VERSION", "Header", "Trailer", "from_dict", "from_json", "modelled", "to_json"]

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Header:
    """How and where a trace was recorded. start.time and start_realtime are the same moment on two clocks (ns).

    zsmalloc: how the kernel builds its pools: pages_per_zspage, a list by size class (0: none), and fullness_rule, a
    name of swaptrace.store.zsmalloc.FullnessRule; None if not known. cluster_slots: slots of a swap cluster
    (SWAPFILE_CLUSTER). slots_by_discard: whether this kernel takes other slots in an area that discards its free
    clusters than in one that does not; None in older traces, which do not tell.
    """

    kernel: str
    machine: str
    page_size: int
    host: str
    command: tuple[str, ...]
    start_realtime: int
    start: Snapshot
    probes: tuple[dict[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    recorder_tgid: int = 0
    zsmalloc: dict[str, Any] | None = None
    cluster_slots: int = 512
    slots_by_discard: bool | None = None
    ring_bytes: int = 0
    swaptrace: str = ""
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Trailer:
    """How a recording ended.

    lost: events that the ring had no room for, in slots, by event kind. missed: the same for events whose probe did
    not run. free_path: calls, slots and time (ns) of the
    kernel's slot-free function, notifications and probes included; None unless it was timed.
    """

    end: Snapshot
    lost: dict[str, int] = field(default_factory=dict)
    exit_status: int | None = None
    reason: str = "end"
    free_path: dict[str, int] | None = None
    missed: dict[str, int] = field(default_factory=dict)

    def losses(self) -> dict[str, int]:
        """All that the trace lacks, for either reason."""
        return {kind: self.lost.get(kind, 0) + self.missed.get(kind, 0) for kind in {**self.lost, **self.missed}}


def modelled(start: Snapshot, missing: Iterable[str]) -> Snapshot:
    """The start as far as stores can be modelled: without what tells of them, areas are as if they had none."""
    if not BLIND & set(missing):
        return start
    areas = tuple(replace(area, store=None) for area in start.areas)
    return replace(start, areas=areas, stores=())


T = TypeVar("T", Header, Trailer, SwapArea, Store, Snapshot)


def to_json(item: Header | Trailer) -> str:
    return json.dumps(asdict(item), separators=(",", ":"))


def from_json(kind: type[T], text: str | bytes) -> T:
    """The reverse of to_json. Raises ValueError, KeyError or TypeError on anything else."""
    return from_dict(kind, json.loads(text))


def from_dict(kind: type[T], data: dict[str, Any]) -> T:
    """The reverse of dataclasses.asdict, for the classes of this module and of swaptrace.areas."""
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} is no JSON object")
    known = {f.name for f in fields(kind)}
    values = {name: value for name, value in data.items() if name in known}
    if "start" in values:
        values["start"] = from_dict(Snapshot, values["start"])
    if "end" in values:
        values["end"] = from_dict(Snapshot, values["end"])
    if "areas" in values:
        values["areas"] = tuple(from_dict(SwapArea, area) for area in values["areas"])
    if "stores" in values:
        values["stores"] = tuple(from_dict(Store, store) for store in values["stores"])
    if "extents" in values:
        values["extents"] = tuple(tuple(extent) for extent in values["extents"])
    for name in ("command", "probes", "missing", "features"):
        if name in values:
            values[name] = tuple(values[name])
    return kind(**values)
