"""The event record: the one definition of what BPF programs emit, traces hold and analysis reads.

The C structure, the constants of the BPF programs (`c_definitions`) and the NumPy dtype (`EVENT`) all come from the
tables below, so they cannot differ. What each field means for each kind:

| kind    | device     | slot           | run   | size (bytes)          | arg                    | flags           |
|---------|------------|----------------|-------|-----------------------|------------------------|-----------------|
| SWAPON  | swap type, | thread         | 0     | 0                     | errno, 0 for success   |                 |
| SWAPOFF | or 255     | thread         | 0     | 0                     | errno, 0 for success   |                 |
| STORE   | store      | store index    | 1     | compressed            | memory cgroup          | SAME, HUGE, ... |
| LOAD    | store      | store index    | pages | 0                     | 0                      |                 |
| ALLOC   | swap type  | swap offset    | slots | 0                     | 0                      |                 |
| FREE    | swap type  | swap offset    | slots | 0; as NOTIFY has it   | 0; as NOTIFY has it    | NOTIFIED, and   |
|         |            |                |       |                       |                        | then as NOTIFY  |
| DROP    | store      | store index    | 1     | compressed            | 0                      | SAME, REPLACED, |
|         |            |                |       |                       |                        | ANY_POLICY, ... |
| NOTIFY  | store      | store index    | 1     | compressed, dropped   | duration (ns) if TIMED | DROPPED, MISSED,|
|         |            |                |       |                       |                        | TIMED           |
| PATH    | never in a trace: see PATH_BYTES                                                                      |||||
| TASK    | the 16 bytes from `slot` on hold the command name of `tgid`                                           |||||
| PRESENT | store      | store index    | pages | 0: not known, or SAME | 0                      | SAME, HUGE, ... |
| RESET   | store      | 0              | 0     | 0                     | 0                      |                 |
| MOVED   | store      | store index    | 1     | compressed, until now | 0                      | HUGE, until now |
| DISCARD | store      | store index    | 1     | 0                     | pages                  |                 |
| FAILED  | store      | store index    | times | 0                     | pages                  |                 |
| IN_USE  | swap type  | swap offset    | slots | 0                     | 0                      | CACHED, ZERO    |

`time` is CLOCK_MONOTONIC in ns. A *store* is a zram device, by its minor number, or zswap in front of a swap area, by
ZSWAP_STORES + swap type; a *store index* is a page of it, for zswap the swap offset. A memory cgroup is the inode
number of its directory (0: none, or not known). FREE has a reason. With NOTIFIED it is of one slot, and tells as well
what a NOTIFY of the area's store and that index would: the kernel notifies the driver of each slot inside of the free.
PRESENT is no event of the kernel: it says that the store held an entry when the recording began. MOVED: the entry
stays, but its object goes from memory to zram's backing device. DISCARD is the request; what it drops has DROP events
of its own, which come first. FAILED is a request to write that the store refused (zram's mem_limit, no memory): `slot`
is the first page that was not stored, `arg` how many of the request were not, and `run` how often the store tried and
failed, as it counts them in failed_writes. Pages before that one have STORE events of their own, which come first; what
the page had before, it has still. IN_USE is no event, either: it is what the kernel's swap map said when the recording
ended, of areas of which it could be read as a whole; nothing comes after it. SWAPON and SWAPOFF: 255 is no type that
there is (the call failed, or its area is not known); the recorder takes the rest of what the kernel says of a call out
of the event, and puts it into a SwapCall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from swaptrace.areas import Store, SwapArea, Time


class EventKind(IntEnum):
    SWAPON = 1
    SWAPOFF = 2
    STORE = 3
    LOAD = 4
    FREE = 5
    DROP = 6
    NOTIFY = 7
    TASK = 8
    PRESENT = 9
    RESET = 10
    ALLOC = 11
    MOVED = 12
    DISCARD = 13
    FAILED = 14
    PATH = 15
    IN_USE = 16


class Subject(IntEnum):
    """What an event's `device` and `slot` are of: slots of an area, by swap type, or pages of a store."""

    NOTHING = 0
    AREA = 1
    STORE = 2


