"""BPF trampolines (fentry, fexit): programs that a function's own first instruction, or its return, calls.

No breakpoint, no saved registers: a fraction of what a kprobe costs, and no return is ever missed for want of room.
But a task can be taken off its CPU in the middle of a program where the kernel preempts itself, and until it is back,
the kernel skips the program for all others on that CPU (bpf_prog_enter_recur, kernel/bpf/trampoline.c): under memory
pressure, 332 stores of a minute on 7.3. Kprobes run with preemption off.
BCC compiles the programs; loading them for a module's function is beyond some of its releases, so that is done here,
through libbpf, which every BCC package brings.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import NamedTuple

from swaptrace.kernel.btf import Btf, KernelTypes, libbpf
from swaptrace.kernel.probes import ZSWAP, Choice, Symbols

# include/uapi/linux/bpf.h
_TRACING, _ENTRY, _EXIT = 26, 24, 25
_NAME_LENGTH = 15


def preempts_itself(root: Path = Path("/"), version: str | None = None) -> bool:
    """Whether this kernel takes tasks off their CPU in its own code: by debugfs, which knows the mode, or its version.

    version: `uname -v`, which names PREEMPT_DYNAMIC whatever the mode is.
    """
    try:
        modes = (root / "sys/kernel/debug/sched/preempt").read_text()  # none (voluntary) full lazy
    except OSError:
        return "PREEMPT" in (version or platform.version())
    return not any(f"({mode})" in modes for mode in ("none", "voluntary"))


def why_kprobes(
    choices: list[Choice],
    types: KernelTypes,
    symbols: Symbols,
    *,
    lib: object | None = None,
    root: Path = Path("/"),
    version: str | None = None,
) -> str:
    """Why the chosen functions cannot be looked at by trampolines without a loss; "" if they can.

    lib: libbpf. root: where /sys is. version: see preempts_itself().
    """
    modules = {candidate.module for choice in choices for candidate in choice.chosen if candidate.module}
    untyped = sorted(module for module in modules if types.module(module) is None)
    if any(choice.probe.feature == ZSWAP and choice.chosen for choice in choices):
        return "zswap's programs serve functions with different numbers of arguments, behind which results are"
    if untyped:
        return f"the kernel has no type information for the module {untyped[0]}"
    if preempts_itself(root, version):
        return "the kernel preempts itself"
    if not symbols.addresses({"bpf_trampoline_link_prog"}):  # since 5.5; on arm64 since 6.0
        return "the kernel has no trampolines"
    if not hasattr(lib or libbpf(), "libbpf_major_version"):
        return "libbpf is older than 1.0"
    return ""


class _LoadOptions(ctypes.Structure):
    """struct bpf_prog_load_opts of libbpf 1.0 (tools/lib/bpf/bpf.h); a shorter one is allowed, and the rest 0."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("unused", ctypes.c_uint32 * 4),  # prog_btf_fd, prog_flags, prog_ifindex, kern_version
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
    )


class _BtfInfo(ctypes.Structure):
    """struct bpf_btf_info (include/uapi/linux/bpf.h)."""

    _fields_ = (
        ("btf", ctypes.c_uint64),
        ("btf_size", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("name", ctypes.c_uint64),
        ("name_length", ctypes.c_uint32),
        ("of_kernel", ctypes.c_uint32),
    )


class Attachment(NamedTuple):
    """Descriptors of a loaded program and of its link, which lasts until it is closed."""

    program: int
    link: int

    def close(self) -> None:
        os.close(self.link)
        os.close(self.program)


class Trampolines:
    """Loads programs and attaches them to functions. why_kprobes() tells whether this machine can."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        self._lib = lib
        self._modules: dict[str, int] = {}
        lib.bpf_prog_load.argtypes = (
            ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p,
        )  # fmt: skip

    def attach(
        self, btf: Btf, module: str | None, function: str, program: str, code: bytes, *, at_return: bool
    ) -> Attachment:
        """Run a program (its name; its instructions) at a function's entry or return. OSError if the kernel refuses."""
        number = btf.function(function)
        if number is None:
            raise OSError(f"{function}: no type information")
        options = _LoadOptions(
            size=ctypes.sizeof(_LoadOptions),
            expected_attach_type=_EXIT if at_return else _ENTRY,
            attach_btf_id=number,
            attach_btf_obj_fd=self._module(module) if module else 0,
        )
        name = program.encode()[:_NAME_LENGTH]
        loaded = self._lib.bpf_prog_load(_TRACING, name, b"GPL", code, len(code) // 8, ctypes.byref(options))
        if loaded < 0:
            raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")
        link = int(self._lib.bpf_raw_tracepoint_open(None, loaded))
        if link < 0:
            os.close(loaded)
            raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")
        return Attachment(loaded, link)

    def close(self) -> None:
        """Let go of the modules' type information; attachments stay."""
        for descriptor in self._modules.values():
            os.close(descriptor)
        self._modules.clear()

    def _module(self, name: str) -> int:
        """A descriptor of a module's BTF, as the kernel has it."""
        if name not in self._modules:
            self._modules[name] = self._find_module(name)
        return self._modules[name]

    def _find_module(self, name: str) -> int:
        number = ctypes.c_uint32(0)
        while self._lib.bpf_btf_get_next_id(number, ctypes.byref(number)) == 0:
            descriptor = int(self._lib.bpf_btf_get_fd_by_id(number))
            if descriptor < 0:
                continue  # gone in the meantime
            found = ctypes.create_string_buffer(64)
            info = _BtfInfo(name=ctypes.addressof(found), name_length=len(found))
            size = ctypes.c_uint32(ctypes.sizeof(info))
            failed = self._lib.bpf_obj_get_info_by_fd(descriptor, ctypes.byref(info), ctypes.byref(size))
            if not failed and info.of_kernel and found.value == name.encode():
                return descriptor
            os.close(descriptor)
        raise OSError(f"the kernel has no type information for the {name} module")
