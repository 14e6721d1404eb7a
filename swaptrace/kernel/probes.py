"""The table of probes: for each logical event, the kernel functions that tell of it, and what is lost without them.

One row serves every kernel that has the function with those parameters, as its BTF says; kernels are never told apart
by version number. Releases are named only to say where a candidate was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from swaptrace import degradation
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventKind
from swaptrace.kernel.arch import Architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import assumed_zram

ZRAM = "zram"
ZSWAP = "zswap"
ZRAM_WRITEBACK = "zram writeback"

_AREA = "struct swap_info_struct *"
_CLUSTER = "struct swap_cluster_info *"
_SLOT_REQUEST = ("int32", "swp_entry_t *", "int32")
_ZSWAP_ENTRY = "struct zswap_entry *"

_COPY = "inlined, or a compiler-made copy whose parameters are not known"


@dataclass(frozen=True)
class Candidate:
    """A kernel function, the parameters that it must have, and the BPF programs for its entry and return.

    needs: structure fields without which the programs cannot make sense of the parameters. returns: what the function
    must return, last: how its last parameter must be named, where kernels differ in that only.
    """

    function: str
    parameters: tuple[str, ...]
    entry: str | None = None
    exit: str | None = None
    module: str | None = None
    needs: tuple[str, ...] = ()
    returns: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Probe:
    """A logical event, and the kind of its records.

    The first candidate that the kernel has is taken. With `every`, each of them is, for events take one way or the
    other: if the kernel has one that cannot serve, the event is not told of at all. A candidate without programs says
    that what tells of another event tells of this one, too.

    feature: what must be in use, or else nothing is attached: there would be no events, and looking has its cost.
    """

    event: str
    kind: EventKind
    candidates: tuple[Candidate, ...]
    every: bool = False
    required: bool = False
    feature: str = ""

    @property
    def without(self) -> str:
        """What is lost without it: a sentence."""
        return degradation.WITHOUT[self.event]


def _zram(function: str, *parameters: str, entry: str | None = None, exit: str | None = None) -> Candidate:
    return Candidate(function, parameters, entry, exit, module=ZRAM)


def _page(function: str, entry: str, exit: str) -> Candidate:
    """An operation of frontswap, whose only user is zswap: until 6.6."""
    return Candidate(function, ("struct page *",), entry, exit)


def _folio(function: str, entry: str, exit: str, returns: str) -> Candidate:
    return Candidate(function, ("struct folio *",), entry, exit, returns=returns)


def _syscall(name: str) -> Candidate:
    # the wrapper, found by its prefix on this architecture; __do_sys_swapon itself is notrace
    return Candidate(f"sys_{name}", ("struct pt_regs *",), f"{name}_enter", f"{name}_return")


PROBES: tuple[Probe, ...] = (
    Probe(
        degradation.SLOT_FREED,
        EventKind.FREE,
        (
            # until 5.x, and the name that is still used for this event
            Candidate("swap_entry_free", (_AREA, "swp_entry_t"), "slot_freed_by_entry"),
            # 7.3: slots counted within a cluster
            Candidate(
                "__swap_cluster_free_entries",
                (_AREA, _CLUSTER, "int32", "int32"),
                "slots_freed_in_cluster",
                needs=("swap_info_struct.cluster_info", "swap_table.entries"),
            ),
            # 6.18
            Candidate(
                "swap_entries_free", (_AREA, _CLUSTER, "swp_entry_t", "int32"), "slots_freed_by_cluster_and_entry"
            ),
            # 6.12
            Candidate("swap_entry_range_free", (_AREA, "swp_entry_t", "int32"), "slots_freed_by_entry"),
            # 5.10, 6.1
            Candidate("swap_range_free", (_AREA, "int64", "int32"), "slots_freed_by_offset"),
        ),
        required=True,
    ),
    Probe(
        degradation.SLOT_ALLOCATED,
        EventKind.ALLOC,
        (
            # 5.10 to 6.12: many slots at once, which may wait in a CPU's slot cache; those of zero-filled pages are
            # never stored. Slots of a hibernation image (get_swap_page_of_type()) are not told of.
            Candidate(
                "get_swap_pages", _SLOT_REQUEST, "slots_wanted_by_order", "slots_handed_out", last="entry_order"
            ),
            # since 845982eb264e ("mm: swap: allow storage of all mTHP orders") by order; until then, 6.9, by size
            Candidate("get_swap_pages", _SLOT_REQUEST, "slots_wanted_by_size", "slots_handed_out", last="entry_size"),
            Candidate("swap_range_alloc", (_AREA, "int64", "int32"), "slots_allocated_by_offset"),
            # 7.3, where only this part of the allocation (and of nothing else) is a function of its own
            Candidate(
                "__swap_cache_add_folio",
                (_CLUSTER, "struct folio *", "swp_entry_t"),
                "slots_allocated_for_folio",
                needs=("folio._flags_1",),
            ),
            # 6.18, where what takes the slots is inlined into this
            Candidate(
                "alloc_swap_scan_cluster",
                (_AREA, _CLUSTER, "int64", "int32", "int8"),
                "slot_search_enter",
                "slot_search_return",
            ),
        ),
    ),
    Probe(
        degradation.STORED,
        EventKind.STORE,
        (
            _zram("zram_submit_bio", "struct bio *", entry="zram_bio_enter", exit="zram_bio_return"),
            # 4K swap pages, until the block layer lost its rw_page operation in 6.3
            _zram(
                "zram_rw_page",
                "struct block_device *", "int64", "struct page *", "int32",
                entry="zram_page_enter", exit="zram_page_return",
            ),
        ),
        every=True,
        feature=ZRAM,
    ),
    Probe(
        degradation.DROPPED,
        EventKind.DROP,
        (
            _zram("slot_free", "struct zram *", "int64", entry="entry_dropped"),  # 7.3
            _zram("zram_free_page", "struct zram *", "int64", entry="entry_dropped"),
        ),
        feature=ZRAM,
    ),
    Probe(
        degradation.WRITTEN_BACK,
        EventKind.MOVED,
        (
            _zram("zram_free_page", "struct zram *", "int64"),  # in which the object is freed
            # 7.3, where it is freed without a function of zram's
            _zram("release_pp_slot", "struct zram *", "struct zram_pp_slot *", entry="entry_processed"),
        ),
        feature=ZRAM_WRITEBACK,
    ),
    Probe(
        degradation.NOTIFICATION,
        EventKind.NOTIFY,
        (
            _zram(
                "zram_slot_free_notify",
                "struct block_device *", "int64",
                entry="notification_enter", exit="notification_return",
            ),
        ),
        feature=ZRAM,
    ),
    Probe(
        degradation.RESET,
        EventKind.RESET,
        (_zram("zram_reset_device", "struct zram *", entry="store_reset", exit="store_reset_return"),),
        feature=ZRAM,
    ),
    Probe(
        degradation.ZSWAP_STORED,
        EventKind.STORE,
        (
            _page("__frontswap_store", "zswap_store_enter", "zswap_store_return_zero"),
            _folio("zswap_store", "zswap_store_enter", "zswap_store_return_true", "int8"),
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_MEMORY,
        EventKind.STORE,
        (
            Candidate(
                "zpool_malloc",
                ("struct zpool *", "int64", "int32", "void *"),
                "zswap_allocation_enter", "zswap_allocation_return_zero",
            ),
            # 6.18, where zpool is gone: zsmalloc is the only allocator
            Candidate(
                "zs_malloc",
                ("struct zs_pool *", "int64", "int32", "int32"),
                "zswap_allocation_enter", "zswap_allocation_return_handle",
            ),
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_LOADED,
        EventKind.LOAD,
        (
            _page("__frontswap_load", "zswap_load_enter", "zswap_load_return_zero"),
            _folio("zswap_load", "zswap_load_enter", "zswap_load_return_true", "int8"),
            _folio("zswap_load", "zswap_load_enter", "zswap_load_return_zero", "int32"),
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_NOTIFICATION,
        EventKind.NOTIFY,
        (
            Candidate(
                "__frontswap_invalidate_page", ("int32", "int64"), "zswap_notice_enter_offset", "zswap_notice_return"
            ),
            Candidate("zswap_invalidate", ("swp_entry_t",), "zswap_notice_enter_entry", "zswap_notice_return"),
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_DROPPED,
        EventKind.DROP,
        (
            Candidate("zswap_entry_free", (_ZSWAP_ENTRY,), "zswap_entry_dropped"),
            Candidate("zswap_free_entry", (_ZSWAP_ENTRY,), "zswap_entry_dropped"),  # 5.10, 6.1
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_WRITEBACK,
        EventKind.DROP,
        (
            Candidate("zswap_entry_free", (_ZSWAP_ENTRY,), needs=("zswap_entry.swpentry",)),
            # 5.10, 6.1: entries have no swap type, and only what is done around their end tells which area they are of
            Candidate(
                "zswap_writeback_entry", ("struct zpool *", "int64"), "zswap_eviction_enter", "zswap_eviction_return"
            ),
        ),
        feature=ZSWAP,
    ),
    Probe(
        degradation.ZSWAP_WRITEBACK_ENTRY,
        EventKind.DROP,
        (
            Candidate("zswap_entry_free", (_ZSWAP_ENTRY,), needs=("zswap_entry.swpentry",)),
            Candidate(
                "__read_swap_cache_async",
                ("swp_entry_t", "int32", "struct vm_area_struct *", "int64", "void *"),
                "zswap_eviction_entry",
            ),
        ),
        feature=ZSWAP,
    ),
    # Which type the call of a thread is about: the first of each is there up to 6.17 on all kernels, the next ones with
    # CONFIG_SWAP_CGROUP and CONFIG_ZSWAP.
    Probe(
        degradation.AREA_SET_UP,
        EventKind.SWAPON,
        (
            Candidate("init_swap_address_space", ("int32", "int64"), "swap_area_set_up"),
            Candidate("swap_cgroup_swapon", ("int32", "int64"), "swap_area_set_up"),
            Candidate("zswap_swapon", ("int32", "int64"), "swap_area_set_up"),
        ),
    ),
    Probe(
        degradation.AREA_GIVEN_UP,
        EventKind.SWAPOFF,
        (
            Candidate("exit_swap_address_space", ("int32",), "swap_area_given_up"),
            Candidate("swap_cgroup_swapoff", ("int32",), "swap_area_given_up"),
            Candidate("zswap_swapoff", ("int32",), "swap_area_given_up"),
        ),
    ),
    Probe(degradation.SWAPON, EventKind.SWAPON, (_syscall("swapon"),), required=True),
    Probe(degradation.SWAPOFF, EventKind.SWAPOFF, (_syscall("swapoff"),)),
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What was chosen for one logical event: functions to attach to, or why there is none.

    off: its feature is not in use, which is no loss.
    """

    probe: Probe
    chosen: tuple[Candidate, ...]
    problems: tuple[str, ...] = field(default=())
    off: bool = False

    def no_function(self) -> EnvironmentProblem:
        """The error of a kernel that has none for what is needed."""
        return EnvironmentProblem(
            f"this kernel has no function that tells of: {self.probe.event} ({'; '.join(self.problems)})",
            f"without it, {self.probe.without}; please report the output of: swaptrace check",
        )


