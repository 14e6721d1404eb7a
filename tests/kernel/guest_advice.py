"""Scenes for test_audit.py: every stacking of layers on zram that a finding can lie behind, built with mkfs's defaults.

For each piece of advice that the audit gives there, the scene is built anew, and the printed commands are run exactly
as they are printed (one `sh -e` for all of them, nothing before: no sync, no settling). scene-NAME.json has for each
of them: the commands, how they ended, and what the audit says before and afterwards.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from zram import hot_add, run, swap_on

from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import audit
from swaptrace.machine.machine import Machine
from swaptrace.record.workload import Process

PAGES = 1499
DEVICE = Path("/sys/block/zram0")
MOUNTS = Path("/tmp/scenes")
ZSWAP = Path("/sys/module/zswap/parameters/enabled")
_CROWD, _LARGE = 30000, 20 * PAGES  # pages
_FILE_MB, _STORE_MB = 32, 768
_MKFS = {"ext4": ("mkfs.ext4", "-q"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}

# -- layers: each takes the device (or file) below, and returns the device or file that it makes


def _module(name: str, *parameters: str) -> None:
    if not Path("/sys/module", name).exists():
        run("modprobe", name, *parameters)


def _filesystem(kind: str, below: str) -> Path:
    """Mounted at a place of its own, whose name a shell would take apart."""
    _module(kind)
    run(*_MKFS[kind], below)
    point = MOUNTS / f"on {Path(below).name}"
    point.mkdir(parents=True, exist_ok=True)
    run("mount", below, str(point))
    return point


def _file(kind: str, below: str, above: int) -> str:
    """A file on that filesystem: a swap file, or, if there are layers `above`, the image for those."""
    path = _filesystem(kind, below) / "a swap file"
    path.touch(0o600)
    if kind == "btrfs":  # swap files are neither compressed nor copied on write
        run("chattr", "+C", str(path))
    run("fallocate", "-l", f"{360 if above else _FILE_MB}M", str(path))
    return str(path)


def _dm(target: str, below: str) -> str:
    sectors = run("blockdev", "--getsz", below).stdout.strip()
    return _mapped(f"scene {Path(below).name}", f"0 {sectors} {target.format(below)}")


def _mapped(name: str, table: str) -> str:
    _module("dm_mod")
    run("dmsetup", "create", name, "--noudevsync", "--table", table)
    # not /dev/mapper/...: that is made by udev, which the guest may not have
    return "/dev/" + run("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", name).stdout.strip()


def _loop(below: str) -> str:
    """Its sectors are those of a device below: with direct I/O, 6.1 fails smaller requests than those."""
    _module("loop")
    sectors = (
        ["--sector-size", run("blockdev", "--getss", below).stdout.strip()] if Path(below).is_block_device() else []
    )
    return run("losetup", "--find", "--show", "--partscan", "--direct-io=on", *sectors, below).stdout.strip()


def _partition(below: str) -> str:
    sectors = int(run("blockdev", "--getsz", below).stdout)
    run("addpart", below, "1", "2048", str(sectors - 2048))
    return f"{below}p1"


def _md(below: str) -> str:
    _module("raid1")
    run("mdadm", "--create", "/dev/md0", "--run", "--force", "--level=1", "--raid-devices=1", below)
    return "/dev/md0"


_DEVICES: dict[str, Callable[[str], str]] = {
    "loop": _loop,
    "partition": _partition,
    "md": _md,
    "dm": partial(_dm, "linear {} 0"),
    "crypt": partial(_dm, "crypt cipher_null-ecb - 0 {} 0"),  # as cryptsetup has it: discards are not allowed
    "clear": partial(_dm, "crypt cipher_null-ecb - 0 {} 0 1 allow_discards"),
}


def build(layers: str) -> str:
    """A stack on zram0, from the device up (`dm ext4`: a file on ext4 on device mapper on zram0); its top's path."""
    zram()
    path, words = "/dev/zram0", layers.split()
    for number, layer in enumerate(words):
        above = len(words) - number - 1
        path = _file(layer, path, above) if layer in _MKFS else _DEVICES[layer](path)
    return path


def zram() -> None:
    _module("zram", "num_devices=1")
    (DEVICE / "disksize").write_text(f"{_STORE_MB}M")


def workload(pages: int = PAGES, seed: int = 3) -> None:
    """A process pages out and exits: all of its slots are free afterwards."""
    process = Process(pages, "compressible", seed)
    process.page_out()
    process.exit()


