"""What pages can be told apart by (`report --by`): a row each.

Whose a page is depends on what is asked. A memory cgroup's pages are those that were stored for it: the page's own
cgroup, whoever made room for it. A process or a reason has pages only from their free on: it is what freed them (a page
that is in use has no process: several may share it, and reclaim stores it). A process's loads are those of its faults.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    """What pages are told apart by. field: of the events of `kinds`, what says whose they are. nobody: the name of what
    belongs to none. at_store, at_free: whether that makes a page another group's. words: how a page gets its group.
    """

    name: str
    nobody: str
    words: str
    field: str = ""
    kinds: tuple[str, ...] = ()
    at_store: bool = False
    at_free: bool = False


#: By the names that --by takes.
DIMENSIONS = {
    row.name: row
    for row in (
        Dimension(
            "cgroup", "(not known)", "the memory cgroup that a page was stored for",
            "arg", ("STORE",), at_store=True,
        ),
        Dimension(
            "process", "(in use)", "the process that read a page back, or freed its slot",
            "tgid", ("LOAD", "FREE"), at_free=True,
        ),
        Dimension(
            "reason", "(in use)", "why a slot was freed", "reason", ("FREE",), at_free=True,
        ),
        Dimension("area", "", "the swap area that a page lies in"),
    )
}  # fmt: skip
