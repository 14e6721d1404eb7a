"""A kernel's type information, cut down to chosen structures, enumerations and functions: BTF in, BTF out.

Structures are kept with all of their members, and with what lies in them; what they merely point to keeps its name.
The format: Documentation/bpf/btf.rst of the kernel's sources.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Types", "trim"]

_HEADER = struct.Struct("<HBBIIIII")
_MAGIC = 0xEB9F
(_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO,
 _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64) = range(1, 20)  # fmt: skip
_QUALIFIERS = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)
# What follows a type: so many words, and so many for each of its members.
_WORDS = {_INT: (1, 0), _ARRAY: (3, 0), _STRUCT: (0, 3), _UNION: (0, 3), _ENUM: (0, 2), _FUNC_PROTO: (0, 2),
          _VAR: (1, 0), _DATASEC: (0, 3), _DECL_TAG: (1, 0), _ENUM64: (0, 3)}  # fmt: skip
# Which of those words are names, and which are types: by their place within a member (or within all of them).
_NAMES = {_STRUCT: (0,), _UNION: (0,), _ENUM: (0,), _FUNC_PROTO: (0,), _ENUM64: (0,)}
_TYPES = {_ARRAY: (0, 1), _STRUCT: (1,), _UNION: (1,), _FUNC_PROTO: (1,)}
_REFERS = (_PTR, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _TYPE_TAG)  # by the header's third word
_WANTED = {"struct": (_STRUCT, _UNION), "enum": (_ENUM, _ENUM64), "function": (_FUNC,)}


@dataclass(frozen=True)
class _Type:
    name: str
    info: int
    size: int  # or the type that this one refers to
    words: tuple[int, ...]  # what follows; names as numbers into Types.names

    @property
    def kind(self) -> int:
        return self.info >> 24 & 0x1F

    @property
    def vlen(self) -> int:
        return self.info & 0xFFFF


class Types:
    """What a BTF file holds; a module's continues the kernel's numbers and strings."""

    def __init__(self, data: bytes, base: Types | None = None) -> None:
        self.base = base
        self.first = base.end if base else 1
        _, _, _, length, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        self.strings = (base.strings if base else b"") + data[length + str_off : length + str_off + str_len]
        self._own = list(self._read(data[length + type_off : length + type_off + type_len]))
        self.end = self.first + len(self._own)

    def _read(self, data: bytes) -> Iterable[_Type]:
        at = 0
        while at < len(data):
            name, info, size = struct.unpack_from("<III", data, at)
            fixed, each = _WORDS.get(info >> 24 & 0x1F, (0, 0))
            count = fixed + each * (info & 0xFFFF)
            yield _Type(self.string(name), info, size, struct.unpack_from(f"<{count}I", data, at + 12))
            at += 12 + 4 * count

    def string(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()

    def __getitem__(self, number: int) -> _Type:
        if self.base is not None and number < self.first:
            return self.base[number]
        return self._own[number - self.first]

    def numbers(self, wanted: Callable[[str, str], bool]) -> list[int]:
        """The types of this file that are wanted: asked with "struct", "enum" or "function", and the name."""
        kinds = {kind: what for what, kinds in _WANTED.items() for kind in kinds}
        return [
            self.first + i
            for i, t in enumerate(self._own)
            if t.name and t.kind in kinds and wanted(kinds[t.kind], t.name)
        ]


class _Written:
    """One BTF file in the making."""

    def __init__(self, base: _Written | None = None) -> None:
        self.first = base.end if base else 1
        self._first_string = base.end_of_strings if base else 0
        self._base_strings = base.places if base else {}
        self.places: dict[str, int] = dict(self._base_strings)
        self._strings = b"" if base else b"\0"
        self.places.setdefault("", 0)
        self.types: list[bytes] = []

    @property
    def end(self) -> int:
        return self.first + len(self.types)

    @property
    def end_of_strings(self) -> int:
        return self._first_string + len(self._strings)

    def string(self, text: str) -> int:
        if text not in self.places:
            self.places[text] = self.end_of_strings
            self._strings += text.encode() + b"\0"
        return self.places[text]

    def reserve(self) -> int:
        self.types.append(b"")
        return self.end - 1

    def fill(self, number: int, name: str, info: int, size: int, words: Iterable[int] = ()) -> None:
        values = (self.string(name), info, size, *words)
        self.types[number - self.first] = struct.pack(f"<{len(values)}I", *values)

    def data(self) -> bytes:
        types = b"".join(self.types)
        header = _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, 0, len(types), len(types), len(self._strings))
        return header + types + self._strings


class _Cut:
    """Copies types from one kernel's files to others; each type goes to the file that it comes from."""

    def __init__(self, kernel: Types) -> None:
        self._kernel = kernel
        self.output = _Written()
        self._done: dict[int, int] = {}
        self._names_only: dict[tuple[str, int], int] = {}

    def copy(self, source: Types, output: _Written, number: int) -> int:
        """A type and all that lies in it; its new number."""
        if number == 0:
            return 0
        if number < self._kernel.end:
            if output is not self.output:  # the kernel's file is complete by then
                return self._done[number]
            source = self._kernel
        if number not in self._done:
            self._done[number] = new = output.reserve()
            self._fill(source, output, source[number], new)
        return self._done[number]

    def _fill(self, source: Types, output: _Written, found: _Type, new: int) -> None:
        words = list(found.words)
        each = _WORDS.get(found.kind, (0, 0))[1] or len(words)
        for at in range(0, len(words), each or 1):
            for place in _NAMES.get(found.kind, ()):
                words[at + place] = output.string(source.string(words[at + place]))
            for place in _TYPES.get(found.kind, ()):
                words[at + place] = self.copy(source, output, words[at + place])
        size = found.size
        if found.kind == _PTR:
            size = self._pointed_to(source, output, size)
        elif found.kind in _REFERS:
            size = self.copy(source, output, size)
        output.fill(new, found.name, found.info, size, words)

    def _pointed_to(self, source: Types, output: _Written, number: int) -> int:
        """Structures by their names alone; those without one as they are; of anything else, nothing."""
        behind = number
        while behind and source[behind].kind in _QUALIFIERS:
            behind = source[behind].size
        if not behind or source[behind].kind not in (_STRUCT, _UNION, _FWD):
            return 0
        found = source[behind]
        if not found.name:
            return self.copy(source, output, number)
        union = found.kind == _UNION or (found.kind == _FWD and bool(found.info >> 31))
        key = (found.name, union)
        if key not in self._names_only:
            self._names_only[key] = new = output.reserve()
            output.fill(new, found.name, _FWD << 24 | union << 31, 0)
        return self._names_only[key]


