"""The table of kernels: what tests may know of them, and nobody but it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernels import KERNELS, Feature, Kernel, Part, of_release

KERNEL_TESTS = Path(__file__).resolve().parents[1] / "kernel"
VERSION = re.compile(r"\b[4-9]\.\d{1,2}\b")


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Those that a program can act on: all but the docstrings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


@pytest.mark.parametrize("path", sorted(KERNEL_TESTS.glob("*.py")), ids=lambda path: path.name)
def test_kernel_tests_ask_for_no_version(path: Path) -> None:
    """They ask for what a kernel has (Feature), or for the part of the tests that it runs (Part)."""
    found = [(node.lineno, node.value) for node in strings(ast.parse(path.read_text())) if VERSION.search(node.value)]
    assert found == []


def test_versions_are_noticed() -> None:
    """Or the test above would pass whatever they ask for."""
    tree = ast.parse("""
def f(kernel, release):
    'Up to 6.12.'  # 6.12
    return kernel in ("5.10", "all") or release.startswith("6.1.") or f"linux-7.3" in kernel
""")
    assert [node.value for node in strings(tree) if VERSION.search(node.value)] == ["6.1.", "5.10", "linux-7.3"]


@pytest.mark.parametrize("part", Part)
def test_each_part_runs_on_some_kernel(part: Part) -> None:
    assert any(part in kernel.parts for kernel in KERNELS.values())


@pytest.mark.parametrize("feature", Feature)
def test_features_tell_kernels_apart(feature: Feature) -> None:
    """What all have, or none has, no test needs to ask for."""
    assert len({feature in kernel.has for kernel in KERNELS.values()}) == 2


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=list(KERNELS))
def test_running_kernels_are_known(kernel: Kernel) -> None:
    assert of_release(f"{kernel.release}.0-1-amd64") is kernel
