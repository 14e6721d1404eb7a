"""The BPF programs: compiled by BCC, and attached. The only module that imports bcc."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from swaptrace.degradation import NOTIFICATION, SLOT_FREED
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import LOSSES, NOTIFIED_FREE, EventFlag, EventKind, lost_by_kind
from swaptrace.kernel.arch import Architecture
from swaptrace.kernel.btf import KernelTypes, libbpf
from swaptrace.kernel.layout import MAX_SWAP_TYPES
from swaptrace.kernel.probes import Candidate, Choice, Symbols
from swaptrace.machine.snapshot import KernelArea, kernel_area
from swaptrace.trace.header import FreePath, Probe
from swaptrace.tracing.assembly import Options, assemble
from swaptrace.tracing.footprint import give_back
from swaptrace.tracing.ring import KernelRing, RecordRing, Ring, records_in
from swaptrace.tracing.trampolines import Attachment, Trampolines, why_kprobes

_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_LOOKS = 10  # at calls under way
_BETWEEN_LOOKS = 0.02  # seconds

# What BCC's own prelude includes. The programs use no kernel header, so these stand in for the kernel's: users need no
# headers package, and a compile takes a tenth of the time. bcc/bpf.h is built into BCC.
_HEADERS = {
    "linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
    "linux/types.h": """\
#pragma once
typedef unsigned char __u8, u8;
typedef unsigned short __u16, u16, __be16, __sum16;
typedef unsigned int __u32, u32, __be32, __wsum;
typedef unsigned long long __u64, u64, __be64, __aligned_u64;
typedef signed char __s8, s8;
typedef short __s16, s16;
typedef int __s32, s32;
typedef long long __s64, s64;
typedef unsigned long size_t, uintptr_t;
typedef _Bool bool;
#define true 1
#define false 0
#define __bitwise
""",
    # asked for by BCC; matters only to kernels before 5.0, which compare it with their own
    "linux/version.h": """\
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)
""",
    "asm/page.h": f"#define PAGE_SIZE {_PAGE_SIZE}\n",
    "uapi/linux/bpf.h": "#include <bcc/bpf.h>\n",
    "linux/bpf_common.h": "",
    "linux/log2.h": "",
    "uapi/linux/if_ether.h": "",
    "uapi/linux/if_packet.h": "",
    "uapi/linux/ptrace.h": "",
}  # fmt: skip


def import_bcc() -> ModuleType:
    """The distribution's bcc. Raises EnvironmentProblem if it is missing, or if it is PyPI's package of that name."""
    package = "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora, RHEL)"
    try:
        import bcc
    except ImportError as error:
        raise EnvironmentProblem(
            f"{sys.executable} finds no bcc ({error})",
            f"{package}, and run swaptrace with the distribution's Python, or from a virtual environment "
            "made with: /usr/bin/python3 -m venv --system-site-packages",
        ) from None
    if not hasattr(bcc, "BPF"):
        raise EnvironmentProblem(
            f"{bcc.__file__} is not the BPF Compiler Collection, but an unrelated package of the same name",
            f"pip uninstall bcc; then {package}",
        )
    return bcc  # type: ignore[no-any-return]


def compile_programs(bcc: ModuleType, source: str) -> Any:
    """A bcc.BPF of programs that use no kernel header. Raises EnvironmentProblem if they do not compile."""
    with tempfile.TemporaryDirectory(prefix="swaptrace-") as folder:
        for name, text in _HEADERS.items():
            path = Path(folder, "include", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        before = os.environ.get("BCC_KERNEL_SOURCE")
        os.environ["BCC_KERNEL_SOURCE"] = folder
        try:
            return bcc.BPF(text=source, cflags=["-Wno-macro-redefined"])
        except Exception as error:  # bcc raises nothing more specific
            raise EnvironmentProblem(
                f"BCC {getattr(bcc, '__version__', '?')} could not compile the BPF programs: {error}",
                "the compiler's messages are above; please report them with the output of: swaptrace check",
            ) from None
        finally:
            if before is None:
                del os.environ["BCC_KERNEL_SOURCE"]
            else:
                os.environ["BCC_KERNEL_SOURCE"] = before


@dataclass(frozen=True)
class EntrySeen:
    """An entry of zram's table as the programs see it. same_disk: zram points back to the disk that led to it."""

    held: bool
    size: int
    flags: EventFlag
    same_disk: bool