def trim(
    kernel: bytes, modules: dict[str, bytes], wanted: Callable[[str, str], bool]
) -> tuple[bytes, dict[str, bytes]]:
    """The kernel's BTF with what is wanted and what its modules need of it, and the modules' whole."""
    types = Types(kernel)
    cut = _Cut(types)
    for number in types.numbers(wanted):
        cut.copy(types, cut.output, number)
    sources = {name: Types(data, types) for name, data in modules.items()}
    for source in sources.values():
        for needed in _needed(source):
            cut.copy(types, cut.output, needed)
    written = {}
    for name, source in sources.items():
        # modules know nothing of one another: each begins with what the kernel has
        done, names_only = dict(cut._done), dict(cut._names_only)
        output = _Written(cut.output)
        for number in range(source.first, source.end):
            if source[number].kind not in (_VAR, _DATASEC, _DECL_TAG):
                cut.copy(source, output, number)
        written[name] = output.data()
        cut._done, cut._names_only = done, names_only
    return cut.output.data(), written


def _needed(source: Types) -> Iterable[int]:
    """The kernel's types that a module's own refer to, in the way that copy() follows them."""
    for number in range(source.first, source.end):
        found = source[number]
        each = _WORDS.get(found.kind, (0, 0))[1] or len(found.words) or 1
        for at in range(0, len(found.words), each):
            for place in _TYPES.get(found.kind, ()):
                yield from _of_the_kernel(source, found.words[at + place])
        if found.kind == _PTR:
            behind = found.size
            while behind and source[behind].kind in _QUALIFIERS:
                behind = source[behind].size
            if behind and source[behind].kind in (_STRUCT, _UNION) and not source[behind].name:
                yield from _of_the_kernel(source, found.size)
        elif found.kind in _REFERS:
            yield from _of_the_kernel(source, found.size)


def _of_the_kernel(source: Types, number: int) -> Iterable[int]:
    if 0 < number < source.first:
        yield number
