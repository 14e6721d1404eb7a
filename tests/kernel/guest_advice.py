"""Scenes for test_audit.py: stackings of layers on zram that a finding can lie behind, built with mkfs's defaults.

For each piece of advice that the audit gives there, the scene is built anew, and the printed commands are run exactly
as they are printed (one `sh -e` for all of them, nothing before: no sync, no settling). NAME.json has for each of
them: the commands, how they ended, and what the audit says afterwards.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))
from zram import run, swap_on

from swaptrace.audit.as_json import as_json
from swaptrace.audit.audit import audit
from swaptrace.live.workload import Process

PAGES = 1499
DEVICE = Path("/sys/block/zram0")
MOUNTS = Path("/tmp/scenes")
_FILE_MB, _STORE_MB = 32, 768
_MKFS = {"ext4": ("mkfs.ext4", "-q"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}

# -- layers: each takes the device (or file) below, and returns the device or file that it makes


def _filesystem(kind: str, below: str) -> Path:
    """Mounted at a place of its own, whose name a shell would take apart."""
    run("modprobe", kind)
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
    run("modprobe", "dm-mod")
    sectors = run("blockdev", "--getsz", below).stdout.strip()
    name = f"scene {Path(below).name}"
    run("dmsetup", "create", name, "--noudevsync", "--table", f"0 {sectors} {target.format(below)}")
    # not /dev/mapper/...: that is made by udev, which the guest may not have
    return "/dev/" + run("dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", name).stdout.strip()


def _loop(below: str) -> str:
    run("modprobe", "loop")
    return run("losetup", "--find", "--show", "--direct-io=on", below).stdout.strip()


def build(layers: str) -> str:
    """A stack on zram0, from the device up (`dm ext4`: a file on ext4 on device mapper on zram0); its top's path."""
    zram()
    path, words = "/dev/zram0", layers.split()
    for number, layer in enumerate(words):
        above = len(words) - number - 1
        if layer in _MKFS:
            path = _file(layer, path, above)
        else:
            path = {"loop": _loop, "dm": lambda below: _dm("linear {} 0", below)}[layer](path)
    return path


def zram() -> None:
    run("modprobe", "zram", "num_devices=1")
    (DEVICE / "disksize").write_text(f"{_STORE_MB}M")


def workload(pages: int = PAGES, seed: int = 3) -> None:
    """A process pages out and exits: all of its slots are free afterwards."""
    process = Process(pages, "compressible", seed)
    process.page_out()
    process.exit()


def take_down() -> None:
    """Whatever a scene has left, whatever it was: from the top down, again until nothing more gives way."""
    for swap in Path("/proc/swaps").read_text().splitlines()[1:]:
        run("swapoff", re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), swap.split()[0]), check=False)
    for _ in range(3):
        for point in sorted(MOUNTS.glob("*")):
            run("umount", str(point), check=False)
        run("losetup", "-D", check=False)
        run("dmsetup", "remove_all", check=False)
    for device in sorted(Path("/sys/block").glob("zram*")):
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


@dataclass(frozen=True)
class Scene:
    """What the audit must find where `make` has been."""

    finding: str
    make: Callable[[], None]


SCENES = {
    **{f"file-{layers}": Scene("stale-behind-file", area(layers)) for layers in (
        "ext4", "btrfs", "dm xfs", "dm btrfs", "loop ext4",
    )},
}  # fmt: skip

# What does not differ from kernel to kernel is in the others.
FEW = ("file-dm xfs",)


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
    return {**as_json(audit()), "mm_stat": (DEVICE / "mm_stat").read_text().split()}


def _run(commands: list[str]) -> dict[str, Any]:
    """The commands as printed: one shell, which stops at the first that fails."""
    script = "\n".join(commands)
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, timeout=200)
    return {"status": done.returncode, "errors": done.stderr}
