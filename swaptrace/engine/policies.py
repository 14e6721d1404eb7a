"""What the loops know of policies: bits of a page, pools, and which quantities pages count towards.

For each page of the store there are a few bits, and every reported quantity is a sum over the pages whose bits put them
into it (`quantities`). All pages that count towards the same quantities are a class. What depends on policies follows
from their rows (swaptrace.policies).
"""

from __future__ import annotations

import numpy as np

from swaptrace.policies import POLICIES, Drops, by

#: What is summed over pages, in slots and compressed bytes. The policies' are what is stale under each.
QUANTITIES = ("live", "duplicate", "recovered", "leaked", *POLICIES)
LIVE = 0
DUPLICATE = 1  # live, and read back into memory as well
RECOVERED = 2  # stale under none, not under notify
LEAKED = 3  # stale under observed, not under notify
IN_STORE = len(QUANTITIES)  # beside those, for the sum of bytes over time alone: held by the store, as observed
#: The policies' quantities.
STALE = {name: QUANTITIES.index(name) for name in POLICIES}

# Bits of a page: its state, what the last entry was, and above them, whether it is held under each policy.
IN_USE, LOADED, UNSIZED, WAS_SAME, WAS_HUGE = 1, 2, 4, 8, 16
MISSED = 32  # a notification came, but could not take the entry's lock
BIT = {name: 64 << number for number, name in enumerate(POLICIES)}
HELD = sum(BIT.values())
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


def masks(drops: Drops) -> tuple[int, int]:
    """Bits and pools of the policies under which any of that makes the store drop an entry."""
    return _masks(by(drops))


def _masks(names: list[str]) -> tuple[int, int]:
    return sum(BIT[name] for name in names), sum(POOL[name] for name in names)


def _delays() -> tuple[list[int], list[int], list[int]]:
    delays = sorted({policy.delay for policy in POLICIES.values()} - {0})
    found = [_masks([name for name, policy in POLICIES.items() if policy.delay == delay]) for delay in delays]
    return delays, [bits for bits, _ in found], [pools for _, pools in found]


#: The delays that policies have (ns), and the bits and pools of those with each.
DELAYS = _delays()


def quantities(bits: int) -> int:
    """The quantities that a page with these bits counts towards, as a mask: the definition of all that is reported."""
    stale = {name for name, bit in BIT.items() if bits & bit}
    if bits & IN_USE:
        found = ({LIVE} | ({DUPLICATE} if bits & LOADED else set())) if bits & HELD else set()
    else:
        told = "notify" not in stale
        recovered = {RECOVERED} if "none" in stale and told else set()
        leaked = {LEAKED} if "observed" in stale and told else set()
        found = {STALE[name] for name in stale} | recovered | leaked
    in_store = {IN_STORE} if "observed" in stale else set()
    return sum(1 << quantity for quantity in found | in_store)


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
#: 1 where the class counts towards the quantity. int64, (classes, quantities and IN_STORE)
COUNTS = np.ascontiguousarray(_MASKS[:, None] >> np.arange(IN_STORE + 1) & 1).astype(np.int64)
