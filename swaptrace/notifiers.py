"""Swap event notifiers: who wants to know of swapon, swapoff, or freed slots registers here.

This is the API of the 2009 patch that brought slot-free notifications to the kernel (register_swap_event_notifier and
unregister_swap_event_notifier, mm/swapfile.c as posted with ramzswap), on batches of events instead of single calls.
Where the patch returns -EINVAL, this raises ValueError; its bounds check let one type too many pass, this one does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from swaptrace.areas import MAX_TYPES, Store, SwapArea
from swaptrace.events import EventBatch, EventKind


class SwapEvent(Enum):
    SWAPON = "swapon"
    SWAPOFF = "swapoff"
    SLOT_FREE = "slot free"


@dataclass(frozen=True)
class Notification:
    """What a notifier is told: area, store, and when (ns); of SLOT_FREE, that a batch frees slots of that area.

    Their order among the batch's other events is the kernel's.
    """

    event: SwapEvent
    area: SwapArea
    store: Store | None = None
    time: int = 0


Notifier = Callable[[Notification], None]


class SwapEventNotifiers:
    """The chains of notifiers, and the swap areas that are on.

    SLOT_FREE has one chain per area: swapoff ends it, and an area that gets the same type later starts without.
    """

    def __init__(self) -> None:
        self._areas: dict[int, SwapArea] = {}
        self._generations: dict[int, int] = defaultdict(int)
        self._chains: dict[SwapEvent, list[Notifier]] = {SwapEvent.SWAPON: [], SwapEvent.SWAPOFF: []}
        self._free_chains: dict[int, list[Notifier]] = {}

    @property
    def areas(self) -> dict[int, SwapArea]:
        """The areas that are on, by swap type."""
        return dict(self._areas)

    def register(self, notifier: Notifier, event: SwapEvent, swap_type: int | None = None) -> None:
        """Add a notifier. Raises ValueError for an unknown event, or a swap type that is not on."""
        self._chain(event, swap_type).append(notifier)

    def unregister(self, notifier: Notifier, event: SwapEvent, swap_type: int | None = None) -> None:
        """Remove a notifier. Raises ValueError if it was not registered for just that."""
        chain = self._chain(event, swap_type)
        if notifier not in chain:
            raise ValueError(f"this notifier was never registered for {event.value}")
        chain.remove(notifier)

    def _chain(self, event: SwapEvent, swap_type: int | None) -> list[Notifier]:
        if event is SwapEvent.SLOT_FREE:
            if swap_type not in self._free_chains:
                raise ValueError(f"no swap area has type {swap_type}")
            return self._free_chains[swap_type]
        if event not in self._chains:
            raise ValueError(f"{event!r} is not a swap event")
        if swap_type is not None:
            raise ValueError(f"{event.value} notifiers are not per area")
        return self._chains[event]

    # -- the source's side

    def swapon(self, area: SwapArea, store: Store | None, time: int) -> SwapArea:
        """An area was switched on (or was on when the recording began): tell all, return it with its generation."""
        number = area.swap_type
        self.swapoff(number, time)  # of an area whose end was lost
        area = SwapArea(**{**area.__dict__, "generation": self._generations[number]})
        self._generations[number] += 1
        self._areas[number] = area
        self._free_chains[number] = []
        self._call(self._chains[SwapEvent.SWAPON], Notification(SwapEvent.SWAPON, area, store, time))
        return area

    def swapoff(self, swap_type: int, time: int) -> None:
        """An area was switched off: tell all, then forget it and its chain. Unknown types are ignored."""
        area = self._areas.get(swap_type)
        if area is None:
            return
        self._call(self._chains[SwapEvent.SWAPOFF], Notification(SwapEvent.SWAPOFF, area, None, time))
        del self._areas[swap_type], self._free_chains[swap_type]

    def slot_frees(self, batch: EventBatch) -> None:
        """Tell each area's chain of the slots that this batch frees.

        The batch holds no swapon or swapoff, unless as its last event.
        """
        types = batch.events["device"][batch.events["kind"] == EventKind.FREE]
        frees = np.bincount(types, minlength=MAX_TYPES)
        for swap_type, chain in self._free_chains.items():
            if chain and frees[swap_type]:
                self._call(chain, Notification(SwapEvent.SLOT_FREE, self._areas[swap_type]))

    @staticmethod
    def _call(chain: list[Notifier], notification: Notification) -> None:
        for notifier in list(chain):  # a notifier may unregister itself while it is called
            notifier(notification)
