"""What a machine is asked: its files, and the system calls behind what files do not answer."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.machine import machine as module
from swaptrace.machine.machine import Extent, FilesystemSpace, Machine, Mount, file_extents


def test_files(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "number").write_text("42\n")
    (tmp_path / "words").write_text("  one two \n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert [machine.text(name) for name in ("number", "words", "bytes", "none")] == ["42", "one two", "", ""]
    assert [machine.number(name) for name in ("number", "words", "bytes", "none")] == [42, None, None, None]


def test_meminfo_is_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal:   100 kB\nHugePages_Total:   3\nZswap:  7 kB\nActive(anon): 5 kB\n"
    )
    assert Machine(tmp_path).meminfo() == {"MemTotal": 102400, "Zswap": 7168}


MOUNTS = """\
22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
30 1 253:0 / /mnt/a\\040b ro,noatime master:1 shared:3 - ext4 /dev/zram0 rw,discard
31 1 253:1 / /without rw - xfs /dev/disk\\134by
too short - ext4
32 1 0:5 / /x rw shared:1 ext4 /dev/sda rw
33 1 0:5 / /y rw - ext4
34 1 0:5 / /z rw - tmpfs none
"""


def test_mounts(tmp_path: Path) -> None:
    """Lines of mountinfo with and without optional fields; what is no such line is left out."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS)
    assert Machine(tmp_path).mounts() == [
        Mount("0:21", "/proc", "proc", "proc", frozenset({"rw", "nosuid"})),
        Mount("253:0", "/mnt/a b", "ext4", "/dev/zram0", frozenset({"ro", "noatime", "rw", "discard"})),
        Mount("253:1", "/without", "xfs", "/dev/disk\\by", frozenset({"rw"})),
        Mount("0:5", "/z", "tmpfs", "none", frozenset({"rw"})),
    ]
    assert Machine(tmp_path / "nowhere").mounts() == []


def test_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions that are there unless others are given."""
    machine = Machine()
    (tmp_path / "file").write_text("")
    assert machine.stat(str(tmp_path / "file")) == os.stat(tmp_path / "file")  # noqa: PTH116
    status = os.statvfs(tmp_path)
    assert isinstance(machine.space(str(tmp_path)), FilesystemSpace)
    monkeypatch.setattr(os, "statvfs", lambda path: status if path == "/mnt" else None)
    assert machine.space("/mnt").free == status.f_bfree * status.f_frsize
    asked = []
    answer = (np.array([3, 5]), np.array([0, 1]))
    monkeypatch.setattr(module.sysfs, "read_block_state", lambda name: asked.append(name) or answer)
    assert machine.block_state("zram7").tolist() == [3, 5]
    assert asked == ["zram7"]


# -- dmsetup


def fake_dmsetup(monkeypatch: pytest.MonkeyPatch, where: str | None, **done: Any) -> list[list[str]]:
    asked = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options == {"capture_output": True, "text": True, "timeout": 10, "check": False}
        asked.append(command)
        if "fails" in done:
            raise done["fails"]
        return subprocess.CompletedProcess(command, **done)

    monkeypatch.setattr(module.shutil, "which", lambda name: where if name == "dmsetup" else None)
    monkeypatch.setattr(module.subprocess, "run", run)
    return asked


@pytest.mark.parametrize(("where", "called"), [("/opt/dmsetup", "/opt/dmsetup"), (None, "/usr/sbin/dmsetup")])
def test_dm_table(monkeypatch: pytest.MonkeyPatch, where: str | None, called: str) -> None:
    asked = fake_dmsetup(monkeypatch, where, returncode=0, stdout="0 8 linear 253:0 0\n", stderr="")
    assert Machine().dm_table("a name") == "0 8 linear 253:0 0\n"
    assert asked == [[called, "table", "a name"]]


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ({"returncode": 1, "stdout": "", "stderr": " no such device\n"}, "no such device"),
        ({"returncode": 1, "stdout": "", "stderr": "\n"}, "dmsetup failed"),
        ({"fails": subprocess.TimeoutExpired("dmsetup", 10)}, "dmsetup does not answer"),
        ({"fails": FileNotFoundError(2, "No such file", "dmsetup")}, "[Errno 2] No such file: 'dmsetup'"),
    ],
)
def test_dm_table_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, done: dict[str, Any], said: str) -> None:
    fake_dmsetup(monkeypatch, None, **done)
    with pytest.raises(OSError) as raised:
        Machine().dm_table("name")
    assert str(raised.value) == said


# -- FIEMAP, by a filesystem that is made up: include/uapi/linux/fiemap.h

LAST, UNKNOWN, DELAYED, ENCODED, NOT_ALIGNED, INLINE, UNWRITTEN, SHARED = (
    0x1,
    0x2,
    0x4,
    0x8,
    0x100,
    0x200,
    0x800,
    0x2000,
)


def fake_fiemap(monkeypatch: pytest.MonkeyPatch, extents: list[tuple[int, int, int, int]]) -> list[int]:
    """A file of (logical, physical, length, flags); the starts that are asked for."""
    asked: list[int] = []

    def ioctl(file: Any, request: int, buffer: Any) -> int:
        assert Path(file.name).name == "file"
        # _IOWR('f', 11, struct fiemap)
        assert request == 3 << 30 | 32 << 16 | ord("f") << 8 | 11
        start, length, flags, _, room, _ = struct.unpack_from("=QQIIII", buffer)
        assert (start + length, flags) == (2**64 - 1, 1)  # to the end of any file; written out before
        assert len(buffer) == 32 + 56 * room
        asked.append(start)
        told = [extent for extent in extents if extent[0] + extent[2] > start][:room]
        struct.pack_into("=I", buffer, 20, len(told))
        for number, (logical, physical, size, marks) in enumerate(told):
            struct.pack_into("=QQQQQIIII", buffer, 32 + 56 * number, logical, physical, size, 0, 0, marks, 0, 0, 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return asked


@pytest.fixture
def a_file(tmp_path: Path) -> str:
    (tmp_path / "file").write_text("x")
    return str(tmp_path / "file")


def test_extents(a_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_fiemap(monkeypatch, [(0, 8192, 4096, UNWRITTEN), (4096, 65536, 8192, SHARED | NOT_ALIGNED | LAST)])
    assert file_extents(a_file) == [Extent(0, 8192, 4096), Extent(4096, 65536, 8192)]
    assert asked == [0]


def test_extents_of_an_empty_file(a_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake_fiemap(monkeypatch, []) == []
    assert file_extents(a_file) == []


@pytest.mark.parametrize("mark", [UNKNOWN, DELAYED, ENCODED, INLINE])
def test_extents_whose_address_says_nothing(a_file: str, monkeypatch: pytest.MonkeyPatch, mark: int) -> None:
    fake_fiemap(monkeypatch, [(0, 8192, 4096, mark), (4096, 65536, 8192, 0), (12288, 0, 4096, mark | LAST)])
    assert file_extents(a_file) == [Extent(4096, 65536, 8192)]


def test_many_extents_are_asked_for_piece_by_piece(a_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second page of the file is a hole; exactly two pieces are full."""
    extents = [(8192 * n, 4096 * n, 4096, 0) for n in range(1024)]
    extents[-1] = (*extents[-1][:3], LAST)
    asked = fake_fiemap(monkeypatch, extents)
    assert file_extents(a_file) == [Extent(*extent[:3]) for extent in extents]
    assert asked == [0, 8192 * 511 + 4096]


def test_filesystem_without_fiemap(a_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(*_: Any) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with pytest.raises(OSError, match="not supported"):
        file_extents(a_file)
