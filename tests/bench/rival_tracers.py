"""Two straightforward tools for the same events, to compare with: BCC with a perf buffer and a callback, and bpftrace.

Usage: rival_tracers.py bcc|bpftrace|empty OUTPUT. Both write a line for each slot freed, page stored with its
compressed size, entry dropped, and notification with its duration, until they get SIGINT. For kernels that write 4K
pages through zram_rw_page() (up to 6.2). `empty` attaches programs that do nothing, where swaptrace attaches its own.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import layout

PROGRAMS = """
struct event { u64 time; u64 slot; u64 duration; u32 size; u32 tgid; u32 kind; u32 run; };
struct io { u64 table; u64 index; u32 write; };
BPF_PERF_OUTPUT(events);
BPF_HASH(running, u64, struct io);
BPF_HASH(notifying, u64, struct event);

#define READ(variable, address) bpf_probe_read_kernel(&variable, sizeof(variable), (void *)(address))

static u32 entry_size(u64 table, u64 index) {
    u32 flags = 0;
    READ(flags, table + index * SIZE_ZRAM_ENTRY + OFF_ZRAM_FLAGS);
    return flags & ((1 << ZRAM_FLAG_SHIFT) - 1);
}

static void tell(void *ctx, u32 kind, u64 slot, u32 run, u32 size, u64 duration) {
    struct event event = {};
    event.time = bpf_ktime_get_ns();
    event.tgid = bpf_get_current_pid_tgid() >> 32;
    event.kind = kind; event.slot = slot; event.run = run; event.size = size; event.duration = duration;
    events.perf_submit(ctx, &event, sizeof(event));
}

int freed(struct pt_regs *ctx) { tell(ctx, 'F', ARG1, ARG2, 0, 0); return 0; }

int io_enter(struct pt_regs *ctx) {
    u64 disk = 0, zram = 0, id = bpf_get_current_pid_tgid();
    struct io io = {};
    READ(disk, ARG0 + OFF_BDEV_DISK);
    READ(zram, disk + OFF_DISK_PRIVATE);
    READ(io.table, zram + OFF_ZRAM_TABLE);
    io.index = ARG1 >> 3;
    io.write = ARG3 & 1;
    running.update(&id, &io);
    return 0;
}

int io_return(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct io *io = running.lookup(&id);
    if (!io) return 0;
    if (io->write) tell(ctx, 'S', io->index, 1, entry_size(io->table, io->index), 0);
    else tell(ctx, 'L', io->index, 1, 0, 0);
    running.delete(&id);
    return 0;
}

int dropped(struct pt_regs *ctx) {
    u64 table = 0, handle = 0;
    READ(table, ARG0 + OFF_ZRAM_TABLE);
    READ(handle, table + ARG1 * SIZE_ZRAM_ENTRY + OFF_ZRAM_HANDLE);
    if (handle) tell(ctx, 'D', ARG1, 1, entry_size(table, ARG1), 0);
    return 0;
}

int notify_enter(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct event event = {};
    event.time = bpf_ktime_get_ns();
    event.slot = ARG1;
    notifying.update(&id, &event);
    return 0;
}

int notify_return(struct pt_regs *ctx) {
    u64 id = bpf_get_current_pid_tgid();
    struct event *event = notifying.lookup(&id);
    if (!event) return 0;
    tell(ctx, 'N', event->slot, 1, 0, bpf_ktime_get_ns() - event->time);
    notifying.delete(&id);
    return 0;
}
"""
REGISTERS = {"ARG0": 112, "ARG1": 104, "ARG2": 96, "ARG3": 88}  # x86-64

BPFTRACE = """
kprobe:swap_range_free { printf("F %lld %d %lld %lld\\n", nsecs, pid, arg1, arg2); }
kprobe:zram_rw_page {
    $zram = *(uint64 *)(*(uint64 *)(arg0 + OFF_BDEV_DISK) + OFF_DISK_PRIVATE);
    @table[tid] = *(uint64 *)($zram + OFF_ZRAM_TABLE); @index[tid] = arg1 >> 3; @write[tid] = arg3 & 1;
}
kretprobe:zram_rw_page /@table[tid]/ {
    if (@write[tid]) {
        $flags = *(uint32 *)(@table[tid] + @index[tid] * SIZE_ZRAM_ENTRY + OFF_ZRAM_FLAGS);
        printf("S %lld %d %lld %d\\n", nsecs, pid, @index[tid], $flags & ((1 << ZRAM_FLAG_SHIFT) - 1));
    } else { printf("L %lld %d %lld\\n", nsecs, pid, @index[tid]); }
    delete(@table[tid]); delete(@index[tid]); delete(@write[tid]);
}
kprobe:zram_free_page {
    $entry = *(uint64 *)(arg0 + OFF_ZRAM_TABLE) + arg1 * SIZE_ZRAM_ENTRY;
    if (*(uint64 *)($entry + OFF_ZRAM_HANDLE)) {
        $flags = *(uint32 *)($entry + OFF_ZRAM_FLAGS);
        printf("D %lld %d %lld %d\\n", nsecs, pid, arg1, $flags & ((1 << ZRAM_FLAG_SHIFT) - 1));
    }
}
kprobe:zram_slot_free_notify { @start[tid] = nsecs; @slot[tid] = arg1; }
kretprobe:zram_slot_free_notify /@start[tid]/ {
    printf("N %lld %d %lld %lld\\n", nsecs, pid, @slot[tid], nsecs - @start[tid]);
    delete(@start[tid]); delete(@slot[tid]);
}
"""


def constants() -> dict[str, int]:
    """What both take from the kernel's type information."""
    names = ("OFF_BDEV_DISK", "OFF_DISK_PRIVATE", "OFF_ZRAM_TABLE", "OFF_ZRAM_FLAGS", "OFF_ZRAM_HANDLE")
    found = layout(KernelTypes(), zram=True)
    return {name: found[name] for name in (*names, "SIZE_ZRAM_ENTRY", "ZRAM_FLAG_SHIFT")}


