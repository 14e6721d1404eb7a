"""A finding in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from swaptrace.console import print_title, say
from swaptrace.findings.finding import Finding, Severity

_STYLE = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


def print_finding(finding: Finding, console: Console) -> None:
    """With what to do. Nothing is read as rich's markup, for names come from the machine."""
    console.print()
    style = _STYLE[finding.severity]
    title = Text.assemble((finding.severity.name.lower(), style), "  ", (finding.id, "bold"), f"  {finding.subject}")
    print_title(title, console, characters=" ")
    say(console, finding.sentence)
    for advice in finding.advice:
        console.print()
        say(console, advice.sentence)
        for command in advice.commands:
            # as a whole, even if too long for the line: it is there to be copied
            console.print(Text.assemble("    ", (command, "bold")), soft_wrap=True)
