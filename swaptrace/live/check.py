"""check: what recording needs, what each logical event would be attached to, and what is lost without it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swaptrace.errors import Problem
from swaptrace.live.arch import architecture
from swaptrace.live.btf import KernelTypes
from swaptrace.live.environment import Requirement, features_off, missing_views, requirements
from swaptrace.live.layout import MissingLayout, layout
from swaptrace.live.probes import ZSWAP, Choice, Symbols, choose

__all__ = ["Check", "check", "print_check"]


@dataclass(frozen=True)
class Check:
    """requirements: what recording needs. choices: the probe table as this kernel resolves it (empty if it cannot be
    read). notes: sentences on what will not be seen."""

    requirements: list[Requirement]
    choices: list[Choice]
    notes: list[str]

    @property
    def possible(self) -> bool:
        """Whether record would work: all requirements are met, and all required events have a function."""
        events = all(choice.chosen for choice in self.choices if choice.probe.required)
        return all(need.met for need in self.requirements) and bool(self.choices) and events


def check() -> Check:
    """Look at this machine; changes nothing, attaches nothing."""
    needs = list(requirements())
    choices: list[Choice] = []
    notes = missing_views()
    try:
        types = KernelTypes()
        choices = choose(types, Symbols(), architecture(), off=features_off())
        zram = any(c.module == "zram" for choice in choices for c in choice.chosen)
        zswap = any(choice.probe.feature == ZSWAP and choice.chosen for choice in choices)
        if "OFF_PAGE_MEMCG" not in layout(types, zram=zram, zswap=zswap):
            notes.append("which memory cgroup a page belongs to is not told: the kernel has no memory cgroups")
        if zram and types.module("zram") is None:
            notes.append(
                "the kernel has no type information for the zram module: its layout is assumed, and record starts only "
                "if the entries of the devices are as the kernel itself describes them"
            )
    except MissingLayout as missing:
        needs.append(Requirement("structures", f"the kernel's type information lacks: {missing}", "please report this"))
    except Problem as problem:
        if not any(problem.what == need.found for need in needs):
            needs.append(Requirement("type information", problem.what, problem.remedy))
    if os.geteuid() != 0:
        notes.append("some of this can be seen by root only")
    return Check(needs, choices, notes)


def print_check(result: Check, console: Console) -> None:
    """Two tables: what is needed, and the probes."""
    needs = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("needed", "", "found"):
        needs.add_column(heading, overflow="fold")
    for need in result.requirements:
        found = Text(need.found)
        if not need.met:
            found.append(f"\n{need.remedy}", style="bold")
        needs.add_row(need.name, Text("ok", "green") if need.met else Text("missing", "red"), found)
    console.print(needs)
    if result.choices:
        console.print(_probe_table(result.choices))
    for note in result.notes:
        console.print(Text(f"note: {note}"))
    verdict = "This kernel can be traced." if result.possible else "This kernel cannot be traced as things are."
    console.print(Text(verdict, "bold"))


def _probe_table(choices: list[Choice]) -> Table:
    probes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("event", "kernel function", "otherwise"):
        probes.add_column(heading, overflow="fold")
    for choice in choices:
        functions = "\n".join(candidate.function for candidate in choice.chosen)
        if functions:
            probes.add_row(choice.probe.event, functions, "")
        elif choice.off:
            probes.add_row(choice.probe.event, Text("not now", "dim"), "; ".join(choice.problems))
        else:
            why = Text("; ".join(choice.problems)).append(f"\nwithout it, {choice.probe.without}", style="bold")
            probes.add_row(choice.probe.event, Text("none", "red"), why)
    return probes
