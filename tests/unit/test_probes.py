"""Which functions are chosen on which kernel, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from swaptrace.degradation import WITHOUT
from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel import probes
from swaptrace.kernel.arch import architecture
from swaptrace.kernel.btf import Field
from swaptrace.kernel.probes import PROBES, Choice, Symbols, choose
from swaptrace.tracing.programs import Programs

AREA = "struct swap_info_struct *"
CLUSTER = "struct swap_cluster_info *"
X86 = architecture("x86_64")
SYSCALLS = {
    "__x64_sys_swapon": ("struct pt_regs *",),
    "__x64_sys_swapoff": ("struct pt_regs *",),
    "init_swap_address_space": ("int32", "int64"),
    "exit_swap_address_space": ("int32",),
}
ZRAM = {
    "zram_submit_bio": ("struct bio *",),
    "zram_free_page": ("struct zram *", "int64"),
    "zram_slot_free_notify": ("struct block_device *", "int64"),
    "zram_reset_device": ("struct zram *",),
}
BOTH = {"swap_range_alloc": (AREA, "int64", "int32"), **SYSCALLS}
OLD = {"swap_range_free": (AREA, "int64", "int32"), **BOTH}
NEW = {"swap_entry_range_free": (AREA, "swp_entry_t", "int32"), **OLD}

OFF = {"zswap": "zswap is off"}
FRONTSWAP = {
    "__frontswap_store": ("struct page *",),
    "__frontswap_load": ("struct page *",),
    "__frontswap_invalidate_page": ("int32", "int64"),
    "zswap_free_entry": ("struct zswap_entry *",),
    "zswap_writeback_entry": ("struct zpool *", "int64"),
    "__read_swap_cache_async": ("swp_entry_t", "int32", "struct vm_area_struct *", "int64", "void *"),
    "zpool_malloc": ("struct zpool *", "int64", "int32", "void *"),
}
ZSWAP = {
    "zswap_store": ("struct folio *",),
    "zswap_load": ("struct folio *",),
    "zswap_invalidate": ("swp_entry_t",),
    "zswap_entry_free": ("struct zswap_entry *",),
    "zswap_writeback_entry": ("struct zswap_entry *", "swp_entry_t"),
    "zpool_malloc": ("struct zpool *", "int64", "int32", "void *"),
    "zs_malloc": ("struct zs_pool *", "int64", "int32"),
}
WITHOUT_ZPOOL = {
    **{name: parameters for name, parameters in ZSWAP.items() if not name.startswith("zpool")},
    "zs_malloc": ("struct zs_pool *", "int64", "int32", "int32"),
}
ZSWAP_ROWS = [probe.event for probe in PROBES if probe.feature == "zswap"]

Functions = dict[str, tuple[str, ...] | None]


class FakeBtf:
    def __init__(
        self, functions: Functions, fields: tuple[str, ...] = (), returns: dict[str, str] | None = None
    ) -> None:
        self._names = functions.keys()
        self.parameters = functions.get
        self.returns = (returns or {}).get
        self._fields = fields

    def parameter_names(self, function: str) -> tuple[str, ...]:
        """A function is given what its last parameter is called as `FUNCTION, NAME`."""
        return tuple(name.partition(", ")[2] for name in self._names if name.startswith(f"{function}, "))

    def field(self, path: str) -> Field | None:
        return Field(0, 8) if path in self._fields else None

    def size(self, struct: str) -> int | None:
        return 4 if struct == "spinlock" else None


class FakeTypes:
    """KernelTypes of a kernel with these functions; one with the parameters None is known by its symbol only."""

    def __init__(
        self,
        kernel: Functions,
        zram: Functions | None,
        fields: tuple[str, ...] = (),
        returns: dict[str, str] | None = None,
    ) -> None:
        self.vmlinux = FakeBtf(kernel, fields, returns)
        self._zram = FakeBtf(zram) if zram is not None else None

    def module(self, name: str) -> FakeBtf | None:
        assert name == "zram"
        return self._zram


class FakeSymbols:
    def __init__(self, *tables: Functions | None) -> None:
        self._names = {name for table in tables for name in table or {}}

    def alike(self, names: set[str]) -> dict[str, tuple[str, ...]]:
        """A name with a dot is that of a compiler-made copy."""
        stems = {name: tuple(known for known in self._names if known.split(".")[0] == name) for name in names}
        return {name: known for name, known in stems.items() if known}


def chosen(
    kernel: Functions,
    zram: Functions | None = None,
    symbols: Functions | None = None,
    fields: tuple[str, ...] = (),
    off: dict[str, str] = OFF,
    returns: dict[str, str] | None = None,
) -> dict[str, Choice]:
    """fields: those that the kernel's type information has. off: features that are not in use."""
    zram_symbols = symbols if symbols is not None else zram
    types, names = FakeTypes(kernel, zram, fields, returns), FakeSymbols(kernel, zram_symbols)
    choices = choose(types, names, X86, off)  # type: ignore[arg-type]
    assert [choice.probe for choice in choices] == list(PROBES)
    return {choice.probe.event: choice for choice in choices}


