"""What the code makes of real kernels and of their traces: the same as before, unless a change means otherwise.

tests/unit/fixtures.py describes the files. A difference here is a difference for users: look at it, then renew.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.events import EventBatch, EventFlag, EventKind, FreeReason
from swaptrace.kernel.arch import architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import MissingLayout, layout
from swaptrace.kernel.probes import PROBES, Symbols, choose, resolve_syscalls
from swaptrace.trace.reader import TraceReader
from swaptrace.tracing.trampolines import why_kprobes
from tests.data.renew import OF_KERNELS, OF_ONE_TRACE, OF_TRACES
from tests.data.trim import trim
from tests.unit.fixtures import DATA, FORMATS, KERNELS, RENEW, TRACE, ZSWAP_OFF, Fixture, fixture, recorded

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from kernels import KERNELS as TABLE

X86 = architecture("x86_64")


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Fixture:
    return fixture(request.param)


def test_every_kernel_of_the_tests_has_fixtures() -> None:
    assert list(TABLE) == KERNELS
    assert [name for name in KERNELS if not (DATA / name / TRACE).exists()] == []


# ------------------------------------------------------------------------------------------------------------ as before


@pytest.mark.parametrize("file", OF_KERNELS)
def test_kernel_as_before(kernel: Fixture, file: str) -> None:
    compare(kernel, file, OF_KERNELS[file](kernel))


@pytest.mark.parametrize("file", OF_TRACES)
@pytest.mark.parametrize("name", [*KERNELS, *FORMATS])
def test_trace_as_before(name: str, file: str) -> None:
    compare(recorded(name), file, OF_TRACES[file](recorded(name)))


def test_what_format_2_has() -> None:
    """Of all that it has more than format 1 had, something is in its trace."""
    reader = TraceReader(DATA / "format2" / TRACE)
    events = EventBatch.concatenate(list(reader)).events
    assert reader.header.format_version == 2 and reader.header.labels == {"made": "golden"}
    flags = events["flags"]
    notified, timed = flags & EventFlag.NOTIFIED > 0, flags & EventFlag.TIMED > 0
    assert (
        0 < np.count_nonzero(timed) < np.count_nonzero(notified) and (events["kind"][notified] == EventKind.FREE).all()
    )
    assert not (events["kind"] == EventKind.NOTIFY).any()
    reasons = set(events["reason"][events["kind"] == EventKind.FREE].tolist())
    assert 0 not in reasons and len(reasons) > 2


@pytest.mark.parametrize("name", OF_ONE_TRACE)
def test_pictures_as_before(name: str) -> None:
    for file, make in OF_ONE_TRACE[name].items():
        compare(fixture(name), file, make(fixture(name)))


def compare(kernel: Fixture, file: str, found: str) -> None:
    golden = DATA / kernel.name / file
    expected = golden.read_text()
    same = alike(json.loads(found), json.loads(expected)) if file.endswith(".json") else found == expected
    if not same:
        now = kernel.folder / f"now-{file}"
        now.write_text(found)
        difference = subprocess.run(["diff", "-u", golden, now], capture_output=True, text=True).stdout
        pytest.fail(f"{kernel.name}: {file} is not what it was; {RENEW}\n{difference[:4000]}", pytrace=False)


def alike(found: Any, expected: Any) -> bool:
    """Equal, but for the last digits of what was divided: processors differ in those."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return list(found) == list(expected) and all(alike(found[name], expected[name]) for name in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if type(found) is float and type(expected) is float:
        return math.isclose(found, expected, rel_tol=1e-12)
    return type(found) is type(expected) and bool(found == expected)


def test_alike() -> None:
    assert alike({"a": [1, 0.1 + 0.2]}, {"a": [1, 0.3]})
    for other in ({"a": [1, 0.3001]}, {"a": [1]}, {"b": [1, 0.3]}, {"a": [True, 0.3]}, {"a": [2, 0.3]}, {"a": None}):
        assert not alike({"a": [1, 0.3]}, other)


# ----------------------------------------------------------------------------------------------------------- the traces


def test_traces_are_rich() -> None:
    """What is in none of them, they say nothing about: all kinds, and the flags and reasons that are not rare."""
    batches = [EventBatch.concatenate(list(TraceReader(DATA / name / TRACE))) for name in KERNELS]
    events = np.concatenate([batch.events for batch in batches])
    kinds = {int(kind) for kind in events["kind"]}
    # the first two become names, no write failed, and these recorders did not read the swap map
    lacking = {EventKind.TASK, EventKind.PATH, EventKind.FAILED, EventKind.IN_USE}
    assert kinds == set(EventKind) - lacking
    reasons = {int(reason) - 1 for reason in events[events["kind"] == EventKind.FREE]["reason"]}
    assert reasons >= set(FreeReason) - {FreeReason.OTHER}
    flags = EventFlag(int(np.bitwise_or.reduce(events[events["kind"] != EventKind.FREE]["flags"])))
    wanted = EventFlag.SAME | EventFlag.HUGE | EventFlag.DROPPED | EventFlag.REPLACED
    assert flags & wanted == wanted
    assert {call.call for batch in batches for call in batch.calls} == {"swapon", "swapoff"}


