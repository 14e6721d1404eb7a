"""Capture what the tests know of real kernels (`make fixtures`): boots each, keeps what the project asks it for.

Usage: capture.py [--trace] [KERNEL...]. Leaves in tests/data/KERNEL what tests/unit/fixtures.py describes. Traces are
recorded only with --trace, and never over an old one: what recorders have written must stay readable.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from trim import trim

DATA = Path(__file__).resolve().parent
CHECKOUT = DATA.parents[1]
sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import kernels  # noqa: E402

from swaptrace.kernel.arch import architecture  # noqa: E402
from swaptrace.kernel.btf import KernelTypes  # noqa: E402
from swaptrace.kernel.layout import fullness_rule, layout  # noqa: E402
from swaptrace.kernel.probes import PROBES, Symbols, choose  # noqa: E402

MODULES = ("zram", "zsmalloc")
HOST = "guest"  # a name that says nothing of the machine
#: What probes, layout and programs ask for, and what they might: all that has to do with swap, and the modules' whole.
NAMES = re.compile(r"swap|zpool|^zs_|^(__)?zram|^(bpf_task_pt_regs|bpf_trampoline_link_prog|memory_cgrp_subsys)$")
STRUCTURES = {
    "bio", "bio_vec", "block_device", "block_device_operations", "cgroup", "folio", "gendisk", "kernfs_node",
    "mem_cgroup", "obj_cgroup", "page",
    "pt_regs", "size_class", "spinlock", "task_struct", "user_pt_regs", "zs_pool",
}  # fmt: skip
#: Functions that are asked for: others of that name, wherever they are, matter as well.
ASKED = {candidate.function for probe in PROBES for candidate in probe.candidates}
ENUMERATIONS = {"fullness_group", "pageflags", "zs_stat_type"}
OPTIONS = re.compile(
    r"^CONFIG_(PREEMPT\w*|KALLSYMS_ALL|MEMCG|ZRAM\w*|ZSMALLOC\w*|ZSWAP|THP_SWAP|DEBUG_INFO_BTF\w*|ARCH_HAS_SYSCALL_WRAPPER)=",
    re.MULTILINE,
)


def wanted(kind: str, name: str) -> bool:
    """Whether a type of the kernel is kept; see trim()."""
    return bool(NAMES.search(name)) or name in {"struct": STRUCTURES, "enum": ENUMERATIONS, "function": ASKED}[kind]


def capture(kernel: str, *, trace: bool) -> None:
    """Boot a kernel and keep what it says."""
    work, target = CHECKOUT / "build" / "capture" / kernel, DATA / kernel
    recorded = target / "trace.swaptrace"
    if trace and recorded.exists():
        raise SystemExit(f"capture: {recorded} is there already, and is kept as it is: record into another folder")
    shutil.rmtree(work, ignore_errors=True)
    script = [sys.executable, str(DATA / "guest_capture.py"), str(work), "types", *["trace"] * trace]
    guest = ["sh", "-c", f'hostname {HOST} && exec "$@"', "sh", *script]
    command = ["tests/vm/run", "--kernel", kernel, "--timeout", "1500", "--out", str(work), "--", *guest]
    subprocess.run(command, check=True, cwd=CHECKOUT)
    target.mkdir(exist_ok=True)
    unpacked = kernels.fetch(kernels.KERNELS[kernel])
    keep(work / "types", target, unpacked)
    if trace:
        recorded.write_bytes((work / "trace" / "trace.swaptrace").read_bytes())


def keep(found: Path, target: Path, kernel: kernels.UnpackedKernel) -> None:
    """Cut down what the guest has left in `found`, into the archive of one kernel."""
    modules = {name: (found / name).read_bytes() for name in MODULES if (found / name).exists()}
    vmlinux, modules = trim((found / "vmlinux").read_bytes(), modules, wanted)
    kept = found.with_name("kept")
    (kept / "btf").mkdir(parents=True)
    for name, data in {"vmlinux": vmlinux, **modules}.items():
        (kept / "btf" / name).write_bytes(data)
    symbols = filter(_symbol_wanted, (found / "kallsyms").read_bytes().splitlines(keepends=True))
    (kept / "kallsyms").write_bytes(b"".join(symbols))
    if _answers(found, found) != _answers(kept / "btf", kept):
        raise SystemExit(f"capture: {kept} does not answer as {found}: what does the project ask that is not kept?")
    with tarfile.open(target / "kernel.tar.xz", "w:xz") as archive:
        for path in sorted(path for path in kept.rglob("*") if path.is_file()):
            archive.addfile(_entry(path, kept), io.BytesIO(path.read_bytes()))
    facts = json.loads((found / "facts.json").read_text())
    facts["config"] = _options(kernel)
    (target / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


def _options(kernel: kernels.UnpackedKernel) -> dict[str, str] | None:
    """Build options that matter; None if the kernel's package does not tell."""
    places = (
        kernel.root / "boot" / f"config-{kernel.version}",
        kernel.root / "lib/modules" / kernel.version / "config",
    )
    path = next((path for path in places if path.exists()), None)
    if path is None:
        return None
    return dict(line.split("=", 1) for line in sorted(path.read_text().splitlines()) if OPTIONS.match(line))


def _entry(path: Path, folder: Path) -> tarfile.TarInfo:
    """Without owner and time, so that what has not changed does not change the archive."""
    entry = tarfile.TarInfo(str(path.relative_to(folder)))
    entry.size = path.stat().st_size
    return entry


def _answers(types: Path, symbols: Path) -> tuple[object, ...]:
    """What the project asks a kernel: which functions, with zswap off or on, and where things are."""
    found, names = KernelTypes(types), Symbols(symbols / "kallsyms")
    choices = [choose(found, names, architecture("x86_64"), off) for off in ({}, {"zswap": "off"})]
    return choices, layout(found, zram=True, zswap=True, zswap_pools=1), fullness_rule(found)


def _symbol_wanted(line: bytes) -> bool:
    """Lines are `ADDRESS TYPE NAME`, and a tab and the module's name in brackets."""
    name = line.split()[2].decode()
    return bool(NAMES.search(name)) or line.rstrip().endswith((b"[zram]", b"[zsmalloc]")) or name.split(".")[0] in ASKED


def main() -> None:
    names = [argument for argument in sys.argv[1:] if argument != "--trace"]
    for kernel in names or kernels.KERNELS:
        capture(kernel, trace="--trace" in sys.argv)


if __name__ == "__main__":
    main()
