"""The file of results: all that is known of a recording, in little space however long that was.

It is a file as a trace is one (swaptrace.trace.stream), of another kind. A batch is a swap area: its figures as JSON in
the metadata, after the classes of swaptrace.results.results, and in the columns what its arrays hold. A row says that
a number of them is not what the one before it along the first axis is: `place` counts through all of the area's arrays,
`value` is the difference. So what is empty, or stays as it is, takes no room.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta
from numpy.typing import NDArray

from swaptrace.areas import Amount, Snapshot
from swaptrace.engine.constants import AGES, BINS, MAP_ROWS
from swaptrace.engine.figures import Ages
from swaptrace.events import FreeReason
from swaptrace.histogram import BUCKETS
from swaptrace.policies import POLICIES
from swaptrace.results.derived import about
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.header import FORMAT_VERSION, Damaged, Header, Kind, converted, parsed
from swaptrace.trace.messages import Bad
from swaptrace.trace.stream import Columns, StreamFile, StreamMaker, values_of

T = TypeVar("T")

COLUMNS: Columns = {"place": np.dtype(np.uint32), "value": np.dtype(np.int64)}
#: An area takes no more than that of a file.
MOST_BYTES = 256 << 10
_AREA_KEY, _WHOLE_KEY = b"swaptrace.area", b"swaptrace.results"
_LARGEST = 1 << 124  # bytes times ns, see swaptrace.engine.clock.add_integral
#: Numbers in the arrays of an area: no more than those of its map, series and histograms, and some to spare.
_MOST_NUMBERS = 2 * BINS * MAP_ROWS + 64 * BINS + 32 * BUCKETS + (1 << 17)


@dataclass(frozen=True)
class _Mark:
    """As reports have it."""

    time_s: Annotated[float, Meta(ge=0, lt=1e12)]
    text: str


@dataclass(frozen=True)
class _Whole:
    """What there is to say of all areas together, and is not in the header."""

    areas: Annotated[int, Meta(ge=0)]
    begin: Amount
    events: Amount
    duration_s: Annotated[float, Meta(ge=0, lt=1e12)]
    complete: bool
    lost: dict[str, Amount]
    missed: dict[str, Amount]
    tasks: dict[int, str]
    marks: list[_Mark] = field(default_factory=list)  # none in older files, nor
    end: Snapshot | None = None


class _Array(msgspec.Struct):
    """An array as it stands in the JSON. begin: its first number's place."""

    begin: Amount
    shape: Annotated[tuple[Annotated[int, Meta(ge=0, lt=1 << 32)], ...], Meta(max_length=2)]
    dtype: Annotated[str, Meta(pattern="^int(32|64)$")]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


# -- writing


def encode(header: Header, result: TraceResult) -> bytes:
    """The file's bytes. header: the recording's."""
    maker = StreamMaker(replace(header, kind=Kind.RESULTS, format_version=FORMAT_VERSION), COLUMNS)
    trace = result.trace
    whole = _Whole(
        areas=len(result.areas),
        begin=result.begin,
        events=trace["events"],
        duration_s=trace["duration_s"],
        complete=trace["complete"],
        lost=result.lost,
        missed=result.missed,
        tasks=result.tasks,
        marks=[_Mark(**mark) for mark in trace["marks"]],
        end=result.end,
    )
    first = maker.nothing()
    areas = [_fitting(maker, area) for area in result.areas]
    last = maker.nothing({_WHOLE_KEY: json.dumps(msgspec.to_builtins(whole, str_keys=True)).encode()})
    return b"".join((first, *areas, last, maker.end()))


def _fitting(maker: StreamMaker, area: AreaResult) -> bytes:
    """An area's batch, with a map of fewer rows if it would be too large."""
    text, columns = _parts(area)
    while _size(text, columns) > MOST_BYTES and area.slot_map.live.shape[1] > 1:
        area = replace(area, slot_map=area.slot_map.coarser())
        text, columns = _parts(area)
    return maker.batch(columns, {_AREA_KEY: text})


def _parts(area: AreaResult) -> tuple[bytes, list[NDArray[Any]]]:
    """An area's figures as JSON, and the columns with what its arrays hold."""
    arrays: list[NDArray[Any]] = []
    begin = 0

    def placed(values: object) -> object:
        nonlocal begin
        if not isinstance(values, np.ndarray):
            raise TypeError(f"a figure of type {type(values)}")
        arrays.append(np.diff(values.astype(np.int64), axis=0, prepend=0).ravel())
        begin += values.size
        return _Array(begin - values.size, values.shape, str(values.dtype))

    text = json.dumps(msgspec.to_builtins(msgspec.to_builtins(area, enc_hook=placed)))
    numbers = np.concatenate(arrays)
    places = np.flatnonzero(numbers)
    return text.encode(), [places.astype(np.uint32), numbers[places]]


def _size(text: bytes, columns: list[NDArray[Any]]) -> int:
    """What they take in the file, in bytes; what is around them in a message is no more than 4 KiB."""
    return 4096 + len(text) + sum(len(pa.compress(values.tobytes(), "zstd", asbytes=True)) for values in columns)


# -- reading