def functions(choice: Choice) -> list[str]:
    return [candidate.function for candidate in choice.chosen]


def test_first_present_one_is_taken() -> None:
    assert functions(chosen(OLD)["slot freed"]) == ["swap_range_free"]
    newer = chosen(NEW)["slot freed"]
    assert functions(newer) == ["swap_entry_range_free"]
    tried = ("swap_entry_free", "__swap_cluster_free_entries", "swap_entries_free")
    assert newer.problems == tuple(f"this kernel has no {name}" for name in tried)


@pytest.mark.parametrize("by", ["size", "order"])
def test_what_differs_in_a_parameters_name_only(by: str) -> None:
    request = {"get_swap_pages": ("int32", "swp_entry_t *", "int32"), f"get_swap_pages, entry_{by}": None}
    (taken,) = chosen({**OLD, **request})["slot allocated"].chosen
    assert (taken.function, taken.entry) == ("get_swap_pages", f"slots_wanted_by_{by}")
    other = {"get_swap_pages": request["get_swap_pages"], "get_swap_pages, nr": None}
    assert functions(chosen({**OLD, **other})["slot allocated"]) == ["swap_range_alloc"]


@pytest.mark.parametrize(
    ("wrong", "spelt"),
    [(("struct swap_cluster_info *", "swp_entry_t", "int32"), "struct swap_cluster_info *, swp_entry_t, int32"),
     ((AREA, "swp_entry_t"), f"{AREA}, swp_entry_t"), (None, "unknown")],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong: tuple[str, ...] | None, spelt: str) -> None:
    """Its arguments would be read as something that they are not; the next candidate serves, and the reason is kept."""
    choice = chosen({**NEW, "swap_entry_range_free": wrong})["slot freed"]
    assert functions(choice) == ["swap_range_free"]
    assert choice.problems[-1] == (f"swap_entry_range_free has parameters ({spelt}), not ({AREA}, swp_entry_t, int32)")


def test_every_candidate_of_a_row_that_wants_all() -> None:
    """Kernels from before 6.3 have both ways into zram, and pages take either."""
    both: Functions = {**ZRAM, "zram_rw_page": ("struct block_device *", "int64", "struct page *", "int32")}
    assert functions(chosen(OLD, both)["slot stored and loaded"]) == ["zram_submit_bio", "zram_rw_page"]
    one = chosen(OLD, ZRAM)["slot stored and loaded"]
    assert functions(one) == ["zram_submit_bio"]
    assert one.problems == ("the zram module (or it is not loaded) has no zram_rw_page",)


def test_whole_kernel() -> None:
    assert all(choice.chosen or choice.off for choice in chosen(OLD, ZRAM).values())


def test_zswap_that_is_off() -> None:
    """Nothing is attached, though the functions are there: looking would cost every page something."""
    choices = chosen({**OLD, **FRONTSWAP}, ZRAM)
    assert [event for event, choice in choices.items() if choice.off] == ZSWAP_ROWS
    assert all(choices[event].problems == ("zswap is off",) and not choices[event].chosen for event in ZSWAP_ROWS)


