"""The file of a summary: an Arrow IPC stream of changes, readable up to the last whole second whatever happens.

A row says that a number of the vector (see state.dtype_of) has changed: `index` is its place, `value` what it is now.
Every batch is one moment and begins with row 0, the time. Header and trailer are those of a trace.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.analysis.results import Leak
from swaptrace.errors import BadInput
from swaptrace.summary.figures import CLASSES
from swaptrace.summary.plan import places
from swaptrace.summary.state import dtype_of
from swaptrace.trace.header import Header, Trailer, from_json, modelled, to_json
from swaptrace.trace.reader import header_in
from swaptrace.trace.writer import CutBack, column, create

__all__ = ["SummaryReader", "SummaryWriter", "is_summary"]

_HEADER_KEY, _TRAILER_KEY = b"swaptrace.summary", b"swaptrace.trailer"
_EPOCH_KEY, _LAYOUT_KEY, _LEAKS_KEY = b"swaptrace.epoch", b"swaptrace.layout", b"swaptrace.leaks"
_COLUMNS = {"index": pa.uint32(), "value": pa.int64()}


def _vector_of(header: Header) -> np.dtype[np.void]:
    start = modelled(header.start, header.missing)
    return dtype_of(len(start.areas), len(places(start)[1]), header.page_size)


def _layout(dtype: np.dtype[np.void]) -> bytes:
    """What the numbers of a vector are, as text: two vectors whose layouts differ do not mix."""
    return json.dumps(dtype.descr).encode()


class SummaryWriter:
    """Writes one file; with the same errors as TraceWriter."""

    def __init__(self, path: Path, header: Header, epoch: int, *, force: bool = False) -> None:
        self.path = path
        self.file: BufferedWriter = create(path, force=force)
        self.whole = 0  # bytes of the file that hold whole batches
        dtype = _vector_of(header)
        self._before = np.zeros(dtype.itemsize // 8, np.int64)
        metadata = {
            _HEADER_KEY: to_json(header).encode(),
            _EPOCH_KEY: str(epoch).encode(),
            _LAYOUT_KEY: _layout(dtype),
        }
        self._schema = pa.schema([pa.field(*column, nullable=False) for column in _COLUMNS.items()], metadata=metadata)
        with CutBack(self):
            self._stream = pa.ipc.new_stream(
                self.file, self._schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
            )

    def write(self, vector: NDArray[np.void], metadata: dict[bytes, bytes] | None = None) -> None:
        """Add the figures of one moment: from now on they survive the recorder."""
        now = vector.view(np.int64).reshape(-1)
        changed = np.flatnonzero(now != self._before)
        rows = np.concatenate([[0], changed[changed > 0]])
        self._before = now.copy()
        columns = [column(rows.astype(np.uint32), pa.uint32()), column(now[rows], pa.int64())]
        record = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        with CutBack(self):
            self._stream.write_batch(record, custom_metadata=metadata)
            self.file.flush()
            self.whole = self.file.tell()

    def close(self, vector: NDArray[np.void], trailer: Trailer, leaks: list[list[Leak]]) -> None:
        """Write the last figures and how it ended; without them, the summary counts as incomplete."""
        told = json.dumps([[asdict(leak) for leak in area] for area in leaks]).encode()
        self.write(vector, {_TRAILER_KEY: to_json(trailer).encode(), _LEAKS_KEY: told})
        with CutBack(self):
            self._stream.close()
            self.file.close()


def is_summary(path: Path) -> bool:
    """Whether a file is a summary; False for all that cannot be read."""
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return _HEADER_KEY in (stream.schema.metadata or {})
    except (OSError, pa.ArrowException, ValueError):
        return False


class SummaryReader:
    """Reads a file that is_summary(), all at once. trailer: None if it was cut off. Raises BadInput."""

    def __init__(self, path: Path) -> None:
        self.trailer: Trailer | None = None
        self.leaks: list[list[Leak]] = []
        self._stream = pa.ipc.open_stream(pa.memory_map(str(path)))
        metadata = self._stream.schema.metadata
        self.header = header_in(path, metadata[_HEADER_KEY])
        try:
            self.epoch = int(metadata[_EPOCH_KEY])
        except (ValueError, KeyError):
            raise BadInput(f"the header of {path} is damaged", "record again") from None
        self._dtype = _vector_of(self.header)
        columns = {field.name: field.type for field in self._stream.schema}
        if columns != _COLUMNS or metadata.get(_LAYOUT_KEY) != _layout(self._dtype):
            raise BadInput(
                f"{path} was written by another version of swaptrace", "report it with that version, or record again"
            )
        self._read(path)

    def _read(self, path: Path) -> None:
        areas = len(self.header.start.areas)
        self.last, self.looked = np.zeros(1, self._dtype), np.zeros(1, self._dtype)
        numbers = self.last.view(np.int64)
        times, slots, sizes = [], [], []
        for rows, values, metadata in self._batches():
            if not len(rows) or int(rows.max()) >= len(numbers):
                raise BadInput(f"{path} is damaged", "record again")
            numbers[rows] = values
            if self.last["looked"][0] == self.last["time"][0]:
                self.looked = self.last.copy()
            times.append(int(self.last["time"][0]))
            slots.append(self.last["areas"][0]["slots"].copy())
            sizes.append(self.last["areas"][0]["bytes"].copy())
            if _TRAILER_KEY in metadata:
                self.trailer = from_json(Trailer, metadata[_TRAILER_KEY])
                self.leaks = [[Leak(**leak) for leak in area] for area in json.loads(metadata[_LEAKS_KEY])]
        if not times:
            raise BadInput(f"{path} ends before its first second", "record again")
        self.times = np.array(times, np.int64)
        self.slots = np.array(slots, np.int64).reshape(-1, areas, CLASSES)
        self.sizes = np.array(sizes, np.int64).reshape(-1, areas, CLASSES)

    def _batches(self) -> Any:
        """(index, value, metadata) of each batch, up to the last whole one."""
        while True:
            try:
                record, metadata = self._stream.read_next_batch_with_custom_metadata()
            except (StopIteration, pa.ArrowInvalid, OSError):
                return
            yield record.column(0).to_numpy(), record.column(1).to_numpy(), dict(metadata or {})
