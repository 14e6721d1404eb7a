"""The 2009 patch's API: register_swap_event_notifier() and unregister_swap_event_notifier(), on batches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import START, batch, free, store, zram_area

from swaptrace.areas import Store
from swaptrace.notifiers import Notification, SwapEvent, SwapEventNotifiers

ZRAM = Store(0, "zram0", 16)
FIRST, SECOND = zram_area("/dev/zram0", 0, 16, 0), zram_area("/dev/zram1", 1, 16, 1)


@pytest.fixture
def notifiers() -> SwapEventNotifiers:
    """Two areas are on: types 0 and 1."""
    both = SwapEventNotifiers()
    for area in (FIRST, SECOND):
        both.swapon(area, ZRAM, START)
    return both


def ignore(_: Notification) -> None:
    pass


def recording(log: list[tuple[str, Notification]], name: str = "it") -> Callable[[Notification], None]:
    return lambda notification: log.append((name, notification))


@pytest.mark.parametrize("swap_type", [2, 3, -1, None])
def test_slot_frees_of_a_type_that_is_not_on(notifiers: SwapEventNotifiers, swap_type: int | None) -> None:
    """With two areas, type 2 is the one that the patch's bounds check let pass."""
    with pytest.raises(ValueError, match=f"no swap area has type {swap_type}"):
        notifiers.register(ignore, SwapEvent.SLOT_FREE, swap_type)
    with pytest.raises(ValueError, match=f"no swap area has type {swap_type}"):
        notifiers.unregister(ignore, SwapEvent.SLOT_FREE, swap_type)


def test_every_type_that_is_on_can_be_registered_for(notifiers: SwapEventNotifiers) -> None:
    log: list[tuple[str, Notification]] = []
    for swap_type in (0, 1):
        notifiers.register(recording(log, str(swap_type)), SwapEvent.SLOT_FREE, swap_type)
    notifiers.slot_frees(batch([free(START, 1, 5), free(START, 0, 5)]))
    assert [name for name, _ in log] == ["0", "1"]


def test_unknown_event(notifiers: SwapEventNotifiers) -> None:
    for call in (notifiers.register, notifiers.unregister):
        with pytest.raises(ValueError, match="is not a swap event"):
            call(ignore, "slot allocated")  # type: ignore[arg-type]


def test_swapon_is_not_per_area(notifiers: SwapEventNotifiers) -> None:
    with pytest.raises(ValueError, match="not per area"):
        notifiers.register(ignore, SwapEvent.SWAPON, 0)


@pytest.mark.parametrize(
    ("event", "swap_type"), [(SwapEvent.SWAPON, None), (SwapEvent.SWAPOFF, None), (SwapEvent.SLOT_FREE, 1)]
)
def test_unregister_what_was_never_registered(
    notifiers: SwapEventNotifiers, event: SwapEvent, swap_type: int | None
) -> None:
    notifiers.register(ignore, SwapEvent.SLOT_FREE, 0)  # for something else
    with pytest.raises(ValueError, match="never registered"):
        notifiers.unregister(ignore, event, swap_type)
    notifiers.register(ignore, event, swap_type)
    notifiers.unregister(ignore, event, swap_type)
    with pytest.raises(ValueError, match="never registered"):
        notifiers.unregister(ignore, event, swap_type)


def test_order_is_that_of_registration(notifiers: SwapEventNotifiers) -> None:
    log: list[tuple[str, Notification]] = []
    for name in ("a", "b", "c"):
        notifiers.register(recording(log, name), SwapEvent.SLOT_FREE, 0)
    notifiers.slot_frees(batch([free(START, 0, 1)]))
    assert [name for name, _ in log] == ["a", "b", "c"]


def test_an_area_is_told_of_its_own_frees(notifiers: SwapEventNotifiers) -> None:
    """A store with the number of the type, and the frees of other areas, are somebody else's."""
    log: list[tuple[str, Notification]] = []
    notifiers.register(recording(log), SwapEvent.SLOT_FREE, 1)
    notifiers.slot_frees(batch([free(START, 1, 7), store(START, 1, 7, 10), free(START, 0, 8), free(START, 1, 9, 4)]))
    [(_, notification)] = log
    assert notification.event is SwapEvent.SLOT_FREE
    assert notification.area == notifiers.areas[1]
    notifiers.slot_frees(batch([free(START, 0, 8)]))
    assert len(log) == 1  # nothing of its own: not called


def test_swapon_and_swapoff_are_told(notifiers: SwapEventNotifiers) -> None:
    log: list[tuple[str, Notification]] = []
    notifiers.register(recording(log, "on"), SwapEvent.SWAPON)
    notifiers.register(recording(log, "off"), SwapEvent.SWAPOFF)
    third = zram_area("/dev/zram2", 2, 8, 2)
    notifiers.swapon(third, ZRAM, START + 5)
    notifiers.swapoff(2, START + 9)
    notifiers.swapoff(2, START + 10)  # off already
    assert [(name, told.area, told.time) for name, told in log] == [("on", third, START + 5), ("off", third, START + 9)]
    assert log[0][1].store is ZRAM


def test_swapoff_ends_the_chain(notifiers: SwapEventNotifiers) -> None:
    log: list[tuple[str, Notification]] = []
    notify = recording(log)
    notifiers.register(notify, SwapEvent.SLOT_FREE, 0)
    notifiers.swapoff(0, START + 1)
    with pytest.raises(ValueError, match="no swap area has type 0"):
        notifiers.unregister(notify, SwapEvent.SLOT_FREE, 0)
    again = notifiers.swapon(FIRST, ZRAM, START + 2)
    notifiers.slot_frees(batch([free(START + 3, 0, 1)]))
    assert log == []
    assert again.generation == 1


def test_notifiers_may_use_the_chain_of_an_area_that_goes_off(notifiers: SwapEventNotifiers) -> None:
    """The driver unregisters for slot frees when it is told of the swapoff."""
    notifiers.register(ignore, SwapEvent.SLOT_FREE, 0)
    notifiers.register(lambda told: notifiers.unregister(ignore, SwapEvent.SLOT_FREE, 0), SwapEvent.SWAPOFF)
    notifiers.swapoff(0, START)
    assert 0 not in notifiers.areas


def test_unregister_while_being_called(notifiers: SwapEventNotifiers) -> None:
    log: list[tuple[str, Notification]] = []

    def once(notification: Notification) -> None:
        log.append(("once", notification))
        notifiers.unregister(once, SwapEvent.SLOT_FREE, 0)

    notifiers.register(once, SwapEvent.SLOT_FREE, 0)
    notifiers.register(recording(log, "always"), SwapEvent.SLOT_FREE, 0)
    for _ in range(2):
        notifiers.slot_frees(batch([free(START, 0, 1)]))
    assert [name for name, _ in log] == ["once", "always", "always"]


def test_swapon_of_a_type_that_is_on(notifiers: SwapEventNotifiers) -> None:
    """Its swapoff was lost: that is told first."""
    log: list[tuple[str, Notification]] = []
    notifiers.register(recording(log, "off"), SwapEvent.SWAPOFF)
    notifiers.register(recording(log, "on"), SwapEvent.SWAPON)
    notifiers.swapon(FIRST, ZRAM, START + 2)
    assert [(name, told.area.generation) for name, told in log] == [("off", 0), ("on", 1)]


def test_areas_is_a_copy(notifiers: SwapEventNotifiers) -> None:
    notifiers.areas.clear()
    assert sorted(notifiers.areas) == [0, 1]
