"""Log-linear histograms of durations, and survival estimates made from them: small and mergeable.

A bucket is one of 64 equal parts of an octave, so a value read back from a bucket is at most 1/128 (0.8 %) off.
Durations below 64 ns have a bucket each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = 64
_SHIFT = 6
BUCKETS = PARTS * (64 - _SHIFT)

Counts = NDArray[np.int64]


def bucket_of(durations: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each duration (ns, not negative): int64, same shape."""
    values = np.maximum(durations, 0)
    # frexp's exponent is exact below 2^53; above, rounding up to the next octave is undone by the clip of the part
    exponent = np.maximum(np.frexp(np.maximum(values, 1).astype(np.float64))[1] - 1, _SHIFT)
    part = np.clip(values >> (exponent - _SHIFT), 0, 2 * PARTS - 1)
    return np.asarray((exponent - _SHIFT) * PARTS + part, dtype=np.int64)


def bucket_bounds() -> NDArray[np.float64]:
    """Lower bounds of all buckets and the last one's upper bound (ns): float64, shape (BUCKETS + 1,)."""
    index = np.arange(BUCKETS + 1)
    octave = np.maximum(index // PARTS - 1, 0)
    part = np.where(index < PARTS, index, index % PARTS + PARTS)
    return part * np.exp2(octave)


@dataclass(frozen=True)
class Histogram:
    """Counts per bucket (int64, shape (BUCKETS,)), the exact sum and the exact largest value (ns)."""

    counts: Counts
    total: int = 0
    largest: int = 0

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def quantile(self, q: float) -> float | None:
        """The middle of the bucket that holds the q-quantile (ns); None if there are no values."""
        if self.count == 0:
            return None
        bucket = int(np.searchsorted(np.cumsum(self.counts), max(q * self.count, 1)))
        bounds = bucket_bounds()
        return min(float(bounds[bucket] + bounds[bucket + 1]) / 2, float(self.largest))

    def merge(self, other: Histogram) -> Histogram:
        return Histogram(self.counts + other.counts, self.total + other.total, max(self.largest, other.largest))


@dataclass(frozen=True)
class Survival:
    """Durations that ended, and those still running when the trace ended (right-censored), per bucket.

    `estimate` is the product-limit (Kaplan and Meier, 1958) estimate: unlike an average over what has ended, it does
    not call lifetimes short just because the recording was. Durations that began before the recording are in neither:
    their age is not known (`left_censored` counts them).
    """

    ended: Counts
    censored: Counts
    largest: int = 0
    left_censored: int = 0

    @property
    def count(self) -> int:
        return int(self.ended.sum())

    def estimate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(ages in ns, share still alive beyond that age): one step per bucket in which something ended."""
        everything = self.ended + self.censored
        at_risk = everything[::-1].cumsum()[::-1]
        steps = np.flatnonzero(self.ended)
        alive = np.cumprod(1.0 - self.ended[steps] / at_risk[steps])
        bounds = bucket_bounds()
        return (bounds[steps] + bounds[steps + 1]) / 2, alive

    def quantile(self, q: float) -> float | None:
        """The age (ns) by which a share q has ended; None if the recording was too short to tell."""
        ages, alive = self.estimate()
        reached = np.flatnonzero(alive <= 1.0 - q + 1e-12)
        return min(float(ages[reached[0]]), float(self.largest)) if len(reached) else None

    def merge(self, other: Survival) -> Survival:
        return Survival(
            self.ended + other.ended,
            self.censored + other.censored,
            max(self.largest, other.largest),
            self.left_censored + other.left_censored,
        )

    def summary(self) -> dict[str, Any]:
        """count, p50, p90, p99 (ns, None where the recording is too short to tell) and max (ns)."""
        return {
            "count": self.count,
            **{f"p{round(100 * q)}": self.quantile(q) for q in (0.5, 0.9, 0.99)},
            "max": self.largest if self.count else None,
        }
