"""The audit in the terminal: 80 columns are enough."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from swaptrace import units
from swaptrace.audit.audit import Audit
from swaptrace.audit.evidence import AreaEvidence, Evidence, Observed
from swaptrace.audit.findings import Finding, Severity
from swaptrace.console import WIDTH, plain, say
from swaptrace.machine.stack import way_down

_ANY_WIDTH = 10_000
_STYLE = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}
_NOTIFIED = {True: Text("yes", "green"), False: Text("no", "red"), None: Text("not needed", "dim")}


def print_audit(audit: Audit, console: Console) -> None:
    """Print all of it. Nothing is read as rich's markup, for names come from the machine."""
    say(console, f"swaptrace audit: {_verdict(audit)}", "bold")
    evidence = audit.evidence
    if evidence.areas:
        console.print()
        _print(_areas(evidence.areas), console)
        if (split := _in_use(evidence.areas)).rows:
            console.print()
            _print(split, console)
    else:
        say(console, "No swap area is on.")
    if evidence.stores:
        console.print()
        _print(_stores(evidence), console)
    if evidence.seconds is not None:
        console.print()
        for area in evidence.areas:
            say(console, f"Traced, {area.path}: {_traced(area.observed)}")
    for finding in audit.findings:
        _print_finding(finding, console)
    for note in evidence.notes:
        console.print()
        say(console, f"note: {note}", "dim")


def _verdict(audit: Audit) -> str:
    if not audit.findings:
        return "clean"
    counts = [
        f"{sum(finding.severity == severity for finding in audit.findings)} {severity.name.lower()}"
        for severity in sorted(Severity, reverse=True)
        if any(finding.severity == severity for finding in audit.findings)
    ]
    return f"{'clean; ' if audit.clean else ''}{', '.join(counts)}"


@dataclass(frozen=True)
class _Sheet:
    """A table of machines' names and figures. headings: those of figures, which go to the right, begin with `>`.

    rows: the first cell is what the row is about.
    """

    headings: tuple[str, ...]
    rows: list[tuple[str | Text, ...]]


def _areas(areas: tuple[AreaEvidence, ...]) -> _Sheet:
    rows: list[tuple[str | Text, ...]] = [
        (
            f"{area.path}\n  {way_down(area.top)}", _NOTIFIED[area.notified], units.count(area.pages),
            units.count(area.used), units.count(area.entries), _at_least(area),
        )
        for area in areas
    ]  # fmt: skip
    return _Sheet(("swap area", "notified", ">slots", ">in use", ">entries", ">stale"), rows)


def _in_use(areas: tuple[AreaEvidence, ...]) -> _Sheet:
    """Where the slots in use are, of areas of which that is told."""
    rows: list[tuple[str | Text, ...]] = [
        (area.path, *map(units.count, (found.with_entry, found.zero_filled, found.swap_cache, found.elsewhere)))
        for area in areas
        if (found := area.in_use) is not None and found.slots
    ]
    return _Sheet(("slots in use", ">with entry", ">of zeros", ">swap cache only", ">elsewhere"), rows)


def _at_least(area: AreaEvidence) -> str:
    if area.stale_at_least is None:
        return units.DASH
    if area.stale is not None:
        return units.count(area.stale)
    return f">= {units.count(area.stale_at_least)}"


def _stores(evidence: Evidence) -> _Sheet:
    rows: list[tuple[str | Text, ...]] = []
    for store in evidence.stores:
        counters = store.store.counters
        users = [*store.areas, *(found.point for found, _ in store.mounts), *store.holders]
        rows.append(
            (
                store.store.name,
                "\n".join(dict.fromkeys(users)) or "nothing",
                units.count(counters.get("pages_stored")),
                *(units.size(counters.get(name)) for name in ("orig_data_size", "compr_data_size", "mem_used_total")),
                units.size(store.store.table_bytes),
                units.count(counters.get("miss_free")),
            )
        )
    headings = ("zram", "used by", ">entries", ">original", ">compressed", ">memory", ">table", ">missed")
    return _Sheet(headings, rows)


def _print(sheet: _Sheet, console: Console) -> None:
    """As a table; where that is too wide, row by row: names must be there as a whole, for they are to be copied."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in sheet.headings:
        table.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", no_wrap=True)
    for row in sheet.rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell, console)) for cell in row))
    if console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum <= console.width:
        console.print(table, highlight=False)
        return
    for row in sheet.rows:
        console.print(Text(plain(str(row[0]), console)), soft_wrap=True)
        for heading, cell in zip(sheet.headings[1:], row[1:], strict=True):
            value = ", ".join(str(cell).split("\n"))
            console.print(Text(plain(f"    {heading.lstrip('>')}: {value}", console)), soft_wrap=True)


def _traced(seen: Observed | None) -> str:
    if seen is None:
        return "it was not on all the time."
    parts = [f"in {units.duration(1e9 * seen.seconds)} {units.count(seen.frees)} slots were freed"]
    if seen.notifications is None:
        parts.append("what became of their entries cannot be told")
    else:
        parts.append(f"{units.count(seen.notifications)} notified ({units.count(seen.missed)} missed)")
        parts.append(f"{units.count(seen.discarded)} entries discarded")
        parts.append(
            f"{units.count(seen.became_stale)} became stale ({units.size(seen.became_stale_bytes)} compressed)"
        )
    if seen.lost_events:
        parts.append(f"{units.count(seen.lost_events)} events were lost, so these are bounds")
    return ", ".join(parts) + "."


def _print_finding(finding: Finding, console: Console) -> None:
    console.print()
    style = _STYLE[finding.severity]
    title = Text.assemble((finding.severity.name.lower(), style), "  ", (finding.id, "bold"), f"  {finding.subject}")
    console.print(Rule(title, align="left", style="none", characters=" "), width=min(console.width, WIDTH))
    say(console, finding.sentence)
    for advice in finding.advice:
        console.print()
        say(console, advice.sentence)
        for command in advice.commands:
            # as a whole, even if too long for the line: it is there to be copied
            console.print(Text.assemble("    ", (command, "bold")), soft_wrap=True)
