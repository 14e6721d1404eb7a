"""Investigations: each boots what it needs, compares, and writes its page in reports/investigations.

Usage: investigate.py [--keep] [--kernel K] [--out FOLDER] [NAME ...]. All of them, if there are no names. Exits with 1,
and says why, if what should be equal is not. --keep looks again at what the last runs left. Kernels that are not named
keep the results that are published.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from investigations import harness
from investigations.harness import Investigation

NAMES = ("fragmentation", "second-copies", "discard", "page-cluster", "whose", "zsmalloc-table")


def named(name: str) -> Investigation:
    return cast(Investigation, import_module(f"investigations.{name.replace('-', '_')}"))


def run(name: str, kernels: list[str], folder: Path, *, keep: bool) -> bool:
    """Whether all went well."""
    investigation = named(name)
    kernels = [kernel for kernel in investigation.KERNELS if not kernels or kernel in kernels]
    if keep:
        kernels = [kernel for kernel in kernels if (harness.BUILD / name / kernel).exists()]
    else:
        with ThreadPoolExecutor(int(os.environ.get("SWAPTRACE_GUESTS", "2"))) as pool:
            statuses = list(pool.map(partial(harness.boot, name), kernels))
        for kernel, status in zip(kernels, statuses, strict=True):
            if status != 0:
                log = harness.BUILD / name / kernel / "guest.log"
                print(f"{name} on Linux {kernel}: exit status {status}; see {log}", file=sys.stderr)
        if any(statuses):
            return False
    if not (kernels or investigation.ALONE or (folder / "results.json").exists()):
        print(f"{name}: no kernel was booted for this yet")
        return True
    results = harness.results_of(investigation, name, folder, kernels)
    missed = harness.write(investigation, name, folder, results)
    for miss in missed:
        print(f"{name}: not equal: {miss}", file=sys.stderr)
    print(f"{name}: {folder / 'README.md'}")
    return not missed


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="do not boot anything: look at what the last runs left")
    parser.add_argument("--kernel", action="append", default=[], help="only this one, and others so named")
    parser.add_argument("--out", type=Path, default=harness.PUBLISHED)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no investigation {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    wanted = options.names or NAMES
    went_well = [run(name, options.kernel, options.out / name, keep=options.keep) for name in wanted]
    harness.write_index(options.out)
    return 0 if all(went_well) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
