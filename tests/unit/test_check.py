"""What check prints of what was found."""

from __future__ import annotations

import io
import textwrap

from rich.console import Console

from swaptrace.degradation import WITHOUT
from swaptrace.events import EventKind
from swaptrace.kernel.probes import Candidate, Choice, Probe
from swaptrace.record.check import Check, print_check
from swaptrace.tracing.environment import Requirement

EVENT = next(iter(WITHOUT))


def printed(result: Check, colours: bool = False, width: int = 200) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colours, color_system="standard" if colours else None
    )
    print_check(result, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def wrapped(sentence: str) -> list[list[str]]:
    return [[line] for line in textwrap.wrap(sentence, 100)]


def choice(functions: tuple[str, ...], problems: tuple[str, ...] = (), off: bool = False, event: str = EVENT) -> Choice:
    probe = Probe(event, EventKind.FREE, (), required=True)
    return Choice(probe, tuple(Candidate(name, ()) for name in functions), problems, off)


def test_all_is_there() -> None:
    lines = printed(Check([Requirement("rights", "running as root")], [choice(("one", "two"))], ["a [bold] note"]))
    assert [cells(line) for line in lines if "─" not in line and line] == [
        ["needed", "found"],
        ["rights", "ok", "running as root"],
        ["event", "kernel function"],
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
        ["event", "kernel function"],
        [EVENT, "none"],
        [EVENT, "not now"],
        [f"{EVENT}: f: not there; g: other parameters."],
        *wrapped(f"Without it, {WITHOUT[EVENT]}."),
        [f"{EVENT}: zswap is off."],
        ["This kernel cannot be traced as things are."],
    ]


def test_a_reason_is_there_once() -> None:
    """With all events that it holds for, and so is what is lost without several of them."""
    one, two, three = list(WITHOUT)[:3]
    text = " ".join(
        printed(
            Check(
                [],
                [
                    choice((), ("f: not there", "f: not there"), event=one), choice((), ("f: not there",), event=two),
                    choice((), ("off",), off=True, event=three),
                ],
                [],
            )
        )
    )  # fmt: skip
    assert text.count("f: not there") == 1 and f"{one}, {two}: f: not there." in text
    assert f"Without {one}, {WITHOUT[one][:40]}" in text and f"Without {two}, {WITHOUT[two][:40]}" in text
    assert f"{three}: off." in text and f"Without {three}" not in text


def test_sentences_have_the_width_of_the_terminal() -> None:
    lines = printed(Check([], [choice((), ("word " * 60,))], []), width=80)
    words = [line for line in lines if line.startswith(("word", EVENT + ": word"))]
    assert len(words) == 4 and all(len(line) > 70 for line in words[:-1])


def test_no_table_of_probes_if_none_could_be_chosen() -> None:
    lines = printed(Check([Requirement("bcc", "no BCC", "install it")], [], []))
    assert not any("kernel function" in line for line in lines)
    assert lines[-1] == "This kernel cannot be traced as things are."


def test_colours() -> None:
    needs = [Requirement("rights", "tracing needs root", "run: sudo x"), Requirement("bcc", "BCC 0.26")]
    text = "\n".join(printed(Check(needs, [choice((), ("why",)), choice((), ("off",), off=True)], []), colours=True))
    for wanted in (
        "\x1b[32mok", "\x1b[31mmissing", "\x1b[1mrun: sudo x", "\x1b[31mnone",
        "\x1b[2mnot now", "\x1b[1mWithout it, ", "\x1b[1mThis kernel cannot be traced as things are.\x1b[0m",
    ):  # fmt: skip
        assert wanted in text
