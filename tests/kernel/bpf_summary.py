"""bpf/summary.c in the running kernel, event by event, through BPF_PROG_TEST_RUN: no event has to happen for it.

A stand-in for tests/unit/native_summary.py, compiled by BCC and taken by the kernel's verifier. As root.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from importlib import resources

import numpy as np

from swaptrace.events import EVENT, EventKind
from swaptrace.events import c_definitions as event_definitions
from swaptrace.live.programs import compile_programs, import_bcc
from swaptrace.summary.figures import Limits, c_definitions
from swaptrace.summary.state import Maps

KINDS = [kind for kind in EventKind if kind not in (EventKind.TASK, EventKind.PRESENT)]
_MAP = 'BPF_F_TABLE("array", u32, struct event, fed, 1, SUMMARY_MMAPABLE);\n'
_PROGRAM = """
int feed_{kind}(void *ctx)
{{
	u32 zero = 0;
	struct event *next = fed.lookup(&zero), event;
	struct figures *figures = summarising();

	if (!next || !figures)
		return 0;
	event = *next;
	summarise(figures, &event, EVENT_{kind});
	return 0;
}}
"""
_ON_CPU = 1  # BPF_F_TEST_RUN_ON_CPU


class _Options(ctypes.Structure):
    """struct bpf_test_run_opts (tools/lib/bpf/bpf.h)."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("data_in", "data_out")),
        *((name, ctypes.c_uint32) for name in ("data_size_in", "data_size_out")),
        *((name, ctypes.c_void_p) for name in ("ctx_in", "ctx_out")),
        *((name, ctypes.c_uint32) for name in ("ctx_size_in", "ctx_size_out", "retval")),
        ("repeat", ctypes.c_int),
        *((name, ctypes.c_uint32) for name in ("duration", "flags", "cpu", "batch_size")),
    )


class BpfSummary:
    """The state machine. Reset it before each stream."""

    def __init__(self, limits: Limits) -> None:
        bcc = import_bcc()
        source = event_definitions() + c_definitions(limits)
        source += (resources.files("swaptrace.bpf") / "summary.c").read_text() + _MAP
        source += "".join(_PROGRAM.format(kind=kind.name) for kind in KINDS)
        self._bpf = compile_programs(bcc, source)
        # a raw tracepoint's program is what the kernel runs for a test
        self._programs = {kind: self._bpf.load_func(f"feed_{kind.name}", bcc.BPF.RAW_TRACEPOINT).fd for kind in KINDS}
        self._library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        self._whole: list[np.ndarray] = []
        self._fed = np.frombuffer(mmap.mmap(self._bpf["fed"].map_fd, EVENT.itemsize), EVENT, 1)
        self.maps = Maps.of(limits, self._array)

    def _array(self, name: str, dtype: np.dtype, length: int) -> np.ndarray:
        memory = mmap.mmap(self._bpf[f"summary_{name}"].map_fd, dtype.itemsize * length)
        self._whole.append(np.frombuffer(memory, dtype, length))
        return self._whole[-1]

    def reset(self) -> None:
        for array in self._whole:
            array.view(np.uint8)[...] = 0

    def feed(self, events: np.ndarray) -> None:
        """Events in order, every one of them on the next processor."""
        processors = sorted(os.sched_getaffinity(0))
        for number, event in enumerate(events):
            self._fed[0] = event
            options = _Options(sz=ctypes.sizeof(_Options), flags=_ON_CPU, cpu=processors[number % len(processors)])
            result = self._library.bpf_prog_test_run_opts(self._programs[int(event["kind"])], ctypes.byref(options))
            if result:
                raise OSError(ctypes.get_errno(), f"BPF_PROG_TEST_RUN of {event}")
