"""What the recorder itself takes of the machine that it watches: little memory, and none that is ever swapped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ALLOCATOR = "ARROW_DEFAULT_MEMORY_POOL"
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # include/uapi/asm-generic/mman.h
_MADV_DONTNEED = 4
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r-[x-]p) \S+ \S+ \d+ +/")


@contextlib.contextmanager
def frugal_arrow() -> Iterator[None]:
    """Import pyarrow herein to have it allocate by malloc: its own allocators keep 40 MB more while recording.

    It looks for that once, when it is loaded; commands that are started later are not to find it.
    """
    before = os.environ.get(_ALLOCATOR)
    os.environ[_ALLOCATOR] = "system"
    try:
        yield
    finally:
        del os.environ[_ALLOCATOR]
        if before is not None:
            os.environ[_ALLOCATOR] = before


def keep_in_memory() -> str | None:
    """Lock this process's memory, so that it is never swapped; why not, if the kernel refuses.

    On fault: a page is locked as soon as it is there, from then on for good. Without that the kernel would bring in at
    once all that is mapped now or later, and hold on to it: every library to its last page, the compiler's among them,
    each thread's whole stack, and whatever address space an allocator keeps in reserve. A page that was never there
    cannot be swapped, either. Commands that are started from here do not inherit it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return None
    return os.strerror(ctypes.get_errno())


def hurry() -> None:
    """Go before all others that want a processor. What is started from here does not inherit it.

    The ring fills fastest when every processor is busy. A recorder that waits for its turn then, as all others do,
    loses events: a fifth of them at 2 million a second, on two processors that four more wanted. By a real-time policy,
    for a nice value is one among the tasks of a session only (CONFIG_SCHED_AUTOGROUP). It takes no more time than
    before, only earlier; and where it has to work all the time, those that make the events have to wait for it.
    """
    with contextlib.suppress(OSError):  # a control group may have no share of real time; it does without
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def give_back() -> None:
    """Give back what was needed for a while only: before the programs are compiled, and after, most of this process.

    Freed memory that malloc keeps, and pages of programs and libraries: those are read anew when they are needed. What
    is locked cannot be given back, so nothing is locked afterwards.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    unchanged = list(_unchanged())
    libc.munlockall()
    if hasattr(libc, "malloc_trim"):  # the GNU C library's
        libc.malloc_trim(0)
    for start, length in unchanged:
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)


def _unchanged() -> Iterator[tuple[int, int]]:
    """(address, bytes) of mapped files that are as they are on disk: not writable, and no page of them a copy."""
    found: tuple[int, int] | None = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        mapping = _MAPPING.match(line)
        if mapping:
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            found = start, end - start
        elif found and line.startswith("Anonymous:"):  # libraries are changed when they are loaded, then made read-only
            if line.split()[1] == "0":
                yield found
            found = None
