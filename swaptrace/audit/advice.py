"""What to do about a finding: sentences, and commands that can be run as they are printed.

Whatever is lost by commands is said in their sentence. What every stacking of layers needs is in one place: how it is
taken down, how freed blocks get down to zram, and whether there is room for what `swapoff` brings back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swaptrace import units
from swaptrace.audit.evidence import AreaEvidence, Evidence, StoreEvidence
from swaptrace.findings.finding import Advice
from swaptrace.machine.machine import PAGE_SIZE
from swaptrace.machine.stack import BlockLayer, Filesystem, filesystems, walk

_HIGHEST = 32767  # of a swap area's priorities (SWAP_FLAG_PRIO_MASK)
_DEAF_TO_REMOUNTS = ("xfs",)  # xfs_fs_reconfigure() says yes to the option discard, and leaves it as it was


# -- room for a swapoff


@dataclass(frozen=True)
class Room:
    """What a swapoff brings back, and where it could go (bytes).

    needed: the pages in use, uncompressed. memory: MemAvailable (None: not told). elsewhere: what other swap areas can
    take, less what it costs to hold it there. compressed: about what the pages in use take in zram.
    """

    needed: int
    memory: int | None
    elsewhere: int
    compressed: int

    @property
    def there(self) -> int | None:
        return None if self.memory is None else self.memory + self.elsewhere

    @property
    def fits(self) -> bool:
        """Where the kernel does not tell how much there is, nothing speaks against it."""
        return self.there is None or self.needed <= self.there

    @property
    def fits_compressed(self) -> bool:
        """Whether at least a new zram device has room for it."""
        return self.there is None or self.compressed <= self.there


def room_for_swapoff(area: AreaEvidence, evidence: Evidence) -> Room:
    """swapoff reads every page in use back into memory; the kernel may page out to other areas meanwhile."""
    elsewhere = sum(
        (other.pages - other.used) * max(PAGE_SIZE - _page_cost(other, evidence), 0)
        for other in evidence.areas
        if other.path != area.path
    )
    compressed = area.used * _page_cost(area, evidence)
    return Room(area.used * PAGE_SIZE, evidence.available_bytes, elsewhere, compressed)


def _page_cost(area: AreaEvidence, evidence: Evidence) -> int:
    """Bytes of memory that a page in the area takes: none on a disk, the average of its stores in zram (rounded up).

    An empty store tells nothing of that: as much as the page itself, then.
    """
    stores = [store for name in area.stores if (store := evidence.store(name)) is not None]
    entries = sum(store.counter("pages_stored") for store in stores)
    if not area.stores:
        return 0
    return -(-sum(store.counter("mem_used_total") for store in stores) // entries) if entries else PAGE_SIZE


def _room_sentence(room: Room) -> str:
    """How much a swapoff needs and what there is."""
    if not room.needed:
        return " swapoff needs no memory: no slot is in use."
    number = room.needed // PAGE_SIZE
    pages = f"{units.count(number)} page{'' if number == 1 else 's'} ({units.size(room.needed)})"
    there = "how much is available is not told" if room.memory is None else f"{units.size(room.memory)} are available"
    other = f", and other swap areas have room for {units.size(room.elsewhere)}" if room.elsewhere else ""
    return f" swapoff brings {pages} back into memory; {there} (MemAvailable){other}."


_NO_ROOM = (
    " That does not fit, nor would it in a new zram device: make room first. End what has most in swap (VmSwap in "
    "/proc/PID/status), or switch on a swap file on a disk with a higher priority, and look again."
)


# -- advice that switches an area off


def start_anew(area: AreaEvidence, evidence: Evidence, why: str = "") -> Advice:
    """A zram device itself as the swap area, and nothing else on it: the area's own, or a new one.

    The own one is taken if nobody else is on it, and if there is room in memory meanwhile. A new one is switched on
    first, with a higher priority, so that what comes back from the old area can go there.
    """
    room, others = room_for_swapoff(area, evidence), _others(area, evidence)
    if not room.fits and not room.fits_compressed:
        return Advice(f"{why}Use a zram device itself as the swap area.{_room_sentence(room)}{_NO_ROOM}", cures=False)
    own = len(area.stores) == 1 and not others and room.fits
    sentence, commands = _own_device(area, evidence) if own else _new_device(area, evidence, others)
    again = " Change what sets it up at boot (/etc/fstab, a unit) as well."
    if not room.fits:
        sentence += " That does not fit, so the new device comes first, and takes about "
        sentence += f"{units.size(room.compressed)} compressed; the system will be slow meanwhile."
    return Advice(f"{why}{sentence}{_lost(area, others)}{again}{_room_sentence(room)}", tuple(commands))


def switched_anew(
    area: AreaEvidence,
    evidence: Evidence,
    sentence: str,
    *options: str,
    after: Sequence[str] = (),
    cures: bool = True,
) -> Advice:
    """Switch the area off and on again with these options."""
    room = room_for_swapoff(area, evidence)
    sentence += _room_sentence(room)
    if not room.fits:
        return Advice(f"{sentence} That does not fit now.", cures=False)
    return Advice(sentence, (_swapoff(area), _swapon(area, *options), *after), cures)


def _own_device(area: AreaEvidence, evidence: Evidence) -> tuple[str, list[str]]:
    name = area.stores[0]
    priority = area.priority if area.priority >= 0 else 100
    commands = [
        _swapoff(area), *_take_down(area), *_reset_as_it_was(evidence.store(name), name), f"mkswap /dev/{name}",
        f"swapon -p {priority} /dev/{name}",
    ]  # fmt: skip
    return f"Use {name} itself as the swap area: then every freed slot is dropped at once.", commands


def _new_device(area: AreaEvidence, evidence: Evidence, others: list[str]) -> tuple[str, list[str]]:
    """Of the same size and algorithm, by the driver's own interface: its number is not known before."""
    store = evidence.store(area.stores[0])
    algorithm = store.store.algorithm if store else ""
    priority = min(max(100, *(1 + other.priority for other in evidence.areas)), _HIGHEST)
    commands = [
        "new=$(cat /sys/class/zram-control/hot_add)",
        *([f"echo {algorithm} > /sys/block/zram$new/comp_algorithm"] if algorithm else []),
        f"echo {(area.pages + 1) * PAGE_SIZE} > /sys/block/zram$new/disksize",
        "mkswap /dev/zram$new", f"swapon -p {priority} /dev/zram$new", _swapoff(area),
    ]  # fmt: skip
    if others:
        commands += _emptied(area)
    else:
        commands += [*_take_down(area), *(f"echo 1 > /sys/block/{name}/reset" for name in area.stores)]
    return "Use a zram device itself as the swap area, a new one that nothing else is on.", commands


