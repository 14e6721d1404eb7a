"""The trace reader: a file's event batches, in order, and what it says about itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.errors import BadInput
from swaptrace.events import EVENT, EventBatch
from swaptrace.trace.header import FORMAT_VERSION, Damaged, Header, Notes, Trailer, from_json
from swaptrace.trace.messages import END, Bad, batch_fits, checksum, messages
from swaptrace.trace.plausible import Implausible, Plausible
from swaptrace.trace.writer import HEADER_KEY, NOTES_KEY, TRAILER_KEY

__all__ = ["TraceReader", "header_in"]


T = TypeVar("T", Trailer, Notes)


@dataclass(frozen=True)
class _Format:
    """All that is sure of a header of any version."""

    format_version: int


_Bytes = bytes  # by another name where a property has that
_CHECKSUM = "its checksum is another"
_WANTED = "name a file that swaptrace record wrote"


def _raise_if_no_memory(error: Exception) -> None:
    """Raises MemoryError if that is what is wrong, and not the file."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        raise MemoryError from None


class TraceReader:
    """Opens a trace. Iterating yields its batches; afterwards `trailer` is there if the trace is complete.

    Raises BadInput if the file is no trace, or one of a newer format. A trace that was cut off (its recorder was
    killed, say) is read up to the last whole batch, and a damaged one up to the damage, of which `damage` is a
    sentence; `trailer` stays None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trailer: Trailer | None = None
        self.damage: str | None = None
        if path.is_dir():
            raise BadInput(f"cannot read {path}: it is a directory", _WANTED)
        if path.exists() and not path.is_file():
            raise BadInput(f"cannot read {path}: it is no file", _WANTED)
        try:
            self._file = path.open("rb")  # not mapped: what was read would stay in memory
        except OSError as error:
            _raise_if_no_memory(error)
            raise BadInput(f"cannot read {path}: {error.strerror or error}", _WANTED) from None
        self.bytes = os.fstat(self._file.fileno()).st_size  # the file's size
        self._messages = messages(self._file, self.bytes)
        self._checksum = 0
        self._schema, self.header = self._read_header()
        self._plausible = Plausible(self.header)

    @property
    def bytes_read(self) -> int:
        """How much of the file has been read."""
        return self._file.tell()

    def _no_trace(self) -> BadInput:
        return BadInput(f"{self.path} is not a swaptrace trace", _WANTED)

    def _damaged_header(self, why: str) -> BadInput:
        return BadInput(f"the header of {self.path} is damaged: {why}", "record again")

    def _read_header(self) -> tuple[_Bytes, Header]:
        """The first message, and what it says. Traces of early recorders have no checksums."""
        try:
            raw = next(self._messages, END)
            told, right = checksum(raw, 0)
            if told not in (None, right):
                raise self._damaged_header(_CHECKSUM)
            schema = pa.ipc.open_stream(pa.BufferReader(raw)).schema
        except (pa.ArrowException, ValueError, OSError) as error:
            _raise_if_no_memory(error)
            raise self._no_trace() from None
        self._checked, self._checksum = told is not None, right
        if HEADER_KEY not in (schema.metadata or {}):
            raise self._no_trace()
        header = header_in(self.path, schema.metadata[HEADER_KEY])
        columns = [(field.name, field.type) for field in schema]
        if columns != [(name, pa.from_numpy_dtype(EVENT[name])) for name in EVENT.names or ()]:
            raise BadInput(f"the columns of {self.path} are not those of a trace", "record again")
        return raw, header

    def __iter__(self) -> Iterator[EventBatch]:
        place = self._file.tell()
        try:
            for raw in self._messages:
                if raw != END:
                    yield from self._batch(raw)
                place = self._file.tell()
        except (Bad, Implausible, pa.ArrowException, OSError) as error:
            _raise_if_no_memory(error)
            self.damage = f"what the file has from byte {place:,} on is damaged ({error})"
        if self.trailer is not None and self.bytes - place not in range(len(END)):
            self.damage = self.damage or f"what the file has from byte {place:,} on is no part of it"
        if self.damage is not None:
            self.trailer = None

    def _batch(self, raw: _Bytes) -> Iterator[EventBatch]:
        """The events of a message, if it has any, or else the trailer."""
        self._verify(raw)
        batch_fits(raw, [EVENT[name].itemsize for name in EVENT.names or ()])
        stream = pa.ipc.open_stream(pa.BufferReader(self._schema + raw))
        record, metadata = stream.read_next_batch_with_custom_metadata()
        record.validate()
        metadata = dict(metadata or {})
        if TRAILER_KEY in metadata:
            self.trailer = self._decoded(Trailer, metadata[TRAILER_KEY], "trailer")
        elif record.num_rows or NOTES_KEY in metadata:  # the first one, which came with the header, has neither
            notes = self._decoded(Notes, metadata.get(NOTES_KEY, b"{}"), "notes")
            batch = EventBatch(_events(record), notes.tasks, notes.calls)
            self._plausible.check(batch)
            yield batch

    def _verify(self, raw: _Bytes) -> None:
        if self.trailer is not None:
            raise Bad("there is more after its end")
        told, right = checksum(raw, self._checksum)
        if told is not None and not self._checked:
            raise self._damaged_header("it has no checksum, and what follows has")
        if self._checked and told != right:
            raise Bad(_CHECKSUM)
        self._checksum = right

    def _decoded(self, kind: type[T], text: _Bytes, what: str) -> T:
        try:
            return from_json(kind, text)
        except Damaged as error:
            raise BadInput(f"the {what} of {self.path}: {error}", "record again") from None


def _events(record: pa.RecordBatch) -> NDArray[np.void]:
    """The columns as an array of EVENT."""
    events = np.empty(record.num_rows, EVENT)
    for name, column in zip(record.schema.names, record.columns, strict=True):
        # what to_numpy() does, but that imports pandas
        values = column.buffers()[1] or b""
        events[name] = np.frombuffer(values, EVENT[name], len(column), column.offset * EVENT[name].itemsize)
    return events


def header_in(path: Path, text: bytes) -> Header:
    """The header that a file's metadata hold. Raises BadInput if it is damaged, or of a newer format."""
    try:
        version = from_json(_Format, text).format_version
        if version > FORMAT_VERSION:
            raise BadInput(
                f"{path} has format version {version}, and this swaptrace reads up to {FORMAT_VERSION}",
                "upgrade swaptrace",
            )
        return from_json(Header, text)
    except Damaged as error:
        raise BadInput(f"the header of {path} is damaged: {error}", "record again") from None