def read_results(file: StreamFile) -> TraceResult:
    """What a file of results says. Raises BadInput for anything but what encode() made."""
    file.expect(Kind.RESULTS, COLUMNS)
    try:
        return _read(file)
    except (Bad, Damaged, pa.ArrowException, OSError) as error:
        raise file.damaged(str(error)) from None


def _read(file: StreamFile) -> TraceResult:
    areas: list[AreaResult] = []
    whole: _Whole | None = None
    for record, metadata in file.batches():
        if whole is not None:
            raise Bad("there is more after its end")
        if _AREA_KEY in metadata:
            columns = zip(record.columns, COLUMNS.values(), strict=True)
            places, values = (values_of(column, dtype) for column, dtype in columns)
            areas.append(_area(metadata[_AREA_KEY], places, values, file.header.page_size))
        elif _WHOLE_KEY in metadata:
            whole = _decoded(metadata[_WHOLE_KEY], _Whole)
    if whole is None or not file.ends_here or whole.areas != len(areas):
        raise Bad("its end is missing")
    trace = about(
        file.header,
        whole.lost,
        path=str(file.path),
        summary=True,
        marks=[asdict(mark) for mark in whole.marks],
        **{name: getattr(whole, name) for name in ("complete", "duration_s", "events")},
    )
    header = {**file.header.__dict__, "start": None}
    start = file.header.start
    return TraceResult(
        trace, header, areas, whole.lost, whole.tasks, whole.missed, whole.begin, start=start, end=whole.end
    )


def _decoded(text: bytes, kind: type[T], arrays: Callable[[type, Any], Any] | None = None) -> T:
    data = parsed(text, _no_number)
    _check_numbers(data)
    return converted(data, kind, arrays)


def _no_number(name: str) -> float:
    raise Damaged(f"{name} is no figure")


def _check_numbers(data: object) -> None:
    """Raises Damaged for numbers that the report could not print: JSON has larger ones than any figure."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            _check_numbers(item)
    elif isinstance(data, int | float) and not abs(data) <= _LARGEST:
        raise Damaged(f"{data} is no figure")


def _area(text: bytes, places: NDArray[np.uint32], values: NDArray[np.int64], page_size: int) -> AreaResult:
    most = int(places.max()) + 1 if len(places) else 0
    if most > _MOST_NUMBERS or (np.diff(places.astype(np.int64)) <= 0).any():
        raise Damaged("numbers at places that no array has, or not in order")
    numbers = np.zeros(_MOST_NUMBERS, np.int64)
    numbers[places] = values

    def array(_: type, told: object) -> NDArray[Any]:
        found = msgspec.convert(told, _Array)
        if found.begin + found.size > _MOST_NUMBERS:
            raise ValueError("an array is too long")
        part = numbers[found.begin : found.begin + found.size].reshape(found.shape)
        return np.cumsum(part, axis=0, dtype=np.int64).astype(found.dtype)

    area = _decoded(text, AreaResult, array)
    _check(area, page_size)
    return area


def _check(area: AreaResult, page_size: int) -> None:
    """Raises Damaged for names that nobody gives, and for arrays that do not fit together."""
    names = [reason.name.lower() for reason in FreeReason]
    if not set(area.policies) <= set(POLICIES) or list(area.free_reasons) != names:
        raise Damaged("policies or reasons of frees that this swaptrace does not know")
    if area.age is not None and not _is_possible(area.age):
        raise Damaged("ages of other thresholds, or such as there cannot be")
    if list(area.lifetime_by_reason) != names or set(area.recovered) != set(area.leaked):
        raise Damaged("figures are missing")
    for values, shape in _shapes(area, page_size):
        if values.shape != shape or (values < 0).any():
            raise Damaged("an array of another shape, or with negative numbers")


def _is_possible(age: Ages) -> bool:
    """Under longer thresholds there is less on the disk, and never more than all that there was."""
    saved = age.saved
    falls = all(less <= more for more, less in pairwise([age.in_memory, *saved]))
    return len(saved) == AGES and falls and min(saved[-1], age.span, age.unsized) >= 0 and age.span < 1 << 63


def _shapes(area: AreaResult, page_size: int) -> Iterator[tuple[NDArray[Any], tuple[int, ...]]]:
    """All arrays of an area, each with the shape that it has to have."""
    yield area.sizes, (page_size + 1,)
    for histogram in (area.notification, *area.lifetime_by_reason.values()):
        yield histogram.counts, (BUCKETS,)
    for survival in (area.lifetime, area.time_to_reuse):
        yield survival.ended, (BUCKETS,)
        yield survival.censored, (BUCKETS,)
    if area.age is not None:
        for values in (area.age.writes, area.age.loads, area.age.pages_end, area.age.bytes_end):
            yield values, (AGES,)
    bins = min(area.series.time.size, BINS)
    for values in (area.series.time, *(v for of in _named(area) for v in of.values())):
        yield values, (bins,)
    rows = min(area.slot_map.live.shape[-1], MAP_ROWS) if area.slot_map.live.ndim == 2 else 0
    yield area.slot_map.live, (bins, rows)
    yield area.slot_map.stale, (bins, rows)


def _named(area: AreaResult) -> tuple[dict[str, NDArray[np.int64]], ...]:
    return area.series.slots, area.series.bytes, area.series.pool_bytes