def test_traces_are_small(kernel: Fixture) -> None:
    assert (DATA / kernel.name / TRACE).stat().st_size < 200_000


# Numbers in the files of format 1. New ones may come; these stay, or else the format's version changes.
FORMAT_1 = {
    EventKind: "SWAPON=1 SWAPOFF=2 STORE=3 LOAD=4 FREE=5 DROP=6 NOTIFY=7 TASK=8 PRESENT=9 RESET=10 ALLOC=11 MOVED=12 "
    "DISCARD=13",
    EventFlag: "SAME=1 HUGE=2 WRITTEN_BACK=4 GONE=8 DROPPED=16 MISSED=32 SELF=64 REPLACED=128",
    FreeReason: "OTHER=0 EXIT=1 SWAPIN=2 UNMAP=3 SWAPOFF=4 RECLAIM=5",
}


@pytest.mark.parametrize("enum", FORMAT_1)
def test_numbers_of_format_1(enum: type[IntEnum] | type[IntFlag]) -> None:
    written = {name: int(number) for name, number in (pair.split("=") for pair in FORMAT_1[enum].split())}
    assert {name: enum[name].value for name in written} == written


def test_trace_is_neutral(kernel: Fixture) -> None:
    """It says nothing of the machine that it was captured on: the host's name is the virtual machine's."""
    header = TraceReader(DATA / kernel.name / TRACE).header
    assert header.host in ("guest", "virtme-ng") and header.command == ()
    assert header.kernel == kernel.facts["release"]


def test_model_is_as_the_kernels_counters(kernel: Fixture) -> None:
    """The last area of each store, of a trace that has an end: equal to what mm_stat said then."""
    report = json.loads((DATA / kernel.name / "report.json").read_text())
    last = {area["store"]: area for area in report["areas"] if area["store"]}
    compared = [
        (area["device"], name, area[name], value)
        for area in last.values()
        for name, value in area["kernel"].items()
        if name in ("pages_stored", "same_pages", "huge_pages", "orig_data_size", "compr_data_size")
        and value is not None
    ]
    assert all(model == value for _, _, model, value in compared), compared
    assert bool(compared) == report["trace"]["complete"]


# ------------------------------------------------------------------------------------------------------ what is missing


def rewritten(kernel: Fixture, folder: Path, *, symbol: str = "", struct: str = "") -> tuple[KernelTypes, Symbols]:
    """The kernel without one symbol, or without one structure."""
    lines = (kernel.folder / "kallsyms").read_text().splitlines()
    (folder / "kallsyms").write_text("".join(f"{line}\n" for line in lines if line.split()[2] != symbol))
    btf = {path.name: path.read_bytes() for path in (kernel.folder / "btf").iterdir()}
    base, modules = trim(btf.pop("vmlinux"), btf, lambda kind, name: (kind, name) != ("struct", struct))
    (folder / "btf").mkdir()
    for name, data in {"vmlinux": base, **modules}.items():
        (folder / "btf" / name).write_bytes(data)
    return KernelTypes(folder / "btf"), Symbols(folder / "kallsyms")


def test_without_any_of_its_functions(kernel: Fixture, tmp_path: Path) -> None:
    """Each function that was chosen: without it, the event has another one, or the function's name in its reasons."""
    for number, choice in enumerate(kernel.choices()):
        for candidate in choice.chosen:
            folder = tmp_path / f"{number}-{candidate.function}"
            folder.mkdir()
            types, symbols = rewritten(kernel, folder, symbol=candidate.function)
            changed = choose(types, symbols, X86, ZSWAP_OFF)[number]
            assert candidate not in changed.chosen
            if choice.probe.every or not changed.chosen:
                where = f"the {candidate.module} module (or it is not loaded)" if candidate.module else "this kernel"
                assert any(problem.startswith(f"{where} has no {candidate.function}") for problem in changed.problems)


@pytest.mark.parametrize(
    ("struct", "constants"),
    [
        ("swap_info_struct", {"OFF_SWAP_TYPE", "OFF_SWAP_FLAGS", "OFF_SWAP_PRIO", "OFF_SWAP_PAGES", "OFF_SWAP_FILE"}),
        ("gendisk", {"OFF_DISK_PRIVATE", "OFF_DISK_MINOR"}),
        ("task_struct", {"OFF_TASK_FLAGS", "OFF_TASK_STACK"}),
    ],
)
def test_without_a_structure(kernel: Fixture, tmp_path: Path, struct: str, constants: set[str]) -> None:
    types, _ = rewritten(kernel, tmp_path, struct=struct)
    with pytest.raises(MissingLayout) as raised:
        layout(types, zram=True)
    assert constants <= set(raised.value.names)
    assert not {name for name in raised.value.names if name.startswith(("OFF_BIO", "OFF_ZRAM"))}


