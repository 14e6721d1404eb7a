"""The Linux Test Project's tests of swapon() and swapoff(), fetched and built once into the cache.

SWAPTRACE_LTP is another place to clone it from.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kernels import SetupError, cache_folder, fetched_once

__all__ = ["SYSCALLS", "TESTS", "fetch"]

_SOURCE, _RELEASE = "https://github.com/linux-test-project/ltp", "20260529"
SYSCALLS = "testcases/kernel/syscalls"
TESTS = ("swapon/swapon01", "swapon/swapon02", "swapon/swapon03", "swapoff/swapoff01", "swapoff/swapoff02")


def fetch() -> Path:
    """The folder of its sources, with TESTS built. Raises SetupError."""
    return fetched_once(cache_folder() / f"ltp-{_RELEASE}", _build)


def _build(staging: Path) -> Path:
    print(f"vm: fetching and building tests of LTP {_RELEASE} (once)", file=sys.stderr, flush=True)
    root, source = staging / "ltp", os.environ.get("SWAPTRACE_LTP", _SOURCE)
    _run("git", "clone", "--quiet", "--depth", "1", "--branch", _RELEASE, source, root)
    _run("make", "-C", root, "autotools")
    _run("./configure", cwd=root)
    for folder in sorted({Path(test).parent for test in TESTS}):
        _run("make", "-C", root / SYSCALLS / folder)
    return root


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        advice = "it needs git, gcc, make, autoconf, automake, m4, pkg-config; SWAPTRACE_LTP is where to clone from"
        raise SetupError(f"{' '.join(map(str, command))} failed: {done.stderr.strip()[-500:]}", advice)