@pytest.mark.parametrize(
    ("kernel", "returns", "expected"),
    [
        (FRONTSWAP, {}, [
            ("__frontswap_store", "zswap_store_return_zero"),
            ("zpool_malloc", "zswap_allocation_return_zero"),
            ("__frontswap_load", "zswap_load_return_zero"),
            ("__frontswap_invalidate_page", "zswap_notice_return"),
            ("zswap_free_entry", None),
            ("zswap_writeback_entry", "zswap_eviction_return"),
            ("__read_swap_cache_async", None),
        ]),
        (ZSWAP, {"zswap_store": "int8", "zswap_load": "int8"}, [
            ("zswap_store", "zswap_store_return_true"),
            ("zpool_malloc", "zswap_allocation_return_zero"),
            ("zswap_load", "zswap_load_return_true"),
            ("zswap_invalidate", "zswap_notice_return"),
            ("zswap_entry_free", None),
            ("zswap_entry_free", None),  # whose end tells of a writeback as well
            ("zswap_entry_free", None),
        ]),
        (WITHOUT_ZPOOL, {"zswap_store": "int8", "zswap_load": "int32"}, [
            ("zswap_store", "zswap_store_return_true"),
            ("zs_malloc", "zswap_allocation_return_handle"),
            ("zswap_load", "zswap_load_return_zero"),
            ("zswap_invalidate", "zswap_notice_return"),
            ("zswap_entry_free", None),
            ("zswap_entry_free", None),  # whose end tells of a writeback as well
            ("zswap_entry_free", None),
        ]),
    ],
)  # fmt: skip
def test_zswap(kernel: Functions, returns: dict[str, str], expected: list[tuple[str, str | None]]) -> None:
    """Whatever zswap's functions take and return on this kernel: the type information tells."""
    fields = () if kernel is FRONTSWAP else ("zswap_entry.swpentry",)
    choices = chosen({**OLD, **kernel}, off={}, returns=returns, fields=fields)
    found = [(c.function, c.exit) for event in ZSWAP_ROWS for c in choices[event].chosen]
    assert found == expected
    assert not any(choice.off for choice in choices.values())


def test_zswap_function_that_returns_something_else() -> None:
    choice = chosen({**OLD, **ZSWAP}, off={}, returns={"zswap_store": "void *"})["page stored in zswap"]
    assert not choice.chosen
    assert choice.problems[-1] == "zswap_store returns void *, not int8"


def test_without_zram() -> None:
    """Everything about zram is missing, each by its name, with what is lost; the rest stays."""
    choices = chosen(NEW)
    missing = {event for event, choice in choices.items() if not choice.chosen and not choice.off}
    entries = {"store entry dropped", "store entry written back"}
    assert missing == entries | {"slot stored and loaded", "notification", "store reset"}
    for event in missing:
        assert choices[event].problems
        assert all("zram module (or it is not loaded)" in problem for problem in choices[event].problems)
        assert choices[event].probe.without
        assert not choices[event].probe.required


def test_module_without_type_information() -> None:
    choice = chosen(OLD, None, symbols=ZRAM)["notification"]
    assert functions(choice) == []
    assert choice.problems == ("the kernel has no type information for the zram module",)


def test_missing_notification_is_a_named_degradation() -> None:
    lean = {name: parameters for name, parameters in ZRAM.items() if name != "zram_slot_free_notify"}
    choices = chosen(OLD, lean)
    assert [event for event, choice in choices.items() if not choice.chosen and not choice.off] == ["notification"]
    assert "zram_slot_free_notify" in choices["notification"].problems[0]


def test_compiler_made_copies_are_said_to_be_so() -> None:
    """Their parameters are not those of the function, and BTF does not know them."""
    only = {name: parameters for name, parameters in OLD.items() if name != "swap_range_free"}
    gone = chosen({**only, "swap_range_free.isra.0": None})["slot freed"]
    assert functions(gone) == []
    assert gone.problems[-1].startswith("this kernel has no swap_range_free, only swap_range_free.isra.0: inlined, or")
    beside = chosen({**OLD, "swap_range_free.part.0": None, "swap_range_free.cold": None})["slot freed"]
    assert functions(beside) == []
    assert beside.problems[-1].startswith(
        "some calls of swap_range_free go past it, to swap_range_free.part.0: inlined"
    )
    cold = chosen({**OLD, "swap_range_free.cold": None})["slot freed"]
    assert functions(cold) == ["swap_range_free"]  # the function's own unlikely parts: every call still enters it


