"""The figures of an area over time, a row for each: for CSV reports, the table of series, and Perfetto's counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.policies import POLICIES
from swaptrace.results.catalogue import Unit
from swaptrace.results.results import AreaResult


@dataclass(frozen=True)
class OverTime:
    """One row. label: in a few words. policy: whose it is; empty if it does not depend on any.

    array, key: where the series of an area have it (swaptrace.engine.figures.Series).
    """

    name: str
    unit: Unit
    label: str
    sentence: str
    array: str
    key: str
    policy: str = ""

    @property
    def of_store(self) -> bool:
        """Whether it is the whole store's, other areas' pages included."""
        return self.array == "pool_bytes"

    def values(self, area: AreaResult) -> NDArray[np.int64] | None:
        """At the end of each time bin; None where the area has no such figure."""
        found: dict[str, NDArray[np.int64]] = getattr(area.series, self.array)
        return found.get(self.key)


def _rows() -> Iterator[OverTime]:
    for name, sentence in (
        ("live", "live slots"), ("duplicate", "of these, those whose page is in memory as well, read back")
    ):  # fmt: skip
        yield OverTime(f"{name}_slots", Unit.SLOTS, f"{name} slots", sentence, "slots", name)
        more = f"the compressed bytes of {name} slots"
        yield OverTime(f"{name}_compr_bytes", Unit.BYTES, f"{name}, compressed", more, "bytes", name)
    for name in POLICIES:
        of, under = f"policies.{name}", f"under the policy `{name}`"
        yield OverTime(
            f"{of}.stale_slots", Unit.SLOTS, f"stale slots, {name}", f"stale slots {under}", "slots", name, name
        )
        yield OverTime(
            f"{of}.stale_compr_bytes", Unit.BYTES, f"stale, compressed, {name}",
            f"the compressed bytes of these {under}", "bytes", name, name,
        )  # fmt: skip
        yield OverTime(
            f"{of}.pool_bytes", Unit.BYTES, f"pool, {name}", f"the store's whole pool {under}", "pool_bytes", name, name
        )


#: All rows, in the order of tables.
OVER_TIME = tuple(_rows())


def over_time(area: AreaResult) -> dict[str, NDArray[np.int64] | None]:
    """By name, the figures that reports are to show of an area: see OverTime.values()."""
    return {row.name: row.values(area) for row in OVER_TIME if area.shows(row.policy)}
