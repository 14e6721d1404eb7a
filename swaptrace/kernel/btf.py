"""What the running kernel's own type information (BTF) says, read through libbpf.

libbpf comes with every BCC package (libbcc is linked against it), so this asks for nothing more than record does.
Only the few calls that swaptrace needs are wrapped: where a field lies, how large it is, the values of an enum,
and the parameters of a function.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from swaptrace.errors import EnvironmentProblem

KERNEL_BTF = Path("/sys/kernel/btf")

# include/uapi/linux/btf.h
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO = range(9, 14)
_TYPE_TAG, _ENUM64 = 18, 19
_QUALIFIERS = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)


class _Type(ctypes.Structure):
    """struct btf_type: kind, number of members, and a size or the id of another type."""

    _fields_ = (("name_off", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size", ctypes.c_uint32))

    @property
    def kind(self) -> int:
        return int(self.info) >> 24 & 0x1F

    @property
    def vlen(self) -> int:
        return int(self.info) & 0xFFFF

    @property
    def bitfields(self) -> bool:
        return bool(int(self.info) >> 31)


class _Member(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32))


class _Pair(ctypes.Structure):
    """struct btf_enum (name, value) and struct btf_param (name, type): the same shape."""

    _fields_ = (("name_off", ctypes.c_uint32), ("value", ctypes.c_int32))


class _Enum64(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("low", ctypes.c_uint32), ("high", ctypes.c_uint32))


@dataclass(frozen=True)
class Field:
    """Where a structure's field lies: offset and size in bytes (a bit field has the bits' byte offset, size 0)."""

    offset: int
    size: int


def libbpf() -> ctypes.CDLL:
    """The library, with the types of the calls for BTF. Raises EnvironmentProblem if it is not there."""
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            lib = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        lib.libbpf_set_print(None)  # its warnings would land in the middle of our output
        lib.btf__parse.restype = ctypes.c_void_p
        lib.btf__parse.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
        lib.btf__parse_split.restype = ctypes.c_void_p
        lib.btf__parse_split.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
        lib.btf__type_by_id.restype = ctypes.c_void_p
        lib.btf__type_by_id.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        lib.btf__name_by_offset.restype = ctypes.c_char_p
        lib.btf__name_by_offset.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        lib.btf__find_by_name_kind.restype = ctypes.c_int32
        lib.btf__find_by_name_kind.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32)
        lib.btf__resolve_size.restype = ctypes.c_int64
        lib.btf__resolve_size.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        return lib
    raise EnvironmentProblem(
        "libbpf, which reads the kernel's type information, is not installed",
        "it comes with BCC: install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora, RHEL)",
    )


class Btf:
    """One BTF file, or a module's on top of the kernel's.

    >>> kernel = Btf(KERNEL_BTF / "vmlinux")
    >>> Btf(KERNEL_BTF / "zram", base=kernel).field("zram.table").offset
    """

    _lib: ctypes.CDLL
    _handle: int

    def __init__(self, path: Path, base: Btf | None = None) -> None:
        self._lib = base._lib if base else libbpf()
        self._base = base  # a module's BTF points into its base: keep that alive
        name = os.fsencode(path)
        handle = self._lib.btf__parse_split(name, base._handle) if base else self._lib.btf__parse(name, None)
        # libbpf before 1.0 returns an error pointer (the last page of addresses) instead of NULL
        if not handle or handle >= 2**64 - 4096:
            code = ctypes.get_errno() or (2**64 - handle if handle else errno.EINVAL)
            raise EnvironmentProblem(
                f"cannot read the kernel's type information from {path}: {os.strerror(code)}",
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every distribution's has been since about 2021)",
            )
        self._handle = handle

    # -- types by number

    def _type(self, number: int) -> tuple[_Type, int]:
        address = self._lib.btf__type_by_id(self._handle, number)
        return _Type.from_address(address), address + ctypes.sizeof(_Type)

    def _name(self, offset: int) -> str:
        return bytes(self._lib.btf__name_by_offset(self._handle, offset) or b"").decode()

    def _resolve(self, number: int) -> tuple[_Type, int, int]:
        """The type behind typedefs and qualifiers: (type, address of what follows it, number)."""
        while True:
            found, after = self._type(number)
            if found.kind not in _QUALIFIERS:
                return found, after, number
            number = int(found.size)

    def _find(self, name: str, *kinds: int) -> int | None:
        for kind in kinds:
            number = int(self._lib.btf__find_by_name_kind(self._handle, name.encode(), kind))
            if number > 0:
                return number
        return None

    def _members(self, number: int) -> Iterator[tuple[str, int, int]]:
        """(name, type, bit offset) of each member of a struct or union, those of anonymous ones included."""
        kind, after, _ = self._resolve(number)
        for member in (_Member * kind.vlen).from_address(after):
            bits = int(member.offset) & 0xFFFFFF if kind.bitfields else int(member.offset)
            name = self._name(member.name_off)
            if name:
                yield name, int(member.type), bits
            else:
                for inner, inner_type, inner_bits in self._members(int(member.type)):
                    yield inner, inner_type, bits + inner_bits

    # -- what swaptrace asks

    def field(self, path: str) -> Field | None:
        """Where `struct.member[.member ...]` lies, anonymous structs and unions included; None if it is not there."""
        struct, *names = path.split(".")
        number = self._find(struct, _STRUCT, _UNION)
        if number is None:
            return None
        offset = 0
        for name in names:
            for found, found_type, bits in self._members(number):
                if found == name:
                    number, offset = found_type, offset + bits // 8
                    break
            else:
                return None
        return Field(offset, int(self._lib.btf__resolve_size(self._handle, number)))

    def size(self, struct: str) -> int | None:
        """sizeof(struct NAME) in bytes; None if there is no such structure."""
        field = self.field(struct)
        return field.size if field else None

    def enum(self, name: str) -> dict[str, int]:
        """The constants of `enum NAME`; empty if there is no such enum."""
        number = self._find(name, _ENUM, _ENUM64)
        if number is None:
            return {}
        kind, after = self._type(number)
        if kind.kind == _ENUM:
            return {self._name(e.name_off): int(e.value) for e in (_Pair * kind.vlen).from_address(after)}
        wide = (_Enum64 * kind.vlen).from_address(after)
        return {self._name(e.name_off): int(e.high) << 32 | int(e.low) for e in wide}

    def function(self, name: str) -> int | None:
        """The number of a kernel function in this BTF; None if it has none of that name."""
        return self._find(name, _FUNC)

    def parameters(self, function: str) -> tuple[str, ...] | None:
        """The parameters of a kernel function: `struct NAME *`, `struct NAME`, a typedef's name, or `intBITS`.

        None if the kernel has no such function (or it was inlined everywhere).
        """
        found = self._parameters(function)
        return None if found is None else tuple(self._spell(int(parameter.value)) for parameter in found)

    def parameter_names(self, function: str) -> tuple[str, ...]:
        """Their names; empty if the kernel has no such function."""
        return tuple(self._name(int(parameter.name_off)) for parameter in self._parameters(function) or ())

    def _parameters(self, function: str) -> ctypes.Array[_Pair] | None:
        number = self._find(function, _FUNC)
        if number is None:
            return None
        proto, after, _ = self._resolve(int(self._type(number)[0].size))
        return (_Pair * proto.vlen).from_address(after)

    def returns(self, function: str) -> str | None:
        """What a kernel function returns, spelt as parameters() does; None as there."""
        number = self._find(function, _FUNC)
        return None if number is None else self._spell(int(self._resolve(int(self._type(number)[0].size))[0].size))

    def _spell(self, number: int) -> str:
        alias = self._name(self._type(number)[0].name_off)  # swp_entry_t: a typedef of a nameless structure
        kind, _, number = self._resolve(number)
        if kind.kind == _PTR:
            alias = self._name(self._type(int(kind.size))[0].name_off)
            target, _, _ = self._resolve(int(kind.size))
            if target.kind not in (_STRUCT, _UNION, _FWD):
                return "void *"
            name = self._name(target.name_off)
            return f"struct {name} *" if name else f"{alias} *"
        if kind.kind in (_STRUCT, _UNION):
            name = self._name(kind.name_off)
            return f"struct {name}" if name else alias
        return f"int{8 * int(self._lib.btf__resolve_size(self._handle, number))}"


class KernelTypes:
    """The kernel's BTF and that of its modules, each read once, when first asked for."""

    def __init__(self, folder: Path = KERNEL_BTF) -> None:
        self._folder = folder
        self._modules: dict[str, Btf | None] = {}

    @cached_property
    def vmlinux(self) -> Btf:
        return Btf(self._folder / "vmlinux")

    def module(self, name: str) -> Btf | None:
        """A module's BTF; None if the kernel has none for it (before 5.11, or it is not loaded)."""
        if name not in self._modules:
            path = self._folder / name
            self._modules[name] = Btf(path, base=self.vmlinux) if path.exists() else None
        return self._modules[name]
