"""A zram device of our own as swap area, taken away again whatever happens: if not by its maker, then by the next one.

A maker that was killed leaves its device. That it is a selftest's shows by the label that mkswap wrote; and, for one
that has none yet, by the note of its number in /run, if the device is empty and nobody uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

from swaptrace.errors import EnvironmentProblem
from swaptrace.machine import sysfs

LABEL = "swaptrace-test"
_LABEL_AT, _LABEL_BYTES = 1052, 16  # union swap_header (include/linux/swap.h): sws_volume
_NOTE = Path("/run/swaptrace-selftest")
_CONTROL = Path("/sys/class/zram-control")
_BLOCK = Path("/sys/block")
_MEGABYTES = 64
_PRIORITY = 32767  # the highest


def label_of(device: Path) -> str:
    """The label of the swap area on a device; "" if it has none, or cannot be read."""
    try:
        with device.open("rb") as file:
            page = file.read(sysfs.PAGE_SIZE)
    except OSError:
        return ""
    if not page.endswith(b"SWAPSPACE2"):
        return ""
    return page[_LABEL_AT : _LABEL_AT + _LABEL_BYTES].split(b"\0")[0].decode(errors="replace")


def leftovers(noted: int | None, block: Path = _BLOCK, nodes: Path = Path("/dev")) -> list[int]:
    """The numbers of the zram devices that killed selftests left. noted: the number in the note, if there is one."""
    found = []
    for folder in block.glob("zram*"):
        number = int(folder.name.removeprefix("zram"))
        if label_of(nodes / folder.name) == LABEL or (number == noted and _unused(folder)):
            found.append(number)
    return sorted(found)


def _unused(folder: Path) -> bool:
    """Whether nothing was ever written to a zram device, and nothing is on it."""
    size = int((folder / "disksize").read_text())
    written = sysfs.read_store(folder).counters.get("orig_data_size", 0) if size else 0
    return size in (0, _MEGABYTES << 20) and not written and not any((folder / "holders").iterdir())


@contextlib.contextmanager
def spare_swap() -> Iterator[Path]:
    """Yields the device's folder in sysfs. Raises EnvironmentProblem if there can be none, or it cannot be removed."""
    _run("modprobe", "zram")
    with _note() as note:
        noted = note.read_text().strip()
        for number in leftovers(int(noted) if noted.isdigit() else None):
            _remove(number)
        number = _added()
        note.write_text(str(number))
        node = f"/dev/zram{number}"
        try:
            (_BLOCK / f"zram{number}" / "disksize").write_text(f"{_MEGABYTES}M")
            _run("mkswap", "-L", LABEL, node)
            _run("swapon", "-p", str(_PRIORITY), node)
            yield _BLOCK / f"zram{number}"
        finally:
            _remove(number)
            note.write_text("")


@contextlib.contextmanager
def _note() -> Iterator[Path]:
    """The note's file, locked: what it says is of a selftest that is no more."""
    with _NOTE.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentProblem("another selftest is running", "wait until it is over") from None
        yield _NOTE


def _added() -> int:
    try:
        return int((_CONTROL / "hot_add").read_text())
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot add a zram device: {error.strerror}", "load the zram module: modprobe zram"
        ) from None


def _remove(number: int) -> None:
    """Take a device away, whatever is on it. Raises EnvironmentProblem if it stays."""
    node = f"/dev/zram{number}"
    remedy = f"swapoff {node}; echo {number} > {_CONTROL / 'hot_remove'}"
    if any(line.path == node for line in sysfs.read_swaps()):
        _run("swapoff", node, remedy=remedy)
    try:
        (_CONTROL / "hot_remove").write_text(str(number))
    except OSError as error:
        problem = f"cannot remove {node}, which a selftest made: {error.strerror}"
        raise EnvironmentProblem(problem, remedy) from None


def _run(*command: str, remedy: str = "see: swaptrace check") -> None:
    """In a session of its own: a terminal's signals are for us, who take away again what was begun."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    except FileNotFoundError:
        raise EnvironmentProblem(f"{command[0]} is not installed", "install util-linux and kmod") from None
    if done.returncode:
        raise EnvironmentProblem(f"{' '.join(command)} failed: {done.stderr.strip()}", remedy)
