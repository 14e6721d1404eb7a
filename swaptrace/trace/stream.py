"""Files of swaptrace, whatever they hold: Arrow IPC streams with a header, and with a checksum in each message.

The header says of what kind a file is: a trace (swaptrace.trace.writer), or results (swaptrace.results.file).
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.errors import BadInput
from swaptrace.trace import format1
from swaptrace.trace.header import FORMAT_VERSION, Damaged, Header, Kind, from_json, to_json
from swaptrace.trace.messages import (
    CHECKSUM,
    END,
    MOST_OF_DICTIONARIES,
    Bad,
    batch_fits,
    checksum,
    dictionary_fits,
    is_dictionary,
    messages,
    sealed,
)

#: The columns of a file, in order.
Columns = dict[str, np.dtype[Any]]
#: What numbers in a column stand for, by column: Arrow's dictionaries.
Names = Mapping[str, Sequence[str]]
Metadata = dict[bytes, bytes]

HEADER_KEY = b"swaptrace.header"
_FORMER_SUMMARY = b"swaptrace.summary"  # the header of what `record --summary` wrote when the kernel added up
_Bytes = bytes  # by another name where a property has that
_CHECKSUM = "its checksum is another"
_WANTED = "name a file that swaptrace record wrote"


def _types(columns: Columns, names: Names) -> dict[str, pa.DataType]:
    """The columns as Arrow has them."""
    plain = {name: pa.from_numpy_dtype(dtype) for name, dtype in columns.items()}
    return plain | {name: pa.dictionary(plain[name], pa.utf8()) for name in names}


def _texts(values: Sequence[str]) -> pa.Array:
    """An Arrow array of strings. Not by pa.array(), which loads pandas to see whether that is asked for."""
    coded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, coded)]).astype(np.int32)
    return pa.Array.from_buffers(pa.utf8(), len(coded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(coded))])


class StreamMaker:
    """Makes the bytes of a file, message by message. schema: of its columns, with the header."""

    def __init__(self, header: Header, columns: Columns, names: Names | None = None) -> None:
        self._columns = columns
        self._names = {name: _texts(values) for name, values in (names or {}).items()}
        fields = [pa.field(name, kind, nullable=False) for name, kind in _types(columns, names or {}).items()]
        self.schema = pa.schema(fields, metadata={**CHECKSUM, HEADER_KEY: to_json(header).encode()})
        self._checksum = 0  # of the message before
        self._made = BytesIO()
        # no threads: the recorder is not to take more processors from what it watches, nor memory for their stacks
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._stream = pa.ipc.new_stream(self._made, self.schema, options=options)

    def batch(self, columns: Sequence[NDArray[np.generic]], metadata: Metadata | None = None) -> bytes:
        """The message of a batch; before the first one, that of the header as well."""
        arrays = [self._column(*column) for column in zip(self._columns, columns, strict=True)]
        record = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self._stream.write_batch(record, custom_metadata={**CHECKSUM, **(metadata or {})})
        return self._taken()

    def nothing(self, metadata: Metadata | None = None) -> bytes:
        """The message of a batch without rows."""
        return self.batch([np.zeros(0, dtype) for dtype in self._columns.values()], metadata)

    def end(self) -> bytes:
        """What the file ends with."""
        self._stream.close()
        return self._taken()

    def _column(self, name: str, values: NDArray[np.generic]) -> pa.Array:
        """An Arrow array of a NumPy one; see _texts()."""
        buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
        array = pa.Array.from_buffers(pa.from_numpy_dtype(self._columns[name]), len(values), buffers)
        named = name in self._names  # what has no name is not looked for: safe is slow
        return pa.DictionaryArray.from_arrays(array, self._names[name], safe=False) if named else array

    def _taken(self) -> bytes:
        """What pyarrow has made, with checksums."""
        made = self._made.tell()
        self._made.seek(0)
        taken = []
        for message in messages(self._made, made):
            if is_dictionary(message):
                self._checksum = zlib.crc32(message, self._checksum)
            elif message != END:
                message, self._checksum = sealed(message, self._checksum)
            taken.append(message)
        self._made.seek(0)
        self._made.truncate()
        return b"".join(taken)


def values_of(column: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column's values, as numbers: what to_numpy() does, but that imports pandas."""
    column = column.indices if isinstance(column, pa.DictionaryArray) else column
    return np.frombuffer(column.buffers()[1] or b"", dtype, len(column), column.offset * dtype.itemsize)


class _Verified(RawIOBase):
    """What pyarrow reads of a file: the messages that were looked at, one after the other."""

    def __init__(self, first: bytes) -> None:
        self._messages = BytesIO(first)

    def add(self, message: bytes) -> None:
        """The next one; what came before has been read."""
        left = self._messages.read()
        self._messages = BytesIO(left + message if left else message)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._messages.read(size)


@dataclass(frozen=True)
class _Format:
    """All that is sure of a header of any version."""

    format_version: int


