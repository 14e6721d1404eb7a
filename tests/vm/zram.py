"""Swap on zram in the guest, set up and taken down; and the kernel's own figures of it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the system; its output is in the result."""
    result = subprocess.run(command, capture_output=True, text=True)
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {result.returncode}: {result.stderr.strip()}")
    return result


def swap_on(path: str, *options: str, priority: int = 100) -> None:
    """Make a swap area there, and switch it on."""
    run("mkswap", path)
    run("swapon", "-p", str(priority), *options, path)


def hot_add(megabytes: int) -> str:
    """One more zram device, of that size; its name."""
    name = f"zram{Path('/sys/class/zram-control/hot_add').read_text().strip()}"
    Path(f"/sys/block/{name}/disksize").write_text(f"{megabytes}M")
    return name


@contextlib.contextmanager
def zram_area(name: str, megabytes: int, algorithm: str | None = None, priority: int = 100) -> Iterator[Path]:
    """A swap area on a zram device that is there; yields its folder in sysfs, and resets the device afterwards."""
    device = Path("/sys/block", name)
    if algorithm:
        (device / "comp_algorithm").write_text(algorithm)
    (device / "disksize").write_text(f"{megabytes}M")
    swap_on(f"/dev/{name}", priority=priority)
    try:
        yield device
    finally:
        run("swapoff", f"/dev/{name}", check=False)
        (device / "reset").write_text("1")


@contextlib.contextmanager
def zram_swap(megabytes: int = 512) -> Iterator[Path]:
    """zram0 as the only swap area."""
    run("modprobe", "zram", "num_devices=1")
    with zram_area("zram0", megabytes) as device:
        yield device