def test_one_of_two_ways_that_cannot_be_seen() -> None:
    """Events that go the other way would be missing from every figure: rather none than those."""
    choice = chosen(OLD, {**ZRAM, "zram_rw_page": ("struct block_device *",)})["slot stored and loaded"]
    assert functions(choice) == []
    assert "zram_rw_page has parameters" in choice.problems[0]


def test_fields_without_which_parameters_mean_nothing() -> None:
    inside: Functions = {"__swap_cluster_free_entries": (AREA, CLUSTER, "int32", "int32"), **SYSCALLS}
    fields = ("swap_info_struct.cluster_info", "swap_table.entries")
    assert functions(chosen(inside, fields=fields)["slot freed"]) == ["__swap_cluster_free_entries"]
    lacking = chosen(inside, fields=fields[:1])["slot freed"]
    assert functions(lacking) == []
    assert "lacks what __swap_cluster_free_entries is about: swap_table.entries" in "".join(lacking.problems)


def test_newer_kernels() -> None:
    by_entry: Functions = {"swap_entries_free": (AREA, CLUSTER, "swp_entry_t", "int32"), **SYSCALLS}
    assert functions(chosen(by_entry)["slot freed"]) == ["swap_entries_free"]
    newest = {name: parameters for name, parameters in ZRAM.items() if name != "zram_free_page"}
    choice = chosen(by_entry, {**newest, "slot_free": ("struct zram *", "int64")})["store entry dropped"]
    assert functions(choice) == ["slot_free"]


def test_writeback_has_a_function_of_its_own_where_it_frees_by_itself() -> None:
    """release_pp_slot() is there before that, too."""
    ends = {"release_pp_slot": ("struct zram *", "struct zram_pp_slot *")}
    newest = {name: parameters for name, parameters in ZRAM.items() if name != "zram_free_page"}
    for functions_of_zram, expected in ((ZRAM | ends, "zram_free_page"), (newest | ends, "release_pp_slot")):
        (candidate,) = chosen(NEW, functions_of_zram)["store entry written back"].chosen
        assert candidate.function == expected
        assert (candidate.entry is None) == (expected == "zram_free_page")


def test_module_whose_layout_is_assumed() -> None:
    """As with 5.10: a bio has its disk in itself, and modules have no type information."""
    choices = chosen(OLD, None, symbols=ZRAM, fields=("bio.bi_disk",))
    assert functions(choices["notification"]) == ["zram_slot_free_notify"]
    assert all(choice.chosen or choice.off for choice in choices.values())


