"""What recording stands on: the questions that `check` and `record` ask this machine, in one order, from one list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from swaptrace.degradation import MEMORY_CGROUPS
from swaptrace.errors import EnvironmentProblem, Problem
from swaptrace.kernel.arch import Architecture, architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import MissingLayout, layout
from swaptrace.kernel.probes import ZSWAP, Choice, Symbols, choose
from swaptrace.tracing import environment
from swaptrace.tracing.environment import Requirement

_ROOT = Path("/")


class Ground:
    """This machine's kernel as far as recording needs to know it, each part looked at when first asked for.

    Every part raises EnvironmentProblem if it cannot be had.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        """root: where /proc and /sys are."""
        self.root = root

    @cached_property
    def arch(self) -> Architecture:
        return architecture()

    @cached_property
    def types(self) -> KernelTypes:
        return KernelTypes(self.root / "sys/kernel/btf")

    @cached_property
    def symbols(self) -> Symbols:
        return Symbols(self.root / "proc/kallsyms")

    @cached_property
    def choices(self) -> list[Choice]:
        """The table of probes, as this kernel resolves it."""
        return choose(self.types, self.symbols, self.arch, off=environment.features_off(self.root))

    @cached_property
    def zram(self) -> bool:
        """Whether programs for zram are attached."""
        return any(candidate.module == "zram" for choice in self.choices for candidate in choice.chosen)

    @cached_property
    def layout(self) -> dict[str, int]:
        zswap = any(choice.probe.feature == ZSWAP and choice.chosen for choice in self.choices)
        return told_layout(self.types, zram=self.zram, zswap=zswap)

    def missing(self) -> tuple[str, ...]:
        """What recording can do without, as degradation.WITHOUT names it, but for events without a function."""
        told = "OFF_PAGE_MEMCG" in self.layout and memory_subsystem(self.symbols) is not None
        return () if told else (MEMORY_CGROUPS,)


def told_layout(types: KernelTypes, *, zram: bool, zswap: bool, zswap_pools: int = 0) -> dict[str, int]:
    """layout(), of which all that is missing is an EnvironmentProblem."""
    try:
        return layout(types, zram=zram, zswap=zswap, zswap_pools=zswap_pools)
    except MissingLayout as missing:
        raise EnvironmentProblem(
            f"the kernel's type information does not tell: {missing}", "please report the output of: swaptrace check"
        ) from None


def swap_info(symbols: Symbols) -> int:
    """The address of swap_info[]; 0 if it is told to root only, and this is not root. Raises EnvironmentProblem."""
    address = symbols.addresses({"swap_info"}).get("swap_info")
    if address is None:
        raise EnvironmentProblem(
            "the kernel does not tell where its table of swap areas is: /proc/kallsyms has no swap_info",
            "boot a kernel built with CONFIG_KALLSYMS_ALL=y",
        )
    if not address and os.geteuid() == 0:
        raise EnvironmentProblem(
            "the kernel hides where its table of swap areas is: /proc/kallsyms has no addresses",
            "sysctl kernel.kptr_restrict=1",
        )
    return address


def memory_subsystem(symbols: Symbols) -> int | None:
    """Where the memory controller's cgroup subsystem is, by which programs know a memory cgroup; None if not told.

    0 if it is told to root only, and this is not root.
    """
    return symbols.addresses({"memory_cgrp_subsys"}).get("memory_cgrp_subsys")


def _events(ground: Ground) -> str:
    for choice in ground.choices:
        if choice.probe.required and not choice.chosen:
            raise choice.no_function()
    return "all that are needed have a function"


def _structures(ground: Ground) -> str:
    return f"{len(ground.layout)} constants"


def _swap_table(ground: Ground) -> str:
    swap_info(ground.symbols)
    return "/proc/kallsyms has swap_info"


#: What recording needs: a name, and a question that returns what was found, or raises EnvironmentProblem.
QUESTIONS: tuple[tuple[str, Callable[[Ground], str]], ...] = (
    ("rights", lambda ground: environment.rights()),
    ("architecture", lambda ground: ground.arch.machine),
    ("kprobes", lambda ground: environment.kprobes(ground.root)),
    ("lockdown", lambda ground: environment.lockdown(ground.root)),
    ("type information", lambda ground: environment.types(ground.root)),
    ("zram devices", lambda ground: environment.devices(ground.root)),
    ("bcc", lambda ground: environment.bcc()),
    ("events", _events),
    ("structures", _structures),
    ("table of swap areas", _swap_table),
)


def requirements(ground: Ground) -> Iterator[Requirement]:
    """All that recording needs, in the order in which to mend it; what fails for the same reason is there once."""
    said: set[str] = set()
    for name, question in QUESTIONS:
        try:
            yield Requirement(name, question(ground))
        except Problem as problem:
            if problem.what not in said:
                yield Requirement(name, problem.what, problem.remedy)
            said.add(problem.what)


def require(ground: Ground) -> None:
    """Raises EnvironmentProblem for the first requirement that is not met."""
    for _, question in QUESTIONS:
        question(ground)