def _lost(area: AreaEvidence, others: list[str]) -> str:
    """What the commands destroy."""
    names, points = " and ".join(area.stores), [found.point for found in filesystems(_layers(area))]
    if not others:
        with_them = f", and so is every file on {' and '.join(points)}: copy first what is needed" if points else ""
        return f" Everything else on {names} is lost{with_them}."
    left = " The old swap file is deleted." if area.top.kind == "file" else ""
    if deaf := stops_discards(area):
        left += f" What it held stays in memory until it is written over: {', '.join(deaf)} passes no discards on."
    elif not left:
        left = " What the old area holds is discarded."
    return f" {names} is left as it is, for {', '.join(others)} is on it, too.{left}"


def _others(area: AreaEvidence, evidence: Evidence) -> list[str]:
    """Who else is on the area's zram devices: devices, mount points, swap areas."""
    own = {area.path, *(layer.name for layer in _layers(area)), *(found.point for found in filesystems(_layers(area)))}
    stores = [store for name in area.stores if (store := evidence.store(name)) is not None]
    users = [user for store in stores for user in (*store.users, *store.areas)]
    return [user for user in dict.fromkeys(users) if user not in own]


# -- commands


def _layers(area: AreaEvidence) -> list[BlockLayer]:
    return [layer for _, layer in walk(area.top)]


