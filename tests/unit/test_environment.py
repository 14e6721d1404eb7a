"""What recording needs: each lack of it is named, with a remedy, before anything is compiled; check says the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from test_probes import NEW, ZRAM, FakeSymbols, FakeTypes

from swaptrace.areas import ZSWAP_STORES
from swaptrace.cli import main
from swaptrace.degradation import MEMORY_CGROUPS, WITHOUT
from swaptrace.errors import EnvironmentProblem
from swaptrace.kernel.btf import Field
from swaptrace.kernel.layout import MissingLayout, cluster_slots
from swaptrace.kernel.probes import PROBES, Choice
from swaptrace.record.check import Check, check, print_check
from swaptrace.tracing import environment, ground, programs, source
from swaptrace.tracing.environment import features_off, missing_views
from swaptrace.tracing.ground import QUESTIONS, Ground, requirements
from swaptrace.tracing.source import LiveSource
from swaptrace.tracing.trampolines import preempts_itself

KALLSYMS = """\
ffffffff81000000 T _text
ffffffff82000000 b swap_info
ffffffff82000100 D memory_cgrp_subsys
"""


class Symbols(FakeSymbols):
    def __init__(self, path: Path) -> None:
        super().__init__(NEW, ZRAM)
        self._real = ground.Symbols(path)

    def addresses(self, names: set[str]) -> dict[str, int]:
        return self._real.addresses(names)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has all that recording needs; the tests take things away."""
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "import_bcc", lambda: SimpleNamespace(__version__="0.26.0"))
    monkeypatch.setattr(ground, "architecture", lambda: ground_architecture())
    monkeypatch.setattr(ground, "layout", lambda *_, **__: {"OFF_PAGE_MEMCG": 56})
    for name, text in {
        "proc/kallsyms": KALLSYMS,
        "sys/bus/event_source/devices/kprobe/type": "6\n",
        "sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
        "sys/kernel/btf/vmlinux": "",
        "sys/module/zram/initstate": "live\n",
        "sys/kernel/debug/zram/zram0/block_state": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def ground_architecture() -> object:
    from swaptrace.kernel.arch import architecture

    return architecture("x86_64")


def standing(machine: Path, functions: dict[str, tuple[str, ...]] = NEW) -> Ground:
    found = Ground(machine)
    found.types = FakeTypes(functions, ZRAM)  # type: ignore[assignment]
    found.symbols = Symbols(machine / "proc/kallsyms")  # type: ignore[assignment]
    if functions is not NEW:
        found.symbols._names = {*functions, *ZRAM}  # type: ignore[attr-defined]
    return found


def unmet(found: Ground) -> list[str]:
    return [need.name for need in requirements(found) if not need.met]


def refused(found: Ground, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What record says on this machine, before it compiles."""
    monkeypatch.setattr(source, "Ground", lambda: found)
    with pytest.raises(EnvironmentProblem) as caught:
        LiveSource(())
    assert caught.value.exit_status == 3
    return caught.value.what, caught.value.remedy


def test_nothing_is_missing(machine: Path) -> None:
    found = standing(machine)
    assert unmet(found) == []
    assert found.missing() == ()
    assert check(found).possible
    assert check(found).notes == []
    assert missing_views(machine) == []


def without(name: str) -> Callable[[Path], None]:
    return lambda machine: (machine / name).unlink()


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def change(machine: Path) -> None:
        (machine / name).write_text(text)

    return change


def no_addresses(machine: Path) -> None:
    with_text("proc/kallsyms", "".join(f"{'0' * 16}{line[16:]}\n" for line in KALLSYMS.splitlines()))(machine)


#: The question, how its answer is taken away, and what is said then.
LACKS: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("kprobes", without("sys/bus/event_source/devices/kprobe/type"), "has no kprobes", "CONFIG_KPROBES=y"),
    ("type information", without("sys/kernel/btf/vmlinux"), "no type information", "CONFIG_DEBUG_INFO_BTF=y"),
    (
        "lockdown",
        with_text("sys/kernel/security/lockdown", "none integrity [confidentiality]\n"),
        "locked down",
        "lockdown=",
    ),
    (
        "table of swap areas",
        with_text("proc/kallsyms", KALLSYMS.replace("swap_info", "swap_infos")),
        "/proc/kallsyms has no swap_info",
        "CONFIG_KALLSYMS_ALL=y",
    ),
    ("table of swap areas", no_addresses, "has no addresses", "kernel.kptr_restrict"),
]


@pytest.mark.parametrize(("question", "take_away", "what", "remedy"), LACKS)
def test_a_kernel_that_cannot(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    take_away: Callable[[Path], None],
    what: str,
    remedy: str,
) -> None:
    take_away(machine)
    found = standing(machine)
    says_the_same(found, question, monkeypatch)
    told = refused(found, monkeypatch)
    assert what in told[0]
    assert remedy in told[1]


def says_the_same(found: Ground, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """check names what record refuses for, in the same words; and nothing else is amiss."""
    result = check(found)
    assert not result.possible
    (need,) = [need for need in result.requirements if not need.met]
    assert (need.name, (need.found, need.remedy)) == (question, refused(found, monkeypatch))


def test_not_root(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    no_addresses(machine)  # as everybody else sees it: no reason to say more
    says_the_same(standing(machine), "rights", monkeypatch)
    assert refused(standing(machine), monkeypatch)[1].startswith("run: sudo /")


def test_another_architecture(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from swaptrace.kernel.arch import architecture

    monkeypatch.setattr(ground, "architecture", lambda: architecture("riscv64"))
    says_the_same(standing(machine), "architecture", monkeypatch)


def test_no_bcc(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise EnvironmentProblem("no bcc", "install it")

    monkeypatch.setattr(programs, "import_bcc", fails)
    says_the_same(standing(machine), "bcc", monkeypatch)


def test_no_function_for_an_event_that_is_needed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_frees = {name: what for name, what in NEW.items() if "free" not in name}
    says_the_same(standing(machine, without_frees), "events", monkeypatch)
    assert "slot freed" in refused(standing(machine, without_frees), monkeypatch)[0]


def test_no_layout(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MissingLayout(["OFF_BIO_OPF"])

    monkeypatch.setattr(ground, "layout", fails)
    says_the_same(standing(machine), "structures", monkeypatch)
    assert "OFF_BIO_OPF" in refused(standing(machine), monkeypatch)[0]


def test_every_question_has_its_test() -> None:
    by_name = {question for question, *_ in LACKS}
    assert {name for name, _ in QUESTIONS} == by_name | {
        "rights", "architecture", "zram devices", "bcc", "events", "structures",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kallsyms", "constants"),
    [(KALLSYMS.replace("memory_cgrp_subsys", "x"), {"OFF_PAGE_MEMCG": 56}), (KALLSYMS, {"OFF_TASK_FLAGS": 44})],
)
def test_memory_cgroups_that_are_not_told(
    machine: Path, monkeypatch: pytest.MonkeyPatch, kallsyms: str, constants: dict[str, int]
) -> None:
    """No reason not to record: check says it, and the header's `missing`, from which reports have it."""
    monkeypatch.setattr(ground, "layout", lambda *_, **__: constants)
    (machine / "proc/kallsyms").write_text(kallsyms)
    found = standing(machine)
    assert found.missing() == (MEMORY_CGROUPS,)
    result = check(found)
    assert result.possible
    assert [note for note in result.notes if note.startswith(MEMORY_CGROUPS) and WITHOUT[MEMORY_CGROUPS] in note]


def test_lockdown_for_integrity_does_no_harm(machine: Path) -> None:
    (machine / "sys/kernel/security/lockdown").write_text("none [integrity] confidentiality\n")
    assert unmet(standing(machine)) == []


# -- the package's own metadata


@pytest.fixture
def no_metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from importlib import metadata

    def fails(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", fails)
    yield


@pytest.mark.usefixtures("no_metadata")
def test_version_without_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    from swaptrace import version

    assert version() is None
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert "not known" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import metadata

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"swaptrace, version {metadata.version('swaptrace')}\n"


# -- a cluster's slots, by what the kernel has

TABLE, SEQUENTIAL = "swap_table.entries", "swap_sequential_cluster.next"
PER_CPU, SINGLE = "percpu_cluster.next", "percpu_cluster.index"


@pytest.mark.parametrize(
    ("fields", "splits", "huge_slots", "expected"),
    [
        ({TABLE: 4096}, False, 512, 512),  # 7.3
        ({TABLE: 2048}, False, 2048, 256),  # 7.3 with 16K pages
        ({SEQUENTIAL: 40}, False, 512, 512),  # 6.15 to 6.17
        ({SEQUENTIAL: 4}, False, 512, 256),
        ({PER_CPU: 40}, False, 512, 512),  # 6.12
        ({PER_CPU: 4}, False, 2048, 256),  # 6.12 with 16K pages
        ({PER_CPU: 4, SINGLE: 4}, True, 512, 512),  # 5.10, 6.1
        ({PER_CPU: 4, SINGLE: 4}, False, 512, 256),  # 5.10 on 64-bit Arm
        ({}, False, 512, 256),
    ],
)
def test_slots_of_a_cluster(fields: dict[str, int], splits: bool, huge_slots: int, expected: int) -> None:
    """Not by the size of huge pages, which are there where they are not swapped whole, too."""
    found = {path: Field(0, size) for path, size in fields.items()}
    types = SimpleNamespace(vmlinux=SimpleNamespace(field=found.get))
    assert cluster_slots(types, huge_slots, splits=splits) == expected  # type: ignore[arg-type]


def test_a_kernel_whose_zram_does_not_write_back(machine: Path) -> None:
    """Devices tell, by a file that they have: without it, nothing is missed; without a device, nobody knows."""
    assert "zram writeback" not in features_off(machine)
    device = machine / "sys/block/zram0"
    device.mkdir(parents=True)
    assert "CONFIG_ZRAM_WRITEBACK" in features_off(machine)["zram writeback"]
    (device / "backing_dev").write_text("none\n")
    assert "zram writeback" not in features_off(machine)


def test_what_it_can_do_without_is_said(machine: Path) -> None:
    (machine / "sys/kernel/debug/zram/zram0/block_state").unlink()
    assert "mount -t debugfs" in missing_views(machine)[0]
    (machine / "sys/module/zram/initstate").unlink()
    (machine / "sys/module/zram").rmdir()
    assert "modprobe zram" in missing_views(machine)[0]


@pytest.mark.parametrize(
    ("modes", "version", "expected"),
    [
        ("none (voluntary) full lazy\n", "#1 SMP PREEMPT_DYNAMIC", False),
        ("(none) voluntary full\n", "#1 SMP PREEMPT_DYNAMIC", False),
        ("none voluntary full (lazy)\n", "#1 SMP PREEMPT_DYNAMIC", True),
        ("none voluntary (full)\n", "#1 SMP PREEMPT_DYNAMIC", True),
        (None, "#1 SMP PREEMPT_DYNAMIC", True),
        (None, "#1 SMP PREEMPT_RT", True),
        (None, "#1 SMP Debian", False),
    ],
)
def test_whether_the_kernel_preempts_itself(tmp_path: Path, modes: str | None, version: str, expected: bool) -> None:
    if modes is not None:
        (tmp_path / "sys/kernel/debug/sched").mkdir(parents=True)
        (tmp_path / "sys/kernel/debug/sched/preempt").write_text(modes)
    assert preempts_itself(tmp_path, version) == expected


def test_device_numbers_that_stand_for_zswap_are_refused(machine: Path) -> None:
    """An event has 16 bits for a store; the last of those numbers are zswap's."""
    for number in (0, 127, 128, ZSWAP_STORES - 1):
        _device(machine, number)
    ground.require(standing(machine))
    _device(machine, ZSWAP_STORES)
    with pytest.raises(
        EnvironmentProblem, match=f"/dev/zram{ZSWAP_STORES} has the device number {ZSWAP_STORES}"
    ) as caught:
        ground.require(standing(machine))
    assert caught.value.exit_status == 3
    assert caught.value.remedy.endswith(f"echo {ZSWAP_STORES} > /sys/class/zram-control/hot_remove")


def _device(machine: Path, number: int) -> Path:
    device = machine / f"sys/block/zram{number}"
    device.mkdir(parents=True)
    (device / "dev").write_text(f"251:{number}\n")
    return device


def test_recompression_is_said_where_it_is_set_up(machine: Path) -> None:
    """The file is there on every kernel that could, and is empty until an algorithm is chosen."""
    device = _device(machine, 3)
    (device / "recompress").write_text("")
    (device / "recomp_algorithm").write_text("")
    assert missing_views(machine) == []
    (device / "recomp_algorithm").write_text("#1: lzo lzo-rle lz4 [zstd]\n")
    assert [sentence.split(" (")[0] for sentence in missing_views(machine)] == ["zram3: it recompresses pages"]


@pytest.mark.parametrize("place", ["module/zram", "class/zram-control", "block/zram0", ""])
def test_a_zram_that_is_built_in_is_there(tmp_path: Path, place: str) -> None:
    """It has no folder of a module; zram-control is there from its start, a device as soon as there is one."""
    if place:
        (tmp_path / "sys" / place).mkdir(parents=True)
    zswap = tmp_path / "sys/module/zswap/parameters"
    zswap.mkdir(parents=True)
    (zswap / "enabled").write_text("Y\n")
    off = {feature for feature, why in features_off(tmp_path).items() if why == "the zram module is not loaded"}
    assert off == (set() if place else {"zram", "zram writeback"})
    (zswap / "enabled").write_text("N\n")
    assert any("the zram module is not loaded" in said for said in missing_views(tmp_path)) == (not place)


def test_check_says_each_reason_once() -> None:
    """Several events may want for the same reason."""
    choices = [Choice(probe, (), ("there is no zram",), off=number < 3) for number, probe in enumerate(PROBES)]
    out = io.StringIO()
    print_check(Check([], choices, []), Console(file=out, width=400))
    said = out.getvalue()
    every = ", ".join(probe.event for probe in PROBES)
    assert said.count("there is no zram") == 1 and f"{every}: there is no zram." in " ".join(said.split())
    lost = {choice.probe.without for choice in choices[3:]}
    assert all(" ".join(said.split()).count(f", {sentence}.") == 1 for sentence in lost)
