"""A workload whose swapping is known page by page: processes that page out, read back, and exit on command.

Used by selftest, the demo and the kernel tests. What really is in swap, the kernel says itself (/proc/self/pagemap).
"""

from __future__ import annotations

import itertools
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAGE_SIZE = mmap.PAGESIZE
_MADV_NOHUGEPAGE = 15
_MADV_PAGEOUT = 21  # since 5.4; Python does not name it
_SWAPPED = np.uint64(1 << 62)  # Documentation/admin-guide/mm/pagemap.rst
_PRESENT = np.uint64(1 << 63)

Pages = NDArray[np.uint8]


def _random(pages: int, rng: np.random.Generator) -> Pages:
    return rng.integers(0, 256, (pages, PAGE_SIZE), np.uint8)


def _compressible(pages: int, rng: np.random.Generator) -> Pages:
    """Each page has another share of random bytes, a tenth to two thirds, so that compressed sizes differ."""
    data = np.zeros((pages, PAGE_SIZE), np.uint8)
    length = rng.integers(PAGE_SIZE // 10, PAGE_SIZE * 2 // 3, pages)
    data[:] = np.tile(rng.integers(0, 256, 64, np.uint8), PAGE_SIZE // 64)
    noise = rng.integers(0, 256, (pages, PAGE_SIZE), np.uint8)
    return np.where(np.arange(PAGE_SIZE) < length[:, None], noise, data)


def _same(pages: int, rng: np.random.Generator) -> Pages:
    """One word over and over, but not zero."""
    words = rng.integers(1, 2**63, pages, np.uint64)
    return np.repeat(words[:, None], PAGE_SIZE // 8, axis=1).view(np.uint8)


def _zero(pages: int, rng: np.random.Generator) -> Pages:
    return np.zeros((pages, PAGE_SIZE), np.uint8)


def _mixed(pages: int, rng: np.random.Generator) -> Pages:
    """All of the others, interleaved page by page: 5 of 8 compressible."""
    data = _compressible(pages, rng)
    for position, make in ((5, _random), (6, _same), (7, _zero)):
        rows = np.arange(position, pages, 8)
        data[rows] = make(len(rows), rng)
    return data


#: What pages can be filled with: (pages, random generator) -> uint8, shape (pages, PAGE_SIZE).
CONTENTS: dict[str, Callable[[int, np.random.Generator], Pages]] = {
    "random": _random,
    "compressible": _compressible,
    "same": _same,
    "zero": _zero,
    "mixed": _mixed,
}


class Region:
    """Anonymous memory of `pages` small pages (no THP), filled with known content."""

    def __init__(self, pages: int, content: str, seed: int) -> None:
        self.pages = pages
        self._memory = mmap.mmap(-1, pages * PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(_MADV_NOHUGEPAGE)
        self._array = np.frombuffer(self._memory, np.uint8).reshape(pages, PAGE_SIZE)
        self._address = self._array.ctypes.data
        rng = np.random.default_rng(seed)
        for first in range(0, pages, 1024):  # in pieces: the content is made beside the region
            count = min(1024, pages - first)
            self._array[first : first + count] = CONTENTS[content](count, rng)

    def page_out(self) -> int:
        """Push all pages to swap; how many are there afterwards (pages).

        The kernel skips pages that another CPU still holds in a batch of its own, so this asks again for a while.
        """
        for _ in range(50):
            self._memory.madvise(_MADV_PAGEOUT)
            swapped = len(self.slots())
            if swapped == self.pages:
                break
            time.sleep(0.02)
        return swapped

    def page_in(self, step: int = 1) -> int:
        """Touch every `step`-th page, so that it comes back from swap; the sum of the bytes touched."""
        return int(self._array[::step, 0].sum())

    def write(self, step: int = 1) -> None:
        """Change every `step`-th page, which brings it back from swap."""
        self._array[::step, 0] += 1

    def slots(self) -> NDArray[np.uint64]:
        """The swap offsets of all pages that are in swap now and not in memory."""
        return np.asarray((self._swapped() >> np.uint64(5)) & np.uint64((1 << 50) - 1), np.uint64)

    def swapped_to(self, swap_type: int) -> int:
        """Pages that are in that swap area now, and not in memory."""
        return int(np.count_nonzero(self._swapped() & np.uint64(31) == swap_type))

    def _swapped(self) -> NDArray[np.uint64]:
        """pagemap's entries of pages that are in swap now and not in memory: the area's type, and the slot's offset."""
        entries = self._pagemap()
        return np.asarray(entries[(entries & _SWAPPED > 0) & (entries & _PRESENT == 0)], np.uint64)

    def _pagemap(self) -> NDArray[np.uint64]:
        with Path("/proc/self/pagemap").open("rb") as file:
            file.seek(self._address // PAGE_SIZE * 8)
            return np.frombuffer(file.read(self.pages * 8), np.uint64)

    def give_back(self, first: int, count: int) -> None:
        """MADV_DONTNEED on some pages: their slots are freed."""
        self._memory.madvise(mmap.MADV_DONTNEED, first * PAGE_SIZE, count * PAGE_SIZE)


_processes = itertools.count()


def stay_on_one_processor(number: int = 0) -> None:
    """Of those that this process may use, take one by turns: then all of its pages can be paged out at once.

    Pages that wait in another processor's batch to be put on the kernel's lists are passed over (MADV_PAGEOUT empties
    that of its own processor only, lru_add_drain() in mm/madvise.c).
    """
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[number % len(processors)]})


class Process:
    """A forked process with a Region, which does one thing at a time on command.

    All methods wait until it is done. The process ends with exit(), or with this one.
    """

    def __init__(self, pages: int, content: str, seed: int) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self.pages = pages
        number = next(_processes)
        self.pid = os.fork()
        if self.pid == 0:
            stay_on_one_processor(number)
            os.close(self._commands)
            os.close(self._answers)
            _serve(commands, answers, pages, content, seed)
        os.close(commands)
        os.close(answers)
        self._answer()

    def page_out(self) -> int:
        """Pages in swap afterwards."""
        return self._ask(b"o")

    def page_in(self, step: int = 1) -> None:
        self._ask(b"i", step)

    def give_back(self, pages: int) -> None:
        """MADV_DONTNEED on the first `pages` pages."""
        self._ask(b"d", pages)

    def swapped(self) -> int:
        """Pages in swap now."""
        return self._ask(b"n")

    def swapped_to(self, swap_type: int) -> int:
        """Pages in that swap area now."""
        return self._ask(b"t", swap_type)

    def slots(self) -> list[int]:
        """The swap offsets of all pages that are in swap now."""
        count = self._ask(b"s")
        data = b""
        while len(data) < 8 * count:
            data += os.read(self._answers, 8 * count - len(data))
        return list(struct.unpack(f"={count}q", data))

    def exit(self) -> None:
        """End the process: all of its slots are freed."""
        os.write(self._commands, struct.pack("=cq", b"x", 0))
        os.waitpid(self.pid, 0)
        os.close(self._commands)
        os.close(self._answers)

    def leave(self) -> int:
        """Let it live on when this process ends, until somebody kills it; its pid."""
        self._ask(b"l")
        return self.pid

    def _ask(self, name: bytes, argument: int = 0) -> int:
        os.write(self._commands, struct.pack("=cq", name, argument))
        return self._answer()

    def _answer(self) -> int:
        data = os.read(self._answers, 8)
        if len(data) != 8:
            raise RuntimeError("the workload's process ended before its time")
        return int(struct.unpack("=q", data)[0])


def _serve(commands: int, answers: int, pages: int, content: str, seed: int) -> None:
    """The forked process: never returns."""
    try:
        region = Region(pages, content, seed)
        os.write(answers, struct.pack("=q", pages))
        while len(data := os.read(commands, 9)) == 9:
            name, argument = struct.unpack("=cq", data)
            answer = 0
            if name == b"o":
                answer = region.page_out()
            elif name == b"i":
                answer = region.page_in(argument)
            elif name == b"d":
                region.give_back(0, argument)
            elif name == b"n":
                answer = len(region.slots())
            elif name == b"t":
                answer = region.swapped_to(argument)
            elif name == b"s":
                slots = region.slots()
                os.write(answers, struct.pack("=q", len(slots)))
                os.write(answers, slots.tobytes())
                continue
            elif name == b"l":
                os.write(answers, struct.pack("=q", 0))
                signal.pause()
            else:
                break
            os.write(answers, struct.pack("=q", answer))
    finally:
        os._exit(0)
