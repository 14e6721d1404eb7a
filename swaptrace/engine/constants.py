"""Numbers that the loops compare with and count by.

Cython takes them from constants.pxd, where they are C's and known when it compiles; mypy, from stubs. A test holds the
three together, and `python -m swaptrace.engine.constants` writes the other two anew.
"""

from __future__ import annotations

from pathlib import Path

from swaptrace.areas import MAX_TYPES
from swaptrace.engine.counters import COUNTS, GroupCount, LifeBit, Total
from swaptrace.engine.policies import (
    ALL_POOLS,
    HELD,
    IN_USE,
    LOADED,
    MISSED,
    UNSIZED,
    WAS_HUGE,
    WAS_SAME,
    masks,
)
from swaptrace.events import EventFlag, EventKind, FreeReason, Subject
from swaptrace.policies import Drops

NO_AREA = -1
NOBODY = 255  # owner of pages that belong to no slot: a filesystem's, for instance
HEADER = 254  # owner of the page that mkswap wrote
BINS = 1024  # time bins of a series; when they are used up, they are folded into half as many
MAP_ROWS = 256  # of the slot map
#: Thresholds of ages: so many, so many between each and its double, which are multiples of a unit (ns). They begin with
#: 8 units, 234 ms, and among them are 1, 5, 15 and 60 minutes.
AGES, AGE_PARTS, AGE_UNIT = 192, 8, 60 * 10**9 >> 11

_TOLD = Drops.AT_FREE | Drops.AS_SEEN
_WORD = 62  # bits of an integral's lower word: two signs less than it has room for

#: By the names that the loops have for them.
CONSTANTS: dict[str, int] = {
    **{kind.name: int(kind) for kind in EventKind},
    **{f"FLAG_{flag.name}": int(flag) for flag in EventFlag},
    **{f"REASON_{reason.name}": int(reason) for reason in FreeReason},
    **{f"COUNT_{name.upper()}": number for number, name in enumerate(COUNTS)},
    **{f"TOTAL_{total.name}": int(total) for total in Total},
    **{f"GROUP_{count.name}": int(count) for count in GroupCount},
    **{f"HELD_{drops.name}": masks(drops)[0] for drops in Drops},
    **{f"POOLS_{drops.name}": masks(drops)[1] for drops in Drops},
    # the others: a free that the driver was told of may be gone before its store is seen, and not for them
    "HELD_UNTOLD": HELD & ~masks(_TOLD)[0],
    "POOLS_UNTOLD": ALL_POOLS & ~masks(_TOLD)[1],
    "HELD": HELD,
    "ALL_POOLS": ALL_POOLS,
    "IN_USE": IN_USE,
    "LOADED": LOADED,
    "UNSIZED": UNSIZED,
    "WAS_SAME": WAS_SAME,
    "WAS_HUGE": WAS_HUGE,
    "MISSED": MISSED,
    "REASONS": len(FreeReason),
    "MAX_TYPES": MAX_TYPES,
    "NO_AREA": NO_AREA,
    **{f"OF_{subject.name}": int(subject) for subject in Subject},
    "HEADER": HEADER,
    "NOBODY": NOBODY,
    "BINS": BINS,
    "MAP_ROWS": MAP_ROWS,
    # of clocks: ns of the first bin; ns between two settlements (a moment has room in 64 bits if no more than 32 GiB
    # change meanwhile); of integrals
    "FIRST_WIDTH": 1000,
    "LONGEST": 1 << 28,
    "WORD_BITS": _WORD,
    "WORD_MASK": (1 << _WORD) - 1,
    "HALF_BITS": _WORD // 2,
    "HALF_MASK": (1 << _WORD // 2) - 1,
    # phases of a slot's life
    "PHASE_UNKNOWN": 0,
    "PHASE_USED": 1,
    "PHASE_USED_BEFORE": 2,
    "PHASE_FREE": 3,
    # what is known of a row of swaptrace.engine.lives, and what its entry is
    **{f"LIFE_{bit.name}": int(bit) for bit in LifeBit},
    # columns of what pages add up to, by class; by quantity, the last two are peaks instead
    "SLOTS": 0,
    "BYTES": 1,
    "MOMENT": 2,
    "PEAK_SLOTS": 2,
    "PEAK_BYTES": 3,
    # of ages: columns of what is counted by the thresholds that were passed
    "AGES": AGES,
    "AGE_PARTS": AGE_PARTS,
    "AGE_UNIT": AGE_UNIT,
    "AGE_LOADS": 0,
    "AGE_WRITES": 1,
    "AGE_BYTES": 2,
    "AGE_PAGES_NOW": 3,
    "AGE_BYTES_NOW": 4,
    "AGE_COLUMNS": 5,
    # of entries that may be written back: states as observed, and columns of what is counted
    "IDLE_NONE": 0,
    "IN_MEMORY": 1,
    "ON_DISK": 2,
    "IDLE_WRITES": 0,
    "IDLE_LOADS": 1,
    "IDLE_PAGES_NOW": 2,
    "IDLE_COLUMNS": 3,
    # of zsmalloc: its totals, and the rules of fullness
    "ZS_PAGES": 0,
    "ZS_ZSPAGES": 1,
    "ZS_FREE": 2,
    "ZS_QUARTERS": 0,
    "ZS_TENTHS": 1,
}


def __getattr__(name: str) -> int:
    """A number by its name, for loops that run as plain Python."""
    try:
        return CONSTANTS[name]
    except KeyError:
        raise AttributeError(name) from None


def as_pxd() -> str:
    """What constants.pxd has to say of them."""
    lines = ["# swaptrace.engine.constants, for the C compiler.", "", "cdef enum:"]
    return "\n".join([*lines, *(f"    {name} = {value}" for name, value in CONSTANTS.items()), ""])


def as_stub() -> str:
    """What mypy has to know of them."""
    return "\n".join(
        ['"""swaptrace/engine/constants.pxd, for mypy."""', "", *(f"{name}: int" for name in CONSTANTS), ""]
    )


if __name__ == "__main__":
    package = Path(__file__).parent
    package.joinpath("constants.pxd").write_text(as_pxd())
    stubs = package.parents[1] / "stubs/cython/cimports/swaptrace/engine"
    stubs.joinpath("constants.pyi").write_text(as_stub())