def raise_if_no_memory(error: Exception) -> None:
    """Raises MemoryError if that is what is wrong, and not the file."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        raise MemoryError from None


class StreamFile:
    """A file that is being read. place: where in it the message begins that is being read.

    Raises BadInput if there is no such file, or it is none of swaptrace's, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise BadInput(f"cannot read {path}: it is a directory", _WANTED)
            if not stat.S_ISREG(mode):
                raise BadInput(f"cannot read {path}: it is no regular file", _WANTED)
            self._file = path.open("rb")  # not mapped: what was read would stay in memory
        except OSError as error:
            raise_if_no_memory(error)
            raise BadInput(f"cannot read {path}: {error.strerror or error}", _WANTED) from None
        self.bytes = os.fstat(self._file.fileno()).st_size  # the file's size
        self._messages = messages(self._file, self.bytes)
        self._checksum = 0
        self._names: dict[str, Sequence[str]] = {}  # those that are expected, and their columns
        self._dtypes: Columns = {}
        self._ended = False  # the mark of the end was read
        self._schema, self.header = self._read_header()
        self.place = self.bytes_read

    @property
    def bytes_read(self) -> int:
        """How much of the file has been read."""
        return self._file.tell()

    @property
    def ends_here(self) -> bool:
        """Whether there is no more behind `place` than the mark of the end, or a piece of it."""
        return self.bytes - self.place in range(1 if self._ended else len(END))

    def expect(self, kind: Kind, columns: Columns, names: Names | None = None) -> None:
        """Raises BadInput unless the file is of that kind."""
        if self.header.kind != kind:
            raise BadInput(f"{self.path} is a file of another kind: {self.header.kind}, not {kind}", _WANTED)
        if self._columns != list(_types(columns, names or {}).items()):
            raise BadInput(f"the columns of {self.path} are not those of a {kind} file", "record again")
        self._names, self._dtypes = dict(names or {}), dict(columns)

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Metadata]]:
        """All batches, each with its metadata. Ends where a file was cut off.

        Raises Bad, ArrowException or OSError for what is damaged; `place` is where.
        """
        kinds = [kind for _, kind in self._columns]
        widths = [(kind.index_type if pa.types.is_dictionary(kind) else kind).bit_width // 8 for kind in kinds]
        verified = _Verified(self._schema)
        stream = pa.ipc.open_stream(pa.PythonFile(verified, mode="r"), options=pa.ipc.IpcReadOptions(use_threads=False))
        names = 0  # bytes of dictionaries
        for raw in self._messages:
            self._ended = raw == END
            if is_dictionary(raw):
                dictionary_fits(raw)
                self._checksum = zlib.crc32(raw, self._checksum)
                verified.add(raw)
                names += len(raw)
                if names > MOST_OF_DICTIONARIES:
                    raise Bad("its names have no end")
            elif not self._ended:
                self._verify(raw)
                batch_fits(raw, widths)
                verified.add(raw)
                record, metadata = stream.read_next_batch_with_custom_metadata()
                record.validate()
                self._check_names(record)
                yield record, dict(metadata or {})
            self.place = self.bytes_read

    def _check_names(self, record: pa.RecordBatch) -> None:
        """Raises Bad if numbers in a column stand for other names than here, or for none: they would be misread.

        An earlier recorder may have known fewer.
        """
        for column, name in zip(record.columns, record.schema.names, strict=True):
            if column.null_count:
                raise Bad(f"its column {name} has empty places")
        for name, ours in self._names.items():
            column = record.column(name)
            column.dictionary.validate(full=True)  # where the names lie: they are read below
            told = column.dictionary.to_pylist()
            if told != list(ours[: len(told)]):
                raise Bad(f"its column {name} has other names")
            if len(column) and int(values_of(column, self._dtypes[name]).max()) >= len(told):
                raise Bad(f"its column {name} has numbers without a name")

    def damaged(self, why: str) -> BadInput:
        """What to raise if something of the file is not as it should be."""
        return BadInput(f"{self.path} is damaged: {why}", "record again")

    def _read_header(self) -> tuple[_Bytes, Header]:
        """The first message, and what it says. Traces of early recorders have no checksums."""
        no_trace = BadInput(f"{self.path} is not a swaptrace trace", _WANTED)
        try:
            raw = next(self._messages, END)
            told, right = checksum(raw, 0)
            if told not in (None, right):
                raise self._damaged_header(_CHECKSUM)
            schema = pa.ipc.open_stream(pa.BufferReader(raw)).schema
        except (pa.ArrowException, ValueError, OSError) as error:
            raise_if_no_memory(error)
            raise no_trace from None
        self._checked, self._checksum = told is not None, right
        self._columns = [(field.name, field.type) for field in schema]
        metadata = schema.metadata or {}
        if _FORMER_SUMMARY in metadata:
            raise BadInput(
                f"{self.path} is a summary of an earlier swaptrace, which this one does not read",
                "report it with that one, or record again",
            )
        if HEADER_KEY not in metadata:
            raise no_trace
        return raw, self._header_in(metadata[HEADER_KEY])

    def _header_in(self, text: _Bytes) -> Header:
        try:
            version = from_json(_Format, text).format_version
            if version < 1:
                raise Damaged(f"there is no format version {version}")
            if version > FORMAT_VERSION:
                raise BadInput(
                    f"{self.path} has format version {version}, and this swaptrace reads up to {FORMAT_VERSION}",
                    "upgrade swaptrace",
                )
            header = from_json(Header, text)
            return format1.of_today(header) if version == 1 else header
        except Damaged as error:
            raise self._damaged_header(str(error)) from None

    def _damaged_header(self, why: str) -> BadInput:
        return BadInput(f"the header of {self.path} is damaged: {why}", "record again")

    def _verify(self, raw: _Bytes) -> None:
        told, right = checksum(raw, self._checksum)
        if told is not None and not self._checked:
            raise self._damaged_header("it has no checksum, and what follows has")
        if self._checked and told != right:
            raise Bad(_CHECKSUM)
        self._checksum = right