def _subjects() -> NDArray[np.uint8]:
    found = np.full(256, Subject.NOTHING, np.uint8)
    found[[EventKind.ALLOC, EventKind.FREE]] = Subject.AREA
    found[
        [
            EventKind.STORE, EventKind.LOAD, EventKind.DROP, EventKind.NOTIFY, EventKind.PRESENT, EventKind.MOVED,
            EventKind.FAILED, EventKind.RESET,
        ]
    ] = Subject.STORE  # fmt: skip
    return found


#: The Subject of each kind, by its number: uint8, shape (256,).
SUBJECTS = _subjects()


class EventFlag(IntFlag):
    """Flags of store entries and of what became of them."""

    SAME = 1  # same-filled: the store keeps one word and no object
    HUGE = 2  # incompressible: stored as a whole page
    WRITTEN_BACK = 4  # moved to zram's backing device: no object in memory; DROP by zswap: to the swap area
    GONE = 8  # STORE: the entry was dropped again before its size could be read
    DROPPED = 16  # NOTIFY: the store held an entry and dropped it
    MISSED = 32  # NOTIFY: the store could not take the entry's lock (zram counts it in miss_free)
    SELF = 64  # caused by the recorder itself
    REPLACED = 128  # DROP: by a store of the same page, which follows
    # DROP: not for want of a user, so under every policy: zswap wrote the entry back (WRITTEN_BACK), gave it up when it
    # was read, or before the slot is written again (REPLACED).
    ANY_POLICY = 256
    TIMED = 512  # NOTIFY: `arg` is how long it took, or else that is not known
    NOTIFIED = 1024  # FREE: it tells of the notification, too
    CACHED = 2048  # IN_USE: in the swap cache; until 6.12 also: waiting in a processor's slot cache
    ZERO = 4096  # IN_USE: of a page of zeros, which the swap map alone remembers


class FreeReason(IntEnum):
    """Why a slot was freed: what the freeing task was doing, as far as its flags and system call tell."""

    OTHER = 0
    EXIT = 1  # the task is exiting, or replaces its memory (execve)
    SWAPIN = 2  # the page came back: in a page fault, or in a system call that touched it
    UNMAP = 3  # munmap, madvise, and everything else by which a task gives memory or a file up
    SWAPOFF = 4
    RECLAIM = 5  # kswapd, direct reclaim: the swap cache's slot, mostly


#: In the flags of a SWAPON or SWAPOFF in the ring: the area discards (SwapArea.discards); the call has failed. There,
#: `arg` has the flags that swapon(2) was given, and `size` the area's slots, or errno.
AREA_DISCARDS, CALL_FAILED = 1 << 15, 1 << 14

#: What losses are counted by: the kinds whose events an event that is lost would have told, by number. Beside the kinds
#: themselves, that is a FREE that is NOTIFIED.
NOTIFIED_FREE = max(EventKind) + 1
LOSSES: dict[int, tuple[EventKind, ...]] = {
    **{int(kind): (kind,) for kind in EventKind},
    NOTIFIED_FREE: (EventKind.FREE, EventKind.NOTIFY),
}


def lost_by_kind(counts: Mapping[int, int]) -> dict[EventKind, int]:
    """How many of each kind are lost. counts: by the numbers of LOSSES, of all of them."""
    return {kind: sum(counts[loss] for loss, kinds in LOSSES.items() if kind in kinds) for kind in EventKind}


_FIELDS: tuple[tuple[str, type[np.unsignedinteger[Any]], str], ...] = (
    ("time", np.uint64, "CLOCK_MONOTONIC, ns"),
    ("tgid", np.uint32, "process id of the task that did it"),
    ("device", np.uint16, "swap type or store"),
    ("kind", np.uint8, "EventKind"),
    ("reason", np.uint8, "of a FREE: FreeReason + 1"),
    ("slot", np.uint32, "swap offset or store index, pages"),
    ("size", np.uint32, "compressed size, bytes"),
    ("arg", np.uint32, "by kind, see above"),
    ("flags", np.uint16, "EventFlag"),
    ("run", np.uint16, "consecutive slots, at least 1"),
)

