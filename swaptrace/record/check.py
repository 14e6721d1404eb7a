"""check: what recording needs, what each logical event would be attached to, and what is lost without it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swaptrace.console import say
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
    """Two tables, what is needed, and the probes; then in sentences, which have the whole width, what is not there."""
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
        _print_reasons(result.choices, console)
    for note in result.notes:
        say(console, f"note: {note}")
    say(
        console,
        "This kernel can be traced." if result.possible else "This kernel cannot be traced as things are.",
        "bold",
    )


def _probe_table(choices: list[Choice]) -> Table:
    probes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("event", "kernel function"):
        probes.add_column(heading, overflow="fold")
    for choice in choices:
        functions = Text("\n".join(candidate.function for candidate in choice.chosen))
        none = Text("not now", "dim") if choice.off else Text("none", "red")
        probes.add_row(choice.probe.event, functions if choice.chosen else none)
    return probes


def _print_reasons(choices: list[Choice], console: Console) -> None:
    """Why events have no function, each reason once, with all events that it holds for; and what is lost without."""
    alike: dict[str, list[Choice]] = {}
    for choice in choices:
        if not choice.chosen:
            alike.setdefault("; ".join(dict.fromkeys(choice.problems)), []).append(choice)
    for reason, group in alike.items():
        say(console, f"{', '.join(choice.probe.event for choice in group)}: {reason}.")
        lost: dict[str, list[str]] = {}
        for choice in group:
            if not choice.off:
                lost.setdefault(choice.probe.without, []).append(choice.probe.event)
        for without, events in lost.items():
            which = "it" if len(group) == 1 else "them" if len(lost) == 1 else " and ".join(events)
            say(console, f"Without {which}, {without}.", "bold")
        console.print()
