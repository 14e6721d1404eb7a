"""bpf/summary.c as an ordinary library: what is a map to the kernel is an array here, and there is one processor."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from swaptrace.events import EVENT
from swaptrace.events import c_definitions as event_definitions
from swaptrace.summary.figures import Limits, c_definitions
from swaptrace.summary.state import Maps

SOURCE = Path(__file__).parents[2] / "bpf" / "summary.c"

_PRELUDE = """
#include <stdbool.h>
#include <string.h>
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
static u32 processor;
#define bpf_get_smp_processor_id() (processor)
#define BPF_F_TABLE(kind, key, leaf, name, length, flags) \\
	leaf name##_array[length]; \\
	static leaf *name##_lookup(key *place) { return *place < (length) ? &name##_array[*place] : 0; } \\
	static struct { leaf *(*lookup)(key *); } name = {name##_lookup};
"""

_EPILOGUE = """
/* Events in order; every one of them on the next processor. */
void feed(struct event *events, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		processor = i % PROCESSORS;
		if (summarising())
			summarise(summarising(), &events[i], events[i].kind);
	}
}
"""


class NativeSummary:
    """The state machine. Reset it before each stream."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.limits = limits
        source, library = folder / "summary.c", folder / "summary.so"
        source.write_text(
            f"#define PROCESSORS {limits.processors}\n"
            + _PRELUDE
            + event_definitions()
            + c_definitions(limits)
            + SOURCE.read_text()
            + _EPILOGUE,
            encoding="utf-8",
        )
        warnings = ("-Wall", "-Werror", "-Wno-unused-function")
        subprocess.run(["gcc", "-O1", *warnings, "-shared", "-fPIC", "-o", library, source], check=True)
        self._library = ctypes.CDLL(str(library))
        self._whole: list[np.ndarray] = []
        self.maps = Maps.of(limits, self._array)

    def _array(self, name: str, dtype: np.dtype[np.void], length: int) -> np.ndarray:
        memory = (ctypes.c_char * (dtype.itemsize * length)).in_dll(self._library, f"summary_{name}_array")
        self._whole.append(np.frombuffer(memory, dtype))
        return self._whole[-1]

    def reset(self) -> None:
        for array in self._whole:
            array.view(np.uint8)[...] = 0

    def feed(self, events: np.ndarray) -> None:
        assert events.dtype == EVENT
        events = np.ascontiguousarray(events)
        self._library.feed(events.ctypes.data_as(ctypes.c_void_p), ctypes.c_ulong(len(events)))
