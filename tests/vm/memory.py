"""Memory of every kind that can be swapped, in processes that do one step at a time: the guest's side of test_areas.

A step that pages out answers how many pages are in swap then, by the kernel's own word (/proc/self/pagemap).
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from swaptrace.record.workload import CONTENTS, PAGE_SIZE, stay_on_one_processor

MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT = 14, 15, 21  # Linux's, which Python does not all name
HUGE = 2 << 20
STEP_SECONDS = 180.0
_SWAPPED = np.uint64(1 << 62)  # Documentation/admin-guide/mm/pagemap.rst
_PRESENT = np.uint64(1 << 63)

Steps = Callable[[], Iterator[int]]


class Child:
    """A forked process that runs a generator, one step for each call of step(); what it yields is the answer."""

    running: ClassVar[set[int]] = set()
    numbers: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, steps: Steps, cgroup: Path | None = None) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        number = next(Child.numbers)
        self.pid = os.fork()
        if self.pid:
            os.close(commands), os.close(answers)
            Child.running.add(self.pid)
            return
        os.close(self._commands), os.close(self._answers)
        stay_on_one_processor(number)
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        try:
            for answer in _while_asked(steps(), commands):
                os.write(answers, struct.pack("=q", answer))
        finally:
            os._exit(0)

    def ask(self) -> None:
        """Begin the next step, without waiting for it."""
        os.write(self._commands, b"n")

    def answer(self) -> int:
        """What that step yields."""
        if not select.select([self._answers], [], [], STEP_SECONDS)[0]:
            raise TimeoutError(f"a process of the workload has not answered for {STEP_SECONDS} s")
        data = os.read(self._answers, 8)
        if len(data) != 8:
            raise RuntimeError("a process of the workload ended before its time")
        return int(struct.unpack("=q", data)[0])

    def step(self) -> int:
        self.ask()
        return self.answer()

    def exit(self) -> None:
        # to say so, for its end of the pipe alone tells nothing: later children have it as well
        os.write(self._commands, b"x")
        os.close(self._commands)
        os.waitpid(self.pid, 0)
        os.close(self._answers)
        Child.running.discard(self.pid)

    @staticmethod
    def end_all() -> None:
        """Kill those that are left after a failure."""
        for pid in Child.running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        Child.running.clear()


def _while_asked(steps: Iterator[int], commands: int) -> Iterator[int]:
    while os.read(commands, 1) == b"n":
        yield next(steps)


class Memory:
    """A mapping, filled with content that is known (swaptrace.record.workload); of a file, or anonymous.

    advice: MADV_HUGEPAGE or MADV_NOHUGEPAGE.
    """

    def __init__(
        self,
        pages: int,
        content: str,
        seed: int,
        *,
        advice: int = MADV_NOHUGEPAGE,
        file: int = -1,
        shared: bool = False,
    ) -> None:
        self.pages = pages
        kind = mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE
        size = pages * PAGE_SIZE
        room = size if file >= 0 else size + HUGE  # so that a huge page can begin where it must
        self._map = mmap.mmap(file, room, flags=kind | (0 if file >= 0 else mmap.MAP_ANONYMOUS))
        whole = np.frombuffer(self._map, np.uint8)
        skip = -whole.ctypes.data % HUGE if file < 0 else 0
        self.bytes = whole[skip : skip + size].reshape(pages, PAGE_SIZE)
        self._address = self.bytes.ctypes.data
        self.advise(advice)
        rng = np.random.default_rng(seed)
        for first in range(0, pages, 512):
            self.bytes[first : first + 512] = CONTENTS[content](min(512, pages - first), rng)

    def advise(self, advice: int, page: int = 0, pages: int | None = None) -> None:
        """madvise(2) on all, or on so many pages from one on; advice that the kernel does not know is an error."""
        address, size = self._address + page * PAGE_SIZE, (pages or self.pages) * PAGE_SIZE
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice):
            raise OSError(ctypes.get_errno(), f"madvise {advice}")

    def swapped(self) -> int:
        """Pages in swap and not in memory. (Of shared memory, pagemap tells only what this process has mapped.)"""
        with Path("/proc/self/pagemap").open("rb") as file:
            file.seek(self._address // PAGE_SIZE * 8)
            entries = np.frombuffer(file.read(self.pages * 8), np.uint64)
        return int(np.count_nonzero((entries & _SWAPPED > 0) & (entries & _PRESENT == 0)))

    def page_out(self) -> int:
        """Ask until all is in swap, for a while: pages in a batch of another CPU are left out."""
        for _ in range(50):
            self.advise(MADV_PAGEOUT)
            swapped = self.swapped()
            if swapped == self.pages:
                break
            time.sleep(0.02)
        return swapped

    def touch(self, step: int = 1) -> int:
        """Read every `step`-th page; the sum of what was read."""
        return int(self.bytes[::step, 0].sum())


def anonymous(pages: int, content: str, seed: int, advice: int = MADV_NOHUGEPAGE) -> Steps:
    """Page out; read half of it; page out again, after a change to a quarter of the pages."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, content, seed, advice=advice)
        yield memory.page_out()
        memory.touch(2)
        yield memory.swapped()
        memory.bytes[::4, 1] ^= 0x5A
        yield memory.page_out()

    return steps


