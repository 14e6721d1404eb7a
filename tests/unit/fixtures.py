"""What real kernels say of themselves, captured by tests/data/capture.py: no virtual machine is needed to ask them.

tests/data/KERNEL holds kernel.tar.xz (type information and symbols, cut down to what has to do with swap), facts.json
(what is in neither), trace.swaptrace (a recording), and what the code makes of them, which tests/data/renew.py writes.
"""

from __future__ import annotations

import atexit
import json
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from swaptrace.kernel.arch import Architecture, architecture
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.probes import Choice, Symbols, choose

__all__ = ["DATA", "FORMATS", "KERNELS", "RENEW", "TRACE", "Fixture", "fixture", "recorded"]

DATA = Path(__file__).resolve().parents[1] / "data"
KERNELS = sorted(
    (path.parent.name for path in DATA.glob("*/kernel.tar.xz")), key=lambda name: [*map(int, name.split("."))]
)
TRACE = "trace.swaptrace"
#: Folders with traces of later formats than the kernels': a trace and what is reported of it, and no more.
FORMATS = ("format2",)
RENEW = "if this is as it should be: .venv/bin/python -m tests.data.renew, and look at git diff tests/data"
ZSWAP_OFF = {"zswap": "zswap is off"}


@dataclass(frozen=True)
class Fixture:
    """One kernel. folder: where its files are unpacked."""

    name: str
    folder: Path

    @cached_property
    def types(self) -> KernelTypes:
        return KernelTypes(self.folder / "btf")

    @cached_property
    def symbols(self) -> Symbols:
        return Symbols(self.folder / "kallsyms")

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((DATA / self.name / "facts.json").read_text()))

    @property
    def typed(self) -> bool:
        """Whether modules have type information."""
        return (self.folder / "btf" / "zram").exists()

    def choices(self, arch: Architecture | None = None, *, zswap: bool = False) -> list[Choice]:
        """The probes with zram in use, and zswap off or on."""
        return choose(self.types, self.symbols, arch or architecture("x86_64"), {} if zswap else ZSWAP_OFF)


@cache
def fixture(name: str) -> Fixture:
    """A kernel by its release, unpacked once."""
    folder = tempfile.TemporaryDirectory(prefix=f"swaptrace-{name}-")
    atexit.register(folder.cleanup)
    with tarfile.open(DATA / name / "kernel.tar.xz") as archive:
        for member in archive:
            path, data = Path(folder.name, member.name), archive.extractfile(member)
            assert data is not None
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data.read())
    return Fixture(name, Path(folder.name))


def recorded(name: str) -> Fixture:
    """A kernel, or what stands for one where there is nothing but a trace: it is not asked for types or symbols."""
    if name in KERNELS:
        return fixture(name)
    folder = tempfile.TemporaryDirectory(prefix=f"swaptrace-{name}-")
    atexit.register(folder.cleanup)
    return Fixture(name, Path(folder.name))
