"""What differs between processor architectures: registers, system call numbers. One row each.

The BPF programs take arguments from the saved registers by offset (struct pt_regs, arch/*/include/asm/ptrace.h), so
that they need no kernel header. What is the same on all 64-bit machines has no place here: a swap entry, for one, is
split at bit 58 everywhere (include/linux/swapops.h), whatever the page table's entries look like.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from swaptrace.errors import EnvironmentProblem

# System calls by which a task gives memory up, so that the slots it holds are freed (FreeReason.UNMAP) ...
_UNMAP = (
    "munmap", "brk", "mmap", "mremap", "madvise", "process_madvise", "shmdt", "shmctl", "close", "truncate",
    "ftruncate", "fallocate", "unlink", "unlinkat", "umount2",
)  # fmt: skip
# ... replaces all of it (FreeReason.EXIT), or takes the area away.
_EXEC = ("execve", "execveat")
_SWAPOFF = ("swapoff",)


@dataclass(frozen=True)
class Architecture:
    """Offsets are bytes into struct pt_regs; `syscalls` are numbers by name (a name may be missing)."""

    machine: str
    arguments: tuple[int, ...]
    return_value: int
    syscall: int
    syscall_prefix: str
    thread_size: int
    syscalls: dict[str, int]

    def definitions(self) -> dict[str, str | int]:
        """The constants for the BPF programs."""
        return {
            **{f"REGS_ARG{n}": offset for n, offset in enumerate(self.arguments)},
            "REGS_RETURN": self.return_value,
            "REGS_SYSCALL": self.syscall,
            "REGS_SYSCALL_ARG0": self.arguments[0],
            "REGS_SYSCALL_ARG1": self.arguments[1],
            # a system call's wrapper has one argument: the registers of user space (CONFIG_ARCH_HAS_SYSCALL_WRAPPER)
            "SYSCALL_ARGUMENTS(ctx)": "ARG(ctx,0)",
            "THREAD_SIZE": self.thread_size,
            "SYSCALLS_UNMAP": self._cases(_UNMAP),
            "SYSCALLS_EXEC": self._cases(_EXEC),
            "SYSCALLS_SWAPOFF": self._cases(_SWAPOFF),
        }

    def _cases(self, names: tuple[str, ...]) -> str:
        return " ".join(f"case {self.syscalls[name]}:" for name in names if name in self.syscalls)


_ARCHITECTURES = {
    "x86_64": Architecture(
        machine="x86_64",
        arguments=(112, 104, 96, 88, 72, 64),  # di, si, dx, cx, r8, r9
        return_value=80,  # ax
        syscall=120,  # orig_ax: -1 in an exception (arch/x86/entry/entry_64.S)
        syscall_prefix="__x64_sys_",
        thread_size=16384,
        syscalls={
            "close": 3, "mmap": 9, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28, "shmctl": 31, "execve": 59,
            "shmdt": 67, "truncate": 76, "ftruncate": 77, "unlink": 87, "umount2": 166, "swapoff": 168,
            "unlinkat": 263, "fallocate": 285, "execveat": 322, "process_madvise": 440,
        },
    ),
    "aarch64": Architecture(
        machine="aarch64",
        arguments=(0, 8, 16, 24, 32, 40, 48, 56),  # struct user_pt_regs: x0 to x7
        return_value=0,  # x0
        syscall=280,  # syscallno, behind orig_x0: -1 (NO_SYSCALL) in an exception (arch/arm64/kernel/entry.S)
        syscall_prefix="__arm64_sys_",
        # 16 KiB, and at least a page (arch/arm64/include/asm/memory.h)
        thread_size=max(16384, os.sysconf("SC_PAGE_SIZE")),
        # include/uapi/asm-generic/unistd.h
        syscalls={
            "unlinkat": 35, "umount2": 39, "truncate": 45, "ftruncate": 46, "fallocate": 47, "close": 57, "shmctl": 195,
            "shmdt": 197, "brk": 214, "munmap": 215, "mremap": 216, "execve": 221, "mmap": 222, "swapoff": 225,
            "madvise": 233, "execveat": 281, "process_madvise": 440,
        },
    ),
}  # fmt: skip


def architecture(machine: str | None = None) -> Architecture:
    """The row of this machine (or of the one named as `uname -m` names it).

    Raises EnvironmentProblem for an architecture without a row.
    """
    machine = machine or platform.machine()
    try:
        return _ARCHITECTURES[machine]
    except KeyError:
        raise EnvironmentProblem(
            f"swaptrace cannot record on {machine} yet",
            f"record on one of: {', '.join(_ARCHITECTURES)}; reports can be made anywhere",
        ) from None
