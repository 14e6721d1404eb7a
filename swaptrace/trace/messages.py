"""The messages of an Arrow IPC stream as they lie in a file: lengths and checksums, before anything is made of them.

A message is 0xFFFFFFFF, the length of its metadata (int32), the metadata (a flatbuffer, see Message.fbs of Arrow's
format), and a body, whose length the metadata give. In a compressed body, each buffer says in its first 8 bytes how
long it is to become: pyarrow allocates that much, whatever it is.

Each message has a checksum among its metadata: the CRC-32 of its bytes, with zeros in place of the checksum's digits,
which goes on from the checksum of the message before. So a batch that is missing or in the wrong place shows, too.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: What a message is written with; sealed() then fills in the digits.
CHECKSUM = {b"swaptrace.checksum": b"crc32 00000000"}
#: The end of a stream: a message without metadata.
END = b"\xff\xff\xff\xff\0\0\0\0"

# As a flatbuffer's string: length and end included. JSON has neither, so that nothing else in the metadata is like it.
_DIGITS = re.compile(rb"\x0e\0\0\0crc32 ([0-9a-f]{8})\0")
_PREFIX = struct.Struct("<Ii")
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # of the union MessageHeader
#: All names that stand behind a file's numbers take no more than that (bytes), nor does any piece of them.
MOST_OF_DICTIONARIES = 1 << 16
_MOST = 128 << 20  # bytes of a message's metadata, or its body: the writer's have some MB
_FEW_BYTES = 4 << 20  # a batch may always have so many: twice what the writer gathers
_EXPANSION = 256  # a larger one, no more than that times what it is in the file: eight times what compression gains


class Bad(ValueError):
    """These bytes are no message of a trace; the text says why."""


class Table(NamedTuple):
    """A table of a flatbuffer: where its fields are."""

    data: bytes
    place: int

    def field(self, number: int) -> int | None:
        """Where a field's value is; None if the table has none."""
        vtable = self.place - struct.unpack_from("<i", self.data, self.place)[0]
        if vtable < 0 or struct.unpack_from("<H", self.data, vtable)[0] <= 4 + 2 * number:
            return None
        offset: int = struct.unpack_from("<H", self.data, vtable + 4 + 2 * number)[0]
        return self.place + offset if offset else None

    def number(self, number: int, form: str) -> int:
        """A field's value; 0 if the table has none."""
        place = self.field(number)
        return 0 if place is None else int(struct.unpack_from(form, self.data, place)[0])

    def follow(self, number: int) -> int:
        """Where what a field refers to is."""
        place = self.field(number)
        if place is None:
            raise Bad("it has no contents")
        return place + int(struct.unpack_from("<I", self.data, place)[0])


def _root(metadata: bytes) -> Table:
    return Table(metadata, struct.unpack_from("<I", metadata)[0])


def messages(file: BinaryIO, size: int) -> Iterator[bytes]:
    """All messages from here to the mark of the end, raw; END itself, if it is there, comes last.

    size: the file's, in bytes. Raises Bad for what is no message. One that does not end within the file was cut off:
    what is there of it is not given.
    """
    while len(prefix := file.read(_PREFIX.size)) == _PREFIX.size:
        mark, length = _PREFIX.unpack(prefix)
        if mark != 0xFFFFFFFF or length < 0:
            raise Bad("no batch begins there")
        if length == 0:
            yield prefix
            return
        if length > size - file.tell():
            return
        if length > _MOST:
            raise Bad("its metadata have no end")
        metadata = file.read(length)
        try:
            body = _root(metadata).number(3, "<q")
        except struct.error:
            raise Bad("its metadata are damaged") from None
        if body < 0:
            raise Bad("its length is less than nothing")
        if body > size - file.tell():
            return
        if body > _MOST:
            raise Bad("it is too long")
        yield b"".join((prefix, metadata, file.read(body)))


def _metadata(raw: bytes) -> bytes:
    return raw[_PREFIX.size : _PREFIX.size + _PREFIX.unpack_from(raw)[1]]


