"""mdadm, for stacks of block devices in a guest: unpacked into the cache, never installed.

Its package would bring udev along, with which all guests take much longer to boot. Fetched once, as kernels are.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from kernels import PrivateApt, cache_folder, locked

__all__ = ["fetch"]

_SUITE = "bookworm"  # of the releases that swaptrace's tests run on the oldest, whose C library all have


def fetch() -> Path:
    """The folder that the program is in, downloaded if it is not in the cache yet."""
    target = cache_folder() / "mdadm"
    if not target.exists():
        with locked(target.with_suffix(".lock")):
            if not target.exists():
                _download(target)
    return target / "sbin"


def _download(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mdadm.", dir=target.parent) as name:
        staging, root = Path(name), Path(name, "root")
        (deb,) = PrivateApt(staging / "apt", _SUITE).download(["mdadm"])
        subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
        root.chmod(0o755)
        root.rename(target)
