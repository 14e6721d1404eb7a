"""Imports go downwards only: a folder knows those below it, and nothing of those above or beside it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "swaptrace"
#: From the ground up. Two in one row may know each other: a trace's writer is a sink of the loop, whose end is a
#: trailer. The package itself is a door to `api`, which it imports when somebody goes through.
LAYERS = [
    {"errors", "units", "policies", "dimensions", "__init__"},
    {"areas", "histogram", "stopping", "console"},
    {"events", "degradation", "progress"},
    {"notifiers", "trace", "running", "in_use", "marks"},
    {"engine"},
    {"results"},
    {"analysis"},
    {"findings"},
    {"report"},
    {"diff", "tables"},
    {"api", "export"},
    {"kernel"},
    {"machine"},
    {"tracing"},
    {"record"},
    {"audit"},
    {"commands"},
    {"cli"},
    {"manual", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """The folder, or the module at the top, that `swaptrace.…` is in."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(path: Path) -> set[str]:
    """The modules of swaptrace that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "swaptrace":
            found |= {f"swaptrace.{name.name}" if part_exists(name.name) else "swaptrace" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("swaptrace."):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "swaptrace"}
    return found


def part_exists(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()


def test_every_part_has_its_place() -> None:
    here = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert here == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        part = part_of(module)
        beside = {own, part} == {"trace", "running"} or (own, part) == ("__init__", "api")
        assert part == own or beside or LEVEL[part] < LEVEL[own], f"{own} imports {module}"