def take_down() -> None:
    """Whatever a scene has left, whatever it was: from the top down, again until nothing more gives way."""
    devices = Path("/sys/block")
    ZSWAP.write_text("N")
    while _LIVING:
        living = _LIVING.pop()
        living.exit() if isinstance(living, Process) else living.close()
    for swap in Path("/proc/swaps").read_text().splitlines()[1:]:
        run("swapoff", re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), swap.split()[0]), check=False)
    if "debug_stat" in Path("/proc/mounts").read_text():
        run("umount", f"{DEVICE}/debug_stat")
    for _ in range(3):
        for point in sorted(MOUNTS.glob("*")):
            run("umount", str(point), check=False)
            if not point.is_mount():  # nor before, if the printed commands have seen to it
                point.rmdir()
        for array in sorted(devices.glob("md*/md/array_state")):
            array.write_text("clear")
        if any(devices.glob("loop*/loop")):
            run("losetup", "-D", check=False)
        if any(devices.glob("dm-*")):
            run("dmsetup", "remove_all", check=False)
    for device in sorted(devices.glob("zram*")):
        (device / "reset").write_text("1")
        if device != DEVICE:
            Path("/sys/class/zram-control/hot_remove").write_text(device.name[4:])


# -- scenes


def area(layers: str) -> Callable[[], None]:
    """A swap area at the top of that stack, whose slots have all become free."""

    def make() -> None:
        swap_on(build(layers))
        workload()

    return make


def shared(layers: str) -> Callable[[], None]:
    """The same, and somebody else has a file on its filesystem, and a loop device on that."""

    def make() -> None:
        area(layers)()
        (point,) = MOUNTS.glob("*")
        run("fallocate", "-l", "8M", str(point / "somebody's"))
        _loop(str(point / "somebody's"))

    return make


def halves() -> None:
    """An area on one half of the device, and somebody's filesystem on the other."""
    zram()
    half = (_STORE_MB << 20) // 1024
    path, other = (_mapped(f"half {n}", f"0 {half} linear /dev/zram0 {n * half}") for n in range(2))
    _filesystem("ext4", other)
    swap_on(path)
    workload()


def striped() -> None:
    """An area over two devices. How much of what they hold is its own, the audit does not know."""
    zram()
    second = hot_add(_STORE_MB)
    sectors = (_STORE_MB << 20) // 512
    swap_on(_mapped("striped", f"0 {2 * sectors} striped 2 8 /dev/zram0 0 /dev/{second} 0"))
    workload(2 * PAGES)


def left_behind() -> None:
    """A filesystem's data, and then mkswap over it."""
    zram()
    run("umount", str(_data("ext4", 2 * PAGES).parent))
    swap_on("/dev/zram0")


def missed() -> None:
    """What another processor would have to cause within a moment: the counter is put there, the stale entries are."""
    left_behind()
    Path("/tmp/debug_stat").write_text(f"version: 1\n       0 {10 * PAGES}\n")
    run("mount", "--bind", "/tmp/debug_stat", f"{DEVICE}/debug_stat")


def nobody() -> None:
    """Data that a swap area behind device mapper has left."""
    swap_on(path := build("dm"))
    workload()
    run("swapoff", path)
    run("dmsetup", "remove_all")


def deleted(layers: str) -> Callable[[], None]:
    """A file that was deleted, larger than what the filesystem keeps for itself; and another one deleted just now.

    The latter may be where the former was: two PAGES of all are free only when the journal is written.
    """

    def make() -> None:
        zram()
        (path := _data(layers, _LARGE)).unlink()
        run("sync", "-f", str(path.parent))
        _write(path, 2 * PAGES)
        path.unlink()

    return make


def _data(kind: str, pages: int) -> Path:
    """A file on a filesystem on zram, all of it written."""
    path = _filesystem(kind, "/dev/zram0") / "data"
    _write(path, pages)
    return path