def test_without_memory_cgroups(kernel: Fixture, tmp_path: Path) -> None:
    """Which is no error: cgroups are not told then."""
    types, _ = rewritten(kernel, tmp_path, struct="mem_cgroup")
    whole, without = layout(kernel.types, zram=True), layout(types, zram=True)
    assert {name for name in whole if name not in without} == {
        "OFF_PAGE_MEMCG", "OFF_OBJCG_MEMCG", "OFF_MEMCG_SUBSYSTEM", "OFF_MEMCG_CGROUP", "OFF_MEMCG_SERIAL",
        "OFF_CGROUP_NODE", "OFF_NODE_ID",
    }  # fmt: skip
    assert without.items() <= whole.items()


def test_candidates_are_served_by_programs_that_exist() -> None:
    """Each program that the table names is a function of bpf/."""
    text = "".join(path.read_text() for path in (DATA.parents[1] / "bpf").glob("*.c"))
    for probe in PROBES:
        for candidate in probe.candidates:
            for program in (candidate.entry, candidate.exit):
                assert program is None or f"\nint {program}(void *ctx)\n" in text


# ------------------------------------------------------------------------------------------------------------ registers


def test_registers_lie_where_the_kernel_says(kernel: Fixture) -> None:
    """System V psABI for AMD64: arguments in rdi, rsi, rdx, rcx, r8, r9, the result in rax."""

    def place(register: str) -> int:
        field = kernel.types.vmlinux.field(f"pt_regs.{register}")
        assert field is not None and field.size == 8
        return field.offset

    assert X86.arguments == tuple(map(place, ("di", "si", "dx", "cx", "r8", "r9")))
    assert (X86.return_value, X86.syscall) == (place("ax"), place("orig_ax"))
    wrappers = {f"{X86.syscall_prefix}swapon", f"{X86.syscall_prefix}swapoff"}
    assert kernel.symbols.addresses(wrappers).keys() == wrappers


# ---------------------------------------------------------------------------------------------- kprobes, or trampolines


class Libbpf:
    """One of 1.0 or later has this."""

    libbpf_major_version = 1


def test_what_each_kernel_is_attached_by(kernel: Fixture, tmp_path: Path) -> None:
    """With the mode of preemption that it was captured with, and with each one that it can be told to have."""
    choices = kernel.choices()

    def reason(text: str | None, version: str | None = None) -> str:
        preempt = tmp_path / "sys/kernel/debug/sched/preempt"
        preempt.parent.mkdir(parents=True, exist_ok=True)
        preempt.unlink(missing_ok=True)
        if text is not None:
            preempt.write_text(text)
        return why_kprobes(
            choices,
            kernel.types,
            kernel.symbols,
            lib=Libbpf(),
            root=tmp_path,
            version=version or kernel.facts["version"],
        )

    untyped, preempts = "the kernel has no type information for the module zram", "the kernel preempts itself"
    expected = {"5.10": untyped, "6.1": "", "6.12": "", "6.18": preempts, "7.3": preempts}
    assert reason(kernel.facts["files"].get("sys/kernel/debug/sched/preempt")) == expected[kernel.name]
    if not kernel.typed:
        return
    for mode in ("none", "voluntary", "full", "lazy"):
        modes = "none voluntary full lazy\n".replace(mode, f"({mode})")
        assert reason(modes) == ("" if mode in ("none", "voluntary") else preempts)
    assert reason(None, "#1 SMP Debian 6.1.1-1") == ""
    assert reason(None, "#1 SMP PREEMPT Debian 6.1.1-1") == reason(None, "#1 SMP PREEMPT_DYNAMIC Debian") == preempts


def test_what_else_rules_trampolines_out(kernel: Fixture, tmp_path: Path) -> None:
    calm = tmp_path / "sys/kernel/debug/sched/preempt"
    calm.parent.mkdir(parents=True)
    calm.write_text("none (voluntary) full\n")
    _, symbols = rewritten(kernel, tmp_path, symbol="bpf_trampoline_link_prog")
    of_swap = [choice for choice in kernel.choices() if not any(c.module for c in choice.chosen)]
    assert why_kprobes(of_swap, kernel.types, kernel.symbols, lib=Libbpf(), root=tmp_path) == ""
    assert "trampolines" in why_kprobes(of_swap, kernel.types, symbols, lib=Libbpf(), root=tmp_path)
    assert "libbpf" in why_kprobes(of_swap, kernel.types, kernel.symbols, lib=object(), root=tmp_path)
    with_zswap = kernel.choices(zswap=True)
    assert "zswap" in why_kprobes(with_zswap, kernel.types, kernel.symbols, lib=Libbpf(), root=tmp_path)


def test_programs_of_one_kernel_have_one_function_each(kernel: Fixture) -> None:
    """By kprobes, a program may serve several functions; by trampolines, it has the arguments of one."""

    def attached() -> Iterator[str]:
        for choice in kernel.choices():
            for candidate in choice.chosen:
                yield from filter(None, (resolve_syscalls(candidate, X86).entry, candidate.exit))

    programs = list(attached())
    assert len(programs) == len(set(programs))
