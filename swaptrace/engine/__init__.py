"""Loops over events, compiled ahead by Cython; what there is to know of slots and stores is made here.

Importing any of it raises EnvironmentProblem where the loops are not compiled, or older than their source in a working
copy: they would say what the source said then. SWAPTRACE_UNCOMPILED=1 lets them run as plain Python, hundreds of times
slower, for tests that change them.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from swaptrace.errors import EnvironmentProblem

#: The modules that are compiled.
LOOPS = (
    "ages",
    "classes",
    "clock",
    "delays",
    "groups",
    "held",
    "idle",
    "levels",
    "lifetimes",
    "lives",
    "mapping",
    "pools",
    "records",
    "replay",
    "survey",
    "zsmalloc",
)
_REMEDY = "compile them: make setup in a working copy, else reinstall swaptrace (it needs gcc and Python's headers)"


def check_compiled(package: Path) -> None:
    """Raises EnvironmentProblem unless the loops in that folder are compiled for this Python, from what it holds.

    Only a working copy changes: elsewhere, times of files say when they were unpacked.
    """
    changes = (package.parents[1] / "pyproject.toml").exists()
    newest = max(path.stat().st_mtime for path in package.glob("*.pxd")) if changes else 0.0
    for name in LOOPS:
        found = [path for suffix in EXTENSION_SUFFIXES if (path := package / f"{name}{suffix}").exists()]
        if not found:
            raise EnvironmentProblem(f"the analysis is not compiled for this Python: no {name} of its loops", _REMEDY)
        if changes and found[0].stat().st_mtime < max(newest, (package / f"{name}.py").stat().st_mtime):
            raise EnvironmentProblem(f"the analysis was compiled before its source was changed: {name}", _REMEDY)


if not os.environ.get("SWAPTRACE_UNCOMPILED"):
    check_compiled(Path(__file__).parent)