class Programs:
    """The compiled BPF programs of the chosen probes, attached between __enter__ and __exit__."""

    def __init__(
        self,
        choices: list[Choice],
        types: KernelTypes,
        symbols: Symbols,
        arch: Architecture,
        ring_bytes: int,
        time_frees: bool = False,
        kprobes: bool = False,
        zswap_in_zsmalloc: bool = False,
    ) -> None:
        """time_frees: see Options. kprobes: use them even where trampolines would do."""
        self._ring_bytes = ring_bytes
        self._time_frees = time_frees
        self._choices = choices
        self._types = types
        self._attachments: dict[str, Attachment] = {}  # trampolines, by program
        self._trampolines = None if kprobes or why_kprobes(choices, types, symbols) else Trampolines(libbpf())
        options = Options(ring_bytes, time_frees, zswap_in_zsmalloc)
        self._assembly = assemble(choices, types, symbols, arch, options, recorder=os.getpid())
        self._bpf = self._compile()

    def _compile(self) -> Any:
        source = self._assembly.source(trampolines=self._trampolines is not None)
        bcc = import_bcc()
        give_back()  # to load the compiler is to touch pages all over its libraries, and few of them are needed again
        return compile_programs(bcc, source)

    def attach(self) -> list[Probe]:
        """Attach all chosen probes; what was attached, as it goes into the trace header.

        By trampolines, or, if the kernel refuses one, by kprobes. Returns before any event is emitted for a slot whose
        probes are not all in place: the reader drops what came before the recording's start. Raises EnvironmentProblem
        if a required event cannot be attached.
        """
        if self._trampolines is not None:
            try:
                return self._attach_all()
            except OSError:
                self._let_go()
                self._trampolines = None
                self._bpf = self._compile()
        return self._attach_all()

    def _attach_all(self) -> list[Probe]:
        """A row of the header for each choice, in their order.

        Frees come last: one that has begun waits for the notification.
        """
        frees_last = sorted(enumerate(self._choices), key=lambda row: row[1].probe.event == SLOT_FREED)
        attached = {number: self._attach(choice) for number, choice in frees_last}
        return [attached[number] for number in range(len(attached))]

    def _attach(self, choice: Choice) -> Probe:
        """One row of the header. Raises OSError for a trampoline that the kernel refuses."""
        functions = []
        for candidate in choice.chosen:
            try:
                # the return first, or else an entry without its return would be counted as lost
                if candidate.exit:
                    self._run_at(candidate, candidate.exit, at_return=True)
                if self._time_frees and choice.probe.event == SLOT_FREED:
                    self._run_at(candidate, "slots_freed_return", at_return=True)
                if candidate.entry and self._needed(candidate.entry):
                    self._run_at(candidate, candidate.entry, at_return=False)
                functions.append(candidate.function)
            except Exception as error:  # bcc raises nothing more specific
                if self._trampolines is not None:
                    raise
                if choice.probe.required:
                    raise _refused(candidate.function, error) from None
        if choice.probe.every and len(functions) < len(choice.chosen):
            functions = []  # some events would be told of, and others not
        if choice.probe.required and not functions:
            raise choice.no_function()
        by = "trampoline" if self._trampolines is not None else "kprobe"
        return {"event": choice.probe.event, "functions": functions, "by": by if functions else None}

    def _needed(self, program: str) -> bool:
        """Whether a program at an entry is, as things are attached."""
        return self._trampolines is None or program not in self._assembly.left_out

    def _run_at(self, candidate: Candidate, program: str, *, at_return: bool) -> None:
        """Run a program at a function's entry or return."""
        if self._trampolines is not None:
            btf = self._types.module(candidate.module) if candidate.module else self._types.vmlinux
            assert btf is not None  # see why_kprobes
            code = self._bpf.dump_func(program)
            self._attachments[program] = self._trampolines.attach(
                btf, candidate.module, candidate.function, program, code, at_return=at_return
            )
        elif at_return:
            self._bpf.attach_kretprobe(event=candidate.function, fn_name=program)
        else:
            self._bpf.attach_kprobe(event=candidate.function, fn_name=program)

    def _let_go(self) -> None:
        for attachment in self._attachments.values():
            attachment.close()
        self._attachments.clear()
        if self._trampolines is not None:
            self._trampolines.close()
        self._bpf.cleanup()

    def ring(self) -> Ring:
        try:
            records, ends = self._bpf["records"], self._bpf["ring_ends"]
        except KeyError:
            return KernelRing(self._bpf["ring"].map_fd, self._ring_bytes)
        return RecordRing(records.map_fd, ends.map_fd, records_in(self._ring_bytes))

    def lost(self) -> dict[str, int]:
        """Events that found no room in the ring, in slots, by kind."""
        table = self._bpf["lost"]
        counts = lost_by_kind({loss: sum(table[table.Key(loss)]) for loss in LOSSES})
        return {kind.name: count for kind, count in counts.items() if count}

    def left_out(self) -> int:
        """Requests to, and drops by, zram devices whose number is beyond what an event has room for."""
        if "zram.c" not in self._assembly.files:
            return 0
        table = self._bpf["left_out"]
        return int(sum(table[table.Key(0)]))

    def missed(self, wait: Callable[[float], None] = time.sleep) -> dict[str, int]:
        """Events that were not told of because a probe did not run, in slots, by kind.

        A return that the kernel could not follow (it keeps a limited number of calls in mind) leaves a call that was
        entered and never returned. Calls under way look the same, so this looks a few times and takes the least; wait:
        called with the seconds between two looks.
        Programs that were skipped because another one ran on their CPU are counted by the kernel: those of kprobes
        since dd8657894c11 ("bpf: Count missed stats in trace_call_bpf"), 6.7; older ones do not tell.
        """
        skipped = self._skipped()
        least: dict[EventKind, int] = {}
        for _ in range(_LOOKS):
            running = self._running()
            least = {kind: min(running[kind], least.get(kind, running[kind])) for kind in running}
            if not any(least.values()):
                break
            wait(_BETWEEN_LOOKS)
        counts = {kind: least.get(kind, 0) + skipped.get(kind, 0) for kind in EventKind}
        return {kind.name: count for kind, count in counts.items() if count}

    def _running(self) -> dict[EventKind, int]:
        """Slots of calls that were entered and have not returned. Returns are read first: so never too few."""
        table = self._bpf["calls"]
        returned = {loss: sum(int(cpu.returned) for cpu in table[table.Key(loss)]) for loss in LOSSES}
        entered = {loss: sum(int(cpu.entered) for cpu in table[table.Key(loss)]) for loss in LOSSES}
        return lost_by_kind({loss: max(entered[loss] - returned[loss], 0) for loss in LOSSES})

    def _skipped(self) -> dict[EventKind, int]:
        """Runs that the kernel skipped of programs; kprobes' on returns count as not returned, see _running."""
        counts: dict[EventKind, int] = {}
        for choice in self._choices:
            names = {candidate.entry for candidate in choice.chosen}
            if self._trampolines is not None:
                names |= {candidate.exit for candidate in choice.chosen}
            skipped = sum(_recursion_misses(self._descriptor(name)) for name in names if name)
            for kind in LOSSES[NOTIFIED_FREE] if choice.probe.event == NOTIFICATION else (choice.probe.kind,):
                counts[kind] = counts.get(kind, 0) + skipped
        return counts

    def _descriptor(self, program: str) -> int | None:
        """Of a loaded program; None if it was not attached."""
        if program in self._attachments:
            return self._attachments[program].program
        loaded = self._bpf.funcs.get(program.encode())
        return int(loaded.fd) if loaded is not None else None

    def entry_seen(self) -> EntrySeen:
        """What the program saw in zram's table when this process last read a page of a zram device."""
        seen = self._bpf["recorder_entry"][ctypes.c_int(0)]
        return EntrySeen(bool(seen.held), int(seen.size), EventFlag(int(seen.flags)), bool(seen.same_disk))

    def free_path(self) -> FreePath | None:
        """Calls, slots and time (ns) of the slot-free function so far; None if it is not timed."""
        if not self._time_frees:
            return None
        paths = self._bpf["free_paths"][ctypes.c_int(0)]
        calls, slots, ns = (sum(int(getattr(path, name)) for path in paths) for name in ("calls", "slots", "ns"))
        return FreePath(calls=calls, slots=slots, ns=ns)

    def swap_areas(self) -> list[KernelArea]:
        """All areas that are on, in the order of their types, after looking at the kernel's table again.

        The program that looks runs at the return of swapon; a call without a path fails at once and changes nothing.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        libc.swapon(None, 0)
        table = self._bpf["swap_areas"]
        found = (kernel_area(number, table[ctypes.c_int(number)]) for number in range(MAX_SWAP_TYPES))
        return [area for area in found if area is not None]

    def zswap_pools(self) -> int:
        """How many pools zswap has, as of the last look at the areas; 0 if they are not zsmalloc's, or not known."""
        return int(self._bpf["zswap_pool_count"][ctypes.c_int(0)].value) if self._assembly.zswap_pools else 0

    def pool_classes(self, device: Path | None) -> list[int]:
        """The chain length (pages) of each size class of a store's pool, by class; empty if it cannot be told.

        The next look at the areas reads them, from zswap's pool if there is one (all pools of a kernel are alike), or
        else from a zram device's: a page read from that shows the program where it is.
        """
        if not self._assembly.zswap_pools and (
            device is None or not self._assembly.zram_pools or not self._show(device)
        ):
            return []
        self.swap_areas()
        return [int(entry.value) for entry in self._bpf["pool_classes"].values()]

    def _show(self, device: Path) -> bool:
        """Read a page of a device; whether that went well."""
        try:
            read_directly(device, 0)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._let_go()


def _recursion_misses(program: int | None) -> int:
    """Runs of a program that the kernel skipped, as it ran on that CPU already; 0 before 5.12, which does not count."""
    if program is None:
        return 0
    found = re.search(r"^recursion_misses:\s*(\d+)", Path(f"/proc/self/fdinfo/{program}").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def read_directly(device: Path, page: int) -> None:
    """Read a page from the device itself, not from a cache. Raises OSError."""
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:
        os.preadv(descriptor, [mmap.mmap(-1, _PAGE_SIZE)], page * _PAGE_SIZE)
    finally:
        os.close(descriptor)


def _refused(function: str, error: Exception) -> EnvironmentProblem:
    detail = re.sub(r"\s+", " ", str(error))
    return EnvironmentProblem(
        f"the kernel refused a kprobe on {function}: {detail}",
        "see: swaptrace check (kernel lockdown, a notrace function, or kprobes switched off)",
    )
