"""Figures over time, as the engine gives them: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.engine.constants import AGE_PARTS, AGE_UNIT, AGES

#: How long entries may be idle, ns, increasing: log-linear.
THRESHOLDS = tuple((AGE_PARTS + n % AGE_PARTS << n // AGE_PARTS) * AGE_UNIT for n in range(AGES))


@dataclass(frozen=True)
class Integral:
    """A quantity in bytes over the recording: at its end, at its peak, and how long how much of it was held.

    byte_ns: bytes times the ns for which they were held, exact; span: how long that was looked at, ns.
    """

    end: int
    peak: int
    byte_ns: int
    span: int

    @property
    def mean(self) -> float:
        """Time-weighted, in bytes."""
        return self.byte_ns / self.span if self.span else float(self.end)

    @property
    def byte_seconds(self) -> float:
        return self.byte_ns / 1e9


@dataclass(frozen=True)
class Ages:
    """What writing back entries that nobody has stored or read for a threshold would give, for each of THRESHOLDS.

    in_memory: compressed bytes that the store held, as observed, times the ns for which it did, exact; span: how long
    that was looked at, ns. Of these, saved: for which they would have been on the disk. writes: pages written there;
    loads: pages read from there; pages_end and bytes_end: what is there at the end; each of length AGES, int64.
    unsized: entries from before the recording whose size is not known, which are none of the bytes.
    """

    in_memory: int
    span: int
    saved: list[int]
    writes: NDArray[np.int64]
    loads: NDArray[np.int64]
    pages_end: NDArray[np.int64]
    bytes_end: NDArray[np.int64]
    unsized: int


@dataclass(frozen=True)
class WrittenBack:
    """What of an area's entries a store has that writes back those that are idle for a threshold.

    in_memory: compressed bytes that it holds in memory; recorded: that it did. writes: pages written to the disk;
    loads: pages read from there; pages_end: what is there at the end.
    """

    in_memory: Integral
    recorded: Integral
    writes: int
    loads: int
    pages_end: int


@dataclass(frozen=True)
class Series:
    """Values at the end of each time bin, at most 1024 of them, however long the recording.

    time: ends of the bins, ns since what is counted began, shape (bins,). slots and bytes: int64, shape (bins,), by
    name: `live`, and the policies' names for what is stale under each. pool_bytes: what the whole pool takes under each
    policy; empty where the pool is not modelled.
    """

    time: NDArray[np.int64]
    slots: dict[str, NDArray[np.int64]]
    bytes: dict[str, NDArray[np.int64]]
    pool_bytes: dict[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class SlotMap:
    """The swap area over time, under the policy `none`.

    live and stale: int32, shape (bins, rows): slots in that state, at the end of the time bin (the bins of Series),
    among the `slots_per_row` slots of that row. A slot that is neither is empty.
    """

    live: NDArray[np.int32]
    stale: NDArray[np.int32]
    slots_per_row: int
    slots: int

    def coarser(self) -> SlotMap:
        """The same with half as many rows."""

        def halved(rows: NDArray[np.int32]) -> NDArray[np.int32]:
            return np.asarray(np.add.reduceat(rows, range(0, rows.shape[1], 2), axis=1), np.int32)

        return replace(self, live=halved(self.live), stale=halved(self.stale), slots_per_row=2 * self.slots_per_row)
