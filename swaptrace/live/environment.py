"""What this machine must have for recording, checked one by one: each with what is wrong and what to do."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from swaptrace.areas import ZSWAP_STORES
from swaptrace.degradation import FEATURES
from swaptrace.errors import EnvironmentProblem, Problem
from swaptrace.live.machine import Machine
from swaptrace.live.probes import ZRAM, ZRAM_WRITEBACK, ZSWAP
from swaptrace.live.sysfs import features_of
from swaptrace.live.zswap import read_zswap

__all__ = ["Requirement", "features_off", "missing_views", "require", "requirements"]

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


def requirements(root: Path = _ROOT) -> Iterator[Requirement]:
    """All that recording needs, in the order in which to mend it. root: where /proc and /sys are."""
    yield _rights()
    yield _architecture()
    yield _kprobes(root)
    yield _lockdown(root)
    yield _types(root)
    yield _devices(root)
    yield _bcc()


def require(root: Path = _ROOT) -> None:
    """Raises EnvironmentProblem for the first requirement that is not met."""
    for requirement in requirements(root):
        if not requirement.met:
            raise EnvironmentProblem(requirement.found, requirement.remedy)


def _rights() -> Requirement:
    if os.geteuid() == 0:
        return Requirement("rights", "running as root")
    # sudo's secure_path would not find a virtual environment's program: name the interpreter
    command = " ".join([sys.executable, "-m", "swaptrace", *sys.argv[1:]])
    return Requirement("rights", "tracing the kernel needs root", f"run: sudo {command}")


def _architecture() -> Requirement:
    from swaptrace.live.arch import architecture

    return _tried("architecture", lambda: architecture().machine)


def _kprobes(root: Path) -> Requirement:
    """Through the kprobe PMU (since 4.17), which needs no tracefs."""
    if (root / "sys/bus/event_source/devices/kprobe/type").exists():
        return Requirement("kprobes", f"available (Linux {platform.release()})")
    return Requirement(
        "kprobes",
        "this kernel has no kprobes",
        "boot a kernel built with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y (every distribution's general kernel is)",
    )


def _lockdown(root: Path) -> Requirement:
    """Integrity still allows what swaptrace does; confidentiality forbids reading kernel memory from BPF."""
    try:
        text = (root / "sys/kernel/security/lockdown").read_text()
    except OSError:
        return Requirement("lockdown", "none")
    mode = re.search(r"\[(\w+)\]", text)
    if mode and mode[1] == "confidentiality":
        return Requirement(
            "lockdown",
            "the kernel is locked down (confidentiality): BPF programs may not read its memory",
            "boot without lockdown=confidentiality",
        )
    return Requirement("lockdown", mode[1] if mode else "none")


def _types(root: Path) -> Requirement:
    if (root / "sys/kernel/btf/vmlinux").exists():
        return Requirement("type information", "/sys/kernel/btf/vmlinux")
    return Requirement(
        "type information",
        "this kernel carries no type information (/sys/kernel/btf/vmlinux)",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (distributions' kernels since about 2021 are)",
    )


def _devices(root: Path) -> Requirement:
    """An event has room for device numbers below ZSWAP_STORES: those from there on stand for zswap."""
    numbers = {device.name: _minor(device) for device in (root / "sys/block").glob("zram*")}
    beyond = sorted((number, name) for name, number in numbers.items() if number >= ZSWAP_STORES)
    if not beyond:
        return Requirement("zram devices", f"{len(numbers)}")
    number, name = beyond[0]
    return Requirement(
        "zram devices",
        f"/dev/{name} has the device number {number}: those of {ZSWAP_STORES} and more cannot be recorded",
        f"remove it, if it is not in use: echo {name.removeprefix('zram')} > /sys/class/zram-control/hot_remove",
    )


def _minor(device: Path) -> int:
    """A block device's minor number, by its folder in sysfs; -1 if it is going away."""
    try:
        return int((device / "dev").read_text().split(":")[1])
    except (OSError, ValueError, IndexError):
        return -1


def _bcc() -> Requirement:
    from swaptrace.live.programs import import_bcc

    return _tried("bcc", lambda: f"BCC {getattr(import_bcc(), '__version__', '?')}")


def _tried(name: str, probe: Callable[[], str]) -> Requirement:
    try:
        return Requirement(name, probe())
    except Problem as problem:
        return Requirement(name, problem.what, problem.remedy)


def features_off(root: Path = _ROOT) -> dict[str, str]:
    """What of the table of probes is of no use now, with the reason: nothing is attached for it.

    zswap's functions are called for every page, on or off: looking costs something then, too. Without any zram device,
    its functions are not missed if zswap is what there is to see.
    """
    zswap, off = read_zswap(Machine(root)), {}
    if not zswap.in_use:
        off[ZSWAP] = zswap.why_off
    elif not (root / "sys/module/zram").exists():
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
    zram = (root / "sys/module/zram").exists()
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
