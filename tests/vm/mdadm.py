"""mdadm, for stacks of block devices in a guest: unpacked into the cache, never installed.

Its package would bring udev along, with which all guests take much longer to boot. Fetched once, as kernels are.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from kernels import PrivateApt, cache_folder, fetched_once

__all__ = ["fetch"]

_SUITE = "bookworm"  # of the releases that swaptrace's tests run on the oldest, whose C library all have


def fetch() -> Path:
    """The folder that the program is in, downloaded if it is not in the cache yet."""
    return fetched_once(cache_folder() / "mdadm", _download) / "sbin"


def _download(staging: Path) -> Path:
    root = staging / "root"
    apt = PrivateApt(staging / "apt", _SUITE)
    (deb,) = apt.download([apt.package("mdadm")])
    subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
    return root
