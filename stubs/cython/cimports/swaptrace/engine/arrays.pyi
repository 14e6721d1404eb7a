"""swaptrace/engine/arrays.pxd, for mypy."""

from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

class Event:
    time: int
    tgid: int
    device: int
    kind: int
    reason: int
    slot: int
    size: int
    arg: int
    flags: int
    run: int

class Page:
    size: int
    bits: int
    holder: int
    row: int

class Operation:
    time: int
    page: int
    size: int
    pools: int

class SizeClass:
    index: int
    size: int
    objs_per_zspage: int
    pages_per_zspage: int
    fullness: int

class Zspage:
    next: int
    prev: int
    inuse: int
    size_class: int
    fullness: int

class Life:
    stored: int
    freed: int
    dropped: int
    replaced: int
    slot: int
    page: int
    size: int
    last: int
    cgroup: int
    tgid: int
    stores: int
    loads: int
    bits: int
    area: int
    reason: int

R = TypeVar("R")

class _Records(NDArray[np.void], Generic[R]):
    """An array of records whose fields are attributes."""

    def __getitem__(self, index: int) -> R: ...  # type: ignore[override]

Events: TypeAlias = _Records[Event]
MutableEvents: TypeAlias = _Records[Event]
Pages: TypeAlias = _Records[Page]
Operations: TypeAlias = _Records[Operation]
SizeClasses: TypeAlias = _Records[SizeClass]
Zspages: TypeAlias = _Records[Zspage]
Lives: TypeAlias = _Records[Life]

uint8_1d: TypeAlias = NDArray[np.uint8]
uint16_1d: TypeAlias = NDArray[np.uint16]
const_uint8_1d: TypeAlias = NDArray[np.uint8]
const_int8_1d: TypeAlias = NDArray[np.int8]
const_int8_3d: TypeAlias = NDArray[np.int8]
const_int16_1d: TypeAlias = NDArray[np.int16]
uint32_1d: TypeAlias = NDArray[np.uint32]
int32_1d: TypeAlias = NDArray[np.int32]
const_int32_2d: TypeAlias = NDArray[np.int32]
int32_2d: TypeAlias = NDArray[np.int32]
int32_3d: TypeAlias = NDArray[np.int32]
int32_4d: TypeAlias = NDArray[np.int32]
int64_1d: TypeAlias = NDArray[np.int64]
int64_2d: TypeAlias = NDArray[np.int64]
const_int64_2d: TypeAlias = NDArray[np.int64]
int64_3d: TypeAlias = NDArray[np.int64]
int64_4d: TypeAlias = NDArray[np.int64]
