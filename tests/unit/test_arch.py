"""Registers and system calls of each architecture, compared with the kernel's own headers for programs."""

from __future__ import annotations

import platform
import subprocess

import pytest

from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel.arch import Architecture, architecture

UNMAP = [
    "munmap", "brk", "mmap", "mremap", "madvise", "process_madvise", "shmdt", "shmctl", "close", "truncate",
    "ftruncate", "fallocate", "unlink", "unlinkat", "umount2",
]  # fmt: skip
# As the ABI passes arguments (System V, AMD64 supplement; Procedure Call Standard for the Arm 64-bit Architecture).
X86_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
# struct pt_regs of arch/x86/include/asm/ptrace.h, which is the one that programs see; of 8 bytes each
X86_REGISTERS = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss",
]  # fmt: skip
# struct user_pt_regs (x0 to x30, sp, pc, pstate), then what only the kernel has: orig_x0 and syscallno
ARM_REGISTERS = [*(f"x{n}" for n in range(31)), "sp", "pc", "pstate", "orig_x0", "syscallno"]


def numbers(header: str, *defines: str) -> dict[str, int]:
    """System calls by name, from a header that comes with the C library."""
    source = "".join(f"{name} __NR_{name}\n" for name in (*UNMAP, "execve", "execveat", "swapoff"))
    done = subprocess.run(
        ["gcc", "-E", "-P", *defines, "-include", header, "-"], input=source, capture_output=True, text=True, check=True
    )
    pairs = [line.split() for line in done.stdout.splitlines() if line]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h",),
    "aarch64": ("/usr/include/asm-generic/unistd.h", "-D__BITS_PER_LONG=64"),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_system_calls_have_the_headers_numbers(machine: str) -> None:
    """All of them: a name that is missing from the table is one that the architecture does not have."""
    told = numbers(*HEADERS[machine])
    assert architecture(machine).syscalls == told
    definitions = architecture(machine).definitions()
    assert definitions["SYSCALLS_UNMAP"] == " ".join(f"case {told[name]}:" for name in UNMAP if name in told)
    assert definitions["SYSCALLS_EXEC"] == f"case {told['execve']}: case {told['execveat']}:"
    assert definitions["SYSCALLS_SWAPOFF"] == f"case {told['swapoff']}:"


def registers(row: Architecture, names: list[str]) -> dict[str, object]:
    """What the row says, by the registers' names."""
    at = {8 * number: name for number, name in enumerate(names)}
    return {
        "arguments": tuple(at[offset] for offset in row.arguments),
        "return": at[row.return_value],
        "syscall": at[row.syscall],
    }


def test_registers_are_those_of_the_abi() -> None:
    assert registers(architecture("x86_64"), X86_REGISTERS) == {
        "arguments": X86_ARGUMENTS, "return": "rax", "syscall": "orig_rax",
    }  # fmt: skip
    assert registers(architecture("aarch64"), ARM_REGISTERS) == {
        "arguments": tuple(f"x{n}" for n in range(8)), "return": "x0", "syscall": "syscallno",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "structure", "names"),
    [
        ("/usr/include/x86_64-linux-gnu/asm/ptrace.h", "pt_regs", X86_REGISTERS),
        (None, "user_pt_regs { unsigned long regs[31], sp, pc, pstate; }", ["regs", *ARM_REGISTERS[31:34]]),
    ],
)
def test_registers_lie_where_the_header_has_them(header: str | None, structure: str, names: list[str]) -> None:
    """The order above, checked by the compiler (arm64's headers are not here: the structure is written out)."""
    include = ["-include", header] if header else []
    shift = 0 if header else 30  # x1 to x30 are in regs
    tag, declaration = structure.split()[0], "" if header else f"struct {structure};"
    checks = "".join(
        f'_Static_assert(__builtin_offsetof(struct {tag}, {name}) == {8 * (number + shift * (number > 0))}, "{name}");'
        for number, name in enumerate(names)
    )
    subprocess.run(
        ["gcc", "-fsyntax-only", "-x", "c", *include, "-"], input=declaration + checks, text=True, check=True
    )


def test_constants_for_the_programs() -> None:
    found = architecture("x86_64").definitions()
    arguments = architecture("x86_64").arguments
    assert [found[f"REGS_ARG{n}"] for n in range(6)] == list(arguments)
    assert "REGS_ARG6" not in found
    assert (found["REGS_RETURN"], found["REGS_SYSCALL"], found["THREAD_SIZE"]) == (80, 120, 16384)
    assert (found["REGS_SYSCALL_ARG0"], found["REGS_SYSCALL_ARG1"]) == arguments[:2]
    assert found["SYSCALL_ARGUMENTS(ctx)"] == "ARG(ctx,0)"


def test_names() -> None:
    assert {name: architecture(name).syscall_prefix for name in HEADERS} == {
        "x86_64": "__x64_sys_",
        "aarch64": "__arm64_sys_",
    }
    assert all(architecture(name).machine == name for name in HEADERS)


def test_this_machines_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert architecture() is architecture("aarch64")
    with pytest.raises(EnvironmentProblem) as refused:
        architecture("riscv64")
    assert refused.value.what == "swaptrace cannot record on riscv64 yet"
    assert refused.value.remedy == "record on one of: x86_64, aarch64; reports can be made anywhere"
