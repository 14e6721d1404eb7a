"""Every command in README.md and docs/ is one that works: it is run here, or it is known where else it is.

A command is a line of a block without a language. The recordings that they are about are made up.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from builders import START, batch, header, notified_free, store, trailer, zram_area
from fixtures import DATA

from swaptrace.areas import Store
from swaptrace.cli import cli
from swaptrace.report.charts import CHARTS
from swaptrace.trace.writer import TraceWriter
from tests.documented import PAGES, PROGRAM, ROOT, as_root, commands, documented

SECOND = 1_000_000_000
#: What is run here, as somebody without root types it. Nothing else is ever handed to a shell: these are documents.
RUN = re.compile(
    r"(~/swaptrace/bin/|\.venv/bin/)(swaptrace (check|report|diff|audit|export)|python -m swaptrace\.manual)"
    r"( [\w./~=,-]+)*( \| head -\d+)?"
)

#: What needs root and a kernel that can be traced: a virtual machine runs it (the scenario `documented` of
#: tests/kernel/guest.py). Here it only has to be understood.
AS_ROOT = as_root()
#: What installs: it would change this machine, or needs a package registry.
INSTALLING = {
    "/usr/bin/python3 -m venv --system-site-packages ~/swaptrace",
    "~/swaptrace/bin/pip install .",
}
#: Answers that are no failure: this kernel cannot be traced, say.
NEGATIVE = ("check", "audit")


COMMANDS = documented()
MADE = [command for command in COMMANDS if re.match(r"(sudo )?make ", command)]
HERE = [command for command in COMMANDS if RUN.fullmatch(command)]


def test_every_command_is_known() -> None:
    arguments = {PROGRAM.sub("", command) for command in AS_ROOT}
    rest = {
        command for command in COMMANDS if not command.startswith("sudo ") or PROGRAM.sub("", command) not in arguments
    }
    assert {*HERE, *MADE, *INSTALLING} == rest
    assert commands("```\na  # b\n# c\n\n```\ntext\n```text\nd\n```\n```\ne | f\n```\n") == ["a", "e | f"]
    assert len(HERE) > 15 and len(AS_ROOT) > 5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout, and the home of who works in it, with a swaptrace in each, and recordings by the names they have."""
    home = tmp_path_factory.mktemp("home")
    for folder in (home / ".venv/bin", home / "swaptrace/bin"):
        folder.mkdir(parents=True)
        for name, words in (("swaptrace", "-m swaptrace"), ("python", "")):
            (folder / name).write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {words} "$@"\n')
            (folder / name).chmod(0o755)
    (home / "build/demo").mkdir(parents=True)
    sides = [f"{side}{number}.trace" for side in ("before", "after") for number in ("", 1, 2)]
    for place in ("swap.trace", "build/demo/demo.swaptrace", *sides):
        record(home / place)
    return home


def record(path: Path) -> None:
    """A hundred seconds: in each a page is stored, and half a second later freed."""
    writer = TraceWriter(path, header([zram_area("/dev/zram0", 0, 128, 0)], [Store(0, "zram0", 128)], missing=()))
    for second in range(100):
        time, slot, size = START + second * SECOND, second + 1, 1000 + 30 * second
        writer.feed(batch([store(time, 0, slot, size), notified_free(time + SECOND // 2, 0, slot, size)]))
    writer.close(trailer(START + 100 * SECOND))


@pytest.mark.parametrize("command", HERE)
def test_a_command_runs(home: Path, command: str) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=home, capture_output=True, text=True, timeout=300,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "MPLCONFIGDIR": str(home)},
    )  # fmt: skip
    negative = any(f"swaptrace {name}" in command for name in NEGATIVE)
    assert done.returncode == 0 or (negative and done.returncode == 1), done.stderr
    assert not done.stderr and (done.stdout or " -o " in command)


@pytest.mark.parametrize("command", sorted(AS_ROOT))
def test_a_command_is_understood(command: str) -> None:
    program = PROGRAM.match(command)
    assert program is not None
    name, *arguments = shlex.split(command[program.end() :])
    context = click.Context(cli, info_name="swaptrace", **cli.context_settings)
    found = cli.get_command(context, name)
    assert found is not None
    found.make_context(name, arguments, parent=context)  # raises what a user would be told of


@pytest.mark.parametrize("command", MADE)
def test_a_target_is_there(command: str) -> None:
    done = subprocess.run(["make", "-n", *command.split("make ")[1].split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(home)
    names: dict[str, object] = {}
    exec(code, names)
    assert len(names["events"]) == 200  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that are there, and headings that are in them."""
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        if heading:
            lines = re.findall(r"^#+ (.*)", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}, heading


def test_the_tutorial_has_each_chart() -> None:
    """By its title, in the order of the page."""
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows[0] == "chart" and rows[1:] == [chart.title for chart in CHARTS]


def test_the_tutorial_speaks_of_tables_that_there_are(home: Path) -> None:
    """Each paragraph that begins with a table's title, or two."""
    tutorial = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    report = (DATA / "6.1/report.txt").read_text(encoding="utf-8").lower()
    titles = [
        title for line in re.findall(r"^\*\*.*", tutorial, re.MULTILINE) for title in re.findall(r"\*\*(.+?)\*\*", line)
    ]
    assert len(titles) == 10
    assert [title for title in titles if f"\n{title.lower()}" not in report] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\((\S+\.md)\)", index))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
