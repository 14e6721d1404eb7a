"""What check prints of what was found."""

from __future__ import annotations

import io

from rich.console import Console

from swaptrace.degradation import WITHOUT
from swaptrace.events import EventKind
from swaptrace.kernel.probes import Candidate, Choice, Probe
from swaptrace.record.check import Check, print_check
from swaptrace.tracing.environment import Requirement

EVENT = next(iter(WITHOUT))


def printed(result: Check, colours: bool = False) -> list[str]:
    console = Console(
        file=io.StringIO(), width=200, force_terminal=colours, color_system="standard" if colours else None
    )
    print_check(result, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def choice(functions: tuple[str, ...], problems: tuple[str, ...] = (), off: bool = False) -> Choice:
    probe = Probe(EVENT, EventKind.FREE, (), required=True)
    return Choice(probe, tuple(Candidate(name, ()) for name in functions), problems, off)


def test_all_is_there() -> None:
    lines = printed(Check([Requirement("rights", "running as root")], [choice(("one", "two"))], ["a [bold] note"]))
    assert [cells(line) for line in lines if "─" not in line and line] == [
        ["needed", "found"],
        ["rights", "ok", "running as root"],
        ["event", "kernel function", "otherwise"],
        [EVENT, "one"],
        ["two"],
        ["note: a [bold] note"],
        ["This kernel can be traced."],
    ]


def test_something_is_missing() -> None:
    """What is needed says what to do; what is not attached says why, and what is lost."""
    needs = [Requirement("rights", "tracing needs root", "run: sudo x"), Requirement("bcc", "BCC 0.26")]
    choices = [choice((), ("f: not there", "g: other parameters")), choice((), ("zswap is off",), off=True)]
    lines = printed(Check(needs, choices, []))
    assert [cells(line) for line in lines if "─" not in line and line] == [
        ["needed", "found"],
        ["rights", "missing", "tracing needs root"],
        ["run: sudo x"],
        ["bcc", "ok", "BCC 0.26"],
        ["event", "kernel function", "otherwise"],
        [EVENT, "none", "f: not there; g: other parameters"],
        [f"without it, {WITHOUT[EVENT]}"],
        [EVENT, "not now", "zswap is off"],
        ["This kernel cannot be traced as things are."],
    ]


def test_no_table_of_probes_if_none_could_be_chosen() -> None:
    lines = printed(Check([Requirement("bcc", "no BCC", "install it")], [], []))
    assert not any("kernel function" in line for line in lines)
    assert lines[-1] == "This kernel cannot be traced as things are."


def test_colours() -> None:
    needs = [Requirement("rights", "tracing needs root", "run: sudo x"), Requirement("bcc", "BCC 0.26")]
    text = "\n".join(printed(Check(needs, [choice((), ("why",)), choice((), ("off",), off=True)], []), colours=True))
    for wanted in (
        "\x1b[32mok", "\x1b[31mmissing", "\x1b[1mrun: sudo x", "\x1b[31mnone",
        "\x1b[2mnot now", "\x1b[1mwithout it, ", "\x1b[1mThis kernel cannot be traced as things are.\x1b[0m",
    ):  # fmt: skip
        assert wanted in text
