"""What this machine must have for recording (asked by tracing/ground.py), and what it would be better to have."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from swaptrace.areas import ZSWAP_STORES
from swaptrace.degradation import FEATURES
from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel.probes import ZRAM, ZRAM_WRITEBACK, ZSWAP
from swaptrace.machine.machine import Machine
from swaptrace.machine.sysfs import features_of
from swaptrace.machine.zswap import read_zswap

_ROOT = Path("/")


@dataclass(frozen=True)
class Requirement:
    """One thing that recording needs: what was found, and the remedy if it is not there ("" if it is)."""

    name: str
    found: str
    remedy: str = ""

    @property
    def met(self) -> bool:
        return not self.remedy


def rights() -> str:
    """Each of these functions returns what was found, or raises EnvironmentProblem."""
    if os.geteuid() == 0:
        return "running as root"
    # sudo's secure_path would not find a virtual environment's program: name the interpreter
    command = " ".join([sys.executable, "-m", "swaptrace", *sys.argv[1:]])
    raise EnvironmentProblem("tracing the kernel needs root", f"run: sudo {command}")


def kprobes(root: Path = _ROOT) -> str:
    """Through the kprobe PMU (since 4.17), which needs no tracefs."""
    if (root / "sys/bus/event_source/devices/kprobe/type").exists():
        return f"available (Linux {platform.release()})"
    raise EnvironmentProblem(
        "this kernel has no kprobes",
        "boot a kernel built with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y (every distribution's general kernel is)",
    )


def lockdown(root: Path = _ROOT) -> str:
    """Integrity still allows what swaptrace does; confidentiality forbids reading kernel memory from BPF."""
    try:
        text = (root / "sys/kernel/security/lockdown").read_text()
    except OSError:
        return "none"
    mode = re.search(r"\[(\w+)\]", text)
    if mode and mode[1] == "confidentiality":
        raise EnvironmentProblem(
            "the kernel is locked down (confidentiality): BPF programs may not read its memory",
            "boot without lockdown=confidentiality",
        )
    return mode[1] if mode else "none"


def types(root: Path = _ROOT) -> str:
    if (root / "sys/kernel/btf/vmlinux").exists():
        return "/sys/kernel/btf/vmlinux"
    raise EnvironmentProblem(
        "this kernel carries no type information (/sys/kernel/btf/vmlinux)",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (distributions' kernels since about 2021 are)",
    )


def devices(root: Path = _ROOT) -> str:
    """An event has room for device numbers below ZSWAP_STORES: those from there on stand for zswap."""
    numbers = {device.name: _minor(device) for device in (root / "sys/block").glob("zram*")}
    beyond = sorted((number, name) for name, number in numbers.items() if number >= ZSWAP_STORES)
    if not beyond:
        return f"{len(numbers)}"
    number, name = beyond[0]
    raise EnvironmentProblem(
        f"/dev/{name} has the device number {number}: those of {ZSWAP_STORES} and more cannot be recorded",
        f"remove it, if it is not in use: echo {name.removeprefix('zram')} > /sys/class/zram-control/hot_remove",
    )


def _minor(device: Path) -> int:
    """A block device's minor number, by its folder in sysfs; -1 if it is going away."""
    try:
        return int((device / "dev").read_text().split(":")[1])
    except (OSError, ValueError, IndexError):
        return -1


def bcc() -> str:
    from swaptrace.tracing.programs import import_bcc

    return f"BCC {getattr(import_bcc(), '__version__', '?')}"


def _has_zram(root: Path) -> bool:
    """A driver that is built in has no folder among the modules, for zram has no parameters that were to be there."""
    places = ("sys/module/zram", "sys/class/zram-control")
    return any((root / place).exists() for place in places) or any((root / "sys/block").glob("zram*"))


def features_off(root: Path = _ROOT) -> dict[str, str]:
    """What of the table of probes is of no use now, with the reason: nothing is attached for it.

    zswap's functions are called for every page, on or off: looking costs something then, too. Without any zram device,
    its functions are not missed if zswap is what there is to see.
    """
    zswap, off = read_zswap(Machine(root)), {}
    if not zswap.in_use:
        off[ZSWAP] = zswap.why_off
    elif not _has_zram(root):
        off |= dict.fromkeys((ZRAM, ZRAM_WRITEBACK), "the zram module is not loaded")
    devices = list((root / "sys/block").glob("zram*"))
    if devices and not any((device / "backing_dev").exists() for device in devices):
        off[ZRAM_WRITEBACK] = "this kernel's zram does not write back (CONFIG_ZRAM_WRITEBACK)"
    return off


def missing_views(root: Path = _ROOT) -> list[str]:
    """What recording can do without, but not as well: sentences."""
    missing = [
        f"{device.name}: {FEATURES[feature]}"
        for device in sorted((root / "sys/block").glob("zram*"))
        for feature in features_of(device)
    ]
    zram = _has_zram(root)
    if not zram and read_zswap(Machine(root)).why_off:
        missing.append(
            "the zram module is not loaded and zswap is off: only slot frees can be seen "
            "(modprobe zram, then record again)"
        )
    elif zram and not list((root / "sys/kernel/debug/zram").glob("zram*/block_state")):
        missing.append(
            "which pages zram holds already cannot be seen: mount -t debugfs none /sys/kernel/debug "
            "(and the kernel needs CONFIG_ZRAM_MEMORY_TRACKING=y)"
        )
    return missing
