"""The running kernel's own memory, read through /proc/kcore: root only, and not where the kernel is locked down.

What BPF programs read one word at a time at some event, this reads as a whole, at a moment of one's own choosing. The
kernel copies what is there without a lock: who reads something that changes has to find out by himself.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import numpy as np

_POINTER = np.dtype(np.uint64)
# Elf64_Ehdr and Elf64_Phdr (include/uapi/linux/elf.h); fs/proc/kcore.c has one segment for each piece of memory
_FILE = np.dtype(
    {"names": ["place", "count"], "formats": ["u8", "u2"], "offsets": [32, 56], "itemsize": 64},
)  # fmt: skip
_SEGMENT = np.dtype(
    [(name, "u4") for name in ("type", "flags")]
    + [(name, "u8") for name in ("place", "address", "physical", "in_file", "size", "alignment")]
)
_LOAD = 1  # PT_LOAD


class KernelMemory:
    """Use: `with KernelMemory() as memory`. Raises OSError if it cannot be read."""

    def __init__(self, path: Path = Path("/proc/kcore")) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = np.frombuffer(self._at(0, _FILE.itemsize), _FILE)[0]
            table = self._at(int(head["place"]), int(head["count"]) * _SEGMENT.itemsize)
        except OSError:
            self.close()
            raise
        segments = np.frombuffer(table, _SEGMENT)
        self._segments = segments[segments["type"] == _LOAD]

    def __enter__(self) -> KernelMemory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._file)

    def read(self, address: int, size: int) -> bytes:
        """That many bytes from there on. Raises OSError for what is no memory of the kernel's."""
        there = self._segments["address"]
        mine = (there <= address) & (np.uint64(address) - there < self._segments["size"])
        if not address or not mine.any():
            raise OSError(f"{address:#x} is no address of the kernel's")
        segment = self._segments[mine][0]
        return self._at(int(segment["place"]) + address - int(segment["address"]), size)

    def pointer(self, address: int) -> int:
        """The pointer that is stored there."""
        return int(np.frombuffer(self.read(address, _POINTER.itemsize), _POINTER)[0])

    def _at(self, place: int, size: int) -> bytes:
        parts = []
        while size:
            part = os.pread(self._file, min(size, 1 << 20), place)
            if not part:
                raise OSError("the kernel's memory ends there")
            parts.append(part)
            place, size = place + len(part), size - len(part)
        return b"".join(parts)
