"""Figures over time, as the engine gives them: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


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