@pytest.mark.parametrize("event", [probe.event for probe in PROBES])
def test_every_event_without_its_candidates(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, one after the other: an error that names it, or a named degradation."""
    lean = tuple(replace(probe, candidates=()) if probe.event == event else probe for probe in PROBES)
    monkeypatch.setattr(probes, "PROBES", lean)
    kernel = {**OLD, **FRONTSWAP}
    choices = choose(FakeTypes(kernel, ZRAM), FakeSymbols(kernel, ZRAM), X86)  # type: ignore[arg-type]
    required = {probe.event for probe in PROBES if probe.required}
    if event in required:
        with pytest.raises(EnvironmentProblem, match=f"no function that tells of: {event}") as raised:
            programs(choices, FakeBpf()).attach()
        assert WITHOUT[event] in raised.value.remedy
    else:
        attached = programs(choices, FakeBpf()).attach()
        assert [row["event"] for row in attached if not row["functions"]] == [event]
        assert WITHOUT[event]
    assert required == {"slot freed", "swapon"}


def test_system_calls_by_this_architectures_name() -> None:
    choices = chosen(OLD)
    assert functions(choices["swapon"]) == ["__x64_sys_swapon"]
    assert functions(chosen({**OLD, "__x64_sys_swapon": None})["swapon"]) == []


# ------------------------------------------------------------------------------------------------------------ attaching


class FakeBpf:
    """BCC's BPF object; refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.attached: list[tuple[str, str]] = []

    def attach_kprobe(self, event: str, fn_name: str) -> None:
        if event in self.refused:
            raise Exception(f"Failed to attach BPF program\n  to kprobe {event}")  # as bcc does: nothing more specific
        self.attached.append((event, fn_name))

    attach_kretprobe = attach_kprobe

    def dump_func(self, program: str) -> bytes:
        return program.encode()

    def cleanup(self) -> None:
        self.attached.clear()


class FakeTrampolines:
    """Like live.trampolines.Trampolines: notes what is attached, refuses what it is told to."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.attached: list[tuple[str, str, bool]] = []
        self.closed = 0

    def attach(
        self, btf: FakeBtf, module: str | None, function: str, program: str, code: bytes, *, at_return: bool
    ) -> SimpleNamespace:
        if function in self.refused:
            raise OSError(22, "Invalid argument")
        assert btf.parameters(function) is not None and code == program.encode()
        self.attached.append((function, program, at_return))
        return SimpleNamespace(close=self.close)

    def close(self) -> None:
        self.closed += 1


def programs(
    choices: Iterable[Choice],
    bpf: FakeBpf,
    trampolines: FakeTrampolines | None = None,
    types: object = None,
    left_out: frozenset[str] = frozenset(),
) -> Programs:
    """Without compiling anything."""
    made = Programs.__new__(Programs)
    made.__dict__.update(
        _bpf=bpf, _choices=list(choices), _types=types, _trampolines=trampolines, _attachments={},
        _ring_bytes=4096, _time_frees=False, _compile=lambda: bpf, _assembly=SimpleNamespace(left_out=left_out),
    )  # fmt: skip
    return made


def test_attach_tells_what_was_attached() -> None:
    bpf = FakeBpf()
    attached = programs(chosen(OLD, ZRAM).values(), bpf).attach()
    assert attached[0] == {"event": "slot freed", "functions": ["swap_range_free"], "by": "kprobe"}
    assert [row["event"] for row in attached] == [probe.event for probe in PROBES]
    returns = bpf.attached.index(("zram_submit_bio", "zram_bio_return"))
    assert returns < bpf.attached.index(("zram_submit_bio", "zram_bio_enter"))  # or else a first store would be lost


def test_trampolines_are_taken_where_there_are_some() -> None:
    bpf, trampolines = FakeBpf(), FakeTrampolines()
    attached = programs(chosen(OLD, ZRAM).values(), bpf, trampolines, FakeTypes(OLD, ZRAM)).attach()
    assert attached[0] == {"event": "slot freed", "functions": ["swap_range_free"], "by": "trampoline"}
    assert {row["by"] for row in attached if row["functions"]} == {"trampoline"}
    assert bpf.attached == []
    returns = trampolines.attached.index(("zram_submit_bio", "zram_bio_return", True))
    assert returns < trampolines.attached.index(("zram_submit_bio", "zram_bio_enter", False))


@pytest.mark.parametrize("by_trampolines", [False, True])
def test_entries_that_trampolines_do_without(by_trampolines: bool) -> None:
    bpf, trampolines = FakeBpf(), FakeTrampolines()
    zram = {**ZRAM, "zram_rw_page": ("struct block_device *", "int64", "struct page *", "int32")}
    choices, types = chosen(OLD, zram).values(), FakeTypes(OLD, zram)
    left_out = frozenset({"zram_page_enter", "notification_enter"})
    programs(choices, bpf, trampolines if by_trampolines else None, types, left_out).attach()
    attached = {program for _, program, *_ in (trampolines.attached if by_trampolines else bpf.attached)}
    assert {"zram_page_return", "notification_return", "zram_bio_enter"} <= attached
    assert left_out & attached == (set() if by_trampolines else left_out)


def test_frees_are_attached_last() -> None:
    """One that was seen waits for its notification, which has to be seen then."""
    bpf = FakeBpf()
    programs(chosen(OLD, ZRAM).values(), bpf).attach()
    assert [program for _, program, *_ in bpf.attached][-1] == "slots_freed_by_offset"


def test_one_refused_trampoline_and_all_are_kprobes() -> None:
    """The programs take their arguments from other places then, so that there is no mixture."""
    bpf, trampolines = FakeBpf(), FakeTrampolines("zram_submit_bio")
    attached = programs(chosen(OLD, ZRAM).values(), bpf, trampolines, FakeTypes(OLD, ZRAM)).attach()
    assert {row["by"] for row in attached if row["functions"]} == {"kprobe"}
    assert trampolines.closed == len(trampolines.attached) + 1
    assert ("swap_range_free", "slots_freed_by_offset") in bpf.attached


def test_kernel_without_any_slot_free_function() -> None:
    choices = chosen({**SYSCALLS, "swap_range_free": (AREA,)}, ZRAM)
    with pytest.raises(EnvironmentProblem) as raised:
        programs(choices.values(), FakeBpf()).attach()
    problem = raised.value
    assert problem.exit_status == 3
    assert problem.what.startswith("this kernel has no function that tells of: slot freed (")
    for reason in ("no swap_entry_free", "no swap_entry_range_free", f"swap_range_free has parameters ({AREA})"):
        assert reason in problem.what
    assert "nothing can be said about stale slots" in problem.remedy


def test_refused_kprobe_on_what_is_required() -> None:
    with pytest.raises(EnvironmentProblem, match="refused a kprobe on swap_range_free") as raised:
        programs(chosen(OLD, ZRAM).values(), FakeBpf("swap_range_free")).attach()
    assert "\n" not in raised.value.what


def test_refused_kprobe_on_one_of_two_ways() -> None:
    both: Functions = {**ZRAM, "zram_rw_page": ("struct block_device *", "int64", "struct page *", "int32")}
    attached = programs(chosen(OLD, both).values(), FakeBpf("zram_rw_page")).attach()
    assert {row["event"]: row["functions"] for row in attached}["slot stored and loaded"] == []


def test_refused_kprobe_on_what_is_not() -> None:
    """Recording goes on, and its header does not claim the function."""
    attached = programs(chosen(OLD, ZRAM).values(), FakeBpf("zram_slot_free_notify")).attach()
    assert {row["event"]: row["functions"] for row in attached}["notification"] == []


# -------------------------------------------------------------------------------------------------------------- symbols


def test_symbols(tmp_path: Path) -> None:
    """Whole names only, in the kernel or in a module; the first line counts as much as the last."""
    path = tmp_path / "kallsyms"
    path.write_text(
        "ffffffff81000010 t first\n"
        "ffffffff81000020 T swap_range_free.constprop.0\n"
        "ffffffff81000030 T my_swap_range_free\n"
        "ffffffffc0000040 t zram_free_page\t[zram]\n"
        "ffffffff81000050 D swap_info\n"
    )
    wanted = {"first", "swap_range_free", "zram_free_page", "swap_info", "absent"}
    assert Symbols(path).addresses(wanted) == {
        "first": 0xFFFFFFFF81000010, "zram_free_page": 0xFFFFFFFFC0000040, "swap_info": 0xFFFFFFFF81000050
    }  # fmt: skip


def test_symbols_alike(tmp_path: Path) -> None:
    """Functions of that very name, wherever they are, and copies of them; nothing that merely looks alike."""
    path = tmp_path / "kallsyms"
    path.write_text(
        "0 t slot_free\t[zram]\n0 t slot_free\n0 t slot_freed\n0 t other_slot_free\n"
        "0 t zram_free_page.isra.0\t[zram]\n0 t zram_free_page.cold\t[zram]\n"
    )
    assert Symbols(path).alike({"slot_free", "zram_free_page", "absent"}) == {
        "slot_free": ("slot_free", "slot_free"),
        "zram_free_page": ("zram_free_page.isra.0", "zram_free_page.cold"),
    }


def test_name_of_two_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    names = FakeSymbols(OLD, ZRAM)
    monkeypatch.setattr(names, "alike", lambda wanted: dict.fromkeys(wanted, ("swap_range_free",) * 2))
    choice = choose(FakeTypes(OLD, ZRAM), names, X86)[0]  # type: ignore[arg-type]
    assert choice.chosen == ()
    assert choice.problems[-1] == "swap_range_free is the name of 2 functions: a probe might be on the wrong one"


def test_architectures_name_the_same_calls() -> None:
    """The generic table of system calls lacks only what it replaced by the calls with `at` in their names."""
    x86, arm = (set(architecture(machine).syscalls) for machine in ("x86_64", "aarch64"))
    assert x86 - arm == {"unlink"} and arm <= x86


def test_unknown_architecture() -> None:
    with pytest.raises(EnvironmentProblem, match="cannot record on riscv128"):
        architecture("riscv128")
