"""What somebody at a terminal sees: that something goes on, and colours where these are wanted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from builders import SELFTEST
from fixtures import DATA, TRACE
from terminal import terminal

from swaptrace.cli import cli

RECORDING = str(DATA / "format2" / TRACE)
#: What prints to stdout: as much of each command as needs neither root nor a kernel that can be traced.
COMMANDS = {
    "check": ["check"],
    "selftest": [],  # SELFTEST
    "record": ["record", "--help"],
    "mark": ["mark", "--help"],
    "diff": ["diff", RECORDING, RECORDING],
    "report": ["report", RECORDING],
    "audit": ["audit"],
    "export": ["export", RECORDING, "--to", "openmetrics", "-o", "-"],
}
COLOUR = re.compile(r"\x1b\[[\d;]*(?:3[0-79]|4[0-79]|9\d|[34]8;)[\d;]*m")


def shown(command: str, **env: str) -> tuple[int, str, str]:
    return terminal(*COMMANDS[command], code=SELFTEST if command == "selftest" else "", **env)


def test_every_command_is_here() -> None:
    assert set(COMMANDS) == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("command", COMMANDS)
def test_colours_are_left_out_where_nobody_wants_them(command: str) -> None:
    coloured = command in ("check", "report")  # something green, or red; the others have bold or nothing
    _, out, err = shown(command)
    assert bool(COLOUR.search(out)) == coloured
    for env in ({"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        _, out, err = shown(command, **env)
        assert out and not COLOUR.search(out + err)
    _, out, err = shown(command, TERM="dumb")
    assert out and "\x1b" not in out + err


#: Words of a bar or a line, by what they are shown for.
WAITING = {
    "report": (["report", RECORDING], ["analysing"]),
    "html": (["report", RECORDING, "--format", "html", "-o", "page", "--device", "/dev/loop0"],
             ["analysing", "loading what draws the charts ...", "drawing"]),
    "check": (["check"], ["looking at this kernel ..."]),
    "audit": (["audit"], ["looking at swap areas and stores ..."]),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITING)
def test_something_is_seen_to_go_on(name: str, tmp_path: Path) -> None:
    """On the terminal of stderr, and gone at the end; never among the output, and nowhere if there is no terminal."""
    arguments, every = WAITING[name]
    _, out, err = terminal(*arguments, cwd=tmp_path)
    assert all(words in err and words not in out for words in every)
    assert re.split(r"\r|\x1b\[2K", err)[-1] == ""  # what was last on the line was cleared
    dumb = "".join(terminal(*arguments, cwd=tmp_path, TERM="dumb")[1:])
    piped = subprocess.run(
        [sys.executable, "-m", "swaptrace", *arguments], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert not any(words in dumb + piped.stdout + piped.stderr for words in every)


def test_a_live_line_gives_way_to_what_is_said() -> None:
    """Errors, too, have a line of their own."""
    code = """
from swaptrace.progress import LiveLine
from swaptrace.errors import to_stderr
try:
    with LiveLine("a rather long line ...") as live:
        live.show("second")
        raise ValueError
except ValueError:
    to_stderr("wrong")
"""
    _, _, err = terminal(code=code)
    assert [line.rstrip() for line in err.split("\r")] == ["", "a rather long line ...", "second", "", "wrong"]
