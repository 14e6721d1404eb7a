"""The trace writer: event batches to an Arrow IPC stream, readable up to the last whole batch whatever happens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.events import EVENT, NAMES, EventBatch
from swaptrace.running import Sink, Source
from swaptrace.trace.header import Header, Notes, Trailer, to_json
from swaptrace.trace.stream import StreamMaker

NOTES_KEY = b"swaptrace.notes"
TRAILER_KEY = b"swaptrace.trailer"
#: The columns are the fields of the event record, by the same names and types.
COLUMNS = {name: EVENT[name] for name in EVENT.names or ()}

_BATCH_EVENTS = 1 << 16
_NO_ROOM = "free some room on that disk, or record to another one with -o FILE"


class TraceWriter(Sink):
    """Writes one trace. Batches are gathered until they are worth a write; flush() writes what is there.

    The file is created with mode 0600 (a trace tells what ran on the machine) and belongs to the user who called sudo.
    Raises UsageProblem if it exists and `force` is not set, EnvironmentProblem if it cannot be written.
    """

    def __init__(self, path: Path, header: Header, *, force: bool = False) -> None:
        self.path = path
        self.file = _create(path, force=force)
        self._pending: list[EventBatch] = []
        self._pending_events = 0
        self.whole = 0  # bytes of the file that hold whole batches
        self._maker = StreamMaker(header, COLUMNS, NAMES)
        self._put(self._maker.nothing())  # pyarrow writes no header before the first batch

    def feed(self, batch: EventBatch) -> None:
        """Add a batch. Raises EnvironmentProblem if the disk is full."""
        self._pending.append(batch)
        self._pending_events += len(batch)
        if self._pending_events >= _BATCH_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Write out all that was added: from now on it survives the recorder."""
        batch = EventBatch.concatenate(self._pending)
        if len(batch) or batch.tasks or batch.marks:
            notes = to_json(Notes(batch.tasks, batch.calls, batch.cgroups, batch.marks)).encode()
            self._put(self._maker.batch([batch.events[name] for name in COLUMNS], {NOTES_KEY: notes}))
        self._pending, self._pending_events = [], 0

    def tick(self, source: Source) -> None:
        self.flush()

    def close(self, trailer: Trailer) -> None:
        """Write the trailer and the end of the stream; without them, the trace counts as incomplete."""
        self.flush()
        self._put(self._maker.nothing({TRAILER_KEY: to_json(trailer).encode()}))
        self._put(self._maker.end())
        with self._cut_back():
            self.file.close()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.whole

    def _put(self, messages: bytes) -> None:
        with self._cut_back():
            self.file.write(messages)
            self.file.flush()
            self.whole = self.file.tell()

    @contextlib.contextmanager
    def _cut_back(self) -> Iterator[None]:
        """If a write fails, leaves the file with whole batches only, and says so as a user's error."""
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):
                self.file.raw.close()  # or its buffer would be written after all, once there is room
            os.truncate(self.path, self.whole)
            raise EnvironmentProblem(
                f"cannot write to {self.path}: {error.strerror or error}; "
                f"the {self.whole:,} bytes before that are kept and can be read",
                _NO_ROOM,
            ) from None


def already_there(path: Path, option: str = "-o") -> UsageProblem:
    """The error for an output file that exists. option: which names it."""
    return UsageProblem(f"{path} exists already", f"choose another file with {option}, or overwrite it with --force")


def _create(path: Path, *, force: bool) -> BufferedWriter:
    """Create the trace file. Raises UsageProblem if it exists and `force` is not set, or EnvironmentProblem."""
    try:
        return open_private(path, force=force)
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write to {path}: {error.strerror}", "choose another file with -o FILE"
        ) from None


def open_private(path: Path, *, force: bool) -> BufferedWriter:
    """A new file, or an empty one with `force`, for the user behind sudo if there is one, and for nobody else."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    for_user(descriptor)
    return os.fdopen(descriptor, "wb")


def beside(path: Path) -> Path:
    """Where a file is written that is to take its place once it is whole: nothing is there."""
    place = path.with_name(f".{path.name}.{os.getpid()}")
    place.unlink(missing_ok=True)  # of a process that had this number, and was killed
    return place


def for_user(place: int | Path) -> None:
    """Give a file or folder that was made here to the user behind sudo, if there is one. place: or a descriptor."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        os.chown(place, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))