#: One event: 32 bytes, every field aligned.
EVENT = np.dtype([(name, kind) for name, kind, _ in _FIELDS], align=True)

#: PATH and TASK: this many bytes, from there on, hold the path, or the command's name. Of a path, `device` counts the
#: pieces, and `tgid` is the thread.
PATH_BYTES = 16
PATH_PLACE = int(EVENT.fields["slot"][1]) if EVENT.fields else 0


#: What the numbers in fields of it mean, from 0 on.
NAMES: dict[str, tuple[str, ...]] = {
    "kind": ("", *(kind.name for kind in EventKind)),
    "reason": ("", *(reason.name.lower() for reason in FreeReason)),
}


def empty(length: int = 0) -> NDArray[np.void]:
    """An array of `length` zeroed events."""
    return np.zeros(length, dtype=EVENT)


def c_definitions() -> str:
    """`struct event` and the constants of this module, as C for the BPF programs."""
    lines = ["struct event {"]
    lines += [f"\tu{8 * np.dtype(kind).itemsize} {name}; /* {what} */" for name, kind, what in _FIELDS]
    numbers = {
        "AREA_DISCARDS": AREA_DISCARDS,
        "CALL_FAILED": CALL_FAILED,
        "PATH_BYTES": PATH_BYTES,
        "LOSS_NOTIFIED_FREE": NOTIFIED_FREE,
        "LOSS_KINDS": max(LOSSES) + 1,
    }
    lines += ["};", *(f"#define {name} {value}" for name, value in numbers.items())]
    for enum, prefix, first in ((EventKind, "EVENT", 0), (EventFlag, "FLAG", 0), (FreeReason, "REASON", 1)):
        lines += [f"#define {prefix}_{member.name} {member.value + first}" for member in enum]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class SwapCall:
    """One swapon or swapoff call: what the fixed-size event has no room for.

    `row` is the event's place in its batch, result 0 or -errno. `area` is what the call made or ended, `store` what it
    is stored in; None if the call failed, or for an area without a store of its own.
    """

    row: Annotated[int, Meta(ge=0, lt=1 << 32)]
    call: Annotated[str, Meta(pattern="^swap(on|off)$")]
    path: str
    flags: int
    result: int
    area: SwapArea | None = None
    store: Store | None = None


@dataclass(frozen=True)
class Mark:
    """Something that somebody wants to find again in a recording: when (CLOCK_MONOTONIC, ns), and what."""

    time: Time
    text: str


@dataclass(frozen=True)
class EventBatch:
    """Events in the ring's order, and the few things about them that need words.

    events: array of EVENT, shape (n,). tasks: command names by tgid, cgroups: paths of memory cgroups below the root of
    their hierarchy ("/" itself) by inode number; both first seen in this batch. calls: swapon and swapoff calls, marks:
    what was marked, in order.
    """

    events: NDArray[np.void]
    tasks: dict[int, str] = field(default_factory=dict)
    calls: tuple[SwapCall, ...] = ()
    cgroups: dict[int, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()

    def __len__(self) -> int:
        return len(self.events)

    @staticmethod
    def concatenate(batches: Sequence[EventBatch]) -> EventBatch:
        """One batch of several, in order."""
        tasks: dict[int, str] = {}
        cgroups: dict[int, str] = {}
        calls: list[SwapCall] = []
        marks: list[Mark] = []
        rows = 0
        for batch in batches:
            tasks |= batch.tasks
            cgroups |= batch.cgroups
            marks += batch.marks
            calls += [replace(call, row=call.row + rows) for call in batch.calls]
            rows += len(batch)
        events = np.concatenate([batch.events for batch in batches]) if batches else empty()
        return EventBatch(events, tasks, tuple(calls), cgroups, tuple(marks))

    def split(self) -> Iterator[tuple[EventBatch, SwapCall | None]]:
        """Pieces that end with a swapon or swapoff each (the call comes with its piece), and the rest with None."""
        start = 0
        for call in self.calls:
            yield EventBatch(self.events[start : call.row + 1], self.tasks), call
            start = call.row + 1
        if start < len(self.events):
            yield EventBatch(self.events[start:], self.tasks), None
