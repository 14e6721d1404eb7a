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


@contextlib.contextmanager
def zram_swap(megabytes: int = 512, algorithm: str | None = None, priority: int = 100) -> Iterator[Path]:
    """zram0 as the only swap area; yields its folder in sysfs, and resets the device afterwards."""
    run("modprobe", "zram", "num_devices=1")
    device = Path("/sys/block/zram0")
    if algorithm:
        (device / "comp_algorithm").write_text(algorithm)
    (device / "disksize").write_text(f"{megabytes}M")
    run("mkswap", "/dev/zram0")
    run("swapon", "-p", str(priority), "/dev/zram0")
    try:
        yield device
    finally:
        run("swapoff", "/dev/zram0", check=False)
        (device / "reset").write_text("1")
