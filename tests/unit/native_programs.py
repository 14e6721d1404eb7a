"""The BPF programs as an ordinary library, and kernel memory to run them on: laid out as a real kernel's types say.

The text is the one that BCC compiles (swaptrace/tracing/assembly.py). What are maps and helpers to the kernel are
arrays and functions here. Memory that no test has written is filled with POISON, so that a read of the wrong place
shows.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EVENT, LOSSES, EventKind, lost_by_kind
from swaptrace.kernel.arch import architecture
from swaptrace.kernel.btf import Btf
from swaptrace.kernel.probes import resolve_syscalls
from swaptrace.tracing.assembly import GENERATED, Assembly, Options, assemble
from swaptrace.tracing.ring import records_in
from tests.unit.fixtures import DATA, KERNELS, Fixture, fixture

__all__ = ["GCC", "PROCESSORS", "RECORDER", "RECORDS", "NativePrograms", "assembly_of"]

RECORDER = 4242  # process id
PROCESSORS = 4
POISON = 0xA5
KERNEL = 0xFF << 56  # the highest byte of the kernel's pointers
_MEMORY = 1 << 20
_RING = 1 << 16  # bytes
RECORDS = records_in(_RING)
_RECORD = np.dtype([("number", np.uint64), ("event", EVENT)])

_WARNINGS = (
    "-Wall",
    "-Werror",
    "-Wno-unused-function",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
    "-Wno-unknown-pragmas",
)
#: A compiler to which bpf/ is C: what stands for BCC and the kernel comes first.
GCC = ("gcc", *_WARNINGS, "-include", str(Path(__file__).with_suffix(".h")))

_EPILOGUE = """
static void *native_current(void) { return (void *)native_task; }
static void *native_registers_of(void *task) { return (void *)native_registers; }
extern u8 __start_native_maps[], __stop_native_maps[];

