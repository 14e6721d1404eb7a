"""audit: gather evidence, trace for a while if asked to, and judge."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swaptrace.audit.evidence import Evidence, gather
from swaptrace.audit.findings import find
from swaptrace.findings.finding import Finding, Severity
from swaptrace.machine.machine import Machine
from swaptrace.progress import LiveLine


@dataclass(frozen=True)
class Audit:
    """The evidence and what follows from it."""

    evidence: Evidence
    findings: list[Finding]

    @property
    def clean(self) -> bool:
        """Whether nothing needs mending: findings that only inform do not count."""
        return all(finding.severity == Severity.INFO for finding in self.findings)


def audit(seconds: float | None = None, machine: Machine | None = None) -> Audit:
    """Audit this machine; with `seconds`, trace it for that long first. Raises Problem."""
    machine = machine or Machine()
    if seconds is None:
        return judge(_gather(machine))
    from swaptrace.audit.observe import observe

    seen = observe(seconds)
    evidence = _gather(machine)
    areas = tuple(replace(area, observed=seen.get(area.path)) for area in evidence.areas)
    return judge(replace(evidence, areas=areas, seconds=seconds))


def _gather(machine: Machine) -> Evidence:
    with LiveLine("looking at swap areas and stores ..."):
        return gather(machine)


def judge(evidence: Evidence) -> Audit:
    return Audit(evidence, find(evidence))
