"""The event record: what the C programs write is what NumPy reads, and batches keep rows and calls together."""

from __future__ import annotations

import re
from enum import Enum

import numpy as np
import pytest
from builders import START, batch, free, store, swap_call, zram_area

from swaptrace.events import (
    AREA_DISCARDS,
    CALL_FAILED,
    EVENT,
    LOSSES,
    NAMES,
    NOTIFIED_FREE,
    PATH_BYTES,
    PATH_PLACE,
    EventBatch,
    EventFlag,
    EventKind,
    FreeReason,
    c_definitions,
    empty,
)

AREA = zram_area("/dev/zram0", 0, 16, 0)


def test_c_structure_is_the_dtype() -> None:
    """C's rule is natural alignment: each field at the next multiple of its own size, the whole of the largest one."""
    body = re.search(r"struct event \{(.*?)\};", c_definitions(), re.DOTALL)
    assert body
    fields = re.findall(r"^\tu(8|16|32|64) (\w+);", body[1], re.MULTILINE)
    offset, places = 0, {}
    for bits, name in fields:
        size = int(bits) // 8
        offset = -(-offset // size) * size
        places[name] = offset, size
        offset += size
    largest = max(size for _, size in places.values())
    assert EVENT.fields is not None
    assert {name: (field[1], field[0].itemsize) for name, field in EVENT.fields.items()} == places
    assert EVENT.itemsize == -(-offset // largest) * largest == 32
    assert sum(size for _, size in places.values()) == 32  # no padding, through which kernel memory might leak


def test_fields_are_unsigned() -> None:
    assert {EVENT[name].kind for name in EVENT.names or ()} == {"u"}


def test_c_constants() -> None:
    text = c_definitions()
    defined = {name: int(value) for name, value in re.findall(r"^#define (\w+) (\d+)$", text, re.MULTILINE)}
    expected = {"AREA_DISCARDS": AREA_DISCARDS, "CALL_FAILED": CALL_FAILED, "PATH_BYTES": PATH_BYTES}
    expected |= {"LOSS_NOTIFIED_FREE": NOTIFIED_FREE, "LOSS_KINDS": NOTIFIED_FREE + 1}
    for enum, prefix, first in ((EventKind, "EVENT", 0), (EventFlag, "FLAG", 0), (FreeReason, "REASON", 1)):
        expected |= {f"{prefix}_{member.name}": member.value + first for member in enum}
    assert defined == expected
    assert len(re.findall("^#define", text, re.MULTILINE)) == len(expected)


@pytest.mark.parametrize("enum", [EventKind, EventFlag, FreeReason])
def test_numbers_are_unique(enum: type[Enum]) -> None:
    """Traces hold them: two names for one number would be two meanings."""
    assert len(enum.__members__) == len({member.value for member in enum})


def test_flags_are_bits_of_their_field() -> None:
    assert all(flag.value.bit_count() == 1 for flag in EventFlag)
    assert max(EventFlag) < CALL_FAILED < AREA_DISCARDS < 1 << 16


def test_names_are_those_of_the_numbers() -> None:
    assert all(NAMES["kind"][kind] == kind.name for kind in EventKind)
    assert all(NAMES["reason"][reason + 1] == reason.name.lower() for reason in FreeReason)
    assert (NAMES["kind"][0], NAMES["reason"][0]) == ("", "")


def test_a_lost_event_counts_for_all_that_it_would_have_told() -> None:
    assert LOSSES[NOTIFIED_FREE] == (EventKind.FREE, EventKind.NOTIFY)
    assert {LOSSES[kind] for kind in EventKind} == {(kind,) for kind in EventKind}


def test_names_and_paths_do_not_touch_what_tells_whose_they_are() -> None:
    fields = EVENT.fields or {}
    end = PATH_PLACE + PATH_BYTES
    beside = [name for name, field in fields.items() if field[1] >= end or field[1] + field[0].itemsize <= PATH_PLACE]
    assert {"time", "tgid", "device", "kind"} <= set(beside)
    assert end <= EVENT.itemsize


def test_kinds_fit_their_field() -> None:
    assert min(EventKind) > 0  # an event that was never written is none
    assert max(EventKind) < 256


def test_concatenate() -> None:
    first = batch([free(START, 0, 1), swap_call(START, "swapoff", AREA)], {1: "one"})
    second = batch([swap_call(START + 1, "swapon", AREA), store(START + 2, 0, 1, 5)], {2: "two"})
    both = EventBatch.concatenate([first, EventBatch(empty()), second])
    assert (both.events == np.concatenate([first.events, second.events])).all()
    assert both.tasks == {1: "one", 2: "two"}
    assert [(call.row, call.call) for call in both.calls] == [(1, "swapoff"), (2, "swapon")]
    assert len(EventBatch.concatenate([])) == 0


def test_split_after_each_call() -> None:
    """Each piece ends with its call; what comes after the last one has none; nothing is lost."""
    whole = batch(
        [
            swap_call(START, "swapon", AREA),
            free(START + 1, 0, 1),
            swap_call(START + 2, "swapoff", AREA),
            swap_call(START + 3, "swapon", AREA),
            free(START + 4, 0, 2),
        ]
    )
    pieces = list(whole.split())
    assert [(len(piece), call and call.call) for piece, call in pieces] == [
        (1, "swapon"), (2, "swapoff"), (1, "swapon"), (1, None)
    ]  # fmt: skip
    assert (np.concatenate([piece.events for piece, _ in pieces]) == whole.events).all()
    assert list(batch([]).split()) == []


def test_pieces_have_the_events_of_their_calls() -> None:
    """Two batches that are put together and taken apart: each call comes with its own event, wherever it stood."""
    parts = [
        batch([free(START, 0, 1), swap_call(START + 1, "swapoff", AREA), free(START + 2, 0, 2)]),
        batch([free(START + 3, 0, 3), free(START + 4, 0, 4), swap_call(START + 5, "swapon", AREA)]),
    ]
    pieces = list(EventBatch.concatenate(parts).split())
    ends = [(int(piece.events["time"][-1]), EventKind(piece.events["kind"][-1]).name) for piece, call in pieces if call]
    assert ends == [(START + 1, "SWAPOFF"), (START + 5, "SWAPON")]
