"""The trace reader: a file's event batches, in order, and what it says about itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from swaptrace.areas import Store, SwapArea
from swaptrace.errors import BadInput
from swaptrace.events import EVENT, EventBatch, SwapCall
from swaptrace.trace.header import FORMAT_VERSION, Header, Trailer, from_dict, from_json
from swaptrace.trace.writer import HEADER_KEY, NOTES_KEY, TRAILER_KEY

__all__ = ["TraceReader", "header_in"]

_WANTED = "name a file that swaptrace record wrote"


class TraceReader:
    """Opens a trace. Iterating yields its batches; afterwards `trailer` is there if the trace is complete.

    Raises BadInput if the file is no trace, or one of a newer format. A trace that was cut off (its recorder was
    killed, say) is read up to the last whole batch; `trailer` stays None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trailer: Trailer | None = None
        if path.is_dir():
            raise BadInput(f"cannot read {path}: it is a directory", _WANTED)
        try:
            self._file = pa.OSFile(str(path))  # not mapped: what was read would stay in memory
            self._stream = pa.ipc.open_stream(self._file)
        except OSError as error:
            if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
                raise BadInput(f"cannot read {path}: {error.strerror or error}", _WANTED) from None
            raise self._no_trace() from None
        except (pa.ArrowException, ValueError):
            raise self._no_trace() from None
        self.header = self._read_header()

    @property
    def bytes(self) -> int:
        """The file's size."""
        return int(self._file.size())

    @property
    def bytes_read(self) -> int:
        """How much of the file has been read."""
        return int(self._file.tell())

    def _no_trace(self) -> BadInput:
        return BadInput(f"{self.path} is not a swaptrace trace", _WANTED)

    def _read_header(self) -> Header:
        metadata = self._stream.schema.metadata or {}
        if HEADER_KEY not in metadata:
            raise self._no_trace()
        header = header_in(self.path, metadata[HEADER_KEY])
        columns = [(field.name, field.type) for field in self._stream.schema]
        if columns != [(name, pa.from_numpy_dtype(EVENT[name])) for name in EVENT.names or ()]:
            raise BadInput(f"the columns of {self.path} are not those of a trace", "record again")
        return header

    def __iter__(self) -> Iterator[EventBatch]:
        while True:
            try:
                record, metadata = self._stream.read_next_batch_with_custom_metadata()
            except (StopIteration, pa.ArrowInvalid, OSError):  # the end, or a batch that was cut off
                return
            metadata = dict(metadata or {})
            if TRAILER_KEY in metadata:
                self.trailer = from_json(Trailer, metadata[TRAILER_KEY])
                continue
            if not record.num_rows and NOTES_KEY not in metadata:  # the first one, which came with the header
                continue
            events = np.empty(record.num_rows, EVENT)
            for name, column in zip(record.schema.names, record.columns, strict=True):
                # what to_numpy() does, but that imports pandas
                _, values = column.buffers()
                events[name] = np.frombuffer(values, EVENT[name], len(column), column.offset * EVENT[name].itemsize)
            yield _with_notes(events, json.loads(metadata.get(NOTES_KEY, b"{}")))


def header_in(path: Path, text: bytes) -> Header:
    """The header that a file's metadata hold. Raises BadInput if it is damaged, or of a newer format."""
    try:
        version = json.loads(text)["format_version"]
        if version > FORMAT_VERSION:
            raise BadInput(
                f"{path} has format version {version}, and this swaptrace reads up to {FORMAT_VERSION}",
                "upgrade swaptrace",
            )
        return from_json(Header, text)
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"the header of {path} is damaged", "record again") from None


def _with_notes(events: np.ndarray[Any, np.dtype[np.void]], notes: dict[str, Any]) -> EventBatch:
    tasks = {int(tgid): name for tgid, name in notes.get("tasks", {}).items()}
    calls = []
    for call in notes.get("calls", ()):
        area = from_dict(SwapArea, call["area"]) if call["area"] else None
        store = from_dict(Store, call["store"]) if call["store"] else None
        calls.append(SwapCall(**{**call, "area": area, "store": store}))
    return EventBatch(events, tasks, tuple(calls))
