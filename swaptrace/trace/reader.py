"""The trace reader: a file's event batches, in order, and what it says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.errors import BadInput
from swaptrace.events import EVENT, NAMES, EventBatch
from swaptrace.trace import format1
from swaptrace.trace.header import Damaged, Header, Kind, Notes, Trailer, from_json
from swaptrace.trace.messages import Bad
from swaptrace.trace.plausible import Implausible, Plausible
from swaptrace.trace.stream import StreamFile, raise_if_no_memory, values_of
from swaptrace.trace.writer import COLUMNS, NOTES_KEY, TRAILER_KEY

T = TypeVar("T", Trailer, Notes)

_PIECE = 1 << 12  # events


class TraceReader:
    """Opens a trace. Iterating yields its batches; afterwards `trailer` is there if the trace is complete.

    Raises BadInput if the file is no trace, or one of a newer format. A trace that was cut off (its recorder was
    killed, say) is read up to the last whole batch, and a damaged one up to the damage, of which `damage` is a
    sentence; `trailer` stays None.
    """

    def __init__(self, file: Path | StreamFile) -> None:
        self._file = file if isinstance(file, StreamFile) else StreamFile(file)
        self._of_format1 = self.header.format_version == 1
        self._columns, names = (format1.COLUMNS, {}) if self._of_format1 else (COLUMNS, NAMES)
        self._file.expect(Kind.TRACE, self._columns, names)
        self.path = self._file.path
        self.bytes = self._file.bytes  # the file's size
        self.trailer: Trailer | None = None
        self.damage: str | None = None
        self._plausible = Plausible(self.header)

    @property
    def header(self) -> Header:
        return self._file.header

    @property
    def bytes_read(self) -> int:
        """How much of the file has been read."""
        return self._file.bytes_read

    def __iter__(self) -> Iterator[EventBatch]:
        file = self._file
        try:
            for record, metadata in file.batches():
                yield from self._batch(record, metadata)
        except (Bad, Implausible, pa.ArrowException, OSError) as error:
            raise_if_no_memory(error)
            self.damage = f"what the file has from byte {file.place:,} on is damaged ({error})"
        if self.trailer is not None and not file.ends_here:
            self.damage = self.damage or f"what the file has from byte {file.place:,} on is no part of it"
        if self.damage is not None:
            self.trailer = None

    def _batch(self, record: pa.RecordBatch, metadata: dict[bytes, bytes]) -> Iterator[EventBatch]:
        """The events of a message, if it has any, or else the trailer."""
        if self.trailer is not None:
            raise Bad("there is more after its end")
        if TRAILER_KEY in metadata:
            self.trailer = self._decoded(Trailer, metadata[TRAILER_KEY], "trailer")
        elif record.num_rows or NOTES_KEY in metadata:  # the first one, which came with the header, has neither
            notes = self._decoded(Notes, metadata.get(NOTES_KEY, b"{}"), "notes")
            columns = {name: values_of(record.column(name), dtype) for name, dtype in self._columns.items()}
            if self._of_format1:
                columns = format1.columns_of_today(columns)
            self._plausible.check(columns, notes.calls)
            events = _events(columns, record.num_rows)
            yield EventBatch(events, notes.tasks, notes.calls, notes.cgroups, notes.marks)

    def _decoded(self, kind: type[T], text: bytes, what: str) -> T:
        try:
            item = from_json(kind, text)
            return format1.of_today(item) if self._of_format1 else item
        except Damaged as error:
            raise BadInput(f"the {what} of {self.path}: {error}", "record again") from None


def _events(columns: dict[str, NDArray[Any]], length: int) -> NDArray[np.void]:
    """The columns as an array of EVENT; by pieces, which stay in the processor's cache until all fields are there."""
    events = np.empty(length, EVENT)
    fields = [(events[name], values) for name, values in columns.items()]
    for begin in range(0, length, _PIECE):
        for field, values in fields:
            field[begin : begin + _PIECE] = values[begin : begin + _PIECE]
    return events
