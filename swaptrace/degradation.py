"""What is lost where a kernel does not tell of a logical event: said by `check` and `record`, and heeded by reports.

A figure that rests on such an event is unknown: reports never show what was counted instead.
"""

from __future__ import annotations

from swaptrace.areas import Store

SLOT_FREED = "slot freed"
SLOT_ALLOCATED = "slot allocated"
STORED = "slot stored and loaded"
DROPPED = "store entry dropped"
NOTIFICATION = "notification"
WRITTEN_BACK = "store entry written back"
RESET = "store reset"
ZSWAP_STORED = "page stored in zswap"
ZSWAP_MEMORY = "memory for a page in zswap"
ZSWAP_LOADED = "page loaded from zswap"
ZSWAP_NOTIFICATION = "notification of zswap"
ZSWAP_DROPPED = "zswap entry dropped"
ZSWAP_WRITEBACK = "zswap entry written back"
ZSWAP_WRITEBACK_ENTRY = "which entry zswap writes back"
AREA_SET_UP = "swap type of a swapon"
AREA_GIVEN_UP = "swap type of a swapoff"
MEMORY_CGROUPS = "memory cgroup of a page"
SWAPON = "swapon"
SWAPOFF = "swapoff"

#: By event: a sentence on what is lost. (Which figures are unknown then, the catalogue of figures says.)
WITHOUT = {
    SLOT_FREED: "nothing can be said about stale slots",
    SLOT_ALLOCATED: (
        "a slot counts as allocated when it is stored: what is stale under `discard`, where told, is a lower bound; "
        "how many slots are in use, and for how long those of a disk, is not known"
    ),
    STORED: "no compressed sizes, hence no bytes, and no stale slots: only slots freed are seen",
    DROPPED: "what the store holds, and hence what is stale, cannot be told: only slots freed are seen",
    NOTIFICATION: "whether the store is told of freed slots, and what that costs, is not seen",
    WRITTEN_BACK: "what zram wrote to its backing device counts as in memory still",
    RESET: "after a reset of the device, what would be stale under `none` is counted on",
    ZSWAP_STORED: "what zswap holds is not seen",
    ZSWAP_MEMORY: "what zswap holds is not seen, for the sizes are not told",
    ZSWAP_LOADED: "what zswap holds is not seen, for it gives up entries that are read",
    ZSWAP_NOTIFICATION: "what zswap holds is not seen, for it gives up entries of free slots",
    ZSWAP_DROPPED: "what zswap holds is not seen, for it gives up entries",
    ZSWAP_WRITEBACK: "what zswap holds is not seen, for it writes entries back",
    ZSWAP_WRITEBACK_ENTRY: "what zswap holds is not seen, for it writes entries back",
    MEMORY_CGROUPS: "whose pages were swapped, by memory cgroup, is not known",
    AREA_SET_UP: "which slots an area has that is switched on while recording is not known",
    AREA_GIVEN_UP: "areas switched off while recording are not noticed",
    SWAPON: "which swap type an area has, and hence which slots are its, is not known",
    SWAPOFF: "areas switched off while recording are not noticed",
}

#: Without one of these, stores cannot be modelled at all.
BLIND = frozenset({STORED, DROPPED})


RECOMPRESSION = "recompression"

#: What a zram device may be set up to do, that no event tells of: a sentence for each. Its store is not modelled then.
FEATURES = {
    RECOMPRESSION: "it recompresses pages (recomp_algorithm is set), which is not told from dropping them: "
    "what it holds, and what is stale, is not known; only slots freed are seen",
}


def why_not_modelled(store: Store | None) -> str:
    """The reason why a store cannot be followed: a sentence; "" if it can."""
    return "" if store is None else "; ".join(f"{store.name}: {FEATURES.get(name, name)}" for name in store.features)
