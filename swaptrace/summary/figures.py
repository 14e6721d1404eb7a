"""What the state machine of bpf/summary.c keeps: the one definition of its structures, limits and numbers.

The C definitions and the NumPy dtypes come from the tables below, as those of events do in swaptrace.events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from swaptrace.events import EventKind, FreeReason
from swaptrace.histogram import BUCKETS

__all__ = [
    "AREA",
    "AREA_PART",
    "BITS_HELD",
    "BITS_PHASE",
    "CLASSES",
    "HEADER",
    "HISTOGRAMS",
    "NOBODY",
    "NO_PAGE",
    "PAGE",
    "REASONS",
    "RESETS_SHIFT",
    "SLOT",
    "STORE",
    "STORE_PART",
    "TYPE",
    "TYPES",
    "Bit",
    "Count",
    "Histograms",
    "Limits",
    "Peak",
    "Phase",
    "c_definitions",
]

NOBODY = 255  # owner or holder of a page that is no slot
HEADER = 254  # owner of mkswap's page
CLASSES = 32  # the bits of a page that say what it counts towards
REASONS = 8  # room for FreeReason
NO_PAGE = 253  # owner of the one page that stands for those that are not there
LONGEST_RUN = 512  # slots freed, or pages read, at once: a cluster, or a huge page
_MMAPABLE = 1 << 10  # BPF_F_MMAPABLE, since 5.5: the maps are read without a system call
RESETS_SHIFT = 10  # above that, a page's bits count the resets of its store
RESETS_MOST = 63


class Bit(IntEnum):
    """Of a page. The lowest five are its class: the policies under which its entry is held, and whether it is live."""

    IN_USE = 1
    NONE = 2
    NOTIFY = 4
    OBSERVED = 8
    LOADED = 16
    SAME = 32
    HUGE = 64
    MISSED = 128


class Phase(IntEnum):
    """Where a slot is in its life, as in swaptrace.engine.lifetimes."""

    UNKNOWN = 0
    USED = 1 << 8
    USED_BEFORE = 2 << 8
    FREE = 3 << 8


BITS_HELD = Bit.NONE | Bit.NOTIFY | Bit.OBSERVED
BITS_PHASE = int(Phase.FREE)


class Count(IntEnum):
    """What is counted per area, in slots."""

    STORES = 0
    LOADS = 1
    FREES = 2
    FREES_UNWRITTEN = 3
    REWRITES = 4
    NOTIFY_FREE = 5
    MISS_FREE = 6
    DROPS = 7
    ALLOCATED = 8
    MOVED = 9
    WRITTEN_BACK = 10  # by zswap, to the swap area
    CUT_OFF = 11  # slots of a run that was longer than LONGEST_RUN


class Peak(IntEnum):
    """Quantities whose largest value is kept, by the names of swaptrace.engine.replay.Quantity."""

    NONE = 0
    NOTIFY = 1
    OBSERVED = 2
    RECOVERED = 3
    LEAKED = 4
    DUPLICATE = 5


class Histograms(IntEnum):
    """Durations per area; LIFETIME has one histogram for each reason."""

    LIFETIME = 0
    REUSE = REASONS
    NOTIFICATION = REASONS + 1


HISTOGRAMS = REASONS + 2

#: A page of a store (or a slot of a disk area).
PAGE = np.dtype([("since", "u8"), ("size", "u4"), ("bits", "u2"), ("holder", "u1"), ("owner", "u1")])

#: A slot: its page's place in summary_pages. Elements of an array map take multiples of 8 bytes.
SLOT = np.dtype([("page", "u4"), ("padding", "u4")])

#: A swap type: its area (or NOBODY), its store, and where its slots' pages stand in summary_slots.
TYPE = np.dtype([("area", "u4"), ("store", "u4"), ("first", "u4"), ("slots", "u4")])

#: A store: its latest time (ns), its pages' place in summary_pages, how many they are (0: no such store), and resets.
#: Stores are numbered as they come; the last number is that of no store.
STORE = np.dtype([("now", "u8"), ("first", "u4"), ("pages", "u4"), ("resets", "u4"), ("disk", "u4")])

#: An area: slots and bytes of each class now; when it ended (ns, 0: it is on); its store.
AREA = np.dtype([("slots", "i8", CLASSES), ("bytes", "i8", CLASSES), ("ended", "u8"), ("store", "u8")])

#: What one processor adds to an area. moment: the sum of each change of bytes times its time (ns since the epoch of
#: this recording's programs), 128 bits. life_largest etc.: ns.
AREA_PART = np.dtype(
    [
        ("moment_low", "u8", CLASSES),
        ("moment_high", "u8", CLASSES),
        ("peak_slots", "i8", len(Peak)),
        ("peak_bytes", "i8", len(Peak)),
        ("counts", "u8", len(Count)),
        ("reasons", "u8", REASONS),
        ("life_sum", "u8", REASONS),
        ("life_largest", "u8", REASONS),
        ("reuse_largest", "u8"),
        ("notify_sum", "u8"),
        ("notify_largest", "u8"),
        ("scratch", "u8"),
    ]
)

#: What one processor adds to a store's counters, as changes since the start.
STORE_PART = np.dtype([("pages", "i8"), ("compr", "i8"), ("same", "i8"), ("huge", "i8"), ("written_back", "i8")])

TYPES = 32
_KINDS_ROOM = 16  # of events
_HISTOGRAMS_ROOM = 16
_BUCKETS_ROOM = 1 << (BUCKETS - 1).bit_length()


def _room(number: int) -> int:
    """The power of two that has room for so many, and one more at least: indexes are masked, not compared."""
    return 1 << number.bit_length()


@dataclass(frozen=True)
class Limits:
    """How much room the maps have, and the epoch (CLOCK_MONOTONIC, ns) that moments count from."""

    pages: int
    slots: int
    areas: int
    stores: int
    processors: int
    epoch: int
    page_size: int

    @property
    def areas_room(self) -> int:
        return _room(self.areas)

    @property
    def stores_room(self) -> int:
        return _room(self.stores)

    @property
    def processors_room(self) -> int:
        return _room(self.processors - 1)

    def figures(self) -> np.dtype[np.void]:
        """The map that holds all but the pages. came: areas switched on meanwhile. store_of: by minor number."""
        parts = self.processors_room
        return np.dtype(
            [
                ("came", "u8"),
                ("on", "u8"),
                ("store_of", "u1", 256),
                ("types", TYPE, TYPES),
                ("stores", STORE, self.stores_room),
                ("areas", AREA, self.areas_room),
                ("area_parts", AREA_PART, parts * self.areas_room),
                ("store_parts", STORE_PART, parts * self.stores_room),
                ("events", "u8", parts * _KINDS_ROOM),
                # by area, histogram and bucket; by area and size; and what masked indexes reach beyond
                (
                    "histograms",
                    "u8",
                    (self.areas_room * HISTOGRAMS + _HISTOGRAMS_ROOM) * BUCKETS + _BUCKETS_ROOM,
                ),
                ("sizes", "u8", (self.areas_room + 2) * (self.page_size + 1)),
            ]
        )

    def numbers(self) -> dict[str, int | str]:
        """The constants of bpf/summary.c that depend on this machine."""
        return {
            "SUMMARY_PAGES": max(self.pages, 1),
            "SUMMARY_SLOTS": max(self.slots, 1),
            "SUMMARY_AREAS": self.areas,
            "SUMMARY_EPOCH": f"{self.epoch}ULL",
            "AREAS_ROOM": self.areas_room,
            "STORES_ROOM": self.stores_room,
            "PROCESSORS_ROOM": self.processors_room,
            "FIGURES_BYTES": self.figures().itemsize,
            "PAGE_SIZE": self.page_size,
        }


_STRUCTURES = {
    "page_record": PAGE,
    "slot_record": SLOT,
    "type_record": TYPE,
    "store_record": STORE,
    "area_record": AREA,
    "area_part": AREA_PART,
    "store_part": STORE_PART,
}
_C_TYPES = {"u1": "u8", "u2": "u16", "u4": "u32", "u8": "u64", "i8": "s64"}


def _structure(name: str, dtype: np.dtype[np.void]) -> str:
    lines = [f"struct {name} {{"]
    for field in dtype.names or ():
        base, shape = dtype[field].subdtype or (dtype[field], ())
        known = next((f"struct {one}" for one, kind in _STRUCTURES.items() if kind == base), None)
        lines.append(f"\t{known or _C_TYPES[base.str[1:]]} {field}{''.join(f'[{n}]' for n in shape)};")
    return "\n".join([*lines, "};"])


def c_definitions(limits: Limits) -> str:
    """All that bpf/summary.c wants to be defined, and SUMMARY."""
    numbers: dict[str, int | str] = {
        "SUMMARY": 1,
        **limits.numbers(),
        "TYPES_ROOM": TYPES,
        "KINDS_ROOM": _KINDS_ROOM,
        "HISTOGRAMS_ROOM": _HISTOGRAMS_ROOM,
        "BUCKETS_ROOM": _BUCKETS_ROOM,
        "SUMMARY_LONGEST_RUN": LONGEST_RUN,
        "SUMMARY_MMAPABLE": _MMAPABLE,
        "NOBODY": NOBODY,
        "NO_PAGE": NO_PAGE,
        "CLASSES": CLASSES,
        "REASONS": REASONS,
        "HISTOGRAMS": HISTOGRAMS,
        "BUCKETS": BUCKETS,
        "BITS_HELD": BITS_HELD,
        "BITS_PHASE": BITS_PHASE,
        "BITS_ENTRY": (1 << RESETS_SHIFT) - 1 - BITS_PHASE,
        "RESETS_SHIFT": RESETS_SHIFT,
        "RESETS_MOST": RESETS_MOST,
    }
    for enum, prefix in ((Bit, "BIT"), (Phase, "PHASE"), (Count, "COUNT"), (Peak, "PEAK"), (Histograms, "HISTOGRAM")):
        numbers |= {f"{prefix}_{member.name}": int(member) for member in enum}
    lines = [f"#define {name} {value}" for name, value in numbers.items()]
    lines += ["/* Keeps the compiler from knowing what a number can be, and so from making a branch of it again. */"]
    lines += ['#define OPAQUE(number) asm volatile("" : "+r"(number))']
    lines += [_structure(name, dtype) for name, dtype in (*_STRUCTURES.items(), ("figures", limits.figures()))]
    return "\n".join(lines) + "\n"


assert max(FreeReason) < REASONS
assert max(EventKind) < _KINDS_ROOM
