"""From a swap area down to what holds its bytes: files, partitions, loop devices, device mapper, and zram or a disk.

Resolved from sysfs and from the device of the filesystem that a file is on; nothing is opened, no root is needed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from swaptrace.machine.machine import Machine, Mount

_DEEPEST = 16  # a loop device can sit on itself, in a manner of speaking
_SECTOR = 512


@dataclass(frozen=True)
class BlockLayer:
    """One layer: kind is file, partition, loop, dm, md, zram, disk, or unknown.

    name: the path of a file, the kernel's name of a device. facts: sizes in bytes (size, start, offset,
    discard_max_bytes, discard_granularity), and words (filesystem, mount_point, discard, dm_name, dm_uuid).
    below: what it lies on; more than one for striped or mirrored devices, none for the lowest.
    """

    kind: str
    name: str
    facts: dict[str, int | str] = field(default_factory=dict)
    below: tuple[BlockLayer, ...] = ()

    def number(self, fact: str) -> int:
        """A fact that is a number; 0 if it is not known."""
        value = self.facts.get(fact, 0)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True)
class Filesystem:
    """One that is mounted: where, its type, and whether it passes on what becomes free (mount option discard)."""

    point: str
    kind: str
    discards: bool


def filesystem_of(mount: Mount) -> Filesystem:
    discards = any(option == "discard" or option.startswith("discard=") for option in mount.options)
    return Filesystem(mount.point, mount.filesystem, discards)


def filesystems(layers: Iterable[BlockLayer]) -> list[Filesystem]:
    """The filesystems that files among the layers are on, in their order."""
    files = (layer.facts for layer in layers if "mount_point" in layer.facts)
    return [Filesystem(str(f["mount_point"]), str(f["filesystem"]), f.get("discard") == "yes") for f in files]


def walk(layer: BlockLayer, depth: int = 0) -> Iterator[tuple[int, BlockLayer]]:
    """(depth, layer) of the whole way down, each layer before those below it."""
    yield depth, layer
    for lower in layer.below:
        yield from walk(lower, depth + 1)


def stores_below(layer: BlockLayer) -> tuple[str, ...]:
    """The zram devices that an area ends on, by name."""
    return tuple(dict.fromkeys(found.name for _, found in walk(layer) if found.kind == "zram"))


def may_be_on_zram(layer: BlockLayer) -> bool:
    """Whether an area ends on zram, or on something of which that is not known."""
    lowest = [found for _, found in walk(layer) if not found.below]
    # a file whose filesystem is known and has no block device is on a network, or in memory
    return any(not (found.kind == "disk" or "filesystem" in found.facts) for found in lowest)


def way_down(layer: BlockLayer) -> str:
    """In words: `file on ext4 > loop0 > zram0`."""
    words = []
    for _, found in walk(layer):
        if found.kind == "file":
            words.append(f"file on {found.facts.get('filesystem', '?')}")
        elif found.kind == "dm":
            words.append(f"dm {found.facts.get('dm_name', found.name)}")
        else:
            words.append(found.name if found.kind != "unknown" else "?")
    return " > ".join(words)


def kernel_notifies(top: BlockLayer) -> bool:
    """Whether the kernel calls zram's swap_slot_free_notify for an area whose top layer this is.

    mm/swapfile.c, swap_range_free(): only for a block device, and only the operations of the disk that swapon named
    are asked. A file has none; loop and dm devices do not implement it and pass nothing on.
    """
    return top.kind == "zram" or (top.kind == "partition" and top.below[:1] != () and top.below[0].kind == "zram")


def resolve(machine: Machine, path: str, depth: int = 0) -> BlockLayer:
    """The layers of a swap area (or of a loop device's backing file), by its path."""
    try:
        status = machine.stat(path)
    except OSError:  # deleted, or in another mount namespace
        return BlockLayer("unknown", path)
    if stat.S_ISBLK(status.st_mode):
        return _device(machine, os.major(status.st_rdev), os.minor(status.st_rdev), depth)
    return _file(machine, path, status.st_dev, depth)


def mount_of(machine: Machine, path: str) -> Mount | None:
    """The mount that a path lies in: the longest mount point above it, the last of several on one point."""
    best: Mount | None = None
    for mount in machine.mounts():
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def users_above(machine: Machine, name: str, depth: int = 0) -> tuple[str, ...]:
    """All that is on a device, on that again, and so on: devices by the kernel's name, filesystems by mount point.

    Other mount namespaces are not seen. A mount point inside another one is on the latter, wherever its data is.
    """
    if depth > _DEEPEST:
        return ()
    points = [mount.point for mount in mounts_of(machine, name)]
    inside = [m.point for m in machine.mounts() if any(m.point.startswith(p.rstrip("/") + "/") for p in points)]
    folder = machine.root / f"sys/class/block/{name}"
    devices = [path.name for path in sorted((folder / "holders").glob("*"))]
    devices += [path.parent.name for path in sorted(folder.glob("*/partition"))]
    for backing in sorted((machine.root / "sys/block").glob("loop*/loop/backing_file")):
        file = machine.text(str(backing))
        mount = mount_of(machine, file)
        if file == f"/dev/{name}" or (mount is not None and mount.point in points):
            devices.append(backing.parent.parent.name)
    found = [*points, *inside]
    for device in devices:
        found += [device, *users_above(machine, device, depth + 1)]
    return tuple(dict.fromkeys(found))


def mounts_of(machine: Machine, name: str) -> list[Mount]:
    """The mounts of a device's filesystem: by its number, or (btrfs has numbers of its own making) by its source.

    Of a btrfs on several devices, the source is one of them.
    """
    numbers = {machine.text(f"sys/class/block/{each}/dev") for each in devices_together(machine, name)} - {""}
    return [m for m in machine.mounts() if not numbers.isdisjoint({m.device, _number_of(machine, m.source)})]


def devices_together(machine: Machine, name: str) -> tuple[str, ...]:
    """All devices that a btrfs on this one is on; this one alone where there is none."""
    found = next((machine.root / "sys/fs/btrfs").glob(f"*/devices/{name}"), None)
    return (name,) if found is None else tuple(sorted(path.name for path in found.parent.iterdir()))


def _number_of(machine: Machine, source: str) -> str:
    """ "major:minor" of the block device that a mount names as its source, /dev/mapper's too; "" if it is none."""
    try:
        status = machine.stat(source) if source.startswith("/dev/") else None
    except OSError:
        return ""
    if status is None or not stat.S_ISBLK(status.st_mode):
        return ""
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _file(machine: Machine, path: str, device: int, depth: int) -> BlockLayer:
    mount = mount_of(machine, path)
    facts: dict[str, int | str] = {}
    if mount is not None:
        facts = {"filesystem": mount.filesystem, "mount_point": mount.point}
        facts["discard"] = "yes" if filesystem_of(mount).discards else "no"
    major, minor = os.major(device), os.minor(device)
    below: tuple[BlockLayer, ...] = ()
    if depth < _DEEPEST and major:
        below = (_device(machine, major, minor, depth + 1),)
    elif depth < _DEEPEST and mount is not None and mount.source.startswith("/dev/"):
        # btrfs gives its files a device number of its own making: the mount names one of its devices
        below = (resolve(machine, mount.source, depth + 1),)
    return BlockLayer("file", path, facts, below)


def _device(machine: Machine, major: int, minor: int, depth: int) -> BlockLayer:
    folder = machine.root / f"sys/dev/block/{major}:{minor}"
    if not folder.exists():
        return BlockLayer("unknown", f"{major}:{minor}")
    return _folder(machine, folder.resolve(), depth)


def _folder(machine: Machine, folder: Path, depth: int) -> BlockLayer:
    """A device by its folder in sysfs."""
    facts = _facts(machine, folder)
    lower: tuple[BlockLayer, ...] = ()
    if (folder / "partition").exists():
        facts["start"] = (machine.number(str(folder / "start")) or 0) * _SECTOR
        return BlockLayer("partition", folder.name, facts, (_folder(machine, folder.parent, depth + 1),))
    if folder.name.startswith("zram"):
        return BlockLayer("zram", folder.name, facts)
    if backing := machine.text(str(folder / "loop/backing_file")):
        facts["offset"] = machine.number(str(folder / "loop/offset")) or 0
        if depth < _DEEPEST:
            lower = (resolve(machine, backing, depth + 1),)
        return BlockLayer("loop", folder.name, facts, lower)
    if depth < _DEEPEST and (folder / "slaves").is_dir():
        lower = tuple(_folder(machine, path.resolve(), depth + 1) for path in sorted((folder / "slaves").iterdir()))
    if (folder / "dm").is_dir():
        facts["dm_name"], facts["dm_uuid"] = (machine.text(str(folder / "dm" / name)) for name in ("name", "uuid"))
        return BlockLayer("dm", folder.name, facts, lower)
    return BlockLayer("md" if (folder / "md").is_dir() else "disk", folder.name, facts, lower)


def _facts(machine: Machine, folder: Path) -> dict[str, int | str]:
    facts: dict[str, int | str] = {"size": (machine.number(str(folder / "size")) or 0) * _SECTOR}
    # a partition has no queue of its own
    queue = folder / "queue" if (folder / "queue").is_dir() else folder.parent / "queue"
    for name in ("discard_max_bytes", "discard_granularity"):
        value = machine.number(str(queue / name))
        if value is not None:
            facts[name] = value
    return facts
