"""The policies: when each has the store drop the entry of a freed slot, and which quantities pages count towards.

For each page of the store there are a few bits, and every reported quantity is a sum over the pages whose bits put them
into it (`quantities`). All pages that count towards the same quantities are a class.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

__all__ = ["POLICIES", "Policy", "Quantity", "check_widths", "quantities"]


class Quantity(IntEnum):
    """What is summed over pages, in slots and compressed bytes. The policies' are what is stale under each."""

    LIVE = 0
    NONE = 1
    NOTIFY = 2
    OBSERVED = 3
    RECOVERED = 4  # stale under none, not under notify
    LEAKED = 5  # stale under observed, not under notify
    DUPLICATE = 6  # live, and read back into memory as well
    DISCARD = 7
    DISCARD_ONCE = 8


class Policy(NamedTuple):
    """When the store drops the entry of a freed slot. bit: of a page whose entry is held under this policy.

    discards: whether an area under this policy discards clusters that become free (SWP_PAGE_DISCARD). None: what is
    stale does not depend on which slots are used: nothing is, or what was seen to be.
    """

    bit: int
    stale: Quantity
    drops: str
    discards: bool | None


#: By name, in the order of the reports; the place in this table is the number of the policy's pool.
POLICIES = {
    "none": Policy(2, Quantity.NONE, "when the slot is written again", False),
    "discard": Policy(256, Quantity.DISCARD, "when all slots of its cluster are free (swapon --discard=pages)", True),
    "discard_once": Policy(512, Quantity.DISCARD_ONCE, "when the area is switched on (swapon --discard=once)", False),
    "notify": Policy(4, Quantity.NOTIFY, "at the slot's free", None),
    "observed": Policy(8, Quantity.OBSERVED, "when this machine's driver did", None),
}


# Bits of a page. Those of the policies are in their table.
IN_USE, LOADED, UNSIZED = 1, 16, 32
WAS_SAME, WAS_HUGE = 64, 128  # flags of the last entry that the page had
MISSED = 1024  # a notification came, but could not take the entry's lock
HELD = sum(policy.bit for policy in POLICIES.values())
ALL_BITS = (1 << (HELD | IN_USE | LOADED | UNSIZED | WAS_SAME | WAS_HUGE | MISSED).bit_length()) - 1

#: The policies' pools, as masks.
POOL = {name: 1 << number for number, name in enumerate(POLICIES)}
ALL_POOLS = sum(POOL.values())

#: A page of the store.
PAGE = np.dtype(
    [
        ("size", "u4"),  # compressed size of the entry that the page has or had last
        ("bits", "u2"),
        ("holder", "u1"),  # the mark of the area that stored it: stale entries outlive their area; see mark_of()
        ("row", "u1"),  # of the slot that the page is to its holder, on the map
    ]
)
#: One change, at `time` (ns): the entry of `page` gets an object of `size` bytes (0: none) under the policies whose
#: bits are set in `pools`, by the policies' numbers.
OPERATION = np.dtype([("time", "i8"), ("page", "u4"), ("size", "u4"), ("pools", "u4"), ("unused", "u4")])


def quantities(bits: int) -> int:
    """The quantities that a page with these bits counts towards, as a mask: the definition of all that is reported."""
    stale = {policy.stale for policy in POLICIES.values() if bits & policy.bit}
    if bits & IN_USE:
        live = {Quantity.LIVE} if bits & HELD else set()
        found = live | ({Quantity.DUPLICATE} if live and bits & LOADED else set())
    else:
        told = Quantity.NOTIFY not in stale
        recovered = {Quantity.RECOVERED} if Quantity.NONE in stale and told else set()
        leaked = {Quantity.LEAKED} if Quantity.OBSERVED in stale and told else set()
        found = stale | recovered | leaked
    return sum(1 << quantity for quantity in found)


def check_widths(bits: int, classes: int, pools: int) -> None:
    """Whether the fields of PAGE and OPERATION hold as many policies as there are. Raises ImportError."""
    most = {
        "bits of a page": (bits, np.iinfo(PAGE["bits"]).max),
        "classes of pages": (classes - 1, np.iinfo(np.uint8).max),
        "pools of an operation": (pools, np.iinfo(OPERATION["pools"]).max),
    }
    for what, (needed, there) in most.items():
        if needed > there:
            raise ImportError(f"too many policies: {what} go up to {there}, and {needed} is needed")


_MASKS, _CLASS_OF = np.unique([quantities(bits) for bits in range(ALL_BITS + 1)], return_inverse=True)
check_widths(ALL_BITS, len(_MASKS), ALL_POOLS)

#: The class of a page with these bits; class 0 counts towards nothing. uint8, (all bits + 1,)
CLASS_OF = _CLASS_OF.astype(np.uint8)
#: 1 where the class counts towards the quantity. int64, (classes, quantities)
COUNTS = np.ascontiguousarray(_MASKS[:, None] >> np.arange(len(Quantity)) & 1).astype(np.int64)
