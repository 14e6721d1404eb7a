"""Programs of other Debian releases, to run in a guest: Python with its BCC, unpacked into the cache, never installed.

Their library and Python are not this machine's, so they run in a chroot of their own (tests/kernel/guest_userland.py).
Fetched once, as kernels are.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

from kernels import PrivateApt, SetupError, cache_folder, fetched_once

__all__ = ["fetch"]

# what recording imports; those that come from PyPI are not in every release
_PACKAGES = ["base-files", "python3-bpfcc", "python3-click", "python3-numpy", "python3-rich"]
_WHEELS = ["msgspec", "pyarrow"]
_MERGED = ("bin", "lib", "lib64", "sbin")
_MOUNT_POINTS = ("dev", "mnt", "proc", "sys", "tmp")  # the guest cannot make them: it has the cache read-only


def fetch(suite: str) -> Path:
    """The root folder of a release's programs, downloaded if it is not in the cache yet."""
    contents = sha256(" ".join([*_PACKAGES, *_WHEELS]).encode()).hexdigest()[:8]  # others are another folder
    return fetched_once(cache_folder() / "userlands" / f"{suite}-{contents}", partial(_download, suite))


def _download(suite: str, staging: Path) -> Path:
    print(f"vm: fetching Python and BCC of Debian {suite} (once)", file=sys.stderr, flush=True)
    root = staging / "root"
    for folder in _MERGED:  # as the packages expect it: /bin and the like are links into /usr
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for deb in PrivateApt(staging / "apt", suite).download_with_dependencies(_PACKAGES):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as packed:
            unpack = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)]
            subprocess.run(unpack, stdin=packed.stdout, check=True)
        deb.unlink()
    for place in _MOUNT_POINTS:
        (root / place).mkdir(exist_ok=True)
    version = (root / "usr" / "bin" / "python3").readlink().name.removeprefix("python")
    _wheels(root / "usr" / "lib" / "python3" / "dist-packages", version)
    return root


def _wheels(folder: Path, version: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--target", str(folder), "--python-version", version, "--only-binary=:all:", *_WHEELS]
    if subprocess.run(command, check=False).returncode:
        raise SetupError(f"pip found no {', '.join(_WHEELS)} for Python {version}", "see the lines above")