def _take_down(area: AreaEvidence) -> list[str]:
    """What is between the area and zram, from the top down: each is busy while the one above is there."""
    commands = []
    for layer in _layers(area):
        if layer.kind == "loop":
            commands.append(f"losetup -d /dev/{layer.name}")
        elif layer.kind == "dm":
            commands.append(shlex.join(["dmsetup", "remove", str(layer.facts.get("dm_name", layer.name))]))
        elif layer.kind == "md":
            commands.append(f"mdadm --stop /dev/{layer.name}")
        elif "mount_point" in layer.facts:
            commands.append(shlex.join(["umount", str(layer.facts["mount_point"])]))
    return list(dict.fromkeys(commands))


def _reset_as_it_was(store: StoreEvidence | None, name: str) -> list[str]:
    """Empty a zram device and set it up again. A reset forgets all settings; this is their order."""
    commands = [f"echo 1 > /sys/block/{name}/reset"]
    if store is None:
        return commands
    if store.store.algorithm:
        commands.append(f"echo {store.store.algorithm} > /sys/block/{name}/comp_algorithm")
    if store.store.backing_dev:
        commands.append(f"echo {shlex.quote(store.store.backing_dev)} > /sys/block/{name}/backing_dev")
    commands.append(f"echo {store.store.pages * PAGE_SIZE} > /sys/block/{name}/disksize")
    if limit := store.counter("mem_limit"):
        commands.append(f"echo {limit} > /sys/block/{name}/mem_limit")
    return commands


def _emptied(area: AreaEvidence) -> list[str]:
    """Get rid of a swap area that is off, and of its entries, where discards get down to zram.

    A file is deleted. On a device, swapon discards all but the header (blkdiscard's -f, which the header would need, is
    not in every release).
    """
    commands = [shlex.join(["rm", area.path])] if area.top.kind == "file" else []
    if stops_discards(area):
        return commands
    if not commands:
        commands = [_swapon(area, "--discard=once"), _swapoff(area)]
    return [*commands, *trims(filesystems(_layers(area)))]


def stops_discards(area: AreaEvidence) -> list[str]:
    """The layers that do not pass discards on."""
    return [layer.name for layer in _layers(area) if layer.facts.get("discard_max_bytes") == 0]


def trims(points: Iterable[Filesystem]) -> tuple[str, ...]:
    """Hand free blocks down to the device, from the top down. A journal keeps what was freed until it is written."""
    commands = ((["sync", "-f", found.point], ["fstrim", found.point]) for found in points)
    return tuple(shlex.join(words) for pair in commands for words in pair)


def remounts(points: Iterable[Filesystem]) -> tuple[str, ...]:
    """Have filesystems pass on what becomes free from now on, those that can be told so while they are mounted."""
    wanted = (found for found in points if not found.discards and found.kind not in _DEAF_TO_REMOUNTS)
    return tuple(shlex.join(["mount", "-o", "remount,discard", found.point]) for found in wanted)


def mounts_anew(points: Iterable[Filesystem]) -> str:
    """What is to be done about the others, in words: whatever is open there has to be closed first."""
    deaf = [found.point for found in points if not found.discards and found.kind in _DEAF_TO_REMOUNTS]
    if not deaf:
        return ""
    return (
        f" {' and '.join(deaf)} has to be mounted anew for that (umount, mount -o discard, and so in /etc/fstab): XFS "
        "takes a remount with this option, and does nothing about it."
    )


def _swapoff(area: AreaEvidence) -> str:
    return shlex.join(["swapoff", area.path])


def _swapon(area: AreaEvidence, *options: str) -> str:
    """As it was, with its priority (negative ones are the kernel's own choice)."""
    priority = ["-p", str(area.priority)] if area.priority >= 0 else []
    return shlex.join(["swapon", *options, *priority, area.path])
