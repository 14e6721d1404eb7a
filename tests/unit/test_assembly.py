"""The text of the programs: what each file of bpf/ needs, it includes, and nothing hangs on an order of theirs."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from swaptrace.tracing.assembly import GENERATED
from tests.unit.fixtures import DATA, KERNELS, Fixture, fixture
from tests.unit.native_programs import GCC, assembly_of

BPF = DATA.parents[1] / "bpf"
SOURCES = sorted(path for path in BPF.iterdir() if path.suffix in (".c", ".h"))


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Fixture:
    return fixture(request.param)


def compiles(folder: Path, *sources: Path) -> None:
    """Each on its own. folder: where generated.h is, if one of them includes it."""
    subprocess.run([*GCC, f"-I{folder}", "-fsyntax-only", "-xc", *sources], check=True)


@pytest.mark.parametrize("trampolines", [False, True], ids=["kprobes", "trampolines"])
def test_each_file_compiles_on_its_own(kernel: Fixture, trampolines: bool, tmp_path: Path) -> None:
    (tmp_path / GENERATED).write_text(assembly_of(kernel, zswap=True).header(trampolines=trampolines))
    compiles(tmp_path, *SOURCES)


def test_files_may_come_in_any_order(kernel: Fixture, tmp_path: Path) -> None:
    assembly = assembly_of(kernel, zswap=True)
    texts = []
    for files in itertools.permutations(assembly.files):
        texts.append(tmp_path / f"{len(texts)}.c")
        texts[-1].write_text(replace(assembly, files=files).source(trampolines=False))
    compiles(tmp_path, *texts)


def test_each_file_is_in_the_text_once() -> None:
    """With what the running kernel tells before all that hangs on it: no compiler looks for a file."""
    text = assembly_of(fixture(KERNELS[-1]), zswap=True).source(trampolines=False)
    assert "#include" not in text
    for guard in [path.stem.upper() for path in SOURCES if path.suffix == ".h"] + ["GENERATED"]:
        assert text.count(f"#define SWAPTRACE_{guard}_H\n") == 1
    for source in SOURCES:
        assert text.count(source.read_text().split("*/")[1].split("#include")[0]) == 1
