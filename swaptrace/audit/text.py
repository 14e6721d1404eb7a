"""The audit in the terminal: 80 columns are enough."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swaptrace import units
from swaptrace.audit.audit import Audit
from swaptrace.audit.evidence import AreaEvidence, Evidence, Observed
from swaptrace.console import new_table, plain, print_table, say
from swaptrace.findings.finding import Severity
from swaptrace.findings.text import print_finding
from swaptrace.machine.stack import way_down

_NOTIFIED = {True: Text("yes", "green"), False: Text("no", "red"), None: Text("not needed", "dim")}


def print_audit(audit: Audit, console: Console) -> None:
    """Print all of it. Nothing is read as rich's markup, for names come from the machine."""
    say(console, f"swaptrace audit: {_verdict(audit)}", "bold")
    evidence = audit.evidence
    if evidence.areas:
        console.print()
        print_table(_areas(evidence.areas, console), console)
        if (split := _in_use(evidence.areas, console)).row_count:
            console.print()
            print_table(split, console)
    else:
        say(console, "No swap area is on.")
    if evidence.stores:
        console.print()
        print_table(_stores(evidence, console), console)
    if evidence.seconds is not None:
        console.print()
        for area in evidence.areas:
            say(console, f"Traced, {area.path}: {_traced(area.observed)}")
    for finding in audit.findings:
        print_finding(finding, console)
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


def _areas(areas: tuple[AreaEvidence, ...], console: Console) -> Table:
    made = _table("swap area", "notified", ">slots", ">in use", ">entries", ">stale")
    for area in areas:
        # the path has a line of its own: it can be long, and must be there as a whole
        made.add_row(
            Text(plain(f"{area.path}\n  {way_down(area.top)}", console)), _NOTIFIED[area.notified],
            units.count(area.pages), units.count(area.used), units.count(area.entries), _at_least(area),
        )  # fmt: skip
    return made


def _in_use(areas: tuple[AreaEvidence, ...], console: Console) -> Table:
    """Where the slots in use are, of areas of which that is told."""
    made = _table("slots in use", ">with entry", ">of zeros", ">swap cache only", ">elsewhere")
    for area in areas:
        if (found := area.in_use) is not None and found.slots:
            parts = (found.with_entry, found.zero_filled, found.swap_cache, found.elsewhere)
            made.add_row(Text(plain(area.path, console)), *map(units.count, parts))
    return made


def _at_least(area: AreaEvidence) -> str:
    if area.stale_at_least is None:
        return units.DASH
    if area.stale is not None:
        return units.count(area.stale)
    return f">= {units.count(area.stale_at_least)}"


def _stores(evidence: Evidence, console: Console) -> Table:
    made = _table("zram", "used by", ">entries", ">original", ">compressed", ">memory", ">table", ">missed")
    for store in evidence.stores:
        counters = store.store.counters
        users = [*store.areas, *(found.point for found, _ in store.mounts), *store.holders]
        made.add_row(
            Text(store.store.name),
            Text(plain("\n".join(dict.fromkeys(users)) or "nothing", console)),
            units.count(counters.get("pages_stored")),
            *(units.size(counters.get(name)) for name in ("orig_data_size", "compr_data_size", "mem_used_total")),
            units.size(store.store.table_bytes),
            units.count(counters.get("miss_free")),
        )
    return made


def _table(*headings: str) -> Table:
    """No column wraps: names are there to be copied. Headings of those that are justified right begin with `>`."""
    made = new_table(header_style="bold")
    for heading in headings:
        made.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left", no_wrap=True)
    return made


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