def refused(pages: int, content: str, seed: int, advice: int = MADV_NOHUGEPAGE) -> Steps:
    """Page out what the store takes, asked a few times; change a quarter of the pages, and page out again."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, content, seed, advice=advice)
        for change in (0, 0x5A):
            memory.bytes[::4, 1] ^= change
            for _ in range(3):
                memory.advise(MADV_PAGEOUT)
            yield memory.swapped()

    return steps


def perforated(pages: int, content: str, seed: int) -> Steps:
    """Page out; give two of three pages up, wherever they are."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, content, seed)
        yield memory.page_out()
        for page in np.random.default_rng(seed).permutation(pages)[: pages * 2 // 3].tolist():
            memory.advise(mmap.MADV_DONTNEED, page, 1)
        yield memory.swapped()

    return steps


def shared_by_fork(pages: int, seed: int) -> Steps:
    """Page out; fork, and the other process reads every eighth page; this one gives its references up."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, "compressible", seed)
        yield memory.page_out()

        def other_steps() -> Iterator[int]:
            memory.touch(8)
            yield memory.swapped()

        other = Child(other_steps)
        yield other.step()
        memory.advise(mmap.MADV_DONTNEED)
        yield memory.swapped()
        other.exit()
        yield 0

    return steps


def shared_memory(pages: int, seed: int, path: Path | None = None) -> Steps:
    """Anonymous shared memory or a file of tmpfs: paged out, half of it read, half given up, then all."""

    def steps() -> Iterator[int]:
        file = os.open(path, os.O_RDWR | os.O_CREAT) if path else -1
        if file >= 0:
            os.ftruncate(file, pages * PAGE_SIZE)
        memory = Memory(pages, "compressible", seed, file=file, shared=True)
        yield memory.page_out()
        yield memory.touch(2)
        if path is None:
            memory.advise(9)  # MADV_REMOVE: what truncating is to a file
        else:
            os.truncate(path, pages // 2 * PAGE_SIZE)
        yield 0
        if path is not None:
            path.unlink()
        del memory
        yield 0

    return steps


def under_pressure(pages: int, content: str, seed: int, seconds: float) -> Steps:
    """More memory than there is room for, read and changed at random for some time."""

    def steps() -> Iterator[int]:
        memory = Memory(pages, content, seed)
        yield memory.swapped()
        rng = np.random.default_rng(seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            chosen = rng.integers(0, pages, 64)
            memory.bytes[chosen, rng.integers(0, PAGE_SIZE, 64)] += 1
            memory.touch(int(rng.integers(16, 64)))
            os.sched_yield()  # or who is not preempted (SCHED_FIFO) would have the processor to the end
        yield memory.swapped()
        yield memory.page_out()

    return steps
