"""The engine's loops are compiled ahead: nothing stale is used, and a build that is missing is said."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from swaptrace import engine
from swaptrace.engine import LOOPS, check_compiled
from swaptrace.errors import EnvironmentProblem

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A working copy's engine, compiled after its sources were written."""
    (tmp_path / "pyproject.toml").touch()
    folder = tmp_path / "swaptrace" / "engine"
    folder.mkdir(parents=True)
    for time, suffix in ((1000, ".py"), (1000, ".pxd"), (2000, EXTENSION_SUFFIXES[0])):
        for name in LOOPS:
            (folder / f"{name}{suffix}").touch()
            os.utime(folder / f"{name}{suffix}", (time, time))
    return folder


def test_loops_are_compiled() -> None:
    """Those that are imported here, too."""
    check_compiled(Path(engine.__file__).parent)
    for name in LOOPS:
        assert str(import_module(f"swaptrace.engine.{name}").__file__).endswith(tuple(EXTENSION_SUFFIXES)), name


def test_what_is_compiled_after_its_source_is_fine(package: Path) -> None:
    check_compiled(package)


@pytest.mark.parametrize("name", ["lifetimes.py", "zsmalloc.pxd"])
def test_a_source_that_is_newer_is_noticed(package: Path, name: str) -> None:
    """What a .pxd says may be compiled into any of the loops."""
    os.utime(package / name, (3000, 3000))
    with pytest.raises(EnvironmentProblem, match="compiled before its source was changed") as found:
        check_compiled(package)
    assert "make setup" in found.value.remedy


def test_times_mean_nothing_where_it_is_installed(package: Path) -> None:
    (package.parents[1] / "pyproject.toml").unlink()
    os.utime(package / "lifetimes.py", (3000, 3000))
    check_compiled(package)


@pytest.mark.parametrize("suffix", ["", ".cpython-27-x86_64-linux-gnu.so"])
def test_what_is_not_compiled_for_this_python_is_noticed(package: Path, suffix: str) -> None:
    compiled = package / f"replay{EXTENSION_SUFFIXES[0]}"
    compiled.rename(package / f"replay{suffix}") if suffix else compiled.unlink()
    with pytest.raises(EnvironmentProblem, match="not compiled for this Python: no replay"):
        check_compiled(package)


def test_a_report_without_it_is_a_sentence_and_status_3(tmp_path: Path) -> None:
    """Not a traceback. What records needs none of it."""
    copy = tmp_path / "copy" / "swaptrace"
    copy.mkdir(parents=True)
    for path in (CHECKOUT / "swaptrace").iterdir():
        if path.name != "engine":
            (copy / path.name).symlink_to(path)
    (copy / "engine").mkdir()
    for path in (CHECKOUT / "swaptrace" / "engine").glob("*.py"):
        (copy / "engine" / path.name).symlink_to(path)
    trace = CHECKOUT / "tests/data/6.12/trace.swaptrace"
    done = subprocess.run(
        [sys.executable, "-m", "swaptrace", "report", str(trace)], cwd=copy.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[0].endswith("the analysis is not compiled for this Python: no ages of its loops")
    assert len(done.stderr.splitlines()) == 2
    subprocess.run([sys.executable, "-c", "import swaptrace.record.recorder"], cwd=copy.parent, check=True)
