"""Figures of groups of pages: whose swap it is. A row each, which the sums over all groups are an area's figure of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from swaptrace.engine.classes import Classes
from swaptrace.engine.counters import GroupCount
from swaptrace.engine.groups import Groups
from swaptrace.engine.policies import DUPLICATE, LIVE, RECOVERED, STALE
from swaptrace.events import FreeReason
from swaptrace.results.catalogue import Unit
from swaptrace.results.results import Values, by_name


@dataclass(frozen=True)
class GroupFigure:
    """One row. words: the heading of its column; empty where tables leave it out. area: the figure of an area that the
    sum over its groups is, or that is unknown if that one is. of: its value, from what the engine has in a row.
    """

    name: str
    unit: Unit
    words: str
    sentence: str
    area: str
    of: Callable[[Classes, Any, int], int]


def _now(quantity: int, what: int) -> Callable[[Classes, Any, int], int]:
    return lambda classes, counts, row: classes.total(row, quantity, what)


def _byte_ns(quantity: int) -> Callable[[Classes, Any, int], int]:
    return lambda classes, counts, row: classes.byte_ns(row, quantity)


def _counted(number: int) -> Callable[[Classes, Any, int], int]:
    return lambda classes, counts, row: int(counts[row, number])


def _quantity(name: str, quantity: int, words: str, sentence: str, area: tuple[str, str]) -> tuple[GroupFigure, ...]:
    """Slots and bytes at the end, and bytes over time. words: the heading of the bytes' column. area: the figures."""
    slots, compressed = area
    return (
        GroupFigure(f"{name}_slots_end", Unit.SLOTS, "", sentence, slots, _now(quantity, 0)),
        GroupFigure(
            f"{name}_compr_bytes_end", Unit.BYTES, words, "their compressed bytes", compressed, _now(quantity, 1)
        ),
        GroupFigure(
            f"{name}_compr_byte_seconds", Unit.BYTE_SECONDS, "",
            "these bytes times the seconds for which they were held", compressed, _byte_ns(quantity),
        ),
    )  # fmt: skip


#: In the order of JSON and tables.
GROUP_FIGURES = (
    *_quantity(
        "live", LIVE, "live", "slots in use that the store holds an entry for",
        ("live_slots_end", "live_compr_bytes_end"),
    ),
    *_quantity(
        "duplicate", DUPLICATE, "duplicates", "of these, those whose page is in memory as well, read back",
        ("duplicate_slots_end", "duplicate_compr_bytes"),
    ),
    *_quantity(
        "stale", STALE["none"], "stale", "free slots whose entry would be held under `none`",
        ("policies.none.stale_slots_end", "policies.none.stale_compr_bytes"),
    ),
    *_quantity(
        "recovered", RECOVERED, "recovered",
        "of these, those that notifications give back (stale under `none`, not under `notify`)",
        ("recovered.compr_bytes", "recovered.compr_bytes"),
    ),
    GroupFigure(
        "held_slots_end", Unit.SLOTS, "", "entries that the store holds, live or stale, as observed", "pages_stored",
        _counted(GroupCount.HELD_SLOTS),
    ),
    GroupFigure(
        "held_compr_bytes_end", Unit.BYTES, "held", "their compressed bytes: for zswap, what `memory.zswap.current` "
        "says, for pages that were stored while recording", "compr_data_size", _counted(GroupCount.HELD_BYTES),
    ),
    GroupFigure("stores", Unit.PAGES, "stores", "pages written to the store", "stores", _counted(GroupCount.STORES)),
    GroupFigure("loads", Unit.PAGES, "loads", "pages read from the store", "loads", _counted(GroupCount.LOADS)),
    GroupFigure(
        "refaults", Unit.PAGES, "refaults", "pages read for the first time since they were stored", "refaults",
        _counted(GroupCount.REFAULTS),
    ),
    GroupFigure("frees", Unit.SLOTS, "frees", "slots freed", "frees", _counted(GroupCount.FREES)),
    *(
        GroupFigure(
            f"frees_{reason.name.lower()}", Unit.SLOTS, "", f"of these, for the reason `{reason.name.lower()}`",
            f"free_reasons.{reason.name.lower()}", _counted(GroupCount.FREED_FOR + reason),
        )
        for reason in FreeReason
    ),
)  # fmt: skip
#: Not counted, but charged.
POOL = "pool_bytes_end"
POOL_FIGURE = GroupFigure(
    POOL, Unit.BYTES, "pool",
    "what of the store's pool it is charged: by its share of the compressed bytes that the store holds",
    "mem_used_total", lambda classes, counts, row: 0,
)  # fmt: skip


def groups_of_area(groups: Groups, area: int, names: Mapping[int, str]) -> dict[str, Values]:
    """By group, what the engine has of it in one area; but for groups that nothing is known of. names: by number."""
    counts = np.asarray(groups.counts)
    rows = (
        (names[group], {each.name: each.of(groups.classes, counts, row) for each in GROUP_FIGURES})
        for row, (of, group) in enumerate(groups.rows)
        if of == area
    )
    return by_name((name, values) for name, values in rows if any(values.values()))


def with_pool(groups: dict[str, Values], pool: int | None, whole: int) -> dict[str, Values]:
    """The same with what of a pool they are charged: by their share of its compressed bytes, in whole bytes.

    pool: the store's, bytes; None if it is not known. whole: compressed bytes in it.
    """
    if pool is None:
        return groups
    shares = charged(pool, [values["held_compr_bytes_end"] for values in groups.values()], whole)
    return {name: values | {POOL: share} for (name, values), share in zip(groups.items(), shares, strict=True)}


def charged(total: int, weights: list[int], whole: int) -> list[int]:
    """What of a total each is charged by its weight out of a whole: rounded so that all weights get all of it."""
    ends = [0]
    for weight in weights:
        ends.append(ends[-1] + weight)
    marks = [total * end // whole if whole else 0 for end in ends]
    return [after - before for before, after in pairwise(marks)]