void native_reset(void)
{
	memset(__start_native_maps, 0, __stop_native_maps - __start_native_maps);
	native_room = NATIVE_EVENTS;
	native_faults = 0;
	get_current_task_btf = native_current;
	get_task_pt_regs = native_registers_of;
}
"""

# drivers/block/zram/zram_drv.h of 5.10, whose modules have no type information: offset and size of each field, and the
# size of the whole.
_UNTYPED = {
    "zram": {"table": (0, 8), "mem_pool": (8, 8), "disk": (24, 8), "": (0, 256)},
    "zram_table_entry": {"handle": (0, 8), "flags": (8, 8), "": (0, 24)},
}
_UNTYPED_FLAGS = {"ZRAM_LOCK": 24, "ZRAM_SAME": 25, "ZRAM_WB": 26, "ZRAM_UNDER_WB": 27, "ZRAM_HUGE": 28}

# The calling conventions. x86-64: System V psABI, 3.2.3; fields of struct pt_regs. aarch64: AAPCS64, 6.8; struct
# user_pt_regs (arch/arm64/include/uapi/asm/ptrace.h) is regs[31], sp, pc, pstate, and struct pt_regs begins with it.
_X86_ARGUMENTS, _X86_RESULT = ("di", "si", "dx", "cx", "r8", "r9"), "ax"
_ARM_ARGUMENTS, _ARM_RESULT = tuple(8 * n for n in range(8)), 0


def assembly_of(kernel: Fixture, *, machine: str = "x86_64", zswap: bool = False, per_timed: int = 1) -> Assembly:
    """What the programs for a kernel are made of, but for what is only here.

    per_timed: one of how many notifications is timed.
    """
    arch, choices = architecture(machine), kernel.choices(zswap=zswap)
    assembly = assemble(choices, kernel.types, kernel.symbols, arch, Options(_RING), recorder=RECORDER)
    native = {
        "SWAP_INFO": "((u64)native_swap_info)",
        "PROCESSORS": PROCESSORS,
        "NOTIFICATIONS_PER_TIMED": per_timed,
    }
    return replace(assembly, constants=assembly.constants | native)


class NativePrograms:
    """The programs for one kernel. reset() before each test; then set what the kernel is at, and call functions."""

    def __init__(
        self,
        folder: Path,
        kernel: Fixture,
        *,
        trampolines: bool = False,
        machine: str = "x86_64",
        zswap: bool = False,
        per_timed: int = 1,
    ) -> None:
        self.kernel, self.trampolines, self.machine = kernel, trampolines, machine
        self.choices = kernel.choices(zswap=zswap)
        assembly = assembly_of(kernel, machine=machine, zswap=zswap, per_timed=per_timed)
        self.not_attached = assembly.left_out if trampolines else frozenset()
        text = assembly.source(trampolines=trampolines)
        source, library = folder / "programs.c", folder / "programs.so"
        source.write_text(text + _EPILOGUE, encoding="utf-8")
        subprocess.run([*GCC, "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        self._library = ctypes.CDLL(str(library))
        self._arena = mmap.mmap(-1, _MEMORY)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._arena))
        self._set("memory", self._start)
        self._set("size", _MEMORY)
        self.reset()

    def reset(self) -> None:
        """As when nothing has happened yet: memory is poisoned, maps are empty, and a process with the pid 77 runs."""
        self._library.native_reset()
        ctypes.memset(self._start, POISON, _MEMORY)
        self._used = self._seen = 0
        for i in range(32):
            self.set_swap_info(i, 0)
        self.at(pid=77)
        self.running()

    # -- the kernel's state

    def at(self, time: int = 1000, processor: int = 0, pid: int = 77, thread: int | None = None) -> None:
        """What the helpers say. thread: if it is not the process's first."""
        self._set("time", time)
        self._set("processor", processor, ctypes.c_uint32)
        self._set("thread", pid << 32 | (thread or pid))

    def running(self, flags: int = 0, syscall: int = -1, arguments: tuple[int, ...] = ()) -> int:
        """The current task: its flags, and the system call that it is in, with its arguments; its user registers."""
        stack = self.allocate(16384)
        size = self.size("pt_regs")
        registers = stack + 16384 - size
        self.write(registers + self._register("orig_ax", 280), syscall, 8 if self.machine == "x86_64" else 4)
        for place, value in zip(self._argument_places(), arguments, strict=False):
            self.write(registers + place, value)
        self._set("task", self.new("task_struct", {"flags": flags, "stack": stack}))
        self._set("registers", registers)
        return registers

    def set_swap_info(self, swap_type: int, area: int) -> None:
        table = (ctypes.c_uint64 * 32).in_dll(self._library, "native_swap_info")
        table[swap_type] = area

    def room(self, events: int) -> None:
        """How many events the ring takes from now on."""
        if self.trampolines:
            ends = self._ends()
            ends[8] = (ends[0] + events - (RECORDS - RECORDS // 8)) % (1 << 64)
        else:
            ctypes.c_uint32.in_dll(self._library, "native_room").value = events

    def _set(self, name: str, value: int, kind: type = ctypes.c_uint64) -> None:
        kind.in_dll(self._library, f"native_{name}").value = value

    # -- memory

    def allocate(self, size: int) -> int:
        address = self._start + self._used
        self._used += (size + 63) & ~63
        assert self._used <= _MEMORY
        return address

    def write(self, address: int, value: int, size: int = 8) -> None:
        at = address - self._start
        self._arena[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    def new(self, struct: str, fields: Mapping[str, int]) -> int:
        """A structure with these fields, by their paths; the rest is poison."""
        address = self.allocate(self.size(struct))
        for path, value in fields.items():
            self.set(address, f"{struct}.{path}", value)
        return address

    def set(self, address: int, path: str, value: int) -> None:
        """Write a field, `struct.member`, of the structure at that address."""
        field = self._field(path)
        assert field is not None, f"{self.kernel.name} has no {path}"
        self.write(address + field[0], value, field[1])

    def has(self, path: str) -> bool:
        return self._field(path) is not None

    def size(self, struct: str) -> int:
        found = self._field(struct)
        assert found is not None, struct
        return found[1]

    def zram_flags(self) -> dict[str, int]:
        """enum zram_pageflags."""
        module = self.kernel.types.module("zram")
        return _UNTYPED_FLAGS if module is None else module.enum("zram_pageflags")

    def _field(self, path: str) -> tuple[int, int] | None:
        struct, _, member = path.partition(".")
        module = self.kernel.types.module("zram")
        if module is None and struct in _UNTYPED:
            return _UNTYPED[struct].get(member)
        for btf in (module, self.kernel.types.vmlinux):
            field = btf.field(path) if isinstance(btf, Btf) else None
            if field is not None:
                return field.offset, field.size
        return None

    # -- functions of the kernel

    def _register(self, x86: str, arm: int) -> int:
        if self.machine == "aarch64":
            return arm
        field = self._field(f"pt_regs.{x86}")
        assert field is not None
        return field[0]

    def _argument_places(self) -> list[int]:
        return [self._register(x86, arm) for x86, arm in zip(_X86_ARGUMENTS, _ARM_ARGUMENTS, strict=False)]

    def _programs(self, function: str, *, at_return: bool) -> list[str]:
        arch = architecture("x86_64")
        chosen = {resolve_syscalls(c, arch) for choice in self.choices for c in choice.chosen}
        programs = {(c.exit if at_return else c.entry) for c in chosen if c.function == function}
        return sorted(program for program in programs if program and program not in self.not_attached)

    def enter(self, function: str, *arguments: int) -> None:
        """The kernel calls one of its functions."""
        self._run(function, arguments, None)

    def leave(self, function: str, arguments: tuple[int, ...], result: int = 0) -> None:
        """It returns."""
        self._run(function, arguments, result)

    def call(self, function: str, *arguments: int, result: int = 0) -> None:
        self.enter(function, *arguments)
        self.leave(function, arguments, result)

    def _run(self, function: str, arguments: tuple[int, ...], result: int | None) -> None:
        before, place = self._used, self.allocate(512)
        ctypes.memset(place, POISON, 512)
        if self.trampolines:
            for number, value in enumerate((*arguments, *(() if result is None else (result,)))):
                self.write(place + 8 * number, value)
        elif result is not None:
            self.write(place + self._register(_X86_RESULT, _ARM_RESULT), result)
        else:
            for offset, value in zip(self._argument_places(), arguments, strict=False):
                self.write(place + offset, value)
        for program in self._programs(function, at_return=result is not None):
            assert getattr(self._library, program)(ctypes.c_void_p(place)) == 0
        self._used = before

    # -- what came of it

    def events(self, *kinds: EventKind) -> NDArray[np.void]:
        """The events so far, all or those of some kinds; names of tasks are left out unless asked for. Forgets them."""
        found = self._records() if self.trampolines else self._ring()
        if kinds:
            return found[np.isin(found["kind"], kinds)]
        return found[found["kind"] != EventKind.TASK]

    def _ring(self) -> NDArray[np.void]:
        count = ctypes.c_uint32.in_dll(self._library, "native_emitted")
        raw = (ctypes.c_char * (EVENT.itemsize * 1024)).in_dll(self._library, "native_events")
        found = np.frombuffer(bytes(raw), EVENT)[: count.value].copy()
        count.value = 0
        return found

    def _ends(self) -> Any:
        return (ctypes.c_uint64 * 16).in_dll(self._library, "ring_ends_map")

    def _records(self) -> NDArray[np.void]:
        raw = (ctypes.c_char * (_RECORD.itemsize * RECORDS)).in_dll(self._library, "records_map")
        first, self._seen = self._seen, self._ends()[0]
        numbers = np.arange(first, self._seen)
        found = np.frombuffer(bytes(raw), _RECORD)[numbers % RECORDS]
        assert (found["number"] == numbers + 1).all()
        return found["event"].copy()

    def map(self, name: str, leaf: type[ctypes.Structure], length: int) -> Sequence[Any]:
        """What an array has now."""
        return (leaf * length).in_dll(self._library, f"{name}_map")

    @property
    def faults(self) -> int:
        """Reads of memory that is not there."""
        return ctypes.c_uint64.in_dll(self._library, "native_faults").value

    def lost(self) -> dict[EventKind, int]:
        """Slots of events that found no room, by kind."""
        kinds = max(LOSSES) + 1
        raw = (ctypes.c_uint64 * (kinds * PROCESSORS)).in_dll(self._library, "lost_map")
        sums = np.frombuffer(raw, np.uint64).reshape(PROCESSORS, kinds).sum(axis=0)
        return _by_kind(sums)

    def left_out(self) -> int:
        """What happened to devices that events have no room for."""
        return sum((ctypes.c_uint64 * PROCESSORS).in_dll(self._library, "left_out_map"))

    def under_way(self) -> dict[EventKind, int]:
        """Slots of calls that were entered and have not returned, by kind; of kprobes only."""
        kinds = max(LOSSES) + 1
        raw = (ctypes.c_uint64 * (2 * kinds * PROCESSORS)).in_dll(self._library, "calls_map")
        sums = np.frombuffer(raw, np.int64).reshape(PROCESSORS, kinds, 2).sum(axis=0)
        return _by_kind(sums[:, 0] - sums[:, 1])


def _by_kind(counts: NDArray[Any]) -> dict[EventKind, int]:
    """Those that are not 0. counts: by the numbers of LOSSES."""
    return {kind: count for kind, count in lost_by_kind(dict(enumerate(counts.tolist()))).items() if count}


if __name__ == "__main__":  # what an editor needs to read bpf/: see compile_flags.txt there
    header = DATA.parents[1] / "build" / "bpf" / GENERATED
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(assembly_of(fixture(KERNELS[-1]), zswap=True).header(trampolines=False), encoding="utf-8")
