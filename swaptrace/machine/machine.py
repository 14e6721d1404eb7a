"""What is asked of a machine's block devices and filesystems: files under a root, and what files do not answer.

All of it can be replaced, so that what is made of it is tested on trees in a temporary folder.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from swaptrace.machine import sysfs

if TYPE_CHECKING:
    from swaptrace.kernel.btf import KernelTypes

PAGE_SIZE = sysfs.PAGE_SIZE


class Status(Protocol):
    """What is used of os.stat_result."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_rdev(self) -> int: ...


class Extent(NamedTuple):
    """A piece of a file (bytes): where it is in the file, and on the filesystem's device."""

    logical: int
    physical: int
    length: int


class FilesystemSpace(NamedTuple):
    """Bytes of a filesystem that are free, those reserved for root included."""

    free: int


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: device is "major:minor" (major 0: no block device), options of both kinds."""

    device: str
    point: str
    filesystem: str
    source: str
    options: frozenset[str]


def _stat(path: str) -> Status:
    return os.stat(path)  # noqa: PTH116  # /proc/swaps has strings


def _indexes(name: str) -> NDArray[np.int64]:
    return sysfs.read_block_state(name)[0]


def _space(mount_point: str) -> FilesystemSpace:
    status = os.statvfs(mount_point)
    return FilesystemSpace(status.f_bfree * status.f_frsize)


def _dm_table(name: str) -> str:
    """What `dmsetup table` prints; the device's sysfs files do not tell it. Raises OSError."""
    program = shutil.which("dmsetup") or "/usr/sbin/dmsetup"
    try:
        done = subprocess.run([program, "table", name], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        raise OSError("dmsetup does not answer") from None
    if done.returncode:
        raise OSError(done.stderr.strip() or "dmsetup failed")
    return done.stdout


@cache
def _kernel_types() -> KernelTypes:
    """Once a process: it takes some 15 MB, which libbpf keeps. Raises EnvironmentProblem."""
    from swaptrace.kernel.btf import KernelTypes

    return KernelTypes()


def _zram_entry_size() -> int | None:
    """From BTF, through libbpf, which comes with BCC: the audit does without, if need be."""
    from swaptrace.errors import EnvironmentProblem
    from swaptrace.kernel.layout import zram_entry_size

    try:
        return zram_entry_size(_kernel_types())
    except EnvironmentProblem:
        return None


@cache
def _swap_info() -> int:
    """The address of swap_info[]; 0 if it is not told."""
    from swaptrace.kernel.probes import Symbols

    return Symbols().addresses({"swap_info"}).get("swap_info", 0)


def _swap_maps() -> dict[int, NDArray[np.uint8]]:
    """By swap type, of the areas that are on: see swaptrace.machine.swap_map."""
    from swaptrace.errors import EnvironmentProblem
    from swaptrace.machine.swap_map import read_swap_maps

    try:
        return read_swap_maps(_kernel_types(), _swap_info())
    except (EnvironmentProblem, OSError):
        return {}


# include/uapi/linux/fiemap.h
_FS_IOC_FIEMAP = 0xC020660B
_SYNC = 0x1
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_LAST = 0x1
_NO_PLACE = 0x2 | 0x4 | 0x8 | 0x200  # unknown, delayed, encoded, inline: the address says nothing
_AT_ONCE = 512


def file_extents(path: str) -> list[Extent]:
    """The extents of a file, by FIEMAP, as the filesystem knows them. Raises OSError."""
    found: list[Extent] = []
    start = 0
    with Path(path).open("rb") as file:
        while True:
            request = _HEADER.pack(start, 2**64 - 1 - start, _SYNC, 0, _AT_ONCE, 0)
            buffer = array.array("B", request + bytes(_AT_ONCE * _EXTENT.size))
            fcntl.ioctl(file, _FS_IOC_FIEMAP, buffer)
            mapped = _HEADER.unpack_from(buffer)[3]
            flags = _LAST
            for number in range(mapped):
                logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(
                    buffer, _HEADER.size + number * _EXTENT.size
                )
                start = logical + length
                if not flags & _NO_PLACE:
                    found.append(Extent(logical, physical, length))
            if flags & _LAST:
                return found


@dataclass(frozen=True)
class Machine:
    """root: where /proc and /sys are. The functions raise OSError where there is no answer (or no right to ask).

    block_state: the indexes of a zram device's entries. dm_table: a device-mapper table by the device's name.
    zram_entry_size: bytes of an entry of zram's table (None: not known). swap_maps: by swap type, what the kernel says
    of each slot (swaptrace.machine.swap_map); empty if it does not.
    """

    root: Path = Path("/")
    stat: Callable[[str], Status] = _stat
    block_state: Callable[[str], NDArray[np.int64]] = _indexes
    file_extents: Callable[[str], list[Extent]] = file_extents
    dm_table: Callable[[str], str] = _dm_table
    space: Callable[[str], FilesystemSpace] = _space
    zram_entry_size: Callable[[], int | None] = _zram_entry_size
    swap_maps: Callable[[], dict[int, NDArray[np.uint8]]] = _swap_maps

    def text(self, path: str) -> str:
        """A file's content without the newline at its end; "" if it is not there or cannot be read."""
        try:
            return (self.root / path).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def number(self, path: str) -> int | None:
        """A file that holds one number; None if it is not there, or not a number."""
        text = self.text(path)
        return int(text) if text.isdigit() else None

    def meminfo(self) -> dict[str, int]:
        """/proc/meminfo, in bytes."""
        pairs = re.findall(r"^(\w+):\s+(\d+) kB$", self.text("proc/meminfo"), re.MULTILINE)
        return {name: int(value) * 1024 for name, value in pairs}

    def vmstat(self) -> dict[str, int]:
        """/proc/vmstat: counters since the machine was started, most of them pages."""
        return {
            name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", self.text("proc/vmstat"), re.MULTILINE)
        }

    def mounts(self) -> list[Mount]:
        """The mounts of this process's mount namespace, in the kernel's order."""
        mounts = []
        for line in self.text("proc/self/mountinfo").splitlines():
            left, separator, right = line.partition(" - ")
            words, rest = left.split(), right.split()
            if separator and len(words) >= 6 and len(rest) >= 2:
                options = {*words[5].split(","), *(rest[2].split(",") if len(rest) > 2 else ())}
                source, point = sysfs.unescape(rest[1]), sysfs.unescape(words[4])
                mounts.append(Mount(words[2], point, rest[0], source, frozenset(options)))
        return mounts
