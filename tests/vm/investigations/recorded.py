"""Recordings of zram0 that a guest has left, each with the kernel's figures at checkpoints beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import counterfactual_compare as compare
import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.analysis import Analysis, machine_of
from swaptrace.engine.zsmalloc import Geometry
from swaptrace.events import EventFlag, EventKind
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.header import Trailer
from swaptrace.trace.reader import TraceReader

from .harness import Results, day_of

Sizes = NDArray[np.int64]


class Recording:
    """A trace, read once; facts: the JSON file beside it, with its checkpoints. ValueError if it is not complete."""

    def __init__(self, trace: Path) -> None:
        self.reader = TraceReader(trace)
        self.batches = list(self.reader)
        self.facts: dict[str, Any] = json.loads(trace.with_suffix(".json").read_text())
        if self.reader.trailer is None:
            raise ValueError(f"{trace} is not complete")
        self.trailer: Trailer = self.reader.trailer

    @property
    def lost(self) -> int:
        return sum(self.trailer.lost.values())

    def area(self, moment: int | None = None, geo: Geometry | None = None) -> AreaResult:
        """The area on zram0, then (CLOCK_MONOTONIC, ns; None: at the end)."""
        areas = self._until(moment, geo).finish(self.trailer).areas
        return next(area for area in reversed(areas) if area.zram == "zram0")

    def whole(self) -> TraceResult:
        """All results, at the end."""
        return self._until(None).finish(self.trailer)

    def count(self, kind: EventKind, since: int = 0, until: int = 1 << 63, *, argument: bool = False) -> int:
        """Pages that events of a kind are about: their runs, or, if that is what tells, their arguments.

        since, until: CLOCK_MONOTONIC (ns), of a part: mkswap and swapon read from the device, too.
        """
        every = [batch.events for batch in self.batches]
        of_kind = [
            events[(events["kind"] == kind) & (events["time"] >= since) & (events["time"] < until)] for events in every
        ]
        return int(sum(events["arg" if argument else "run"].astype(np.int64).sum() for events in of_kind))

    def pool(self, moment: int, geo: Geometry) -> int:
        """Bytes of the pool then (CLOCK_MONOTONIC, ns) by these rules: what `--until` and `--what-if` tell."""
        pool = self.area(moment, geo).pool
        if pool is None:
            raise ValueError(f"{self.reader.path}: the pool is not known")
        return pool.end

    def sizes(self, moment: int) -> Sizes:
        """Of the objects that the store holds then."""
        held = self._until(moment).held("zram0")
        events = np.concatenate([batch.events for batch in self.batches])
        own = (events["kind"] == EventKind.STORE) & (events["device"] == 0) & (events["time"] < moment)
        stores = events[own][::-1]
        index, last = np.unique(stores["slot"], return_index=True)
        entries = stores[last][np.isin(index, held)]
        return entries["size"][(entries["flags"] & EventFlag.SAME) == 0].astype(np.int64)

    def _until(self, moment: int | None, geo: Geometry | None = None) -> Analysis:
        header = self.reader.header
        machine = machine_of(header) if geo is None else replace(machine_of(header), geometry=geo)
        analysis = Analysis(header, until=moment, machine=machine)
        for batch in self.batches:
            analysis.feed(batch)
        return analysis


def measured(folder: Path, what: str, of_one: Callable[[Recording], dict[str, Any]]) -> Results:
    """What a guest has left: its kernel, the day, and, under that name, something of each recording, by their names."""
    recordings = {trace.stem: Recording(trace) for trace in sorted(folder.glob("*.trace"))}
    reader = next(iter(recordings.values())).reader
    found = {name: of_one(recording) for name, recording in recordings.items()}
    return {"release": reader.header.kernel, "day": day_of(reader.path), what: found}


def lost(where: str, found: dict[str, Any]) -> Iterator[str]:
    """A sentence if a recording is not all that happened."""
    if found["lost_events"]:
        yield f"{where}: {found['lost_events']} events were lost"


def against_mm_stat(recording: Recording, facts: dict[str, Any]) -> dict[str, Any]:
    """The kernel's figures at a checkpoint, and the model's."""
    prediction = compare.predict(recording.reader.header, recording.trailer, recording.batches, facts["time"])
    return {
        "name": facts["name"],
        "kernel": {name: facts[name] for name in compare.MODELLED},
        "model": prediction.model,
    }


def unequal(where: str, row: dict[str, Any]) -> Iterator[str]:
    """What of a row of against_mm_stat() is not equal, a sentence each."""
    for name, said in row["kernel"].items():
        if row["model"][name] != said:
            yield differing(where, row, name, row["model"][name], said)


def differing(where: str, row: dict[str, Any], what: str, ours: object, kernels: object) -> str:
    return f"{where}, at '{row['name']}': {what} is {kernels}, not {ours}"