def checksum(raw: bytes, before: int) -> tuple[int | None, int]:
    """The checksum that a message has (None if it has none), and the one that it should have.

    before: the one of the message before, 0 for the first.
    """
    found = _DIGITS.search(_metadata(raw))
    if found is None:
        return None, 0
    begin, end = (_PREFIX.size + place for place in found.span(1))
    view = memoryview(raw)
    right = zlib.crc32(view[end:], zlib.crc32(b"00000000", zlib.crc32(view[:begin], before)))
    return int(found[1], 16), right


def sealed(raw: bytes, before: int) -> tuple[bytes, int]:
    """A message that was written with CHECKSUM, with the right one, and that checksum."""
    found = _DIGITS.search(_metadata(raw))
    assert found is not None
    begin, end = (_PREFIX.size + place for place in found.span(1))
    _, right = checksum(raw, before)
    return b"".join((raw[:begin], b"%08x" % right, raw[end:])), right


def is_dictionary(raw: bytes) -> bool:
    """Whether a message has names that numbers in a column stand for.

    pyarrow gives it no metadata of ours: its checksum is part of that of the next message.
    """
    try:
        return raw != END and _root(_metadata(raw)).number(1, "<B") == _DICTIONARY_BATCH
    except struct.error:
        return False


def dictionary_fits(raw: bytes) -> None:
    """Raises Bad if names are to become more than they can be."""
    try:
        metadata = _metadata(raw)
        batch = Table(metadata, Table(metadata, _root(metadata).follow(2)).follow(1))
        if not 0 <= batch.number(0, "<q") <= MOST_OF_DICTIONARIES:
            raise Bad("it claims to have too many names")
        for number in range(min(_buffers(batch), 4)):
            place, length = _buffer(raw, batch, number, "names lie")
            compressed = batch.field(3) is not None and length >= 8
            if compressed and struct.unpack_from("<q", raw, place)[0] > MOST_OF_DICTIONARIES:
                raise Bad("its names are to become too long")
    except struct.error:
        raise Bad("its metadata are damaged") from None


def _buffers(batch: Table) -> int:
    """How many buffers a batch has."""
    return int(struct.unpack_from("<I", batch.data, batch.follow(2))[0])


def _buffer(raw: bytes, batch: Table, number: int, what: str) -> tuple[int, int]:
    """Where a buffer of a batch begins in its message, and how long it is there (bytes). what: is to be there."""
    offset, length = struct.unpack_from("<qq", batch.data, batch.follow(2) + 4 + 16 * number)
    place = _PREFIX.size + len(batch.data) + offset
    if offset < 0 or length < 0 or place + length > len(raw):
        raise Bad(f"{what} outside of it")
    return place, length


def batch_fits(raw: bytes, widths: list[int]) -> None:
    """Raises Bad if a message is no batch of columns of these widths (bytes), or is to become more than it can hold.

    widths: of an element of each column, none of which can be null.
    """
    try:
        _batch_fits(raw, widths)
    except struct.error:
        raise Bad("its metadata are damaged") from None


def _batch_fits(raw: bytes, widths: list[int]) -> None:
    metadata = _metadata(raw)
    message = _root(metadata)
    if message.number(1, "<B") != _RECORD_BATCH:
        raise Bad("it is no batch of events")
    batch = Table(metadata, message.follow(2))
    rows = batch.number(0, "<q")
    if not 0 <= rows * sum(widths) <= max(_FEW_BYTES, _EXPANSION * len(raw)):
        raise Bad(f"it claims to hold {rows:,} events")
    if _buffers(batch) != 2 * len(widths):
        raise Bad("it has other columns")
    for number, width in enumerate(widths):  # each of them has a buffer for nulls, which is empty, and one of values
        place, length = _buffer(raw, batch, 2 * number + 1, "a column lies")
        wanted = rows * width
        if length and batch.field(3) is not None:
            length = struct.unpack_from("<q", raw, place)[0] if length >= 8 else 0
            if length == -1:  # it would not have become shorter
                continue
        if not wanted <= length <= wanted + 64:  # padding
            raise Bad(f"a column of {rows:,} events claims to have {length:,} bytes")