class Symbols:
    """The kernel's symbols (/proc/kallsyms): which functions are there, and where its tables are.

    Addresses are 0 without CAP_SYSLOG.
    """

    def __init__(self, path: Path = Path("/proc/kallsyms")) -> None:
        self._path = path

    def addresses(self, names: set[str]) -> dict[str, int]:
        """The addresses of those of `names` that exist. One pass over the file, without a Python step per line."""
        text = b"\n" + self._path.read_bytes()
        found: dict[str, int] = {}
        for name in names:
            for end in (b"\n", b"\t"):  # a module's symbol is followed by a tab and the module's name
                at = text.find(b" " + name.encode() + end)
                if at >= 0:
                    line = text[text.rfind(b"\n", 0, at) + 1 : at]
                    found[name] = int(line.split()[0], 16)
        return found

    def alike(self, names: set[str]) -> dict[str, tuple[str, ...]]:
        """All symbols of each name, and of compiler-made copies of that function (NAME.isra.0 and the like).

        More than one of the very name: a kprobe by name would be on either.
        """
        text = b"\n" + self._path.read_bytes()
        found: dict[str, tuple[str, ...]] = {}
        for name in names:
            symbol, at = b" " + name.encode(), 0
            while (at := text.find(symbol, at) + 1) > 0:
                end = at + len(name)
                if text[end : end + 1] in (b"\n", b"\t", b"."):
                    line = text[at : text.find(b"\n", at)]
                    found[name] = (*found.get(name, ()), line.split(b"\t")[0].decode())
        return found


