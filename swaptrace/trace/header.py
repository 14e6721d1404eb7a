"""What a trace says about itself: the machine, its swap areas and stores, what was attached, and how it ended.

Header, trailer and notes are JSON (in the metadata of the Arrow schema and of the batches). They are held against the
fields of the classes here, of swaptrace.areas and of SwapCall: a field's annotation is all that it can be. Unknown keys
are ignored, so that a newer minor addition does not break an older reader; FORMAT_VERSION changes when meaning does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, TypedDict, TypeVar

import msgspec
from msgspec import Meta

from swaptrace.areas import MAX_PAGES, Amount, Snapshot, SwapArea
from swaptrace.degradation import BLIND
from swaptrace.events import Mark, SwapCall

FORMAT_VERSION = 2


class Kind(StrEnum):
    """What a file holds."""

    TRACE = "trace"
    RESULTS = "results"


class Damaged(ValueError):
    """What was read is nothing that swaptrace writes; the sentence says what of it."""


class Zsmalloc(TypedDict):
    """How a kernel builds its pools: pages_per_zspage by size class (0: none); swaptrace.engine.zsmalloc.FullnessRule.

    A zspage has 16 pages at most (CONFIG_ZSMALLOC_CHAIN_SIZE), and a pool 257 classes (ZS_SIZE_CLASSES).
    """

    pages_per_zspage: Annotated[list[Annotated[int, Meta(ge=0, le=16)]], Meta(min_length=1, max_length=257)]
    fullness_rule: Annotated[str, Meta(pattern="^(QUARTERS|TENTHS)$")]


class Probe(TypedDict, total=False):
    """What was attached for a logical event (a row of swaptrace.kernel.probes), and to which functions."""

    event: str
    functions: list[str]
    by: str | None


class FreePath(TypedDict):
    """The kernel's slot-free function, timed: its calls, the slots that they freed, and ns."""

    calls: Amount
    slots: Amount
    ns: Amount


@dataclass(frozen=True)
class Header:
    """How and where a trace was recorded. start.time and start_realtime are the same moment on two clocks (ns).

    zsmalloc: None if not known. cluster_slots: slots of a swap cluster (SWAPFILE_CLUSTER). slots_by_discard: whether
    this kernel takes other slots in an area that discards its free clusters than in one that does not; None in older
    traces, which do not tell. labels: what who recorded it says of the machine or the run.
    """

    kernel: str
    machine: str
    page_size: Annotated[int, Meta(ge=4096, le=65536)]  # what Linux's architectures have; a power of two
    host: str
    command: tuple[str, ...]
    start_realtime: Amount
    start: Snapshot
    probes: tuple[Probe, ...] = ()
    missing: tuple[str, ...] = ()
    recorder_tgid: Amount = 0
    zsmalloc: Zsmalloc | None = None
    cluster_slots: Annotated[int, Meta(ge=1, le=1 << 16)] = 512
    slots_by_discard: bool | None = None
    ring_bytes: Amount = 0
    swaptrace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    kind: Kind = Kind.TRACE
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Trailer:
    """How a recording ended.

    lost: events that the ring had no room for, in slots, by event kind. missed: the same for events whose probe did
    not run. free_path: notifications and probes included; None unless it was timed.
    """

    end: Snapshot
    lost: dict[str, Amount] = field(default_factory=dict)
    exit_status: int | None = None
    reason: str = "end"
    free_path: FreePath | None = None
    missed: dict[str, Amount] = field(default_factory=dict)

    def losses(self) -> dict[str, int]:
        """All that the trace lacks, for either reason."""
        return both(self.lost, self.missed)


def both(lost: Mapping[str, int], missed: Mapping[str, int]) -> dict[str, int]:
    """The sums, by event kind."""
    return {kind: lost.get(kind, 0) + missed.get(kind, 0) for kind in {**lost, **missed}}


@dataclass(frozen=True)
class Notes:
    """What a batch says in words: see EventBatch."""

    tasks: dict[int, str] = field(default_factory=dict)
    calls: tuple[SwapCall, ...] = ()
    cgroups: dict[int, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()


def modelled(start: Snapshot, missing: Iterable[str]) -> Snapshot:
    """The start as far as stores can be modelled: without what tells of them, areas are as if they had none."""
    if not BLIND & set(missing):
        return start
    areas = tuple(replace(area, store=None) for area in start.areas)
    return replace(start, areas=areas, stores=())


T = TypeVar("T")


def to_json(item: Header | Trailer | Notes) -> str:
    return json.dumps(asdict(item), separators=(",", ":"))


def from_json(kind: type[T], text: str | bytes) -> T:
    """The reverse of to_json. Raises Damaged for anything else, values that a field cannot have included.

    Not with msgspec's own decoder of JSON: Python's keeps what is no UTF-8 in the names of files, as to_json does.
    """
    item = converted(parsed(text), kind)
    if isinstance(item, Header) and item.page_size & item.page_size - 1:
        raise Damaged(f"a page size of {item.page_size}, which is no power of two")
    for area in _areas_in(item):
        _check_extents(area)
    return item


def parsed(text: str | bytes, number: Callable[[str], object] | None = None) -> Any:
    """What JSON says, its texts made visible. Raises Damaged. number: called for what JSON calls no number (NaN), see
    json.loads().
    """
    try:
        return visible(json.loads(text, parse_constant=number))
    except (ValueError, RecursionError):  # json's own errors say where in a line of thousands of characters
        raise Damaged("it is no JSON") from None


def visible(data: Any) -> Any:
    """The same with backslashes and numbers for whatever in a text is not to be seen: control characters, escapes of
    terminals, new lines, what is no UTF-8. A file may come from strangers: nothing that is made of its names, in a
    terminal, in HTML or in a table, is to be anything but text.
    """
    if isinstance(data, str):
        return data if data.isprintable() else "".join(map(_visible, data))
    if isinstance(data, dict):
        return {visible(key): visible(value) for key, value in data.items()}
    return [visible(item) for item in data] if isinstance(data, list) else data


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def converted(data: object, kind: type[T], hook: Callable[[type, Any], Any] | None = None) -> T:
    """Data as that class. Raises Damaged for what it does not allow. hook: makes what msgspec does not know."""
    try:
        return msgspec.convert(data, kind, str_keys=True, dec_hook=hook)
    # msgspec's, which is no ValueError in its older releases; and of a name that is no text
    except (msgspec.ValidationError, ValueError) as error:
        raise Damaged(str(error).encode("ascii", "backslashreplace").decode()) from None


def _areas_in(item: object) -> Iterator[SwapArea]:
    if isinstance(item, Header):
        yield from item.start.areas
    elif isinstance(item, Trailer):
        yield from item.end.areas
    elif isinstance(item, Notes):
        yield from (call.area for call in item.calls if call.area is not None)


def _check_extents(area: SwapArea) -> None:
    """What lies behind an area's slots: pieces of it, one after the other, each somewhere in the store."""
    end = 0
    for slot, index, slots in area.extents:
        if slot < end or slot + slots > area.slots or index + slots > MAX_PAGES:
            raise Damaged(f"the extents of {area.path} are not within its {area.slots} slots, or not in order")
        end = slot + slots
