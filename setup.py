"""Compiles the engine's loops: Cython makes C of swaptrace/engine/*.py, which stay Python.

SWAPTRACE_BOUNDSCHECK=1 makes a slower build that checks every index (for fuzzing): what is out of bounds is then said.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGE = Path("swaptrace/engine")
VIEWS = "swaptrace.engine._views"  # Cython's own code for arrays: once, instead of in each module
CHECKED = os.environ.get("SWAPTRACE_BOUNDSCHECK", "") not in ("", "0")


def loops() -> list[str]:
    """LOOPS of the package, which cannot be imported before they are compiled."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    return next(list(ast.literal_eval(node.value)) for node in tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LOOPS")  # fmt: skip


setup(
    ext_modules=cythonize(
        [
            Extension(name, [source], extra_compile_args=["-O3", "-g0"])
            for name, source in [
                *((f"swaptrace.engine.{name}", str(PACKAGE / f"{name}.py")) for name in loops()),
                (VIEWS, str(PACKAGE / "_views.c")),
            ]
        ],
        build_dir="build/cython-checked" if CHECKED else "build/cython",
        shared_utility_qualified_name=VIEWS,
        compiler_directives={
            "language_level": 3,
            "boundscheck": CHECKED,
            "wraparound": False,
            "initializedcheck": CHECKED,
            "cdivision": True,
        },
    )
)