def with_bcc(output: Path) -> None:
    """The tool that BCC's tutorial leads to: a perf buffer, and a Python function for each event."""
    from swaptrace.tracing.programs import compile_programs, import_bcc

    flags = {**constants(), **{name: f"(*(u64 *)((void *)ctx + {at}))" for name, at in REGISTERS.items()}}
    text = "".join(f"#define {name} {value}\n" for name, value in flags.items()) + PROGRAMS
    bpf = compile_programs(import_bcc(), text)
    bpf.attach_kprobe(event="swap_range_free", fn_name="freed")
    bpf.attach_kretprobe(event="zram_rw_page", fn_name="io_return")
    bpf.attach_kprobe(event="zram_rw_page", fn_name="io_enter")
    bpf.attach_kprobe(event="zram_free_page", fn_name="dropped")
    bpf.attach_kretprobe(event="zram_slot_free_notify", fn_name="notify_return")
    bpf.attach_kprobe(event="zram_slot_free_notify", fn_name="notify_enter")
    with output.open("w") as file:

        def handle(_processor: int, data: int, _size: int) -> None:
            event = bpf["events"].event(data)
            file.write(f"{chr(event.kind)} {event.time} {event.tgid} {event.slot} {event.size} {event.duration}\n")

        bpf["events"].open_perf_buffer(handle, page_cnt=1024)
        print("ready", flush=True)
        try:
            while True:
                bpf.perf_buffer_poll()
        except KeyboardInterrupt:
            pass


def with_bpftrace(output: Path) -> None:
    text = BPFTRACE
    for name, value in constants().items():
        text = text.replace(name, str(value))
    environment = {**os.environ, "BPFTRACE_PERF_RB_PAGES": "1024"}
    os.execvpe("bpftrace", ["bpftrace", "-o", str(output), "-e", text], environment)


def empty(_output: Path) -> None:
    """The least that swaptrace's probes can cost: what the kernel does to run a program and come back."""
    from swaptrace.kernel.arch import architecture
    from swaptrace.kernel.btf import libbpf
    from swaptrace.kernel.probes import Symbols, choose
    from swaptrace.tracing.assembly import left_out
    from swaptrace.tracing.environment import features_off
    from swaptrace.tracing.programs import compile_programs, import_bcc
    from swaptrace.tracing.trampolines import Trampolines, why_kprobes

    types, symbols = KernelTypes(), Symbols()
    code = compile_programs(import_bcc(), "int nothing(void *ctx) { return 0; }").dump_func("nothing")
    choices = choose(types, symbols, architecture(), off=features_off())
    assert not why_kprobes(choices, types, symbols)
    trampolines, needless = Trampolines(libbpf()), left_out(choices, symbols)
    for choice in choices:
        for candidate in choice.chosen:
            btf = types.module(candidate.module) if candidate.module else types.vmlinux
            assert btf is not None
            for program, at_return in ((candidate.entry, False), (candidate.exit, True)):
                if program and program not in needless:
                    where = (btf, candidate.module, candidate.function)
                    trampolines.attach(*where, "nothing", code, at_return=at_return)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    {"bcc": with_bcc, "bpftrace": with_bpftrace, "empty": empty}[sys.argv[1]](Path(sys.argv[2]))