def resolve_syscalls(candidate: Candidate, arch: Architecture) -> Candidate:
    """The candidate with this architecture's name of a system call's wrapper."""
    if not candidate.function.startswith("sys_"):
        return candidate
    name = arch.syscall_prefix.removesuffix("sys_") + candidate.function
    return replace(candidate, function=name)


def choose(
    types: KernelTypes, symbols: Symbols, arch: Architecture, off: Mapping[str, str] | None = None
) -> list[Choice]:
    """For each row of the table, the candidates that this kernel has. Nothing is attached yet.

    off: features that are not in use, with the reason.
    """
    rows = [(probe, [resolve_syscalls(c, arch) for c in probe.candidates]) for probe in PROBES]
    symbols_alike = symbols.alike({c.function for _, candidates in rows for c in candidates})
    choices = []
    for probe, candidates in rows:
        if off and probe.feature in off:
            choices.append(Choice(probe, (), (off[probe.feature],), off=True))
            continue
        chosen: list[Candidate] = []
        problems: list[str] = []
        unusable = False
        for candidate in candidates:
            problem = _problem(candidate, types, symbols_alike.get(candidate.function, ()))
            if problem is None:
                chosen.append(candidate)
                if not probe.every:
                    break
            else:
                problems.append(problem)
                unusable = unusable or candidate.function in symbols_alike
        if probe.every and unusable:
            chosen = []
        choices.append(Choice(probe, tuple(chosen), tuple(problems)))
    return choices