def _write(path: Path, pages: int) -> None:
    piece = os.urandom(4096 * PAGES)
    with path.open("wb") as file:
        for _ in range(pages // PAGES):
            file.write(piece)
        os.fsync(file.fileno())


def double() -> None:
    zram()
    swap_on("/dev/zram0")
    ZSWAP.write_text("Y")
    workload()


_LIVING: list[Any] = []  # processes and memory that a scene keeps until it is taken down
_MAP_LOCKED = 0x2000  # Linux's, which Python does not name


def crowded() -> None:
    """More in swap than memory has room for: what is left is locked away, but for three quarters of what is needed.

    Step by step: what is locked pushes other pages out, of which some are available again.
    """
    swap_on(build("dm"))
    process = Process(_CROWD, "compressible", 5)
    _LIVING.append(process)
    process.page_out()
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_LOCKED
    while (left := Machine().meminfo()["MemAvailable"] - 3 * _CROWD * mmap.PAGESIZE // 4) > 0:
        _LIVING.append(mmap.mmap(-1, max(left, 1 << 20), flags=flags))


@dataclass(frozen=True)
class Scene:
    """What the audit must find where `make` has been; what that is, in words.

    drops: so many pages of zram0 are gone after each piece of advice. (Of an area's those that slot caches hold are in
    use, up to 6.12.) 0: none, and a filesystem that stays there goes on writing.
    """

    finding: str
    stacking: str
    make: Callable[[], None]
    drops: int = PAGES // 2


def _areas(finding: str, *stacks: str) -> dict[str, Scene]:
    """Scenes of swap areas, by what is below them."""
    return {stack: Scene(finding, _in_words(stack), area(stack)) for stack in stacks}


def _shared(finding: str, *stacks: str, drops: int = Scene.drops) -> dict[str, Scene]:
    return {
        f"shared {stack}": Scene(finding, f"{_in_words(stack)}, with another file there", shared(stack), drops)
        for stack in stacks
    }


def _in_words(stack: str) -> str:
    words = [{"clear": "crypt (with discards)"}.get(word, word) for word in reversed(stack.split())]
    return " on ".join([*words, "zram"])


SCENES = {
    **_areas(
        "stale-behind-file", "ext4", "xfs", "btrfs", "dm ext4", "dm xfs", "dm btrfs", "crypt ext4", "md ext4",
        "loop ext4", "loop partition xfs", "dm loop ext4", "ext4 loop ext4", "xfs loop dm ext4",
    ),
    **_areas(
        "stale-behind-loop", "loop", "dm loop", "ext4 loop", "xfs loop", "btrfs loop", "dm ext4 loop",
    ),
    **_areas("stale-behind-dm", "dm", "dm dm", "loop dm", "ext4 loop dm", "crypt", "clear"),
    **_areas("stale-behind-device", "md", "loop partition", "ext4 loop partition"),
    **_shared("stale-behind-file", "ext4", "dm xfs"),
    **_shared("stale-behind-file", "crypt ext4", drops=0),
    **_shared("stale-behind-loop", "ext4 loop", "xfs loop"),
    "halves": Scene("stale-behind-dm", "dm on a part of zram, ext4 on dm on another", halves),
    "striped": Scene("stale-behind-dm", "dm on two zram devices", striped),
    "left-behind": Scene("stale-left-behind", "zram, after ext4", left_behind, 2 * PAGES),
    "missed": Scene("missed-notifications", "zram", missed, 2 * PAGES),
    "nobody": Scene("store-without-user", "nothing on zram, after dm", nobody),
    **{f"deleted {kind}": Scene("freed-blocks-kept", f"{kind} on zram", deleted(kind), _LARGE - PAGES)
       for kind in _MKFS},
    "crowded": Scene("stale-behind-dm", "dm on zram, more in swap than fits into memory", crowded, _CROWD),
    "zswap": Scene("zswap-before-zram", "zswap before zram", double, 0),
}  # fmt: skip

# What does not differ from kernel to kernel is in the others.
FEW = ("dm xfs",)


def play(scene: Scene, folder: Path, name: str) -> None:
    """All advice of the scene's finding, one by one; what came of it is in FOLDER/scene-NAME.json."""
    tried: list[dict[str, Any]] = []
    while True:
        try:
            scene.make()
            before = _look()
            finding = next((found for found in before["findings"] if found["id"] == scene.finding), None)
            advice = [found for found in finding["advice"] if found["commands"]] if finding else []
            if len(tried) < len(advice):
                tried.append({"before": before, "advice": advice[len(tried)], **_run(advice[len(tried)]["commands"])})
                tried[-1]["after"] = _look()
            (folder / f"scene-{name}.json").write_text(json.dumps({"first": before, "tried": tried}))
        finally:
            take_down()
        if len(tried) >= len(advice):
            return


def _look() -> dict[str, Any]:
    """What the audit says, and the kernel's own figures of zram0."""
    return {**as_json(audit()), "mm_stat": (DEVICE / "mm_stat").read_text().split(),
            "pages_written": int((DEVICE / "stat").read_text().split()[6]) * 512 // mmap.PAGESIZE,
            "mountinfo": Path("/proc/self/mountinfo").read_text()}  # fmt: skip


def _run(commands: list[str]) -> dict[str, Any]:
    """The commands as printed: one shell, which stops at the first that fails."""
    script = "\n".join(commands)
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, timeout=200)
    return {"status": done.returncode, "errors": done.stderr}
