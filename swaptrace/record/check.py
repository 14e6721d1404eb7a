"""check: what recording needs, what each logical event would be attached to, and what is lost without it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swaptrace.degradation import WITHOUT
from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel.probes import Choice
from swaptrace.tracing.environment import Requirement, missing_views
from swaptrace.tracing.ground import Ground, requirements


@dataclass(frozen=True)
class Check:
    """requirements: what recording needs. choices: the probe table as this kernel resolves it (empty if it cannot be
    read). notes: sentences on what will not be seen."""

    requirements: list[Requirement]
    choices: list[Choice]
    notes: list[str]

    @property
    def possible(self) -> bool:
        """Whether record would start: it asks the same questions."""
        return all(need.met for need in self.requirements)


def check(ground: Ground | None = None) -> Check:
    """Look at this machine; changes nothing, attaches nothing."""
    ground = ground or Ground()
    needs, notes = list(requirements(ground)), missing_views(ground.root)
    choices: list[Choice] = []
    with suppress(EnvironmentProblem):  # of which a requirement tells
        choices = ground.choices
        notes += [f"{name}: not told; {WITHOUT[name]}" for name in ground.missing()]
        if ground.zram and ground.types.module("zram") is None:
            notes.append(
                "the kernel has no type information for the zram module: its layout is assumed, and record starts only "
                "if the entries of the devices are as the kernel itself describes them"
            )
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
    """Why there is no function, and what is lost without it, is there once: at the first event of several."""
    said: dict[str, str] = {}

    def once(event: str, reason: str) -> str:
        first = said.setdefault(reason, event)
        return reason if first == event else f"as for: {first}"

    probes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("event", "kernel function", "otherwise"):
        probes.add_column(heading, overflow="fold")
    for choice in choices:
        functions = "\n".join(candidate.function for candidate in choice.chosen)
        if functions:
            probes.add_row(choice.probe.event, functions, "")
        elif choice.off:
            probes.add_row(
                choice.probe.event, Text("not now", "dim"), once(choice.probe.event, "; ".join(choice.problems))
            )
        else:
            why = Text(once(choice.probe.event, "; ".join(choice.problems)))
            why.append(f"\n{once(choice.probe.event, f'without it, {choice.probe.without}')}", style="bold")
            probes.add_row(choice.probe.event, Text("none", "red"), why)
    return probes
