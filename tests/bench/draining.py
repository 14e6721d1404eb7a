"""Draining a ring buffer: all at once, and with a Python callback an event, from the same ring.

The kernel fills the ring, from a raw tracepoint, where BCC and the right to load programs are at hand.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EVENT, c_definitions
from swaptrace.tracing import ring
from swaptrace.tracing.programs import compile_programs, import_bcc

__all__ = ["FullRing", "KernelRing"]

_A_CALL = 64  # records
_SOURCE = """
BPF_RINGBUF_OUTPUT(ring, RING_PAGES);
RAW_TRACEPOINT_PROBE(sys_enter) {
    if (bpf_get_current_pid_tgid() >> 32 != FILLER || ctx->args[1] != CALL)
        return 0;
    struct event event = {};
    event.time = bpf_ktime_get_ns();
    event.run = 1;
    for (int i = 0; i < A_CALL; i++) {
        event.slot = i;
        ring.ringbuf_output(&event, sizeof(event), BPF_RB_NO_WAKEUP);
    }
    return 0;
}
"""
_GETPPID = {"x86_64": 110, "aarch64": 173}


class KernelRing:
    """A ring that the kernel fills whenever this process calls getppid."""

    def __init__(self, size: int = 1 << 23) -> None:
        """Raises EnvironmentProblem where that cannot be."""
        source = f"#define RING_PAGES {size // os.sysconf('SC_PAGE_SIZE')}\n#define FILLER {os.getpid()}\n"
        source += f"#define A_CALL {_A_CALL}\n#define CALL {_GETPPID[os.uname().machine]}\n" + c_definitions() + _SOURCE
        self._bpf: Any = compile_programs(import_bcc(), source)
        self.ring = ring.KernelRing(self._bpf["ring"].map_fd, size)
        self.events = size // (EVENT.itemsize + 8) // _A_CALL * _A_CALL
        self._seen = 0
        self._table = self._bpf["ring"]
        self._table.open_ring_buffer(self._handle)

    def _handle(self, _: object, data: int, size: int) -> None:
        """The least that a callback does: look at one field of the event."""
        self._seen += self._table.event(data).run

    def fill(self) -> None:
        for _ in range(self.events // _A_CALL):
            os.getppid()

    def at_once(self) -> int:
        return len(self.ring.drain())

    def by_callback(self) -> int:
        self._seen = 0
        self._bpf.ring_buffer_consume()
        return self._seen

    def close(self) -> None:
        self._bpf.cleanup()


class FullRing:
    """A ring as the programs fill it, full of given events, to be drained again and again."""

    def __init__(self, events: NDArray[np.void]) -> None:
        record = np.dtype([("number", np.uint64), ("event", EVENT)])
        count = 1 << (len(events) - 1).bit_length()
        records = np.zeros(count, record)
        records["number"][: len(events)], records["event"][: len(events)] = np.arange(1, len(events) + 1), events
        self._files = os.memfd_create("records"), os.memfd_create("ends")
        os.ftruncate(self._files[0], -(-records.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE)
        os.pwrite(self._files[0], records.tobytes(), 0)
        os.ftruncate(self._files[1], mmap.PAGESIZE)
        os.pwrite(self._files[1], len(events).to_bytes(8, "little"), 0)
        self._ring = ring.RecordRing(*self._files, count)

    def drain(self) -> NDArray[np.void]:
        os.pwrite(self._files[1], bytes(8), 64)  # the consumer is back at the beginning
        return self._ring.drain()
