"""Arrays of records, as the loops take them: for mypy, with fields as attributes of their elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cython.cimports.swaptrace.engine.arrays import Events, Lives, Operations, Pages, SizeClasses, Zspages


def events_of(array: NDArray[np.void]) -> Events:
    """An array of EVENT."""
    return cast("Events", array)


def lives_of(array: NDArray[np.void]) -> Lives:
    """An array of LIFE."""
    return cast("Lives", array)


def operations_of(array: NDArray[np.void]) -> Operations:
    """An array of OPERATION."""
    return cast("Operations", array)


def pages_of(array: NDArray[np.void]) -> Pages:
    """An array of PAGE."""
    return cast("Pages", array)


def size_classes_of(array: NDArray[np.void]) -> SizeClasses:
    """An array of SIZE_CLASS."""
    return cast("SizeClasses", array)


def zspages_of(array: NDArray[np.void]) -> Zspages:
    """An array of ZSPAGE."""
    return cast("Zspages", array)


class EventRecords:
    """A batch's events, made ready for all loops at once. array: of EVENT, the same memory."""

    def __init__(self, array: NDArray[np.void]) -> None:
        self.array = array
        self.records = events_of(array)

    def __len__(self) -> int:
        return len(self.array)
