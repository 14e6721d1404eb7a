"""Memory cgroups: the paths of those whose inode numbers events have."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

_ROOT = Path("/")


def hierarchy(root: Path = _ROOT) -> Path | None:
    """Where the hierarchy with the memory controller is mounted; None if nowhere.

    That is a hierarchy of its own (version 1), or else the unified one.
    """
    found: dict[str, Path] = {}
    for line in (root / "proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            found.setdefault(kind, root / place.encode().decode("unicode_escape").lstrip("/"))
    return found.get("cgroup", found.get("cgroup2"))


class Cgroups:
    """Finds paths while a recording goes on; a cgroup keeps its path when it is gone.

    One that went before its number was first asked for has none.
    """

    def __init__(self, find: Callable[[], Path | None] = hierarchy) -> None:
        """find: where to look, asked each time: it may be mounted while recording."""
        self._find = find
        self._known: dict[int, str] = {0: ""}  # by inode number; 0 is no cgroup's
        self._told: set[int] = {0}

    def paths_of(self, numbers: Iterable[int]) -> dict[int, str]:
        """The paths of those cgroups that were not asked for before, by inode number, as far as they can be told."""
        new = set(numbers) - self._told
        if not new:
            return {}
        self._told |= new
        if not new <= self._known.keys():
            self._look()
        return {number: self._known[number] for number in sorted(new & self._known.keys())}

    def _look(self) -> None:
        """Learn the paths of all that are there now. Numbers have 32 bits in events."""
        mounted = self._find()
        if mounted is None:
            return
        for folder, _, _ in os.walk(mounted):
            try:
                number = Path(folder).stat().st_ino & 0xFFFFFFFF
            except OSError:  # it has just gone
                continue
            path = Path(folder).relative_to(mounted)
            self._known[number] = f"/{path}" if path.parts else "/"
