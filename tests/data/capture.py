"""Capture what the tests know of real kernels (`make fixtures`): boots each, keeps what the project asks it for.

Usage: capture.py [--trace] [KERNEL...]. Leaves in tests/data/KERNEL what tests/unit/fixtures.py describes. Traces are
recorded only with --trace, and never over an old one: what recorders have written must stay readable.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from trim import trim

DATA = Path(__file__).resolve().parent
CHECKOUT = DATA.parents[1]
sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import kernels  # noqa: E402

from swaptrace.live.probes import PROBES  # noqa: E402

MODULES = ("zram", "zsmalloc")
HOST = "guest"  # a name that says nothing of the machine
#: What probes, layout and programs ask for, and what they might: all that has to do with swap, and the modules' whole.
NAMES = re.compile(
    r"swap|zswap|zpool|^zs_|^bpf_task_pt_regs$|^bpf_trampoline_link_prog$|^memory_cgrp_subsys$|^zram|^__zram"
)
STRUCTURES = {
    "bio", "bio_vec", "block_device", "cgroup", "folio", "gendisk", "kernfs_node", "mem_cgroup", "obj_cgroup", "page",
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
    return bool(NAMES.search(name)) or name in (STRUCTURES if kind == "struct" else ENUMERATIONS)


def capture(kernel: str, *, trace: bool) -> None:
    """Boot a kernel and keep what it says."""
    work, target = CHECKOUT / "build" / "capture" / kernel, DATA / kernel
    recorded = target / "trace.swaptrace"
    if trace and recorded.exists():
        raise SystemExit(f"capture: {recorded} is there already, and is kept as it is: record into another folder")
    script = [sys.executable, str(DATA / "guest_capture.py"), str(work), "types", *["trace"] * trace]
    guest = ["sh", "-c", f'hostname {HOST} && exec "$@"', "sh", *script]
    command = ["tests/vm/run", "--kernel", kernel, "--timeout", "1500", "--out", str(work), "--", *guest]
    subprocess.run(command, check=True, cwd=CHECKOUT)
    target.mkdir(exist_ok=True)
    unpacked = kernels.fetch(kernels.KERNELS[kernel])
    keep(work / "types", target, unpacked.root / "boot" / f"config-{unpacked.version}")
    if trace:
        recorded.write_bytes((work / "trace" / "trace.swaptrace").read_bytes())


def keep(found: Path, target: Path, configuration: Path) -> None:
    """Cut down what the guest has left, into the archive of one kernel."""
    modules = {name: (found / name).read_bytes() for name in MODULES if (found / name).exists()}
    kernel, modules = trim((found / "vmlinux").read_bytes(), modules, wanted)
    members = {"btf/vmlinux": kernel, **{f"btf/{name}": data for name, data in modules.items()}}
    members["kallsyms"] = b"".join(filter(_symbol_wanted, (found / "kallsyms").read_bytes().splitlines(keepends=True)))
    with tarfile.open(target / "kernel.tar.xz", "w:xz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    facts = json.loads((found / "facts.json").read_text())
    options = [line for line in configuration.read_text().splitlines() if OPTIONS.match(line)]
    facts["config"] = dict(line.split("=", 1) for line in sorted(options))
    (target / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


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
