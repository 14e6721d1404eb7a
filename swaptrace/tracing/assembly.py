"""The source of the BPF programs: constants of the running kernel, the event record, and the files of bpf/.

It is worked out without BCC and without loading anything, so that tests can compile and run the same text.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import resources

from swaptrace.areas import ZSWAP_STORES
from swaptrace.degradation import NOTIFICATION
from swaptrace.events import c_definitions
from swaptrace.kernel.arch import Architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.probes import ZSWAP, Choice, Symbols
from swaptrace.tracing.ground import memory_subsystem, swap_info, told_layout
from swaptrace.tracing.ring import records_in

#: What files of bpf/ include of this module: header().
GENERATED = "generated.h"
_INCLUDE = re.compile(r'^#include "(.+)"\n', re.MULTILINE)

_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
# What zram does with each page of a request, where it goes on after one that fails (and stores the next in its place):
# gone since "zram: refactor highlevel read and write handling" (6.4).
_EACH_PAGE = "zram_bvec_rw"

# Of how many notifications one is timed, a power of two: that takes two clock readings, which cost as much as all else
# that a program does there.
_NOTIFICATIONS_PER_TIMED = 16


@dataclass(frozen=True)
class Options:
    """What a recording asks of the programs.

    time_frees: time the slot-free function, too, and every notification. zswap_in_zsmalloc: zswap's pools are
    zsmalloc's, and are looked at.
    """

    ring_bytes: int
    time_frees: bool = False
    zswap_in_zsmalloc: bool = False


@dataclass(frozen=True)
class Assembly:
    """All that the text is made of. constants: macros by name. definitions: C after them. files: in any order.

    left_out: programs at the entries of functions that are not needed where there are trampolines.
    """

    constants: dict[str, str | int]
    definitions: str
    files: tuple[str, ...]
    left_out: frozenset[str]

    def header(self, *, trampolines: bool) -> str:
        """generated.h, for kprobes, or for trampolines, whose programs have their arguments in other places."""
        constants = self.constants
        if trampolines:
            constants = constants | {"TRAMPOLINES": 1, **{f"WITHOUT_{name.upper()}": 1 for name in self.left_out}}
        text = "".join(f"#define {name} {value}\n" for name, value in constants.items())
        return f"#ifndef SWAPTRACE_GENERATED_H\n#define SWAPTRACE_GENERATED_H\n{text}{self.definitions}#endif\n"

    def source(self, *, trampolines: bool) -> str:
        """The files as one text, with each file that they include, once, where it is first asked for.

        BCC rewrites only what is in its main file (its BFrontendAction): maps and programs in an included one are left
        as they are, and do not compile.
        """
        header = self.header(trampolines=trampolines)
        included: set[str] = set()

        def text(name: str) -> str:
            if name in included:
                return ""
            included.add(name)
            own = header if name == GENERATED else (resources.files("swaptrace.bpf") / name).read_text()
            return _INCLUDE.sub(lambda found: text(found[1]), own)

        return "".join(map(text, self.files))

    @property
    def zram_pools(self) -> bool:
        """Whether the programs can look at the pools of zram devices."""
        return "OFF_ZRAM_POOL" in self.constants

    @property
    def zswap_pools(self) -> bool:
        """Whether the programs can look at zswap's pools."""
        return "ZSWAP_POOLS" in self.constants


def assemble(
    choices: list[Choice],
    types: KernelTypes,
    symbols: Symbols,
    arch: Architecture,
    options: Options,
    *,
    recorder: int,
) -> Assembly:
    """The programs for the chosen probes. recorder: the process id of the recorder.

    Raises EnvironmentProblem if the kernel does not tell what the programs need.
    """
    zram = any(c.module == "zram" for choice in choices for c in choice.chosen)
    zswap = any(choice.probe.feature == ZSWAP and choice.chosen for choice in choices)
    pools = symbols.addresses({"zswap_pools"}).get("zswap_pools", 0) if options.zswap_in_zsmalloc else 0
    constants: dict[str, str | int] = {
        **told_layout(types, zram=zram, zswap=zswap, zswap_pools=pools),
        **({"MEMORY_SUBSYSTEM": f"{memory:#x}ULL"} if (memory := memory_subsystem(symbols)) else {}),
        **arch.definitions(),
        "RECORDER": recorder,
        "ZRAM_DEVICES": ZSWAP_STORES,
        "RING_PAGES": options.ring_bytes // _PAGE_SIZE,
        "RING_RECORDS": records_in(options.ring_bytes),
        **({"TIME_FREES": 1} if options.time_frees else {}),
        **({"ZRAM_TRIES_ALL_PAGES": 1} if symbols.alike({_EACH_PAGE}) else {}),
        "NOTIFICATIONS_PER_TIMED": 1 if options.time_frees else _NOTIFICATIONS_PER_TIMED,
        "SWAP_INFO": f"{swap_info(symbols):#x}ULL",
    }
    if "MEMORY_SUBSYSTEM" not in constants:
        constants.pop("OFF_PAGE_MEMCG", None)
    if "OFF_FUNCTIONS_NOTIFY" in constants and _notified(choices):
        constants["NOTIFICATIONS"] = 1
    if "ZSWAP_POOLS" in constants:
        constants["ZSWAP_POOLS"] = f"{pools:#x}ULL"
    files = ["slots.c", "swap_calls.c", *(["zram.c"] if zram else []), *(["zswap.c"] if zswap else [])]
    return Assembly(constants, c_definitions(), tuple(files), left_out(choices, symbols))


def left_out(choices: list[Choice], symbols: Symbols) -> frozenset[str]:
    """Programs at entries whose functions' returns suffice, if they have the arguments, too: as trampolines have.

    Not where a notification may come without a free, by a function of mm/page_io.c that e914d8f00391 ("mm: fix
    unexpected zeroed page mapping with zram swap"), 5.18, took away.
    """
    alone = symbols.alike({"swap_slot_free_notify"})
    entries = {candidate.entry for choice in choices for candidate in choice.chosen}
    return frozenset({"zram_page_enter", *(() if alone else ("notification_enter",))} & entries)


def _notified(choices: list[Choice]) -> bool:
    """Whether the notifications of zram are told of."""
    return any(choice.probe.event == NOTIFICATION and choice.chosen for choice in choices)
