"""Memory cgroups in a guest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from zram import run

CGROUPS = Path("/sys/fs/cgroup")


def new_cgroup(name: str) -> Path:
    """A memory cgroup of that path below the root, with those above it; as it is, if it is there."""
    if not (CGROUPS / "cgroup.procs").exists():
        run("mount", "-t", "cgroup2", "none", str(CGROUPS))
    folder = CGROUPS
    for part in Path(name).parts:
        (folder / "cgroup.subtree_control").write_text("+memory")
        folder = folder / part
        folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def in_group(group: Path) -> Iterator[None]:
    """What is started herein is in that cgroup, and stays."""
    own, mine = CGROUPS / "cgroup.procs", group / "cgroup.procs"
    mine.write_text(str(os.getpid()))
    try:
        yield
    finally:
        own.write_text(str(os.getpid()))
