"""The manual: man pages, completion and docs/cli.md have all that click knows, and are what they should be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from swaptrace import manual
from swaptrace.cli import cli
from tests.data import documents

ROOT = Path(__file__).parents[2]
CONTEXT = click.Context(cli, info_name="swaptrace", **cli.context_settings)
COMMANDS: dict[str, click.Command] = {"swaptrace": cli}
for _name in cli.list_commands(CONTEXT):
    COMMANDS[f"swaptrace-{_name}"] = cli.get_command(CONTEXT, _name)  # type: ignore[assignment]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As somebody installs it."""
    prefix = tmp_path_factory.mktemp("prefix")
    done = subprocess.run([sys.executable, "-m", "swaptrace.manual", str(prefix)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {*done.stdout.split()} == {str(path) for path in prefix.rglob("*") if path.is_file()}
    return prefix / "share"


# -------------------------------------------------------------------------------------------------------------- man


def words(roff: str) -> str:
    """What a page says, in one line."""
    text = re.sub(r"^\.(?:SH|TP|PP) ?", "", roff, flags=re.MULTILINE)
    text = re.sub(r"\\f[BIR]|\\&", "", text)
    return " ".join(text.replace(r"\-", "-").replace(r"\e", "\\").split())


def test_there_is_a_page_for_each_command(share: Path) -> None:
    assert {path.name for path in (share / "man/man1").iterdir()} == {f"{name}.1" for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_its_page(share: Path, name: str) -> None:
    """With what it takes and what its help says; and so is the command's own."""
    said = words((share / f"man/man1/{name}.1").read_text())
    command = COMMANDS[name]
    assert " ".join((command.help or "?").split("\n\n")[0].split()) in said
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for opt in parameter.opts:
                assert re.search(rf"(?<![\w-]){opt}(?![\w-])", said), opt
            assert " ".join((parameter.help or "").split()) in said
            for choice in getattr(parameter.type, "choices", ()):
                assert choice in said
    assert "-h, --help" in said
    for other in set(COMMANDS) - {name}:
        assert f"{other}(1)" in said
    assert "EXIT STATUS" in said if name == "swaptrace" else "exit" in said.lower() or name == "swaptrace-report"


#: What finds fault with a page: all that it says is a fault.
JUDGES = [
    ["man", "--warnings", "-E", "UTF-8", "-l", "{}"],
    ["groff", "-man", "-ww", "-z", "-Tutf8", "{}"],
    ["mandoc", "-Tlint", "-Wall", "{}"],
]


@pytest.mark.parametrize("name", COMMANDS)
def test_pages_are_well_formed(share: Path, name: str) -> None:
    page = share / f"man/man1/{name}.1"
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f'.TH "{name.upper()}" 1 "'.replace("-", r"\-"))
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= {".TH", ".SH", ".TP", ".PP"}
    assert [line for line in lines if line.startswith(".SH")][:2] == [".SH NAME", ".SH SYNOPSIS"]
    assert re.fullmatch(r"swaptrace[\w\\-]* \\- [a-z].*[^.]", lines[2])  # as whatis wants it
    assert all(len(line) <= 80 for line in lines)
    for judge in JUDGES:
        if shutil.which(judge[0]):
            command = [argument.format(page) for argument in judge]
            done = subprocess.run(command, capture_output=True, text=True)
            said = done.stderr + (done.stdout if judge[0] == "mandoc" else "")
            assert (done.returncode, said) == (0, ""), judge


def test_text_is_nothing_but_text_to_roff() -> None:
    """Whatever a help text has in it."""
    page = manual.Page(
        "swaptrace x", "Does it.", "[OPTIONS]", [".PP is no macro, 'nor this, and \\fBthis\\fR is not bold"],
        [("-o, --on [A|B]", "'tis")], [], {"Exit status": ".5 at ~/x^2"},
    )  # fmt: skip
    roff = manual.man(page, ["swaptrace", "y"], "2026-01-01")
    assert "\n\\&.PP is no macro, 'nor this, and \\efBthis\\efR is not bold\n" in roff
    assert "\n.TP\n\\fB\\-o\\fR, \\fB\\-\\-on\\fR \\fI[A|B]\\fR\n\\&'tis\n" in roff
    assert "\n.SH EXIT STATUS\n\\&.5 at \\(ti/x\\(ha2\n" in roff
    assert roff.endswith(".SH SEE ALSO\n\\fBswaptrace\\fR(1),\n\\fBy\\fR(1)\n")


# -------------------------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", manual.COMPLETIONS)
def test_scripts_parse(share: Path, shell: str) -> None:
    script = share / manual.COMPLETIONS[shell]
    assert f"_SWAPTRACE_COMPLETE={shell}_complete" in script.read_text()
    if shutil.which(shell):
        done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("swaptrace re", "record report"),
        ("swaptrace ", "check selftest record mark report diff export audit"),
        ("swaptrace report --po", "--policy"),
        ("swaptrace report --policy disc", "discard discard_once"),
        ("swaptrace report --format json --by ", "cgroup process reason area"),
        ("swaptrace record --time", "--time-frees"),
        ("swaptrace nonsense --x", ""),
    ],
)
def test_bash_completes(share: Path, tmp_path: Path, typed: str, offered: str) -> None:
    program = tmp_path / "swaptrace"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m swaptrace "$@"\n')
    program.chmod(0o755)
    code = """
        PATH=$1:$PATH; source "$2"; read -ra COMP_WORDS <<< "$3"
        [[ $3 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        complete -p swaptrace | grep -q -- '-F _swaptrace_completion swaptrace' || exit 1
        _swaptrace_completion swaptrace; echo "${COMPREPLY[@]}"
    """
    script = share / manual.COMPLETIONS["bash"]
    done = subprocess.run(["bash", "-c", code, "bash", tmp_path, script, typed], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == set(offered.split())


# ---------------------------------------------------------------------------------------------------- where they are


def test_make_installs_them() -> None:
    done = subprocess.run(
        ["make", "-n", "install-manual", "DESTDIR=/stage", "PREFIX=/usr"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith("python -m swaptrace.manual /stage/usr")


def test_no_place_to_write_to() -> None:
    done = subprocess.run([sys.executable, "-m", "swaptrace.manual"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "usage: python -m swaptrace.manual PREFIX\n")


def test_the_document_is_current() -> None:
    text = documents.COMMAND_LINE.read_text(encoding="utf-8")
    assert text == documents.command_line(text), "run: .venv/bin/python -m tests.data.documents"
    assert text.count("\n## ") == len(COMMANDS)
