"""The cache of compiled loops: never older than any file that goes into them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from swaptrace.analysis import jit

CHECKOUT = Path(__file__).parents[2]

#: A package of the same names with little in it: a loop of one file, which inlines a function and freezes a constant of
#: two others.
_FILES = {
    "__init__.py": "",
    "analysis/__init__.py": "",
    "events.py": "SHIFT = 3\n",
    "areas.py": "",
    "store/__init__.py": "",
    "store/clock.py": ("from swaptrace.analysis.jit import njit\n\n\n@njit\ndef add(a, b):\n    return a + b\n"),
    "store/replay.py": (
        "from swaptrace.analysis.jit import njit\nfrom swaptrace.events import SHIFT\n"
        "from swaptrace.store.clock import add\n\n\n@njit\ndef loop(n):\n    return add(n, 1) << SHIFT\n"
    ),
}
_RUN = """
from numba.core import event
from swaptrace.store.replay import loop
compiled = []
class Told(event.Listener):
    def on_start(self, told): compiled.append(told)
    def on_end(self, told): pass
event.register("numba:compile", Told())
print(loop(4), len(compiled) > 0)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "code" / "swaptrace"
    for name, text in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(CHECKOUT / "swaptrace" / "analysis" / "jit.py", folder / "analysis")
    return folder


def run(package: Path, **env: str) -> tuple[int, bool]:
    """What the loop gives for 4, and whether anything had to be compiled."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", _RUN], cwd=package.parent, capture_output=True, text=True, check=False,
        env={**environment, "PYTHONPATH": str(package.parent), **env},
    )  # fmt: skip
    assert done.stderr == ""
    result, compiled = done.stdout.split()
    return int(result), compiled == "True"


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_another_files_function_or_constant(package: Path) -> None:
    """The loop's own file stays as it is."""
    assert run(package) == (40, True)
    assert run(package) == (40, False)  # the cache is warm
    edit(package / "store" / "clock.py", "a + b", "a + b + 1_000_000")
    assert run(package) == (8 * 1_000_005, True)
    edit(package / "events.py", "3", "4")
    assert run(package) == (16 * 1_000_005, True)
    assert run(package) == (16 * 1_000_005, False)
    edit(package / "events.py", "4", "3")
    assert run(package) == (8 * 1_000_005, False)  # to and fro


def test_earlier_states_are_removed(package: Path) -> None:
    for number in range(6):
        (package / "events.py").write_text(f"SHIFT = {number}\n")
        assert run(package)[0] == 5 << number
    assert len(list((package / "__pycache__").glob("swaptrace-*"))) == 3


def test_a_folder_of_the_users(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    assert run(package, NUMBA_CACHE_DIR=str(other)) == (40, True)
    assert run(package, NUMBA_CACHE_DIR=str(other)) == (40, False)
    assert [folder.name.split("-")[0] for folder in other.iterdir()] == ["swaptrace"]
    assert not (package / "__pycache__").exists()


def test_a_cache_that_cannot_be_written_is_no_error(package: Path, tmp_path: Path) -> None:
    """A file where the folders would be: nobody, root included, can make them."""
    (package / "__pycache__").write_text("")
    home = tmp_path / "home"
    assert run(package, XDG_CACHE_HOME=str(home)) == (40, True)  # the second best place
    assert run(package, XDG_CACHE_HOME=str(home)) == (40, False)
    (tmp_path / "file").write_text("")
    assert run(package, XDG_CACHE_HOME=str(tmp_path / "file")) == (40, True)
    assert run(package, XDG_CACHE_HOME=str(tmp_path / "file")) == (40, True)  # there is none
    assert run(package, NUMBA_CACHE_DIR=str(tmp_path / "file")) == (40, True)


def test_constants_come_from_files_that_the_key_has() -> None:
    """Of what is compiled, all constants of other modules: names in capitals, and classes of them."""
    package = CHECKOUT / "swaptrace"
    compiled = [path for path in package.rglob("*.py") if "\n@njit" in path.read_text()]
    assert len(compiled) >= 6
    known = {str(path.relative_to(package)) for path in compiled} | set(jit._CONSTANTS)
    for path in compiled:
        for module, names in re.findall(r"^from swaptrace\.([\w.]+) import (.+)$", path.read_text(), re.MULTILINE):
            if any(name.lstrip("_").isupper() for name in names.split(", ")):
                assert f"{module.replace('.', '/')}.py" in known, (path, module)
