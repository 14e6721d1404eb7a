"""The policies: when each has the store drop the entry of a slot that is free. A policy is a row here, and no more.

Bits of pages, pools, masks of the compiled loops, options, columns of JSON, words, glossary and lines of charts follow
from the rows. (Loops take the masks when they are compiled: `make setup` after a change.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import NamedTuple


class Drops(Flag):
    """What makes the store drop an entry, besides another store to the same slot, and a reset of all."""

    NEVER = 0
    AT_FREE = auto()  # of its slot, if the store is registered for those: zram_slot_free_notify()
    AT_CLUSTER_FREE = auto()  # when all slots of its cluster are free: swap_cluster_schedule_discard()
    AT_SWAPON = auto()  # of an area that it lies in: discard_swap()
    AS_SEEN = auto()  # when the trace says that the driver did
    AFTER_FREE = auto()  # as AT_FREE, but the policy's delay later; unless the slot was stored again meanwhile


class Line(NamedTuple):
    """Of a chart. dashes: as matplotlib has them."""

    color: str
    dashes: str | tuple[float, tuple[float, ...]]
    width: float


@dataclass(frozen=True)
class Policy:
    """One row.

    discards: whether an area under this policy discards clusters that become free (SWP_PAGE_DISCARD). None: what is
    stale does not depend on which slots are used: nothing is, or what was seen to be. words: how long an entry stays,
    in tables. label: in charts. sentence: in the glossary. delay: ns, if it drops entries AFTER_FREE.
    """

    drops: Drops
    discards: bool | None
    words: str
    label: str
    sentence: str
    line: Line
    delay: int = 0

    def __post_init__(self) -> None:
        if (self.delay > 0) != (Drops.AFTER_FREE in self.drops):
            raise ValueError(f"{self.drops} with a delay of {self.delay} ns")


#: By name, in the order of the reports; the place in this table is the number of the policy's pool.
POLICIES = {
    "none": Policy(
        Drops.NEVER, False, "until written again", "none: no notifications",
        "An entry goes when its slot is written again, or the store is reset: no notifications at all.",
        Line("#D55E00", "-", 2.6),
    ),
    "discard": Policy(
        Drops.AT_CLUSTER_FREE, True, "until the cluster is free", "discard",
        "An entry goes when a whole free cluster of slots is discarded (swapon --discard=pages).",
        Line("#E69F00", "-.", 2.2),
    ),
    "discard_once": Policy(
        Drops.AT_SWAPON, False, "until swapon", "discard once",
        "An entry goes when its area is switched on (swapon --discard=once).",
        Line("#56B4E9", "--", 2.0),
    ),
    "notify": Policy(
        Drops.AT_FREE, None, "gone at the free", "notify: each one works",
        "An entry goes the moment its slot is freed: notifications that always work.",
        Line("#009E73", "-", 3.2),
    ),
    "observed": Policy(
        Drops.AS_SEEN, None, "as on this machine", "observed: this machine",
        "An entry goes when the trace says that the driver dropped it: this machine, as recorded.",
        Line("#222222", (0, (1, 1.4)), 2.4),
    ),
}  # fmt: skip


def by(drops: Drops) -> list[str]:
    """The policies under which any of that makes the store drop an entry."""
    return [name for name, policy in POLICIES.items() if policy.drops & drops]
