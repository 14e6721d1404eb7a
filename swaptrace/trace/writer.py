"""The trace writer: event batches to an Arrow IPC stream, readable up to the last whole batch whatever happens."""

from __future__ import annotations

import contextlib
import os
from io import BufferedWriter, BytesIO
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.events import EVENT, EventBatch
from swaptrace.running import Sink
from swaptrace.trace.header import Header, Notes, Trailer, to_json
from swaptrace.trace.messages import CHECKSUM, END, messages, sealed

__all__ = ["HEADER_KEY", "NOTES_KEY", "TRAILER_KEY", "CutBack", "TraceWriter", "already_there", "column", "create"]

HEADER_KEY = b"swaptrace.header"
NOTES_KEY = b"swaptrace.notes"
TRAILER_KEY = b"swaptrace.trailer"

_BATCH_EVENTS = 1 << 16
_NO_ROOM = "free some room on that disk, or record to another one with -o FILE"


def schema(header: Header) -> pa.Schema:
    """The columns are the fields of the event record, by the same names and types."""
    columns = [pa.field(name, pa.from_numpy_dtype(EVENT[name]), nullable=False) for name in EVENT.names or ()]
    return pa.schema(columns, metadata={**CHECKSUM, HEADER_KEY: to_json(header).encode()})


class TraceWriter(Sink):
    """Writes one trace. Batches are gathered until they are worth a write; flush() writes what is there.

    The file is created with mode 0600 (a trace tells what ran on the machine) and belongs to the user who called sudo.
    Raises UsageProblem if it exists and `force` is not set, EnvironmentProblem if it cannot be written.
    """

    def __init__(self, path: Path, header: Header, *, force: bool = False) -> None:
        self.path = path
        self.file = create(path, force=force)
        self._pending: list[EventBatch] = []
        self._pending_events = 0
        self.whole = 0  # bytes of the file that hold whole batches
        self._checksum = 0  # of the message before
        # no threads: the recorder is not to take more processors from what it watches, nor memory for their stacks
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._schema = schema(header)
        self._made = BytesIO()  # what pyarrow has made and is not in the file yet
        self._stream = pa.ipc.new_stream(self._made, self._schema, options=options)
        self._write(EventBatch(np.zeros(0, EVENT)), {})  # pyarrow writes no header before the first batch

    def feed(self, batch: EventBatch) -> None:
        """Add a batch. Raises EnvironmentProblem if the disk is full."""
        self._pending.append(batch)
        self._pending_events += len(batch)
        if self._pending_events >= _BATCH_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Write out all that was added: from now on it survives the recorder."""
        batch = EventBatch.concatenate(self._pending)
        if len(batch) or batch.tasks:
            self._write(batch, {NOTES_KEY: _notes(batch)})
        self._pending, self._pending_events = [], 0

    def tick(self, lost: int) -> None:
        self.flush()

    def close(self, trailer: Trailer) -> None:
        """Write the trailer and the end of the stream; without them, the trace counts as incomplete."""
        self.flush()
        self._write(EventBatch(np.zeros(0, EVENT)), {TRAILER_KEY: to_json(trailer).encode()})
        self._stream.close()
        self._to_file()
        with self._room():
            self.file.close()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.whole

    def _write(self, batch: EventBatch, metadata: dict[bytes, bytes]) -> None:
        columns = [column(batch.events[field.name], field.type) for field in self._schema]
        record = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._stream.write_batch(record, custom_metadata={**CHECKSUM, **metadata})
        self._to_file()

    def _to_file(self) -> None:
        """Write what pyarrow has made, with checksums."""
        made = self._made.tell()
        self._made.seek(0)
        with self._room():
            for message in messages(self._made, made):
                if message != END:
                    message, self._checksum = sealed(message, self._checksum)
                self.file.write(message)
            self.file.flush()
            self.whole = self.file.tell()
        self._made.seek(0)
        self._made.truncate()

    def _room(self) -> CutBack:
        return CutBack(self)


def column(values: NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    """An Arrow array of a NumPy one. Not by pa.array(), which loads pandas to see whether that is asked for."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


class Writes(Protocol):
    """What writes whole batches to a file. whole: bytes of the file that hold them."""

    path: Path
    file: BufferedWriter
    whole: int


class CutBack:
    """If a write fails, leaves the file with whole batches only, and says so as a user's error."""

    def __init__(self, writer: Writes) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, OSError):
            writer = self._writer
            with contextlib.suppress(OSError):
                writer.file.raw.close()  # or its buffer would be written after all, once there is room
            os.truncate(writer.path, writer.whole)
            raise EnvironmentProblem(
                f"cannot write to {writer.path}: {error.strerror or error}; "
                f"the {writer.whole:,} bytes before that are kept and can be read",
                _NO_ROOM,
            ) from None


def already_there(path: Path) -> UsageProblem:
    """The error for an output file that exists."""
    return UsageProblem(f"{path} exists already", "choose another file with -o, or overwrite it with --force")


def create(path: Path, *, force: bool) -> BufferedWriter:
    """Create the trace file, for the user behind sudo if there is one."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write to {path}: {error.strerror}", "choose another file with -o FILE"
        ) from None
    os.fchmod(descriptor, 0o600)
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        os.fchown(descriptor, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))
    return os.fdopen(descriptor, "wb")


def _notes(batch: EventBatch) -> bytes:
    return to_json(Notes(batch.tasks, batch.calls)).encode()
