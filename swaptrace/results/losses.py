"""How much of a figure the loss of events can change, by kind: what the catalogue's rows say of it.

Take the lost events out of the whole stream one by one: each step changes a figure by no more than a rule says, so that
the true figure is no farther from the one that was counted than all steps together. Two arguments give all rules.

Counts. An event that is taken out is not counted. That may also change what the next event of the same slot counts as
(a store without the free before it is one of a slot in use), and no other event's.

States of pages. An event is about as many pages as it was counted for, and what becomes of another page does not depend
on it. So at no moment is the state of more pages than were lost another one than was seen, nor are their bytes more
than that many pages. Only the policy `discard` looks at a whole cluster of slots for each event.

There is one more way in which a lost event matters: an entry that was there when the store was read at the start, and
whose next event is a store, counts as new. A lost store may so leave an entry that counts as old, a lost drop or
notification one that counts as new; it is the same page, so that the rules for states do not change, those for counts
have it in.

What no rule is known for is not told at all: what depends on the order of events (pools), on when each of them was
(means, durations), or on single slots (leaks).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from swaptrace.policies import POLICIES, Drops, by

Kinds = frozenset[str]

NONE: Kinds = frozenset()
STATE = frozenset({"STORE", "FREE", "DROP", "NOTIFY"})
STORED = frozenset({"STORE"})
SIZE = STATE | {"MOVED"}
ENTRY = SIZE - {"FREE"}  # each of which tells the size of an entry
ANY = SIZE | {"ALLOC", "LOAD"}  # each of them is also a moment at which the clock goes on
GONE = frozenset({"DROP", "NOTIFY"})


_ELSE = Drops.AT_FREE | Drops.AFTER_FREE | Drops.AT_CLUSTER_FREE | Drops.AS_SEEN
#: The policies under which entries are dropped by stores alone, while their area is on.
_BY_STORES = tuple(f"policies.{name}." for name, policy in POLICIES.items() if not policy.drops & _ELSE)
#: Those that look at whole clusters.
_BY_CLUSTERS = tuple(f"policies.{name}." for name in by(Drops.AT_CLUSTER_FREE))
#: Those under which it matters which free of a slot was the first.
_LATE = tuple(f"policies.{name}." for name in by(Drops.AFTER_FREE))


class Per(IntEnum):
    """By how much a lost slot can change a figure."""

    SLOT = 0
    PAGE = 1  # its bytes
    CLUSTER = 2  # all slots of its cluster
    CLUSTER_PAGES = 3


class Rule(NamedTuple):
    """less: kinds whose loss may have made the figure too large; more: too small."""

    less: Kinds
    more: Kinds
    per: Per = Per.SLOT


def either(kinds: Kinds, per: Per = Per.SLOT) -> Rule:
    """Their loss may have made it too large or too small."""
    return Rule(kinds, kinds, per)


def more(*kinds: str) -> Rule:
    """A count of such events: there were no fewer."""
    return Rule(NONE, frozenset(kinds))


def stale(figure: str) -> Rule:
    """That of what is stale under a policy (`policies.POLICY.…`), recovered or leaked.

    A store makes an entry live, or one that will be stale; what drops an entry makes it less; a free makes it stale,
    and does not make it less. A peak is where an old entry counted as new may have been stale for a time.
    """
    in_bytes = "_bytes" in figure
    if figure.startswith(_BY_CLUSTERS):
        return either(SIZE | {"ALLOC"}, Per.CLUSTER_PAGES if in_bytes else Per.CLUSTER)
    if figure.endswith("peak") or figure.startswith(_LATE):
        return either(SIZE if in_bytes else STATE, Per(in_bytes))
    if in_bytes:
        return Rule(ENTRY, SIZE, Per.PAGE)
    # whether a notification drops an entry makes no difference where it is dropped by a store alone
    by_stores = figure.startswith(_BY_STORES)
    return Rule(STORED | {"DROP"} | (NONE if by_stores else {"NOTIFY"}), STORED | {"FREE"})