def _problem(candidate: Candidate, types: KernelTypes, alike: tuple[str, ...]) -> str | None:
    """Why this kernel's function cannot serve, or None if it can. alike: its symbols, and those of copies of it."""
    name = candidate.function
    if name not in alike:
        where = f"the {candidate.module} module (or it is not loaded)" if candidate.module else "this kernel"
        return f"{where} has no {name}" + (f", only {', '.join(alike)}: {_COPY}" if alike else "")
    if alike.count(name) > 1:
        return f"{name} is the name of {alike.count(name)} functions: a probe might be on the wrong one"
    copies = [symbol for symbol in alike if symbol != name and not symbol.endswith(".cold")]
    if copies:
        return f"some calls of {name} go past it, to {', '.join(copies)}: {_COPY}"
    lacking = [path for path in candidate.needs if types.vmlinux.field(path) is None]
    if lacking:
        return f"the kernel's type information lacks what {name} is about: {', '.join(lacking)}"
    btf = types.module(candidate.module) if candidate.module else types.vmlinux
    if btf is None:
        if candidate.module == "zram" and assumed_zram(types) is not None:  # the functions of that row, as well
            return None
        return f"the kernel has no type information for the {candidate.module} module"
    parameters = btf.parameters(name)
    # A compiler-made copy has no BTF; a system call's wrapper has, but its parameters are the architecture's.
    if parameters is None or (parameters != candidate.parameters and "sys_" not in name):
        return (
            f"{name} has parameters ({', '.join(parameters or ('unknown',))}), not ({', '.join(candidate.parameters)})"
        )
    if candidate.last is not None and btf.parameter_names(name)[-1] != candidate.last:
        return f"{name} has no parameter {candidate.last}"
    if candidate.returns is not None and btf.returns(name) != candidate.returns:
        return f"{name} returns {btf.returns(name)}, not {candidate.returns}"
    return None
