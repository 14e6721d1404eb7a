"""Tables for other programs: what each of them has, column by column. Export and API give out these.

A column is described once, here or beside what makes it: its name, type, unit and sentence are what Parquet files, CSV
files, data frames and docs/api.md have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.areas import SwapArea
from swaptrace.results.catalogue import Unit

#: Whole numbers are all of that type: differences of unsigned ones would overflow in SQL.
INTEGER = pa.int64()
NAME = pa.dictionary(pa.int32(), pa.utf8())
MOMENT = pa.timestamp("ns", "UTC")


@dataclass(frozen=True)
class Column:
    """One column. type: an Arrow type. always: no row lacks it."""

    name: str
    type: pa.DataType
    sentence: str
    unit: Unit = Unit.NO
    always: bool = False

    @property
    def field(self) -> pa.Field:
        """Its Arrow field, which tells unit and sentence, too."""
        metadata = {"unit": str(self.unit), "description": self.sentence}
        return pa.field(self.name, self.type, nullable=not self.always, metadata=metadata)


@dataclass(frozen=True)
class Table:
    """What one table has. sentence: what a row is."""

    name: str
    sentence: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([column.field for column in self.columns])

    def batch(self, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
        """Rows of it: all its columns, in any order."""
        arrays = [columns[column.name] for column in self.columns]
        if len(columns) != len(arrays):
            raise ValueError(f"{self.name}: columns that it does not have")
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


#: What tells swap areas apart, in every table.
AREA = (
    Column("device", NAME, "the device or file that was swapped on"),
    Column("swap_type", INTEGER, "the kernel's index of the area (reused after `swapoff`)", Unit.NUMBER),
    Column("generation", INTEGER, "how many areas had that index before, in this trace", Unit.NUMBER),
)


def integers(values: NDArray[np.generic], known: NDArray[np.bool_] | None = None) -> pa.Array:
    """Whole numbers, null where they are not known."""
    return pa.array(values.astype(np.int64), mask=None if known is None else ~known)


def numbered(codes: NDArray[np.generic], names: Sequence[str], known: NDArray[np.bool_] | None = None) -> pa.Array:
    """Names by their numbers; null where the number is not known."""
    distinct: dict[str, int] = {}  # several numbers may have one name, and Arrow's dictionaries are of different ones
    places = np.array([distinct.setdefault(name, len(distinct)) for name in names], np.int32)
    numbers = places[codes if known is None else np.where(known, codes, 0)] if len(names) else np.zeros(len(codes))
    array = pa.array(numbers.astype(np.int32), mask=None if known is None else ~known)
    return pa.DictionaryArray.from_arrays(array, pa.array(list(distinct), pa.utf8()))


def named(
    keys: NDArray[np.generic], name_of: Callable[[int], str | None], known: NDArray[np.bool_] | None = None
) -> pa.Array:
    """The names of some keys; null where there is none, or where the key is not known. Asks once for each key."""
    known = np.ones(len(keys), np.bool_) if known is None else known
    coded = pa.array(keys[known]).dictionary_encode()
    names = [name_of(key) for key in coded.dictionary.to_pylist()]
    there = np.array([name is not None for name in names], np.bool_)
    codes, is_named = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
    codes[known] = (np.cumsum(there) - 1)[coded.indices.to_numpy()]
    is_named[known] = there[coded.indices.to_numpy()]
    return numbered(codes, [name for name in names if name is not None], is_named)


@dataclass(frozen=True)
class Place:
    """What a row is about: a swap area, or only the path that a call named."""

    device: str
    swap_type: int | None = None
    generation: int | None = None

    @classmethod
    def of(cls, area: SwapArea) -> Place:
        return cls(area.path, area.swap_type, area.generation)


def places(codes: NDArray[np.int64], known: Iterable[Place]) -> dict[str, pa.Array]:
    """The columns of AREA, by numbers of places; null where the number is less than 0."""
    all_of_them = [*known, Place("")]  # where a number of -1 leads
    is_area = np.array([place.swap_type is not None for place in all_of_them], np.bool_)[codes]
    numbers = np.array([(place.swap_type or 0, place.generation or 0) for place in all_of_them], np.int64)[codes]
    return {
        "device": named(codes, lambda code: all_of_them[code].device, codes >= 0),
        "swap_type": integers(numbers[:, 0], is_area),
        "generation": integers(numbers[:, 1], is_area),
    }


def moments(ns: NDArray[np.int64], start_realtime: int) -> pa.Array:
    """Times by the wall clock. ns: since the recording began; start_realtime: that moment, ns.

    Null where the recorder's clock was beyond all that 64 bits can tell.
    """
    if start_realtime >= 1 << 62:
        return pa.nulls(len(ns), MOMENT)
    return pa.array(ns + start_realtime).cast(MOMENT)
