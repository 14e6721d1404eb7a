"""Whose swap it is: what events say of that, as numbers of groups for the engine, and as names for reports.

What can be asked for is a row of swaptrace.dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.dimensions import Dimension
from swaptrace.engine.groups import NOBODYS, Groups
from swaptrace.events import EventKind, FreeReason


class Attribution:
    """Numbers the groups of one dimension as they come. One for all stores of a recording."""

    def __init__(self, dimension: Dimension) -> None:
        self.dimension = dimension
        self._numbers: dict[int, int] = {}  # of groups, by what events have in the dimension's field

    def groups(self) -> Groups:
        """The groups of one more store."""
        return Groups(self.dimension.at_store, self.dimension.at_free)

    def numbers(self, events: NDArray[np.void]) -> tuple[NDArray[np.int32], list[int]]:
        """The group of each event (int32, one each; of EVENT), and which groups there are in them."""
        row = self.dimension
        if not row.field:
            return np.zeros(len(events), np.int32), []
        says = np.isin(events["kind"], [EventKind[kind] for kind in row.kinds])
        keys = pa.array(np.where(says, events[row.field], 0)).dictionary_encode()
        numbers = np.array([self._number(key) for key in keys.dictionary.to_pylist()], np.int32)
        return numbers[keys.indices.to_numpy()], sorted(set(numbers.tolist()))

    def _number(self, key: int) -> int:
        if self.dimension.name == "reason" and key:  # what is no reason, as the engine counts it
            key = min(key, len(FreeReason))
        return self._numbers.setdefault(key, len(self._numbers) + 1) if key else NOBODYS

    def names(self, tasks: Mapping[int, str], cgroups: Mapping[int, str]) -> dict[int, str]:
        """Of all groups, by number. tasks: command names by process id; cgroups: paths by inode number."""
        words: dict[str, Callable[[int], str]] = {
            "cgroup": lambda key: cgroup_name(cgroups, key),
            "process": lambda key: f"{tasks.get(key, '?')} ({key})",
            "reason": lambda key: FreeReason(key - 1).name.lower(),
        }
        found = {number: words[self.dimension.name](key) for key, number in self._numbers.items()}
        return {NOBODYS: self.dimension.nobody, **found}


def cgroup_name(paths: Mapping[int, str], number: int) -> str:
    """A memory cgroup's path, by the inode number of its directory; or that number, if the path is not known."""
    return paths.get(number, f"cgroup {number}")
